//! Components of others: plain functions of whatever WIT, offered as tools.
//!
//! A function's parameters are the tool's input and its result is the tool's value, both with schemas made of
//! their WIT types. What has no form in JSON (resources, streams, options of options) is no tool. Nothing else
//! is special about such a component: it runs under the same limits, has what its profile grants and no more,
//! and what it answers is held against its own schema.

mod schema;
#[cfg(test)]
mod tests;
mod value;

use flowhost_policy::Right;
use serde_json::Value;
use wasmtime::Store;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{Component, ComponentExportIndex, InstancePre, Val};

use crate::bindings::types::{self, Annotations, Content, Descriptor, Effects};
use crate::capability::HostState;
use crate::fault::Fault;
use crate::inspect::{Inspection, InterfaceName};

/// Rights that change nothing outside: a component that imports no others may be called again.
const HARMLESS: [&str; 3] = ["clock", "random", "env"];

/// The functions of a component without a role.
pub(crate) struct ForeignPre {
    pre: InstancePre<HostState>,
    functions: Vec<Function>,
}

struct Function {
    index: ComponentExportIndex,
    parameters: Vec<(String, Type)>,
    result: Option<Type>,
    descriptor: Descriptor,
}

impl ForeignPre {
    /// Looks up what can be a tool.
    pub(crate) fn new(
        inspection: &Inspection,
        pre: InstancePre<HostState>,
    ) -> wasmtime::Result<Self> {
        let effects = effects(inspection);
        let mut functions = Vec::new();
        let mut left_out = Vec::new();
        for found in exported(pre.component()) {
            match function(&found, effects) {
                Ok(function) => functions.push(function),
                Err(why) => left_out.push(format!("`{}`: {why}", found.name)),
            }
        }
        if functions.is_empty() {
            let why = match left_out.is_empty() {
                true => "it exports none".to_owned(),
                false => left_out.join("; "),
            };
            let message = format!("none of its functions can be a tool: {why}");
            return Err(wasmtime::Error::msg(message));
        }
        for left_out in &left_out {
            tracing::debug!(component = %inspection.digest, %left_out, "a function is not offered as a tool");
        }
        Ok(Self { pre, functions })
    }

    /// What its tools are: nobody has to be asked.
    pub(crate) fn descriptors(&self) -> Vec<Descriptor> {
        let functions = self.functions.iter();
        functions.map(|it| it.descriptor.clone()).collect()
    }

    /// Calls a function with the parameters in `input`.
    pub(crate) async fn call(
        &self,
        store: &mut Store<HostState>,
        name: &str,
        input: &str,
    ) -> wasmtime::Result<Result<Content, types::Error>> {
        let invalid = |what: String| Ok(Err(types::Error::Invalid(what)));
        let Some(function) = self.functions.iter().find(|it| it.descriptor.name == name) else {
            let known = self.functions.iter().map(|it| it.descriptor.name.as_str());
            let known: Vec<&str> = known.collect();
            return invalid(format!(
                "the component exports no function `{name}`; it exports `{}`",
                known.join("`, `")
            ));
        };
        let arguments = match arguments(function, input) {
            Ok(arguments) => arguments,
            Err(what) => return invalid(what),
        };
        let instance = self.pre.instantiate_async(&mut *store).await?;
        let called = instance.get_func(&mut *store, function.index);
        let called = called.ok_or_else(|| {
            wasmtime::Error::new(Fault::Host(format!("the function `{name}` is gone")))
        })?;
        // wasmtime wants a place for each result and overwrites it; of what kind it is does not
        // matter.
        let mut results = vec![Val::Bool(false); usize::from(function.result.is_some())];
        called
            .call_async(&mut *store, &arguments, &mut results)
            .await?;
        Ok(answer(function, results.into_iter().next()))
    }
}

/// An exported function, wherever it stands.
struct Exported {
    name: String,
    whole: String,
    index: ComponentExportIndex,
    ty: ComponentFunc,
}

