//! A component's tool as a tool: a plan of one step, so that a call is a run like any other.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_flow::Exit;
use flowhost_policy::{Manifest, ToolDescriptor};
use flowhost_serve::{Hints, Kind, Offer};
use flowhost_words::{PluginKind, with_article};
use serde_json::{Value, json};

use super::{Filling, Maker, pin, request};
use crate::component::{self, Seen};
use crate::failure::Failure;
use crate::sources::Sources;

/// The plan's only input.
pub(super) const INPUT: &str = "input";

impl Filling<'_> {
    pub(super) fn tools(&mut self) -> Result<(), Failure> {
        for (name, source) in &self.wanted.plugins {
            let manifest = self.manifest(source)?;
            // All of its tools are in the same plan but for their names: what is wrong with one is wrong with
            // each, and is told once.
            let mut tools = manifest.tools.iter();
            tools.all(|tool| self.tool(name.as_deref(), source, tool));
        }
        Ok(())
    }

    pub(super) fn manifest(&self, source: &str) -> Result<Manifest, Failure> {
        let sources = Sources::new(self.ambient, self.config, self.wanted.policies.as_deref());
        let seen = component::look(&sources, source, self.ambient.cwd())?;
        let Seen {
            path,
            inspection,
            manifest,
            ..
        } = seen;
        let refused = |why: String| {
            let message = format!("`{}` cannot be served", sources.shown(&path));
            Failure::new(Exit::Internal, message).because(why)
        };
        if inspection.role != PluginKind::Tool {
            let why = format!(
                "it is {} and not a tool",
                with_article(inspection.role.as_str())
            );
            return Err(refused(why).hint("a plan can use it: serve the plan"));
        }
        manifest.ok_or_else(|| {
            refused(
                "it has no manifest, so that what its tools are is not known before they run"
                    .to_owned(),
            )
            .hint("put a manifest with a [[tools]] for each beside it (docs/writing-a-plugin.md)")
        })
    }

    fn tool(&mut self, prefix: Option<&str>, source: &str, tool: &ToolDescriptor) -> bool {
        let name = match prefix {
            Some(prefix) => format!("{prefix}.{}", tool.name),
            None => tool.name.clone(),
        };
        let source = from_here(source, self.ambient.cwd());
        let profile = &self.wanted.profile;
        let plugins = json!({ "plugin": { "kind": "tool", "source": source, "profile": profile } });
        self.offer(name, tool, plan(&plugins, &format!("plugin/{}", tool.name)))
    }

    /// Offers a tool under a name; a call of it is a run of the plan. False when something is wrong with that.
    pub(super) fn offer(&mut self, name: String, tool: &ToolDescriptor, text: Arc<str>) -> bool {
        // Where the profile's folders are relative to, and what messages call it.
        let place: PathBuf = self
            .ambient
            .cwd()
            .join(format!("the plan of the tool {name}"));
        let request = request(self.wanted, place, Some(text), Vec::new());
        let Some(project) = self.load(&request) else {
            return false;
        };
        let said = tool.annotations;
        let offer = Offer {
            name,
            title: tool.title.clone(),
            description: tool.description.clone(),
            input: object(&tool.input),
            output: tool.output.clone(),
            hints: Hints {
                read_only: said.read_only,
                destructive: said.destructive,
                idempotent: said.idempotent,
                open_world: said.open_world,
            },
            kind: Kind::Tool,
        };
        let maker = Maker {
            request,
            pin: pin(&project),
            whole: true,
        };
        self.offers.push((offer, maker));
        true
    }
}

/// A component's place as a plan of this folder may name it: plans know no absolute paths.
pub(super) fn from_here(source: &str, here: &Path) -> String {
    let path = Path::new(source);
    let named = ["builtin:", "process:", "./", "../"];
    if named.iter().any(|start| source.starts_with(start)) {
        return source.to_owned();
    }
    if !path.is_absolute() {
        return format!("./{source}");
    }
    let (mut from, mut to) = (here.components().peekable(), path.components().peekable());
    while from.peek().is_some() && from.peek() == to.peek() {
        from.next();
        to.next();
    }
    let up = match from.count() {
        0 => "./".to_owned(),
        levels => "../".repeat(levels),
    };
    format!("{up}{}", to.collect::<PathBuf>().display())
}

/// MCP wants a schema that says that it is one of an object.
fn object(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Value::Object(schema) = &mut schema {
        schema
            .entry("type")
            .or_insert_with(|| Value::from("object"));
    }
    schema
}

/// A plan of one step, whose input is that of the call. JSON is YAML, and quotes what has to be quoted.
pub(super) fn plan(plugins: &Value, uses: &str) -> Arc<str> {
    let plan = json!({
        "flowhost": "v1",
        "kind": "workflow",
        "name": uses.rsplit('/').next().unwrap_or(uses),
        "inputs": { INPUT: { "type": "object" } },
        "plugins": plugins,
        "steps": { "call": { "uses": uses, "with": "${{ inputs.input }}" } },
        "outputs": { "output": "${{ steps.call.output }}" },
    });
    plan.to_string().into()
}

#[cfg(test)]
mod tests {
    use flowhost_flow::Plan;

    use super::*;

    #[test]
    fn a_component_is_named_as_seen_from_the_folder_of_its_plan() {
        for (source, expected) in [
            ("builtin:files", "builtin:files"),
            ("process:count", "process:count"),
            ("a.wasm", "./a.wasm"),
            ("./a.wasm", "./a.wasm"),
            ("../a.wasm", "../a.wasm"),
            ("/work/here/in/a.wasm", "./in/a.wasm"),
            ("/work/there/a.wasm", "../there/a.wasm"),
            ("/a.wasm", "../../a.wasm"),
        ] {
            assert_eq!(from_here(source, Path::new("/work/here")), expected);
        }
    }

    #[test]
    fn names_with_quotes_and_breaks_stay_names() {
        let source = "./a \"b\"\n: c.wasm";
        let plugins =
            json!({ "plugin": { "kind": "tool", "source": source, "profile": "deny-all" } });
        let text = plan(&plugins, "plugin/say");
        let plan = Plan::parse(&text, "p").unwrap();
        assert_eq!(plan.plugins["plugin"].source, "./a \"b\"\n: c.wasm");
    }
}
