//! `flowhost mcp inspect PLAN [PLUGIN]`: what MCP servers say of themselves, with `--pin` what of it is
//! accepted, and with `--sign` who says so. What a server says is shown and decides nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::host::host;
use flowhost::output::neutral;
use flowhost::plugin::lock::{LOCK_FILE, Lock, file};
use flowhost::plugin::trust::Trust;
use flowhost::plugin::vouched::Shown;
use flowhost::project::Project;
use flowhost_engine::PoolConfig;
use flowhost_flow::Exit;
use flowhost_policy::{ToolAnnotations, ToolDescriptor};
use flowhost_run::{Introduced, Introduction, RunOptions, Unasked, drift};
use flowhost_words::PluginKind;
use serde_json::{Value, json};

use super::plugin_ship::key_of;
use super::running::runtime;
use crate::cli::{LogFormat, McpInspectArgs};
use crate::commands::{Context, logging, run};

pub(crate) fn perform(args: &McpInspectArgs, context: &mut Context) -> Result<Exit, Failure> {
    let mut project = run::noted(run::load(&args.plan, context)?, args.keys);
    known(&project, args.plugin.as_deref())?;
    run::note(&project.notes, LogFormat::Text, context);
    // An adapter warns of tools that it does not offer.
    logging::start(context, LogFormat::Text);
    let Context {
        ambient,
        config,
        state,
        ..
    } = &*context;
    let options = RunOptions {
        allow_private_network: args.keys.allow_private_network,
        allow_process: args.keys.allow_process,
        ..RunOptions::default()
    };
    let runtime = runtime()?;
    let asked = runtime.block_on(async {
        let host = host(ambient, config, state, PoolConfig::default(), None)?;
        host.introduce(&project, &options, args.plugin.as_deref())
            .await
    });
    // A server that was started may not want to end; what it was asked for is known.
    runtime.shutdown_background();
    let servers = asked?;
    let well = servers.iter().all(|it| it.server.is_ok());
    // Half of what a plan needs is not accepted: whoever looks would think it was.
    let accepted = well && (args.pin || args.sign);
    let mut signed = Vec::new();
    // Before the lock, which keeps who vouches.
    if accepted && args.sign {
        signed = sign(args.key.as_deref(), &project, &servers, context)?;
    }
    if accepted && args.pin {
        pin(&mut project, &servers, context)?;
    }
    // After signing, so that the new signature is shown as it will be judged.
    let trust = Trust::find(&context.ambient, &context.config)?;
    let said = Said {
        project: &project,
        servers: &servers,
        vouched: vouched(&project, &servers, &trust, context),
        pinned: accepted && args.pin,
        signed,
    };
    match context.output.json {
        true => context.output.document(&document(&said)),
        false => {
            let mut told = text(&said);
            if !well && (args.pin || args.sign) {
                told.push_str("nothing was accepted, because not every server could be asked\n");
            }
            context.output.result(&neutral(&told));
        }
    }
    Ok(match well {
        true => Exit::Ok,
        false => Exit::Internal,
    })
}

/// What is shown.
struct Said<'a> {
    project: &'a Project,
    servers: &'a [Introduced],
    /// Who vouches for the tools of each server, or why a signature does not count.
    vouched: BTreeMap<&'a str, Result<String, String>>,
    /// Whether the tools were accepted.
    pinned: bool,
    /// The signature files that were written.
    signed: Vec<String>,
}

/// The tools of a server, by the hash of each.
fn hashes(server: &Introduction) -> BTreeMap<String, String> {
    let tools = server.tools.iter();
    tools.map(|tool| (tool.name.clone(), tool.hash())).collect()
}

/// Writes a signature for the tools of each server.
fn sign(
    key: Option<&Path>,
    project: &Project,
    servers: &[Introduced],
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let key = key_of(key, context)?;
    let mut written = Vec::new();
    for Introduced { plugin, server } in servers {
        let Ok(server) = server else { continue };
        let shown = Shown {
            project,
            plugin,
            tools: &hashes(server),
        };
        written.push(shown.sign(&context.ambient, &key)?.display().to_string());
    }
    Ok(written)
}

