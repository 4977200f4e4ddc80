//! The records as documentation and as JSON Schema: made from the declarations, never written by hand.

use serde_json::{Map, Value, json};

use super::{FieldDoc, Kind, Shape};

/// The table of kinds, in Markdown.
#[must_use]
pub fn kinds_table() -> String {
    let rows = Kind::ALL
        .iter()
        .map(|(_, name, says)| format!("| `{name}` | {says} |\n"));
    format!("| kind | says |\n|---|---|\n{}", rows.collect::<String>())
}

/// The fields of every kind, in Markdown.
#[must_use]
pub fn fields_page() -> String {
    let kinds = Kind::ALL.iter().map(|(kind, name, says)| {
        let fields = kind.fields();
        let rows = fields.iter().map(row).collect::<String>();
        format!("\n## `{name}`\n\n{says}\n\n| field | form | says |\n|---|---|---|\n{rows}")
    });
    kinds.collect()
}

fn row(field: &FieldDoc) -> String {
    let optional = if field.required { "" } else { ", optional" };
    // A bar would end the cell.
    let says = field.doc.replace('|', "\\|");
    let form = form(field.shape);
    format!("| `{}` | {form}{optional} | {says} |\n", field.name)
}

fn form(shape: Shape) -> String {
    match shape {
        Shape::Text => "text".to_owned(),
        Shape::Number => "number".to_owned(),
        Shape::Flag => "`true` or `false`".to_owned(),
        Shape::Word(words) => format!("one of `{}`", words.join("`, `")),
        Shape::List => "list of texts".to_owned(),
        Shape::Numbers => "list of numbers".to_owned(),
        Shape::Map => "texts by name".to_owned(),
    }
}

/// A JSON Schema (2020-12) of one line of a ledger. It lets fields pass that it does not know, so
/// that a ledger of a newer host is not invalid for an older reader.
#[must_use]
pub fn schema() -> Value {
    let kinds = Kind::ALL.iter().map(|(kind, name, says)| {
        let fields = kind.fields();
        let mut properties: Map<String, Value> = fields
            .iter()
            .map(|field| (field.name.to_owned(), property(field)))
            .collect();
        properties.insert("kind".to_owned(), json!({ "const": name }));
        let required: Vec<&str> = fields
            .iter()
            .filter(|field| field.required)
            .map(|field| field.name)
            .chain(["kind"])
            .collect();
        json!({ "description": says, "properties": properties, "required": required })
    });
    let hash = json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A record of a flowhost ledger, format fhe/1",
        "type": "object",
        "properties": {
            "v": { "const": crate::record::FORMAT },
            "seq": number(),
            "ts": { "type": "string", "description": "RFC 3339, UTC; the order is `seq`, not this." },
            "tenant": { "type": "string" },
            "run": { "type": "string" },
            "actor": { "type": "string", "description": "`<tenant>/<plugin>` or `<tenant>/host`." },
            "prev": hash,
            "commit": { "type": "string", "pattern": "^hmac-sha256:[0-9a-f]{64}$" },
            "sealed": { "type": "string", "pattern": "^hmac-sha256:[0-9a-f]{64}$" },
            "bytes": number(),
        },
        "required": ["v", "seq", "ts", "tenant", "run", "actor", "kind", "prev"],
        "oneOf": kinds.collect::<Vec<_>>(),
    })
}

fn property(field: &FieldDoc) -> Value {
    let mut form = match field.shape {
        Shape::Text => json!({ "type": "string" }),
        Shape::Number => number(),
        Shape::Flag => json!({ "enum": ["true", "false"] }),
        Shape::Word(words) => json!({ "enum": words }),
        Shape::List => json!({ "type": "array", "items": { "type": "string" } }),
        Shape::Numbers => json!({ "type": "array", "items": number() }),
        Shape::Map => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
    };
    if let Some(form) = form.as_object_mut() {
        form.insert("description".to_owned(), field.doc.into());
    }
    form
}

/// The format has no JSON numbers (RFC 8785 maps neighbours above 2^53 to the same bytes).
fn number() -> Value {
    json!({ "type": "string", "pattern": "^(0|[1-9][0-9]*)$" })
}
