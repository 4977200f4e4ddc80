//! The tools of components as tools: all of them are steps of one plan, whose run is open to requests. A call
//! asks for one of the steps, and is policed, limited and recorded as a step is.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use flowhost_author::remote::Place;
use flowhost_flow::Exit;
use flowhost_flow::budget::DEFAULT_LIMIT;
use flowhost_policy::{Manifest, ToolDescriptor};
use flowhost_serve::{Hints, Kind, Offer};
use flowhost_words::{PluginKind, with_article};
use serde_json::{Map, Value, json};

use super::programs::CODE;
use super::{Filling, Maker, pin, request};
use crate::component::{self, Seen};
use crate::failure::Failure;
use crate::finding::{Finding, Lack};
use crate::sources::Sources;

/// The plan's only input, in the place of which each request brings its own.
const INPUT: &str = "input";
/// What the plan is called.
const NAME: &str = "tools";
/// Where messages say that it stands, where nobody sees it.
const PLACE: &str = "the plan of the tools";
/// Characters of a name in a plan.
const NAME_MAX: usize = 64;
/// How much of each currency the run has, in budgets of one call: each call holds what it may use, and more calls are never
/// at work, nor begun once one budget is spent ([`flowhost_serve`]).
const BUDGETS: u64 = 200;

impl Filling<'_> {
    pub(super) fn tools(&mut self) -> Result<(), Failure> {
        let mut tools = Tools::default();
        for (name, source) in &self.wanted.plugins {
            // Each component is looked at twice, here for what it offers and below as a part of the plan: what is
            // offered has to be known before there is a plan.
            let manifest = self.manifest(source)?;
            let source = from_here(source, self.ambient.cwd());
            let key = name.as_deref().unwrap_or(&manifest.name);
            let key = tools.plugin(key, line(&source, &self.wanted.profile));
            for tool in &manifest.tools {
                let name = match name {
                    Some(prefix) => format!("{prefix}.{}", tool.name),
                    None => tool.name.clone(),
                };
                tools.offer(name, tool, &format!("{key}/{}", tool.name));
            }
        }
        self.serve(tools);
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

    /// Offers what was gathered, if its plan is one that can run.
    pub(super) fn serve(&mut self, tools: Tools) {
        // Only plans are served.
        if tools.offers.is_empty() {
            return;
        }
        // Where the profile's folders are relative to, and what messages call it.
        let place: PathBuf = self.ambient.cwd().join(PLACE);
        let request = request(self.wanted, place, Some(tools.plan()), Vec::new());
        let before = self.findings.len();
        let Some(project) = self.load(&request) else {
            let programs = self.wanted.code_mode.is_some();
            let found = self.findings.iter_mut().skip(before);
            for finding in found.filter(|it| it.file.ends_with(PLACE)) {
                as_typed(finding, programs);
            }
            return;
        };
        self.tools = Some(Maker {
            request,
            pin: pin(&project),
        });
        let offers = tools.offers.into_iter();
        self.offers.extend(offers.map(|offer| (offer, None)));
    }
}

/// Tools that are offered, and the plan whose steps they are.
#[derive(Debug, Default)]
pub(super) struct Tools {
    plugins: Map<String, Value>,
    steps: Map<String, Value>,
    offers: Vec<Offer>,
}

impl Tools {
    /// Adds a component under this name, or one like it, and gives the name that it has.
    fn plugin(&mut self, name: &str, line: Value) -> String {
        let key = name_in(&self.plugins, name);
        self.plugins.insert(key.clone(), line);
        key
    }

    /// Adds a component under exactly this name; false where another has it.
    pub(super) fn named(&mut self, name: &str, line: Value) -> bool {
        self.plugins.insert(name.to_owned(), line).is_none()
    }

    /// Offers a tool under a name.
    pub(super) fn offer(&mut self, name: String, tool: &ToolDescriptor, uses: &str) {
        let step = name_in(&self.steps, &name);
        let most = DEFAULT_LIMIT;
        let budget = json!({
            "calls": most.calls,
            "tokens": most.tokens,
            // Whole dollars: a plan says them so, and the limit is a whole number of them.
            "usd": most.micro_usd / 1_000_000,
        });
        self.steps.insert(
            step.clone(),
            json!({ "uses": uses, "with": format!("${{{{ inputs.{INPUT} }}}}"), "budget": budget }),
        );
        let said = tool.annotations;
        self.offers.push(Offer {
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
            step,
        });
    }

