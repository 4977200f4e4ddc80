//! A tool's content as one JSON document: the form that guardrails judge, redaction reads and records
//! keep (docs/capabilities/tools.md). Whoever looks at less than this document looks past a channel that
//! the next reader sees, so nothing but the whole of it goes round.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bindings::types::{
    Body, Content, Hints, Media, Part, Reader, ResourceContents, ResourceData, ResourceInfo,
};
use crate::json::{JsonLimits, canonical_json, parse_json};
use crate::role::length;

/// Parts of one content: far more than a model reads, and few enough that empty ones cost nothing.
const PARTS_MAX: usize = 1_024;

/// Bytes that a part counts beside what it carries, so that empty parts are not free.
const PART_BYTES: u64 = 64;

/// Bytes that each reader of an audience counts: so many stand in the document, for one that is handed over.
const READER_BYTES: u64 = 12;

/// Bytes that a content counts against `limits.output`.
pub(crate) fn size(content: &Content) -> u64 {
    let parts = content.parts.iter().map(part_size);
    parts.fold(content.value.len() as u64, u64::saturating_add)
}

fn part_size(part: &Part) -> u64 {
    let body = match &part.body {
        Body::Text(text) => text.len() as u64,
        Body::Image(media) | Body::Audio(media) => {
            (media.data.len() + media.mime_type.len()) as u64
        }
        Body::ResourceLink(link) => length(&[
            &link.uri,
            &link.name,
            &link.title,
            &link.description,
            &link.mime_type,
            &link.size,
        ])
        .saturating_add(hints_size(link.hints.as_ref())),
        Body::EmbeddedResource(found) => {
            let data = match &found.data {
                ResourceData::Text(text) => text.len(),
                ResourceData::Blob(bytes) => bytes.len(),
            };
            length(&[&found.uri, &found.mime_type]).saturating_add(data as u64)
        }
    };
    body.saturating_add(hints_size(part.hints.as_ref()))
        .saturating_add(PART_BYTES)
}

/// They are texts as any other: what a grant lets a guest hand over may be far more than its output limit.
fn hints_size(hints: Option<&Hints>) -> u64 {
    hints.map_or(0, |hints| {
        let readers = (hints.audience.len() as u64).saturating_mul(READER_BYTES);
        readers.saturating_add(hints.last_modified.len() as u64)
    })
}

/// The content with its value in canonical form, or what is wrong with it.
pub(crate) fn canonical(mut content: Content) -> Result<Content, String> {
    if content.parts.len() > PARTS_MAX {
        let parts = content.parts.len();
        return Err(format!(
            "its content has {parts} parts, {PARTS_MAX} are allowed"
        ));
    }
    let hints = content.parts.iter().filter_map(|part| part.hints.as_ref());
    let priorities = hints.filter_map(|hints| hints.priority);
    if let Some(wrong) = priorities
        .into_iter()
        // So that NaN, which is in no range, is wrong as well.
        .find(|priority| !(0.0..=1.0).contains(priority))
    {
        return Err(format!(
            "a part of its content has the priority {wrong}: it goes from 0 to 1"
        ));
    }
    content.value =
        canonical_json(&content.value).map_err(|error| format!("its value: {error}"))?;
    Ok(content)
}

/// The whole content as one document: `{"value": …, "parts": […]}`.
///
/// # Errors
/// When its value is not JSON, which a content that the engine handed over never is.
///
/// # Examples
/// ```
/// use flowhost_engine::{ToolContent, content_of, content_value};
/// let content = ToolContent { value: "{\"n\":1}".to_owned(), parts: Vec::new() };
/// let whole = content_value(&content).unwrap();
/// assert_eq!(whole.to_string(), r#"{"parts":[],"value":{"n":1}}"#);
/// assert!(content_of(whole).is_ok());
/// ```
pub fn content_value(content: &Content) -> Result<Value, String> {
    let value = parse_json(&content.value, &JsonLimits::default());
    let value = value.map_err(|error| format!("the value of a tool's content: {error}"))?;
    let parts = content
        .parts
        .iter()
        .map(PartForm::from)
        .map(|part| serde_json::to_value(part).map_err(|error| error.to_string()))
        .collect::<Result<Vec<Value>, String>>()?;
    // Put in as it is: whoever serialises a tree into another copies it.
    let members = [("parts", Value::Array(parts)), ("value", value)];
    let members = members.map(|(name, member)| (name.to_owned(), member));
    Ok(Value::Object(members.into_iter().collect()))
}

