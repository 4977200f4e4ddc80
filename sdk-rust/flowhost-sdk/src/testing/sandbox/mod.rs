//! A built component in the real host, from an ordinary test.
//!
//! The host is the `flowhost` executable as a child process, which runs a plan of one step and prints one
//! JSON document. So what a test meets is what a user will meet (engine, limits, profile, records), and the
//! SDK depends on nothing of the host. Nothing here decides anything: what may be done, the profile says.
//!
//! ```no_run
//! use flowhost_sdk::testing::Sandbox;
//! use serde_json::json;
//!
//! # fn main() -> Result<(), flowhost_sdk::testing::Failed> {
//! let sandbox = Sandbox::build(env!("CARGO_MANIFEST_DIR"))?
//!     .file("docs/a.md", "# A\n")?
//!     .grant("[[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"");
//! let ran = sandbox.call("read", &json!({ "path": "/docs/a.md" }))?;
//! assert_eq!(ran.output["text"], "# A\n");
//! assert!(ran.denials.is_empty());
//! # Ok(())
//! # }
//! ```

#![expect(
    clippy::disallowed_methods,
    reason = "a test on the build machine starts a process and lends it a folder; nothing here is in a component"
)]

mod answer;
mod folder;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;
use serde_json::{Value, json};

pub use answer::{Denied, Ended, Failed, Ran, Used};
use folder::Folder;

/// The plugin, its profile and the plan: one word for all that a sandbox names.
const NAME: &str = "sandbox";
/// The component in the sandbox's folder, as a plan names it.
const COMPONENT: &str = "component.wasm";
/// The executable that is taken where `FLOWHOST` names none.
const EXECUTABLE: &str = "flowhost";

/// A built component in the real host. What is not granted is denied, as everywhere.
///
/// The executable is the one that the environment variable `FLOWHOST` names, else `flowhost` in `PATH`.
/// Each sandbox has a folder and a state of its own, which go with it. Calls may be made from several
/// threads; what a plugin keeps in its state is there for the next call.
#[derive(Debug)]
pub struct Sandbox {
    folder: Folder,
    executable: PathBuf,
    profile: String,
    config: Option<Value>,
    seed: u64,
    private_network: bool,
    plans: AtomicUsize,
}

/// Setting up.
impl Sandbox {
    /// Of a component that is built already: `dist/NAME.wasm`. A test that should never meet an old
    /// component takes [`Sandbox::build`].
    ///
    /// # Errors
    /// When there is no such file, or no folder for the sandbox.
    pub fn of(component: impl AsRef<Path>) -> Result<Self, Failed> {
        let sandbox = Self::empty()?;
        let component = component.as_ref();
        sandbox
            .folder
            .bring(component, COMPONENT)
            .map_err(|error| {
                Failed::Untried(format!(
                    "`{}` cannot be read: {error}; `flowhost plugin build` makes it",
                    component.display()
                ))
            })?;
        // A component that carries no manifest may have one beside it.
        let beside = component.with_extension("toml");
        if beside.is_file() {
            let brought = sandbox.folder.bring(&beside, "component.toml");
            brought.map_err(|error| Failed::untried("the manifest cannot be read", &error))?;
        }
        Ok(sandbox)
    }

    /// Builds a project first, as `flowhost plugin build` does, and takes what comes out; for a test in
    /// the project's own `tests/`, `env!("CARGO_MANIFEST_DIR")` is the project.
    ///
    /// # Errors
    /// When the project does not build, with what the compiler says.
    pub fn build(project: impl AsRef<Path>) -> Result<Self, Failed> {
        let sandbox = Self::empty()?;
        let out = sandbox.folder.path().join(COMPONENT);
        let mut command = Command::new(&sandbox.executable);
        command.args(["plugin", "build"]).arg(project.as_ref());
        command.arg("--out").arg(out);
        let ended = output(&mut command)?;
        if ended.status.success() {
            return Ok(sandbox);
        }
        let said = String::from_utf8_lossy(&ended.stderr).trim().to_owned();
        Err(Failed::Untried(said))
    }

    fn empty() -> Result<Self, Failed> {
        let folder = Folder::new()
            .map_err(|error| Failed::untried("no folder can be made for the sandbox", &error))?;
        let named = std::env::var_os("FLOWHOST").map(|path| absolute(path.into()));
        Ok(Self {
            folder,
            executable: named.unwrap_or_else(|| PathBuf::from(EXECUTABLE)),
            profile: String::new(),
            config: None,
            seed: 1,
            private_network: false,
            plans: AtomicUsize::new(0),
        })
    }

    /// Another executable than the one that `FLOWHOST` names or `PATH` has.
    #[must_use]
    pub fn executable(mut self, path: impl Into<PathBuf>) -> Self {
        self.executable = absolute(path.into());
        self
    }

    /// Lines of a profile: what the plugin may have. Without any it may have nothing.
    #[must_use]
    pub fn grant(mut self, lines: &str) -> Self {
        self.profile.push_str(lines);
        self.profile.push('\n');
        self
    }

    /// The plugin's `config:`.
    #[must_use]
    pub fn config(mut self, config: Value) -> Self {
        self.config = Some(config);
        self
    }

    /// The seed of all randomness; 1 where a test does not say.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The second key to private addresses, for a server that the test itself is; the first is
    /// `private_network` in a granted `[[http]]`.
    #[must_use]
    pub fn allow_private_network(mut self) -> Self {
        self.private_network = true;
        self
    }