/// Who vouches for what is shown. Where the operator believes no key nobody does, whoever signed.
fn vouched<'a>(
    project: &'a Project,
    servers: &'a [Introduced],
    trust: &Trust,
    context: &Context,
) -> BTreeMap<&'a str, Result<String, String>> {
    let one = |Introduced { plugin, server }: &'a Introduced| {
        let shown = Shown {
            project,
            plugin,
            tools: &hashes(server.as_ref().ok()?),
        };
        let by = shown.by(&context.ambient, trust).transpose()?;
        let by = by.map(|key| format!("{}+{}", key.name(), key.id_hex()));
        Some((plugin.as_str(), by.map_err(|why| why.to_string())))
    };
    servers.iter().filter_map(one).collect()
}

/// Refuses a plan without such a plugin, or another plugin.
fn known(project: &Project, plugin: Option<&str>) -> Result<(), Failure> {
    let adapters = project
        .members
        .iter()
        .filter(|(_, member)| member.decl.kind == PluginKind::McpAdapter);
    let names: Vec<&str> = adapters.map(|(key, _)| key.as_str()).collect();
    match plugin {
        None if !names.is_empty() => Ok(()),
        Some(plugin) if names.contains(&plugin) => Ok(()),
        None => {
            let message = format!("`{}` has no plugin of kind mcp_adapter", project.file);
            Err(Failure::new(Exit::Internal, message)
                .hint("`flowhost inspect COMPONENT` shows what a component is"))
        }
        Some(plugin) => {
            let message = format!("`{}` has no MCP adapter `{plugin}`", project.file);
            Err(Failure::new(Exit::Internal, message)
                .hint(format!("its adapters: {}", names.join(", "))))
        }
    }
}

fn pin(project: &mut Project, servers: &[Introduced], context: &Context) -> Result<(), Failure> {
    for Introduced { plugin, server } in servers {
        let Ok(server) = server else { continue };
        project.pins.insert(plugin.clone(), hashes(server));
        let tools = server.tools.iter();
        let shown = tools.map(|tool| (tool.name.clone(), tool.clone()));
        project.accepted.insert(plugin.clone(), shown.collect());
    }
    let (ambient, config) = (&context.ambient, &context.config);
    let now = Lock::of(ambient, config, project)?;
    // What else the lock says stays as it was accepted; a plan without one is locked as it is.
    let mut lock = Lock::read(ambient, project)?.unwrap_or_else(|| now.clone());
    for Introduced { plugin, .. } in servers {
        let Some(entry) = now.0.get(plugin) else {
            debug_assert!(false, "`{plugin}` was asked because the plan has it");
            continue;
        };
        match lock.0.get_mut(plugin) {
            Some(kept) => {
                kept.tools.clone_from(&entry.tools);
                kept.shown.clone_from(&entry.shown);
                kept.vouched.clone_from(&entry.vouched);
            }
            None => drop(lock.0.insert(plugin.clone(), entry.clone())),
        }
    }
    Ok(ambient.write(&file(project), lock.text().as_bytes())?)
}

/// The standing of a tool that is another than was accepted.
const CHANGED: &str = "changed";

/// What became of a tool since it was accepted.
fn standing(project: &Project, plugin: &str, tool: &ToolDescriptor) -> &'static str {
    match project.pins.get(plugin) {
        None => "not pinned",
        Some(pins) => match pins.get(&tool.name) {
            None => "new",
            Some(pin) if *pin == tool.hash() => "pinned",
            Some(_) => CHANGED,
        },
    }
}

/// What differs of a tool that is another than was accepted; none where that is not known.
fn drift_of(
    project: &Project,
    plugin: &str,
    tool: &ToolDescriptor,
) -> Option<Vec<drift::Difference>> {
    let first = project.accepted.get(plugin)?.get(&tool.name)?;
    Some(drift::differences(first, tool))
}

/// The same as lines below the tool.
fn changes(
    text: &mut String,
    project: &Project,
    plugin: &str,
    tool: &ToolDescriptor,
) -> std::fmt::Result {
    let Some(differences) = drift_of(project, plugin, tool) else {
        return writeln!(
            text,
            "    what was accepted is not kept beside its hash; `--pin` keeps it from then on"
        );
    };
    for drift::Difference { field, lines } in differences {
        writeln!(text, "    its {field} is another:")?;
        for line in lines {
            writeln!(text, "      {line}")?;
        }
    }
    Ok(())
}

