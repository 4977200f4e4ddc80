//! JSON Schemas of WIT types.

use serde_json::{Map, Value, json};
use wasmtime::component::types::Type;

/// How deep types may be inside of one another: what a person or a model can still write.
const DEPTH_MAX: usize = 16;
/// How many types a function may have in all: a type that is used in many places is told in each.
const NODES_MAX: usize = 2_048;
/// Integers that every reader of JSON keeps exactly.
pub(super) const EXACT_MAX: i64 = (1 << 53) - 1;

/// The schema of an object with these fields. One whose type is an option may be left out.
pub(super) fn object<'a>(
    fields: impl Iterator<Item = (&'a str, &'a Type)>,
) -> Result<Value, String> {
    Told::default().object(fields.map(|(name, ty)| (name, ty.clone())), 0)
}

/// The schema of what a function answers: of a result what stands in the good one.
pub(super) fn answer(result: Option<&Type>) -> Result<Value, String> {
    let nothing = json!({ "type": "null" });
    match result {
        None => Ok(nothing),
        Some(Type::Result(result)) => {
            // An error is told as the call's; it needs a form all the same.
            if let Some(err) = result.err() {
                Told::default().schema(&err, 0)?;
            }
            match result.ok() {
                Some(ok) => Told::default().schema(&ok, 0),
                None => Ok(nothing),
            }
        }
        Some(ty) => Told::default().schema(ty, 0),
    }
}

/// Counts what was told.
#[derive(Default)]
struct Told {
    nodes: usize,
}

impl Told {
    fn schema(&mut self, ty: &Type, depth: usize) -> Result<Value, String> {
        self.nodes += 1;
        if depth > DEPTH_MAX || self.nodes > NODES_MAX {
            return Err("its types are too large to be told in a schema".to_owned());
        }
        let integer =
            |least: i64, most: i64| json!({ "type": "integer", "minimum": least, "maximum": most });
        Ok(match ty {
            Type::Bool => json!({ "type": "boolean" }),
            Type::S8 => integer(i8::MIN.into(), i8::MAX.into()),
            Type::U8 => integer(0, u8::MAX.into()),
            Type::S16 => integer(i16::MIN.into(), i16::MAX.into()),
            Type::U16 => integer(0, u16::MAX.into()),
            Type::S32 => integer(i32::MIN.into(), i32::MAX.into()),
            Type::U32 => integer(0, u32::MAX.into()),
            Type::S64 => integer(-EXACT_MAX, EXACT_MAX),
            Type::U64 => integer(0, EXACT_MAX),
            Type::Float32 | Type::Float64 => json!({ "type": "number" }),
            Type::Char => json!({ "type": "string", "minLength": 1, "maxLength": 1 }),
            Type::String => json!({ "type": "string" }),
            Type::List(list) if list.ty() == Type::U8 => {
                json!({ "type": "string", "contentEncoding": "base64" })
            }
            Type::List(list) => {
                json!({ "type": "array", "items": self.schema(&list.ty(), depth + 1)? })
            }
            Type::FixedLengthList(list) => json!({
                "type": "array", "items": self.schema(&list.ty(), depth + 1)?,
                "minItems": list.len(), "maxItems": list.len(),
            }),
            Type::Record(record) => {
                self.object(record.fields().map(|field| (field.name, field.ty)), depth)?
            }
            Type::Tuple(tuple) => {
                let items: Result<Vec<Value>, String> = tuple
                    .types()
                    .map(|ty| self.schema(&ty, depth + 1))
                    .collect();
                let items = items?;
                let count = items.len();
                json!({ "type": "array", "prefixItems": items, "minItems": count, "maxItems": count })
            }
            Type::Variant(variant) => {
                let cases: Result<Vec<Value>, String> = variant
                    .cases()
                    .map(|case| self.case(case.name, case.ty.as_ref(), depth))
                    .collect();
                json!({ "oneOf": cases? })
            }
            Type::Result(result) => {
                let ok = self.case("ok", result.ok().as_ref(), depth)?;
                let err = self.case("err", result.err().as_ref(), depth)?;
                json!({ "oneOf": [ok, err] })
            }
            Type::Enum(names) => {
                let names: Vec<&str> = names.names().collect();
                json!({ "type": "string", "enum": names })
            }
            Type::Flags(flags) => {
                let names: Vec<&str> = flags.names().collect();
                json!({ "type": "array", "uniqueItems": true, "items": { "type": "string", "enum": names } })
            }
            Type::Option(option) => {
                let inner = option.ty();
                if matches!(inner, Type::Option(_)) {
                    return Err(
                        "it has an option of an option, whose two nothings JSON cannot tell apart"
                            .to_owned(),
                    );
                }
                json!({ "anyOf": [self.schema(&inner, depth + 1)?, { "type": "null" }] })
            }
            Type::Own(_) | Type::Borrow(_) => {
                return Err("it takes or gives a resource".to_owned());
            }
            Type::Map(_) | Type::Future(_) | Type::Stream(_) | Type::ErrorContext => {
                return Err("it has a type that JSON has no form for".to_owned());
            }
        })
    }

    fn object<'a>(
        &mut self,
        fields: impl Iterator<Item = (&'a str, Type)>,
        depth: usize,
    ) -> Result<Value, String> {
        let mut properties = Map::new();
        let mut required = Vec::new();
        for (name, ty) in fields {
            properties.insert(name.to_owned(), self.schema(&ty, depth + 1)?);
            if !matches!(ty, Type::Option(_)) {
                required.push(name.to_owned());
            }
        }
        Ok(json!({
            "type": "object", "properties": properties, "required": required, "additionalProperties": false,
        }))
    }

    /// A case with something in it is an object with one key; one without is its name.
    fn case(&mut self, name: &str, ty: Option<&Type>, depth: usize) -> Result<Value, String> {
        match ty {
            None => Ok(json!({ "const": name })),
            Some(ty) => self
                .object(std::iter::once((name, ty.clone())), depth)
                .map(|mut it| {
                    // Its one key says which case it is, so that it must be there even for an option.
                    if let Some(object) = it.as_object_mut() {
                        object.insert("required".to_owned(), json!([name]));
                    }
                    it
                }),
        }
    }
}