    /// A file in the sandbox's folder, from which a profile's `host = "…"` counts. The path has no `..`.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn file(self, path: &str, contents: impl AsRef<[u8]>) -> Result<Self, Failed> {
        let written = self.folder.write(path, contents.as_ref());
        written.map_err(|error| Failed::untried(&format!("`{path}` cannot be written"), &error))?;
        Ok(self)
    }

    /// What the plugin has written, or a test: a file of the sandbox's folder.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn contents(&self, path: &str) -> Result<Vec<u8>, Failed> {
        let read = self.folder.read(path);
        read.map_err(|error| Failed::untried(&format!("`{path}` cannot be read"), &error))
    }
}

/// Calling.
impl Sandbox {
    /// Calls a tool.
    ///
    /// # Errors
    /// When the host refuses or the call fails, with the class that a plan would see.
    pub fn call(&self, tool: &str, input: &impl Serialize) -> Result<Ran, Failed> {
        self.step("tool", &format!("{NAME}/{tool}"), input)
    }

    /// Gives an agent a step's work.
    ///
    /// # Errors
    /// As for [`Sandbox::call`].
    pub fn task(&self, input: &impl Serialize) -> Result<Ran, Failed> {
        self.step("agent", NAME, input)
    }

    fn step(&self, kind: &str, uses: &str, input: &impl Serialize) -> Result<Ran, Failed> {
        let input = serde_json::to_value(input);
        let input = input.map_err(|error| Failed::untried("the input is not JSON", &error))?;
        let mut plugin =
            json!({ "kind": kind, "source": format!("./{COMPONENT}"), "profile": NAME });
        if let (Some(config), Some(plugin)) = (&self.config, plugin.as_object_mut()) {
            plugin.insert("config".to_owned(), literal(config.clone()));
        }
        let plan = json!({
            "flowhost": "v1",
            "kind": "workflow",
            "name": NAME,
            "plugins": { NAME: plugin },
            "steps": { "only": { "uses": uses, "with": literal(input) } },
            "outputs": { "output": "${{ steps.only.output }}" },
        });
        // JSON is YAML.
        let mut ran = self.plan(&plan.to_string())?;
        let output = ran.output.get_mut("output").map(Value::take);
        ran.output = output.unwrap_or_default();
        Ok(ran)
    }

    /// Runs a plan, YAML, for all that one call cannot show: a guardrail on a step, an adapter with its
    /// server, several steps. In it the component is `source: ./component.wasm`, and the profile of what
    /// was granted `profile: sandbox`; `output` of what comes back has the plan's outputs.
    ///
    /// # Errors
    /// As for [`Sandbox::call`].
    pub fn plan(&self, plan: &str) -> Result<Ran, Failed> {
        // A file for each, because calls may be made at the same time. The profile is the same in all,
        // and its name must be the file's.
        let file = format!("plan-{}.yaml", self.plans.fetch_add(1, Ordering::Relaxed));
        let profile = format!("version = 1\nname = \"{NAME}\"\n{}", self.profile);
        let written = self
            .folder
            .write_whole(&format!("policies/{NAME}.toml"), profile.as_bytes())
            .and_then(|()| self.folder.write(&file, plan.as_bytes()));
        written.map_err(|error| Failed::untried("the plan cannot be written", &error))?;
        let mut command = Command::new(&self.executable);
        command
            .args(["run", &file, "--json", "--state", "state"])
            .args(["--seed", &self.seed.to_string()])
            .current_dir(self.folder.path());
        if self.private_network {
            command.arg("--allow-private-network");
        }
        let ended = output(&mut command)?;
        answer::read(&ended.stdout, &ended.stderr)
    }
}

/// A path that still holds when the process is started in the sandbox's folder.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn output(command: &mut Command) -> Result<std::process::Output, Failed> {
    let ended = command.stdin(Stdio::null()).output();
    ended.map_err(|error| {
        let program = command.get_program().to_string_lossy();
        Failed::Untried(format!(
            "`{program}` does not start: {error}; name the executable in FLOWHOST, or put it into PATH"
        ))
    })
}

/// A value that a plan hands on as it is: what looks like an expression in a text is a text.
fn literal(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace("${{", "$${{")),
        Value::Array(items) => items.into_iter().map(literal).collect(),
        Value::Object(members) => {
            let members = members.into_iter();
            Value::Object(members.map(|(key, value)| (key, literal(value))).collect())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_expression_is_handed_on_as_a_text() {
        let given = json!({ "a": ["${{ run.id }}", 1], "b": "$${{" });
        let wanted = json!({ "a": ["$${{ run.id }}", 1], "b": "$$${{" });
        assert_eq!(literal(given), wanted);
    }

    #[test]
    fn a_component_that_is_not_there_is_told_with_the_command_that_makes_it() {
        let failed = Sandbox::of("dist/no-such-component.wasm").unwrap_err();
        assert!(
            failed.to_string().contains("flowhost plugin build"),
            "{failed}"
        );
    }

    #[test]
    fn an_executable_that_is_not_there_is_told_with_its_name() {
        let sandbox = Sandbox::of(concat!(env!("CARGO_MANIFEST_DIR"), "/src/lib.rs")).unwrap();
        let failed = sandbox.executable("/no/such/flowhost").call("run", &());
        let said = failed.unwrap_err().to_string();
        assert!(
            said.contains("`/no/such/flowhost`") && said.contains("FLOWHOST"),
            "{said}"
        );
    }

    #[test]
    fn the_folder_goes_with_its_sandbox() {
        let sandbox = Sandbox::empty().unwrap().file("a/b.txt", "b").unwrap();
        let path = sandbox.folder.path().to_owned();
        assert_eq!(sandbox.contents("a/b.txt").unwrap(), b"b");
        drop(sandbox);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_out_of_the_folder_is_refused() {
        for path in ["../a", "/etc/a", "a/../../b"] {
            assert!(
                Sandbox::empty().unwrap().file(path, "").is_err(),
                "{path} is taken"
            );
        }
    }
}
