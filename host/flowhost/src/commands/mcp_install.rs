//! `flowhost mcp install CLIENT`: prints what the client's configuration has to say, and changes no file.

use std::path::Path;

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::sources::program_name;
use flowhost_author::remote::Place;
use flowhost_flow::Exit;
use flowhost_words::shell_word;
use serde_json::{Map, Value, json};

use crate::cli::{Client, InstallArgs};
use crate::commands::Context;

pub(crate) fn perform(args: &InstallArgs, context: &mut Context) -> Result<Exit, Failure> {
    let offer = &args.offer;
    if offer.plans.is_empty() && offer.plugins.is_empty() {
        return Err(Failure::new(Exit::Usage, "nothing is to be served")
            .hint("name a plan with `--plan FILE` or a component with `--plugin FILE`"));
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
    let ambient = &context.ambient;
    let program = ambient
        .exe()
        .map_or("flowhost".to_owned(), |exe| exe.display().to_string());
    let arguments = arguments(args, ambient, context.state.root());
    let lines = lines(args.client, &args.name, &program, &arguments);
    if context.output.json {
        let document = json!({ "client": lines.client, "where": lines.place, "text": lines.text,
            "command": program, "args": arguments });
        context.output.document(&document);
    } else {
        // To standard error, so that what is piped on is the lines alone.
        context.output.message(&format!("{}:\n", lines.place));
        context.output.result(&format!("{}\n", lines.text));
    }
    Ok(Exit::Ok)
}

/// The client starts the server wherever it likes, so every path is whole.
fn arguments(args: &InstallArgs, ambient: &Ambient, state: &Path) -> Vec<String> {
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
        add("--input", format!("{name}={value}"));
    }
    if let Some(policies) = &offer.policies {
        add("--policies", whole(policies));
    }
    // Always: where the client starts the server there is another folder, or none that may be written.
    add("--state", whole(state));
    all
}

struct Lines {
    client: &'static str,
    place: String,
    text: String,
}

fn lines(client: Client, name: &str, program: &str, arguments: &[String]) -> Lines {
    let server = |extra: &[(&str, &str)]| {
        let mut server: Map<String, Value> = extra
            .iter()
            .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
            .collect();
        server.insert("command".to_owned(), Value::from(program));
        server.insert("args".to_owned(), Value::from(arguments));
        Value::Object(server)
    };
    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    match client {
        Client::ClaudeCode => {
            let words = std::iter::once(program).chain(arguments.iter().map(String::as_str));
            let words: Vec<String> = words.map(shell_word).collect();
            Lines {
                client: "claude-code",
                place: "run this in the folder of the project".to_owned(),
                text: format!("claude mcp add {name} -- {}", words.join(" ")),
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
            let (command, list) = (Value::from(program), Value::from(arguments));
            Lines {
                client: "codex",
                place: "put this into ~/.codex/config.toml".to_owned(),
                text: format!("[mcp_servers.{name}]\ncommand = {command}\nargs = {list}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(client: Client) -> String {
        let arguments = ["mcp", "serve", "--plan", "/a b/it's.yaml"].map(str::to_owned);
        lines(client, "docs", "/bin/flowhost", &arguments).text
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let expected = r"claude mcp add docs -- /bin/flowhost mcp serve --plan '/a b/it'\''s.yaml'";
        assert_eq!(text(Client::ClaudeCode), expected);
    }

    #[test]
    fn the_clients_files_are_read_as_what_was_meant() {
        let vscode: Value = serde_json::from_str(&text(Client::Vscode)).unwrap();
        assert_eq!(vscode["servers"]["docs"]["args"][3], "/a b/it's.yaml");
        let cursor: Value = serde_json::from_str(&text(Client::Cursor)).unwrap();
        assert_eq!(cursor["mcpServers"]["docs"]["command"], "/bin/flowhost");
        let codex: toml::Value = toml::from_str(&text(Client::Codex)).unwrap();
        assert_eq!(
            codex["mcp_servers"]["docs"]["args"][3].as_str(),
            Some("/a b/it's.yaml")
        );
    }
}