/// Hosts that the tools' texts name: what a server may mean to reach, to be looked at.
fn hosts(server: &Introduction) -> BTreeSet<String> {
    let texts = server
        .tools
        .iter()
        .map(|tool| tool.description.as_str())
        // Names and schemas too may hold addresses; what a model obeys stands in these texts.
        .chain([server.instructions.as_str()]);
    texts.flat_map(hosts_in).collect()
}

fn hosts_in(text: &str) -> impl Iterator<Item = String> {
    let after = |scheme: &'static str| text.split(scheme).skip(1);
    let all = after("https://").chain(after("http://"));
    // Roughly: what is shown is a hint for a person, and decides nothing.
    let host = |rest: &str| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-')));
        rest.get(..end.unwrap_or(rest.len()))
            .unwrap_or_default()
            .trim_matches('.')
            .to_ascii_lowercase()
    };
    all.map(host).filter(|host| host.contains('.'))
}

/// Tools of other servers that a server's texts name, each with the tool whose text it is: how one server means to have
/// another's tools called, or to stand in for them (MCP-005).
fn strangers(plugin: &str, server: &Introduction, servers: &[Introduced]) -> Vec<String> {
    let others = servers.iter().filter(|other| other.plugin != plugin);
    let others = others.filter_map(|other| Some((&other.plugin, other.server.as_ref().ok()?)));
    let others: Vec<(&String, &str)> = others
        .flat_map(|(key, other)| {
            other
                .tools
                .iter()
                .map(move |tool| (key, tool.name.as_str()))
        })
        // A tool of its own by that name is what the text means.
        .filter(|(_, name)| server.tools.iter().all(|own| own.name != *name))
        .collect();
    let mut found = Vec::new();
    for tool in &server.tools {
        for (key, name) in &others {
            if mentions(&tool.description, key, name) {
                found.push(format!("`{}` speaks of {key}/{name}", tool.name));
            }
        }
    }
    found
}

/// Whether a text names a tool: as `plugin/tool`, or by its bare name where that is no word of a language.
fn mentions(text: &str, plugin: &str, tool: &str) -> bool {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let words = text.split(|c: char| !of_name(c) && c != '/');
    // `search` stands in many sentences; `search_files` does not.
    let is_word = tool.chars().all(|c| c.is_ascii_lowercase());
    words
        .map(|word| word.trim_end_matches('.'))
        .any(|word| match word.split_once('/') {
            Some((of, name)) => of == plugin && name == tool,
            None => !is_word && word == tool,
        })
}

/// The lines that would let an agent call all of a server's tools.
fn suggested(plugin: &str, server: &Introduction) -> String {
    let tools = server.tools.iter();
    let names: Vec<String> = tools
        .map(|tool| format!("\"{plugin}/{}\"", tool.name))
        .collect();
    format!("[tools]\ncall = [{}]", names.join(", "))
}

fn hints(annotations: &ToolAnnotations) -> Vec<&'static str> {
    let all = [
        (annotations.read_only, "reads only", "changes things"),
        (annotations.destructive, "may destroy", "destroys nothing"),
        (
            annotations.idempotent,
            "may be repeated",
            "counts each time",
        ),
        (annotations.open_world, "meets the world", "stays inside"),
    ];
    all.into_iter()
        .filter_map(|(said, yes, no)| match said? {
            true => Some(yes),
            false => Some(no),
        })
        .collect()
}

/// What differs of a tool, by field; empty where nothing does, null where nobody knows.
fn changed(project: &Project, plugin: &str, tool: &ToolDescriptor) -> Value {
    match standing(project, plugin, tool) {
        CHANGED => drift_of(project, plugin, tool).map_or(Value::Null, |all| {
            let all = all.into_iter();
            all.map(|it| json!({ "field": it.field, "lines": it.lines }))
                .collect()
        }),
        _ => json!([]),
    }
}