/// The content that a document describes: what a guardrail made of it.
///
/// # Errors
/// What the document has that a content has not, or the other way round.
pub fn content_of(document: Value) -> Result<Content, String> {
    let document = serde_json::from_value::<Document>(document)
        .map_err(|error| format!("it is not a tool's content: {error}"))?;
    let parts: Result<Vec<Part>, String> = document.parts.into_iter().map(Part::try_from).collect();
    canonical(Content {
        value: document.value.to_string(),
        parts: parts?,
    })
}

/// An error of a tool as guardrails see it: `{"error": {"class": …, "message": …}}`.
#[must_use]
pub fn content_error_value(class: &str, message: &str) -> Value {
    serde_json::json!({ "error": { "class": class, "message": message } })
}

/// The message of an error that went through a guardrail. Its class decides whether the call is tried
/// again, so a guardrail cannot change it.
///
/// # Errors
/// When the document is not an error of this class any more.
pub fn content_error_of(class: &str, document: Value) -> Result<String, String> {
    let error = serde_json::from_value::<ErrorDocument>(document)
        .map_err(|error| format!("it is not a tool's error: {error}"))?;
    if error.error.class == class {
        return Ok(error.error.message);
    }
    let other = crate::neutralise(&error.error.class, 64);
    Err(format!("the error's class is `{class}` and not `{other}`"))
}

/// What a step hands on of a content: its value; where there is none but parts, the whole document, so
/// that a tool that answers in text alone has an output.
///
/// # Errors
/// As [`content_value`].
pub fn handed_on(content: &Content) -> Result<Value, String> {
    content_value(content).map(handed_on_of)
}

