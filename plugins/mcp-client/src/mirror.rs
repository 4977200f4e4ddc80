//! Arguments that a server wants in headers too (`x-mcp-header`), so that what stands between can route
//! by them.

use flowhost_mcp::encode_header;
use flowhost_sdk::Error;
use serde_json::{Map, Value};

/// The key in a schema.
const MARK: &str = "x-mcp-header";
/// Nesting that is looked into; the host refuses deeper schemas anyway.
const DEPTH_MAX: usize = 64;
/// The largest whole number that every reader of JSON keeps.
const WHOLE_MAX: i64 = (1 << 53) - 1;

/// A marked property: the path to it, and the name of its header.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    path: Vec<String>,
    header: String,
}

/// The marks of a schema, or why a client must not offer the tool.
pub(crate) fn marks(schema: &Value) -> Result<Vec<Mark>, String> {
    let mut found = Vec::new();
    walk(schema, &mut Vec::new(), true, 0, &mut found)?;
    for (at, mark) in found.iter().enumerate() {
        let before = found.get(..at).unwrap_or_default();
        if before
            .iter()
            .any(|other| other.header.eq_ignore_ascii_case(&mark.header))
        {
            return Err(format!("two properties want the header `{}`", mark.header));
        }
    }
    Ok(found)
}

fn walk(
    schema: &Value,
    path: &mut Vec<String>,
    reachable: bool,
    depth: usize,
    found: &mut Vec<Mark>,
) -> Result<(), String> {
    if depth > DEPTH_MAX {
        return Err("the schema is nested too deeply".to_owned());
    }
    match schema {
        Value::Object(fields) => {
            if let Some(mark) = fields.get(MARK) {
                found.push(marked(fields, mark, path, reachable)?);
            }
            for (key, inner) in fields {
                match (key.as_str(), inner) {
                    ("properties", Value::Object(properties)) => {
                        for (name, property) in properties {
                            path.push(name.clone());
                            walk(property, path, reachable, depth + 1, found)?;
                            path.pop();
                        }
                    }
                    // Literal values, which say nothing of properties.
                    ("default" | "const" | "enum" | "examples", _) => {}
                    (_, inner) => walk(inner, path, false, depth + 1, found)?,
                }
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter()
            .try_for_each(|item| walk(item, path, false, depth + 1, found)),
        _ => Ok(()),
    }
}

fn marked(
    fields: &Map<String, Value>,
    mark: &Value,
    path: &[String],
    reachable: bool,
) -> Result<Mark, String> {
    let header = mark.as_str().unwrap_or_default();
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if header.is_empty() || header.len() > 64 || !header.bytes().all(token) {
        return Err("a header's name is not one".to_owned());
    }
    let kind = fields.get("type").and_then(Value::as_str);
    if !reachable || path.is_empty() || !matches!(kind, Some("string" | "integer" | "boolean")) {
        return Err(format!("the header `{header}` is not of a plain property"));
    }
    Ok(Mark {
        path: path.to_vec(),
        header: header.to_owned(),
    })
}

/// The headers that a call needs.
pub(crate) fn headers(schema: &Value, arguments: &Value) -> Result<Vec<(String, String)>, Error> {
    let marks = marks(schema)
        .map_err(|why| Error::failed(format_args!("the tool cannot be called: {why}")))?;
    let mut headers = Vec::new();
    for mark in marks {
        let value = mark
            .path
            .iter()
            .try_fold(arguments, |value, key| value.get(key));
        let text = match value {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(truth)) => truth.to_string(),
            Some(Value::Number(number)) => match number.as_i64() {
                Some(whole) if whole.abs() <= WHOLE_MAX => whole.to_string(),
                _ => {
                    return Err(Error::invalid(format_args!(
                        "`{}` is too large for a header",
                        mark.header
                    )));
                }
            },
            Some(_) => {
                return Err(Error::invalid(format_args!(
                    "`{}` cannot stand in a header",
                    mark.header
                )));
            }
        };
        headers.push((format!("Mcp-Param-{}", mark.header), encode_header(&text)));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_values_at_their_exact_path_and_leaves_out_what_is_not_there() {
        let schema = json!({ "type": "object", "properties": {
            "region": { "type": "string", "x-mcp-header": "Region" },
            "deep": { "type": "object", "properties": { "n": { "type": "integer", "x-mcp-header": "N" } } },
            "absent": { "type": "boolean", "x-mcp-header": "Absent" },
        } });
        let arguments = json!({ "region": "größe", "deep": { "n": -7 } });
        let mut found = headers(&schema, &arguments).unwrap_or_default();
        found.sort();
        let expected = [
            ("Mcp-Param-N", "-7"),
            ("Mcp-Param-Region", "=?base64?Z3LDtsOfZQ==?="),
        ];
        assert_eq!(
            found,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
