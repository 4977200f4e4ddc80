//! `flowhost mcp install CLIENT`: prints what the client's configuration has to say, and changes no file.

use std::collections::BTreeSet;
use std::path::Path;

use clap::ValueEnum as _;
use flowhost::ambient::Ambient;
use flowhost::config::Config;
use flowhost::failure::Failure;
use flowhost::preflight::Asking;
use flowhost::shelf::{self, Held};
use flowhost::sources::program_name;
use flowhost_author::remote::Place;
use flowhost_flow::Exit;
use flowhost_words::{PRIVATE_NETWORK_OPTION, PROCESS_OPTION, shell_word};
use serde_json::{Map, Value, json};

use super::mcp_serve::wanted;
use crate::cli::{Client, HowArgs, InstallArgs, LogFormat, OfferArgs};
use crate::commands::Context;

/// Variables that say where things are: the operator's file, the folder in which it is looked for, folders of components.
const CONFIG: &str = "FLOWHOST_CONFIG";
const CONFIG_HOME: &str = "XDG_CONFIG_HOME";
const PLUGINS: &str = "FLOWHOST_PLUGINS";
/// Where a folder's own profiles are.
const OWN: &str = "policies";

pub(crate) fn perform(args: &InstallArgs, context: &mut Context) -> Result<Exit, Failure> {
    let offer = &args.offer;
    if offer.plans.is_empty() && offer.plugins.is_empty() {
        return Err(shelf::nothing());
    }
    let mut sources = offer.plugins.iter().map(|(_, source)| source);
    if let Some(source) = sources.find(|it| program_name(it).is_some()) {
        return Err(Failure::new(
            Exit::Usage,
            format!("`{source}` cannot be installed by itself"),
        )
        .because(
            "its manifest is looked for where the server is started, and that is up to the client",
        )
        .hint("name it in a plan beside its manifest, and install the plan with `--plan FILE`"));
    }
    let Context {
        ambient,
        config,
        state,
        texts,
        ..
    } = context;
    let asking = Asking {
        ambient,
        config,
        state,
    };
    // Before a line is printed: whoever puts it into a file learns of what is wrong where nobody looks.
    let held = shelf::held(asking, &wanted(offer), texts)?;
    let started = Started {
        program: ambient
            .exe()
            .map_or("flowhost".to_owned(), |exe| exe.display().to_string()),
        arguments: arguments(args, &held.paths, ambient, state.root()),
        variables: variables(ambient),
    };
    let notes = notes(offer, &held, ambient, config);
    let lines = lines(args.client, &args.name, &started);
    if context.output.json {
        let document = json!({ "client": lines.client, "where": lines.place, "text": lines.text,
            "command": started.program, "args": started.arguments, "env": started.environment(), "notes": notes });
        context.output.document(&document);
    } else {
        // To standard error, so that what is piped on is the lines alone.
        for note in notes {
            context.output.message(&format!("note: {note}\n"));
        }
        context.output.message(&format!("{}:\n", lines.place));
        context.output.result(&format!("{}\n", lines.text));
    }
    Ok(Exit::Ok)
}

/// What a client starts.
struct Started {
    program: String,
    arguments: Vec<String>,
    variables: Vec<(&'static str, String)>,
}

impl Started {
    fn environment(&self) -> Map<String, Value> {
        let variables = self.variables.iter();
        variables
            .map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())))
            .collect()
    }
}

/// The variables that change what is found, as they are set here: a client has an environment of its own. Secrets are
/// not among them, because what is printed goes into a file that others read.
fn variables(ambient: &Ambient) -> Vec<(&'static str, String)> {
    let whole = |path: &str| ambient.resolve(Path::new(path)).display().to_string();
    let mut all = Vec::new();
    match (ambient.var(CONFIG), ambient.var(CONFIG_HOME)) {
        (Some(file), _) => all.push((CONFIG, whole(file))),
        // A relative one counts as none.
        (None, Some(folder)) if Path::new(folder).is_absolute() => {
            all.push((CONFIG_HOME, folder.to_owned()));
        }
        (None, _) => {}
    }
    if let Some(folders) = ambient.var(PLUGINS) {
        let folders = folders.split(':').filter(|folder| !folder.is_empty());
        let folders: Vec<String> = folders.map(whole).collect();
        all.push((PLUGINS, folders.join(":")));
    }
    all
}