/// As [`handed_on`], of the document that describes a content, as a record keeps it.
#[must_use]
pub fn handed_on_of(mut document: Value) -> Value {
    let value = document
        .get_mut("value")
        .map(Value::take)
        .unwrap_or_default();
    let has_parts = document
        .get("parts")
        .and_then(Value::as_array)
        .is_some_and(|parts| !parts.is_empty());
    if value.is_null() && has_parts {
        document
    } else {
        value
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    value: Value,
    parts: Vec<PartForm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorDocument {
    error: ErrorForm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ErrorForm {
    class: String,
    message: String,
}

/// A part as it stands in the document. Bytes are Base64 (RFC 4648, with padding).
#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
enum PartForm {
    Text {
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hints: Option<HintsForm>,
    },
    Image {
        mime_type: String,
        data: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hints: Option<HintsForm>,
    },
    Audio {
        mime_type: String,
        data: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hints: Option<HintsForm>,
    },
    ResourceLink {
        uri: String,
        name: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        title: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        description: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        mime_type: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        size: String,
        /// Of what the link leads to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resource_hints: Option<HintsForm>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hints: Option<HintsForm>,
    },
    Resource {
        uri: String,
        #[serde(default, skip_serializing_if = "String::is_empty")]
        mime_type: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        blob: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hints: Option<HintsForm>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HintsForm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    audience: Vec<ReaderForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    priority: Option<f64>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    last_modified: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReaderForm {
    User,
    Assistant,
}

impl From<&Part> for PartForm {
    fn from(part: &Part) -> Self {
        let hints = part.hints.as_ref().map(HintsForm::from);
        match &part.body {
            Body::Text(text) => Self::Text {
                text: text.clone(),
                hints,
            },
            Body::Image(media) => Self::Image {
                mime_type: media.mime_type.clone(),
                data: STANDARD.encode(&media.data),
                hints,
            },
            Body::Audio(media) => Self::Audio {
                mime_type: media.mime_type.clone(),
                data: STANDARD.encode(&media.data),
                hints,
            },
            Body::ResourceLink(link) => Self::ResourceLink {
                uri: link.uri.clone(),
                name: link.name.clone(),
                title: link.title.clone(),
                description: link.description.clone(),
                mime_type: link.mime_type.clone(),
                size: link.size.clone(),
                resource_hints: link.hints.as_ref().map(HintsForm::from),
                hints,
            },
            Body::EmbeddedResource(found) => {
                let (text, blob) = match &found.data {
                    ResourceData::Text(text) => (Some(text.clone()), None),
                    ResourceData::Blob(bytes) => (None, Some(STANDARD.encode(bytes))),
                };
                Self::Resource {
                    uri: found.uri.clone(),
                    mime_type: found.mime_type.clone(),
                    text,
                    blob,
                    hints,
                }
            }
        }
    }
}

impl TryFrom<PartForm> for Part {
    type Error = String;

    fn try_from(form: PartForm) -> Result<Self, String> {
        let (body, hints) = match form {
            PartForm::Text { text, hints } => (Body::Text(text), hints),
            PartForm::Image {
                mime_type,
                data,
                hints,
            } => (Body::Image(media(mime_type, &data)?), hints),
            PartForm::Audio {
                mime_type,
                data,
                hints,
            } => (Body::Audio(media(mime_type, &data)?), hints),
            PartForm::ResourceLink {
                uri,
                name,
                title,
                description,
                mime_type,
                size,
                resource_hints,
                hints,
            } => {
                let link = ResourceInfo {
                    uri,
                    name,
                    title,
                    description,
                    mime_type,
                    size,
                    hints: resource_hints.map(Hints::from),
                };
                (Body::ResourceLink(link), hints)
            }
            PartForm::Resource {
                uri,
                mime_type,
                text,
                blob,
                hints,
            } => {
                let data = match (text, blob) {
                    (Some(text), None) => ResourceData::Text(text),
                    (None, Some(blob)) => ResourceData::Blob(bytes(&blob)?),
                    _ => {
                        return Err(
                            "a part of type `resource` has either `text` or `blob`".to_owned()
                        );
                    }
                };
                let found = ResourceContents {
                    uri,
                    mime_type,
                    data,
                };
                (Body::EmbeddedResource(found), hints)
            }
        };
        Ok(Self {
            body,
            hints: hints.map(Hints::from),
        })
    }
}

fn media(mime_type: String, data: &str) -> Result<Media, String> {
    let data = bytes(data)?;
    Ok(Media { mime_type, data })
}

fn bytes(data: &str) -> Result<Vec<u8>, String> {
    STANDARD
        .decode(data)
        .map_err(|error| format!("the data of a part is not Base64: {error}"))
}

impl From<&Hints> for HintsForm {
    fn from(hints: &Hints) -> Self {
        let audience = hints.audience.iter().map(|reader| match reader {
            Reader::User => ReaderForm::User,
            Reader::Assistant => ReaderForm::Assistant,
        });
        Self {
            audience: audience.collect(),
            priority: hints.priority,
            last_modified: hints.last_modified.clone(),
        }
    }
}

impl From<HintsForm> for Hints {
    fn from(form: HintsForm) -> Self {
        let audience = form.audience.into_iter().map(|reader| match reader {
            ReaderForm::User => Reader::User,
            ReaderForm::Assistant => Reader::Assistant,
        });
        Self {
            audience: audience.collect(),
            priority: form.priority,
            last_modified: form.last_modified,
        }
    }
}

#[cfg(test)]
mod tests;