    /// The plan. JSON is YAML, and quotes what has to be quoted.
    fn plan(&self) -> Arc<str> {
        let most = DEFAULT_LIMIT;
        let plan = json!({
            "flowhost": "v1",
            "kind": "workflow",
            "name": NAME,
            "inputs": { INPUT: { "type": "object" } },
            "budget": {
                "calls": most.calls * BUDGETS,
                "tokens": most.tokens * BUDGETS,
                "usd": most.micro_usd / 1_000_000 * BUDGETS,
            },
            "plugins": self.plugins,
            "steps": self.steps,
        });
        plan.to_string().into()
    }
}

/// What is wrong with the plan of the tools, as whoever typed options is told of it: nobody wrote that plan, and no line of
/// it is anybody's to mend.
fn as_typed(finding: &mut Finding, programs: bool) {
    finding.file.clear();
    (finding.line, finding.column) = (0, 0);
    let of_programs = |lack: &Lack| programs && lack.plugin == CODE;
    let option = match finding.lack.as_deref().is_some_and(of_programs) {
        true => "--code-mode",
        false => "--profile",
    };
    if let Some((before, rest)) = finding.hint.split_once("write `profile: ")
        && let Some((name, after)) = rest.split_once("` in the plan, and this")
    {
        finding.hint = format!("{before}serve it with `{option} {name}`, and write this{after}");
    }
}

/// A component of the plan.
pub(super) fn line(source: &str, profile: &str) -> Value {
    json!({ "kind": "tool", "source": source, "profile": profile })
}

/// A name that a plan takes, as like to `name` as may be, and that no other has.
fn name_in(taken: &Map<String, Value>, name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let mut plain: String = name
        .chars()
        .map(|c| if fits(c) { c } else { '_' })
        .collect();
    if !plain.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
        plain.insert(0, '_');
    }
    // All are ASCII by now, so that this cuts no character.
    plain.truncate(NAME_MAX);
    let mut free = plain.clone();
    let mut number = 1_u32;
    // Ends: as many numbers as there are names, and one more, always hold one that is free.
    while taken.contains_key(&free) {
        number += 1;
        let end = format!("_{number}");
        free = plain
            .chars()
            .take(NAME_MAX.saturating_sub(end.len()))
            .collect();
        free.push_str(&end);
    }
    free
}

/// A component's place as a plan of this folder may name it: plans know no absolute paths.
pub(super) fn from_here(source: &str, here: &Path) -> String {
    let path = Path::new(source);
    let named = ["builtin:", "process:", "./", "../"];
    if Place::is_meant(source) || named.iter().any(|start| source.starts_with(start)) {
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
            // An author's schema may leave it out, since a tool's input is always an object here.
            .or_insert_with(|| Value::from("object"));
    }
    schema
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
            (
                "https://plugins.example/a.wasm",
                "https://plugins.example/a.wasm",
            ),
            ("oci://plugins.example/a:1.0", "oci://plugins.example/a:1.0"),
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

    fn tool(name: &str) -> ToolDescriptor {
        let text = format!(
            "version = 1\nname = \"p\"\nkind = \"tool\"\nrelease = \"0.1.0\"\ndescription = \"d\"\n[[tools]]\n\
             name = \"{name}\"\ndescription = \"d\"\neffects = \"none\"\ninput = {{ type = \"object\" }}\n"
        );
        Manifest::parse(&text, "p.toml").unwrap().tools.remove(0)
    }

    #[test]
    fn names_with_quotes_and_breaks_stay_names() {
        let source = "./a \"b\"\n: c.wasm";
        let mut tools = Tools::default();
        let key = tools.plugin("plugin", line(source, "deny-all"));
        tools.offer("say".to_owned(), &tool("say"), &format!("{key}/say"));
        let plan = Plan::parse(&tools.plan(), "p").unwrap();
        assert_eq!(plan.plugins["plugin"].source, "./a \"b\"\n: c.wasm");
    }

    #[test]
    fn what_is_no_name_in_a_plan_gets_one_that_no_other_has() {
        let mut tools = Tools::default();
        let long = "x".repeat(100);
        for name in ["a.b", "a_b", "a b", "7", &long, &long] {
            let key = tools.plugin(name, line("builtin:x", "deny-all"));
            tools.offer(name.to_owned(), &tool("say"), &format!("{key}/say"));
        }
        let steps: Vec<&str> = tools.offers.iter().map(|it| it.step.as_str()).collect();
        assert_eq!(steps[..4], ["a_b", "a_b_2", "a_b_3", "_7"]);
        assert!(steps[4].len() == 64 && steps[5].len() == 64 && steps[4] != steps[5]);
        let plan = Plan::parse(&tools.plan(), "p").unwrap();
        assert_eq!((plan.steps().len(), plan.plugins.len()), (6, 6));
    }
}