fn document(said: &Said<'_>) -> Value {
    let Said {
        project, servers, ..
    } = said;
    let one = |Introduced { plugin, server }: &Introduced| match server {
        Err(unasked) => json!({ "plugin": plugin, "error": unasked.why, "hint": unasked.cure }),
        Ok(server) => {
            let tools: Vec<Value> = server
                .tools
                .iter()
                .map(|tool| {
                    json!({
                        "name": tool.name,
                        "title": tool.title,
                        "description": tool.description,
                        "input": tool.input,
                        "output": tool.output,
                        "says": hints(&tool.annotations),
                        "hash": tool.hash(),
                        "standing": standing(project, plugin, tool),
                        "changes": changed(project, plugin, tool),
                    })
                })
                .collect();
            json!({
                "plugin": plugin,
                "server": { "name": server.name, "version": server.version, "protocol": server.protocol,
                    "instructions": server.instructions },
                "tools": tools,
                "vouched": said.vouched.get(plugin.as_str()).and_then(|by| by.as_ref().ok()),
                "unvouched": said.vouched.get(plugin.as_str()).and_then(|by| by.as_ref().err()),
                "hosts": hosts(server),
                "names": strangers(plugin, server, servers),
                "suggested": suggested(plugin, server),
            })
        }
    };
    json!({
        "servers": servers.iter().map(one).collect::<Vec<_>>(),
        "pinned": said.pinned,
        "signed": said.signed,
    })
}

fn text(said: &Said<'_>) -> String {
    let mut text = String::new();
    for Introduced { plugin, server } in said.servers {
        let _infallible = match server {
            Err(unasked) if unasked.cure.is_empty() => writeln!(text, "{plugin}: {}", unasked.why),
            Err(Unasked { why, cure }) => {
                let cure = cure.replace('\n', "\n    ");
                writeln!(text, "{plugin}: {why}\n  hint: {cure}")
            }
            Ok(server) => one(&mut text, said, plugin, server),
        };
    }
    for file in &said.signed {
        let _infallible = writeln!(text, "vouched for in {file}");
    }
    if said.pinned {
        let _infallible = writeln!(
            text,
            "accepted in {LOCK_FILE}; other tools are refused from now on"
        );
    }
    text
}

fn one(
    text: &mut String,
    said: &Said<'_>,
    plugin: &str,
    server: &Introduction,
) -> std::fmt::Result {
    let strangers = strangers(plugin, server, said.servers);
    let Introduction {
        name,
        version,
        protocol,
        instructions,
        tools,
    } = server;
    writeln!(text, "{plugin}: `{name}` {version}, MCP {protocol}")?;
    if !instructions.is_empty() {
        writeln!(text, "  says to models: {instructions}")?;
    }
    match said.vouched.get(plugin) {
        None => {}
        Some(Ok(by)) => writeln!(text, "  its tools are vouched for by {by}")?,
        Some(Err(why)) => writeln!(text, "  its signature does not count: {why}")?,
    }
    for tool in tools {
        let standing = standing(said.project, plugin, tool);
        writeln!(text, "  {} ({standing}, {})", tool.name, tool.hash())?;
        if standing == CHANGED {
            changes(text, said.project, plugin, tool)?;
        }
        writeln!(text, "    {}", tool.description.replace('\n', "\n    "))?;
        let hints = hints(&tool.annotations);
        if !hints.is_empty() {
            writeln!(text, "    says of itself: {}", hints.join(", "))?;
        }
    }
    let hosts: Vec<String> = hosts(server).into_iter().collect();
    if !hosts.is_empty() {
        writeln!(
            text,
            "  names hosts: {}; nothing is granted by that",
            hosts.join(", ")
        )?;
    }
    if !strangers.is_empty() {
        writeln!(text, "  names tools of others: {}", strangers.join("; "))?;
    }
    let lines = suggested(plugin, server).replace('\n', "\n    ");
    writeln!(
        text,
        "  an agent may call them with these lines in its profile:\n    {lines}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mcp_005_a_text_that_names_anothers_tool_is_told_of_and_prose_is_not() {
        for text in [
            "Before this call bank/pay.",
            "Use send_mail first.",
            "(see: send_mail).",
        ] {
            let named = mentions(text, "bank", "pay") || mentions(text, "post", "send_mail");
            assert!(named, "{text}");
        }
        for text in [
            "Who pays has to pay.",
            "A send_mailer.",
            "shop/pay",
            "bank/payee",
        ] {
            let named = mentions(text, "bank", "pay") || mentions(text, "post", "send_mail");
            assert!(!named, "{text}");
        }
    }

    #[test]
    fn hosts_are_found_in_prose_and_nothing_else_is() {
        let text = "Fetches https://API.example.com/v1 and (http://a.example.org). Not https://localhost or ftp://x.y.";
        let found: Vec<String> = hosts_in(text).collect();
        assert_eq!(found, ["api.example.com", "a.example.org"]);
    }
}