/// What is found from where the server is started, and no option says; and what nobody has looked at yet.
fn notes(offer: &OfferArgs, held: &Held, ambient: &Ambient, config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(file) = &config.folder_file {
        notes.push(format!(
            "what `{}` says counts only where the client starts the server in its folder or below",
            file.display()
        ));
    }
    let own = |profile: &String| ambient.is_file(&Path::new(OWN).join(format!("{profile}.toml")));
    let mut profiles = std::iter::once(&offer.profile).chain(&offer.code_mode);
    if !offer.plugins.is_empty() && offer.policies.is_none() && profiles.any(own) {
        notes.push(format!(
            "profiles are looked for in `{OWN}` of the folder in which the client starts the server; \
             `--policies {OWN}` names this one, once you have read what is in it"
        ));
    }
    for (name, variable) in &held.secrets {
        notes.push(format!(
            "the secret `{name}` is read from the variable `{variable}`, which is not in the line: whoever starts the \
             client sets it"
        ));
    }
    let away = offer.plugins.iter().map(|(_, source)| source);
    for source in away.filter(|it| Place::is_meant(it)) {
        notes.push(format!(
            "`{source}` was not fetched: the server looks at it when it starts, and whether its profile gives what it \
             asks for"
        ));
    }
    notes
}

/// The client starts the server wherever it likes, so every path is whole: those of inputs too, which are among `paths`.
fn arguments(
    args: &InstallArgs,
    paths: &BTreeSet<String>,
    ambient: &Ambient,
    state: &Path,
) -> Vec<String> {
    let whole = |path: &Path| ambient.resolve(path).display().to_string();
    let offer = &args.offer;
    let mut all = vec!["mcp".to_owned(), "serve".to_owned()];
    let mut add = |option: &str, value: String| all.extend([option.to_owned(), value]);
    for plan in &offer.plans {
        add("--plan", whole(plan));
    }
    for (name, source) in &offer.plugins {
        // What is not a file here is named the same from everywhere.
        let source = match source.starts_with("builtin:") || Place::is_meant(source) {
            true => source.clone(),
            false => whole(Path::new(source)),
        };
        add(
            "--plugin",
            match name {
                Some(name) => format!("{name}={source}"),
                None => source,
            },
        );
    }
    if !offer.plugins.is_empty() {
        add("--profile", offer.profile.clone());
    }
    if let Some(profile) = &offer.code_mode {
        add("--code-mode", profile.clone());
    }
    for (name, value) in &offer.inputs {
        let value = match paths.contains(name) {
            true => whole(Path::new(value)),
            false => value.clone(),
        };
        add("--input", format!("{name}={value}"));
    }
    if let Some(policies) = &offer.policies {
        add("--policies", whole(policies));
    }
    // Always: where the client starts the server there is another folder, or none that may be written.
    add("--state", whole(state));
    all.extend(options(&args.how));
    all
}

/// The options of `mcp serve` that say how it serves, as they were typed.
fn options(how: &HowArgs) -> Vec<String> {
    let keys = [
        (PRIVATE_NETWORK_OPTION, how.keys.allow_private_network),
        (PROCESS_OPTION, how.keys.allow_process),
    ];
    let keys = keys.into_iter().filter(|(_, given)| *given);
    let mut all: Vec<String> = keys.map(|(option, _)| option.to_owned()).collect();
    let durability = how.durability.and_then(|it| it.to_possible_value());
    let form = how.log_format.to_possible_value();
    let form = form.filter(|_| how.log_format != LogFormat::Text);
    for (option, value) in [("--durability", durability), ("--log-format", form)] {
        if let Some(value) = value {
            all.extend([option.to_owned(), value.get_name().to_owned()]);
        }
    }
    all
}