/// The functions of a component and of the interfaces that it exports.
fn exported(component: &Component) -> Vec<Exported> {
    let engine = component.engine();
    let ty = component.component_type();
    let mut found = Vec::new();
    for (name, export) in ty.exports(engine) {
        match export.ty {
            ComponentItem::ComponentFunc(ty) => {
                found.extend(
                    component
                        .get_export_index(None, name)
                        .map(|index| Exported {
                            name: name.to_owned(),
                            whole: format!("`{name}`"),
                            index,
                            ty,
                        }),
                );
            }
            ComponentItem::ComponentInstance(interface) => {
                // It was listed by this very component, so that it has an index.
                let Some(outer) = component.get_export_index(None, name) else {
                    continue;
                };
                let short = InterfaceName::parse(name).interface;
                for (function, export) in interface.exports(engine) {
                    let ComponentItem::ComponentFunc(ty) = export.ty else {
                        continue;
                    };
                    let index = component.get_export_index(Some(&outer), function);
                    found.extend(index.map(|index| Exported {
                        name: format!("{short}.{function}"),
                        whole: format!("`{function}` of `{name}`"),
                        index,
                        ty,
                    }));
                }
            }
            _ => {}
        }
    }
    found
}

fn function(found: &Exported, effects: Effects) -> Result<Function, String> {
    // `[method]`, `[constructor]`, `[static]`: a resource's.
    if found.name.contains('[') {
        return Err("it belongs to a resource".to_owned());
    }
    if found.ty.async_() {
        return Err("it is asynchronous".to_owned());
    }
    let parameters: Vec<(String, Type)> = found
        .ty
        .params()
        .map(|(name, ty)| (name.to_owned(), ty))
        .collect();
    let result = found.ty.results().next();
    let input = schema::object(parameters.iter().map(|(name, ty)| (name.as_str(), ty)))?;
    let output = schema::answer(result.as_ref())?;
    let descriptor = Descriptor {
        name: found.name.clone(),
        title: String::new(),
        description: format!("Calls {}.", found.whole),
        input_schema: input.to_string(),
        output_schema: output.to_string(),
        effects,
        annotations: Annotations {
            read_only: None,
            destructive: None,
            idempotent: None,
            open_world: None,
        },
    };
    Ok(Function {
        index: found.index,
        parameters,
        result,
        descriptor,
    })
}

/// Nobody said what repeating a call does, so only what can change nothing may be called again.
fn effects(inspection: &Inspection) -> Effects {
    let imports = inspection.imports.iter().filter(|it| !it.types_only());
    let harmless = imports
        // Imports that stand for no right (`wasi:io`, `wasi:cli`) are what runtimes drag in;
        // nothing leaves by them.
        .filter_map(|import| Right::behind(&import.name.full))
        .all(|(right, _)| HARMLESS.contains(&right.key));
    match harmless {
        true => Effects::None,
        false => Effects::Once,
    }
}

fn arguments(function: &Function, input: &str) -> Result<Vec<Val>, String> {
    let input: Value = serde_json::from_str(input).map_err(|error| error.to_string())?;
    let Value::Object(input) = input else {
        return Err("its input is an object with the function's parameters".to_owned());
    };
    let known = |name: &String| function.parameters.iter().any(|(it, _)| it == name);
    if let Some(odd) = input.keys().find(|name| !known(name)) {
        return Err(format!("it has no parameter `{odd}`"));
    }
    let parameters = function.parameters.iter();
    parameters
        .map(|(name, ty)| value::from_json(ty, input.get(name), name))
        .collect()
}

/// What the function answered; an error of its own where its type has one.
fn answer(function: &Function, result: Option<Val>) -> Result<Content, types::Error> {
    let failed = |what: String| types::Error::Failed(what);
    let value = match (&function.result, result) {
        (None, _) | (_, None) => Value::Null,
        (Some(Type::Result(ty)), Some(Val::Result(answered))) => match answered {
            Ok(inside) => told(ty.ok(), inside)?,
            Err(inside) => {
                let why = told(ty.err(), inside)?;
                return Err(failed(match why {
                    Value::Null => "it failed, and does not say why".to_owned(),
                    Value::String(text) => text,
                    other => other.to_string(),
                }));
            }
        },
        (Some(ty), Some(value)) => value::to_json(ty, &value).map_err(failed)?,
    };
    Ok(Content {
        value: value.to_string(),
        parts: Vec::new(),
    })
}

/// What stands in one of the two cases of a result; null where nothing does.
fn told(ty: Option<Type>, inside: Option<Box<Val>>) -> Result<Value, types::Error> {
    match (ty, inside) {
        (Some(ty), Some(inside)) => value::to_json(&ty, &inside).map_err(types::Error::Failed),
        _ => Ok(Value::Null),
    }
}
