//! What a tool answered, part by part. Nothing is thrown away: a part of a kind that is not known makes the
//! answer one that cannot be used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flowhost_sdk::{
    Answer, Body, Error, Hints, Media, Part, Reader, ResourceContents, ResourceData, ResourceInfo,
};
use serde_json::Value;

use crate::exchange::said;

/// The answer of `tools/call`.
pub(crate) fn answer(result: &Value) -> Result<Answer, Error> {
    let content = result.get("content").and_then(Value::as_array);
    let parts: Vec<Part> = content
        .into_iter()
        .flatten()
        .map(part)
        .collect::<Result<_, Error>>()?;
    if result.get("isError").and_then(Value::as_bool) == Some(true) {
        let texts = parts.iter().filter_map(|part| match &part.body {
            Body::Text(text) => Some(text.as_str()),
            _ => None,
        });
        let told: Vec<&str> = texts.collect();
        return Err(Error::failed(match told.is_empty() {
            true => "the tool failed and does not say why".to_owned(),
            false => told.join("\n"),
        }));
    }
    let value = result.get("structuredContent").cloned().unwrap_or_default();
    if value.is_null() && content.is_none() {
        return Err(Error::failed(
            "the server's answer has neither content nor a structured value",
        ));
    }
    Ok(Answer {
        value: value.to_string(),
        parts,
    })
}

pub(crate) fn part(block: &Value) -> Result<Part, Error> {
    let body = match text(block, "type").as_str() {
        "text" => Body::Text(needed(block, "text")?),
        "image" => Body::Image(media(block)?),
        "audio" => Body::Audio(media(block)?),
        "resource_link" => Body::ResourceLink(ResourceInfo {
            uri: needed(block, "uri")?,
            name: needed(block, "name")?,
            title: text(block, "title"),
            description: text(block, "description"),
            mime_type: text(block, "mimeType"),
            size: block
                .get("size")
                .and_then(Value::as_u64)
                .map(|size| size.to_string())
                .unwrap_or_default(),
            hints: None,
        }),
        "resource" => {
            Body::EmbeddedResource(resource(block.get("resource").unwrap_or(&Value::Null))?)
        }
        other => {
            return Err(Error::failed(format_args!(
                "the tool answered with a part of the unknown kind `{}`",
                said(other)
            )));
        }
    };
    let hints = block.get("annotations").map(hints);
    Ok(Part { body, hints })
}

pub(crate) fn resource(value: &Value) -> Result<ResourceContents, Error> {
    let data = match (
        value.get("text").and_then(Value::as_str),
        value.get("blob").and_then(Value::as_str),
    ) {
        (Some(text), None) => ResourceData::Text(text.to_owned()),
        (None, Some(blob)) => ResourceData::Blob(bytes(blob)?),
        _ => {
            return Err(Error::failed(
                "an embedded resource has either a text or a blob",
            ));
        }
    };
    Ok(ResourceContents {
        uri: needed(value, "uri")?,
        mime_type: text(value, "mimeType"),
        data,
    })
}

fn media(block: &Value) -> Result<Media, Error> {
    Ok(Media {
        mime_type: needed(block, "mimeType")?,
        data: bytes(&needed(block, "data")?)?,
    })
}

fn bytes(text: &str) -> Result<Vec<u8>, Error> {
    STANDARD
        .decode(text)
        .map_err(|error| Error::failed(format_args!("a part's data is not Base64: {error}")))
}

fn hints(annotations: &Value) -> Hints {
    let audience = annotations.get("audience").and_then(Value::as_array);
    let audience = audience
        .into_iter()
        .flatten()
        .filter_map(|reader| match reader.as_str()? {
            "user" => Some(Reader::User),
            "assistant" => Some(Reader::Assistant),
            _ => None,
        });
    let priority = annotations.get("priority").and_then(Value::as_f64);
    Hints {
        audience: audience.collect(),
        priority: priority.filter(|it| (0.0..=1.0).contains(it)),
        last_modified: text(annotations, "lastModified"),
    }
}

fn needed(value: &Value, key: &str) -> Result<String, Error> {
    match value.get(key).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => Err(Error::failed(format_args!(
            "a part of the answer has no text `{key}`"
        ))),
    }
}

fn text(value: &Value, key: &str) -> String {
    value
        .get(key)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_part_that_cannot_be_read_spoils_the_answer() {
        for block in [
            json!({ "type": "video" }),
            json!({ "type": "image", "data": "!", "mimeType": "image/png" }),
            json!({ "type": "image", "data": "AA==" }),
            json!({ "type": "resource", "resource": { "uri": "a:b" } }),
            json!("text"),
        ] {
            assert!(answer(&json!({ "content": [block] })).is_err());
        }
        assert!(answer(&json!({})).is_err());
    }

    #[test]
    fn every_kind_of_part_is_kept() {
        let result = json!({ "structuredContent": { "a": 1 }, "content": [
            { "type": "text", "text": "t", "annotations": { "audience": ["user"], "priority": 1, "lastModified": "2026" } },
            { "type": "image", "data": "AA==", "mimeType": "image/png" },
            { "type": "audio", "data": "AA==", "mimeType": "audio/wav" },
            { "type": "resource_link", "uri": "a:b", "name": "n", "size": 3 },
            { "type": "resource", "resource": { "uri": "a:b", "blob": "AA==" } },
        ] });
        let answer = answer(&result).unwrap();
        assert_eq!(answer.value, r#"{"a":1}"#);
        assert_eq!(answer.parts.len(), 5);
        assert_eq!(
            answer.parts[0].hints.as_ref().map(|it| it.audience.len()),
            Some(1)
        );
    }

    #[test]
    fn a_tool_that_failed_says_why() {
        let result =
            json!({ "isError": true, "content": [{ "type": "text", "text": "no such file" }] });
        assert!(matches!(answer(&result), Err(Error::Failed(why)) if why == "no such file"));
    }
}