struct Lines {
    client: &'static str,
    place: String,
    text: String,
}

fn lines(client: Client, name: &str, started: &Started) -> Lines {
    let Started {
        program,
        arguments,
        variables,
    } = started;
    let server = |extra: &[(&str, &str)]| {
        let mut server: Map<String, Value> = extra
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect();
        server.insert("command".to_owned(), Value::from(program.as_str()));
        server.insert("args".to_owned(), Value::from(arguments.as_slice()));
        if !variables.is_empty() {
            server.insert("env".to_owned(), Value::Object(started.environment()));
        }
        Value::Object(server)
    };
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    match client {
        Client::ClaudeCode => {
            let words = std::iter::once(program).chain(arguments);
            let words: Vec<String> = words.map(|word| shell_word(word)).collect();
            let set = |(name, value): &(&str, String)| {
                format!("--env {} ", shell_word(&format!("{name}={value}")))
            };
            // Behind the name, which the option would else take for one more of its values.
            let set: String = variables.iter().map(set).collect();
            Lines {
                client: "claude-code",
                place: "run this in the folder of the project".to_owned(),
                text: format!("claude mcp add {name} {set}-- {}", words.join(" ")),
            }
        }
        Client::Vscode => Lines {
            client: "vscode",
            place: "put this into .vscode/mcp.json of the project".to_owned(),
            text: pretty(&json!({ "servers": { name: server(&[("type", "stdio")]) } })),
        },
        Client::Cursor => Lines {
            client: "cursor",
            place: "put this into .cursor/mcp.json of the project".to_owned(),
            text: pretty(&json!({ "mcpServers": { name: server(&[]) } })),
        },
        Client::Codex => {
            // A JSON text or list is a TOML one as well: both escape by `\uXXXX`.
            let command = Value::from(program.as_str());
            let list = Value::from(arguments.as_slice());
            let mut text = format!("[mcp_servers.{name}]\ncommand = {command}\nargs = {list}");
            let set = |(name, value): &(&str, String)| {
                format!("{name} = {}", Value::from(value.as_str()))
            };
            let set: Vec<String> = variables.iter().map(set).collect();
            if !set.is_empty() {
                text.push_str(&format!("\nenv = {{ {} }}", set.join(", ")));
            }
            Lines {
                client: "codex",
                place: "put this into ~/.codex/config.toml".to_owned(),
                text,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(client: Client) -> String {
        let started = Started {
            program: "/bin/flowhost".to_owned(),
            arguments: ["mcp", "serve", "--plan", "/a b/it's.yaml"]
                .map(str::to_owned)
                .to_vec(),
            variables: vec![(PLUGINS, "/a b:/c".to_owned())],
        };
        lines(client, "docs", &started).text
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let expected = r"claude mcp add docs --env 'FLOWHOST_PLUGINS=/a b:/c' -- /bin/flowhost mcp serve --plan '/a b/it'\''s.yaml'";
        assert_eq!(text(Client::ClaudeCode), expected);
    }

    #[test]
    fn the_clients_files_are_read_as_what_was_meant() {
        let vscode: Value = serde_json::from_str(&text(Client::Vscode)).unwrap();
        assert_eq!(vscode["servers"]["docs"]["args"][3], "/a b/it's.yaml");
        let cursor: Value = serde_json::from_str(&text(Client::Cursor)).unwrap();
        assert_eq!(cursor["mcpServers"]["docs"]["command"], "/bin/flowhost");
        assert_eq!(cursor["mcpServers"]["docs"]["env"][PLUGINS], "/a b:/c");
        let codex: toml::Value = toml::from_str(&text(Client::Codex)).unwrap();
        let docs = &codex["mcp_servers"]["docs"];
        assert_eq!(docs["args"][3].as_str(), Some("/a b/it's.yaml"));
        assert_eq!(docs["env"][PLUGINS].as_str(), Some("/a b:/c"));
    }
}
