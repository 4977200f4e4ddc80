//! What an MCP adapter has agreed on with its server, for the time of a run: the session, and the tools as
//! they were when the run first saw them.
//!
//! A server that shows other tools later (a "rug pull") is not called any more in this run: whoever approved
//! or chose a tool did so by what was shown first. Servers say how long a list holds; when that time is
//! over it is asked for again before the next call.

use std::collections::BTreeMap;
use std::time::Duration;

use flowhost_engine::{Fault, McpSession, McpTools, neutralise};
use flowhost_ledger::records::{McpHandshake, McpToolRegister};
use flowhost_policy::{Denied, ToolDescriptor};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::base::failure::Failure;
use crate::kept::journal::{Journal, append};
use crate::plugins::drift::{differences, told};
use crate::plugins::installed::Installed;

/// How long a list holds of which the server does not say: a burst of calls asks once, and a change is
/// noticed within a step or two.
const UNSAID: Duration = Duration::from_secs(10);
/// The longest that a server may say: a run must notice a change while it lasts.
const SAID_MAX: Duration = Duration::from_secs(300);
/// Characters of what a server calls itself, as a line of the ledger holds it.
const NAME_CHARS: usize = 128;
/// Characters of what differs that a refusal repeats: the server chooses the text, and the refusal stands in
/// a record.
const DIFFERENCE_CHARS: usize = 1_000;

/// What is said where a lock has no more than the hash of a tool.
const HASH_ALONE: &str =
    " (what was accepted is not kept beside its hash; `--pin` keeps it from then on)";

/// The hash of each tool that servers show, by plugin and tool.
pub(crate) type ToolHashes = BTreeMap<String, BTreeMap<String, String>>;

/// A conversation with a server.
pub(crate) struct Conversation {
    pub(crate) session: McpSession,
    /// Until when the list holds. Whoever asks anew holds it, so that calls at once ask once.
    fresh_until: Mutex<Instant>,
}

impl Conversation {
    pub(crate) fn new(session: McpSession, listed: &McpTools) -> Self {
        Self {
            session,
            fresh_until: Mutex::new(Instant::now() + holds(listed.ttl_ms)),
        }
    }

    /// Asks for the list when it holds no longer, or the server has said that it is another. Gives what it is now, or
    /// nothing when it still holds; the caller has to say whether it is the same.
    pub(crate) async fn again<E>(
        &self,
        changed: bool,
        list: impl Future<Output = Result<McpTools, E>>,
        same: impl FnOnce(McpTools) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut fresh_until = self.fresh_until.lock().await;
        if !changed && Instant::now() < *fresh_until {
            return Ok(());
        }
        // Whatever comes of it, what was held to be fresh is so no longer.
        *fresh_until = Instant::now();
        let listed = list.await?;
        let ttl_ms = listed.ttl_ms;
        same(listed)?;
        *fresh_until = Instant::now() + holds(ttl_ms);
        Ok(())
    }
}

fn holds(ttl_ms: Option<f64>) -> Duration {
    ttl_ms.filter(|ttl| *ttl >= 0.0).map_or(UNSAID, |ttl| {
        Duration::try_from_secs_f64(ttl / 1_000.0).map_or(SAID_MAX, |ttl| ttl.min(SAID_MAX))
    })
}

/// What to do about a server that went away or was not heard in time, where `starts` says that the host starts it; empty
/// where the fault is another.
pub(crate) fn cure_of_silence(fault: &Fault, starts: bool) -> &'static str {
    let silent = matches!(
        fault,
        Fault::Limit {
            name: "deadline",
            ..
        } | Fault::Guest {
            class: "transient",
            ..
        }
    );
    match (silent, starts) {
        (true, true) => {
            "start the command of the profile's [[process]] by hand to see what it says; a server that needs longer \
             is given it by `deadline` in [limits] of the profile"
        }
        (true, false) => {
            "look whether the server answers at its address; one that needs longer is given it by `deadline` in \
             [limits] of the profile"
        }
        (false, _) => "",
    }
}

/// Records what an adapter agreed on with its server, and each tool as the server shows it; of other plugins
/// nothing.
pub(crate) fn record(journal: &Journal, installed: &Installed) -> Result<(), Failure> {
    let Some(Conversation { session, .. }) = installed.server() else {
        return Ok(());
    };
    let said = |text: &str| neutralise(text, NAME_CHARS);
    let about =
        json!({ "capabilities": session.capabilities, "instructions": session.instructions });
    let handshake = McpHandshake {
        plugin: installed.key.to_string(),
        server: said(&session.name),
        version: said(&session.version),
        protocol: said(&session.protocol),
    };
    let fact = journal.by_host(handshake);
    append(journal, fact.payload(about.to_string().into_bytes()))?;
    for tool in installed.tool_texts() {
        let text = json!({
            "name": tool.name,
            "title": tool.title,
            "description": tool.description,
            "input": tool.input,
            "output": tool.output,
        });
        let register = McpToolRegister {
            plugin: installed.key.to_string(),
            tool: tool.name.clone(),
            hash: tool.hash(),
        };
        let fact = journal.by_host(register);
        append(journal, fact.payload(text.to_string().into_bytes()))?;
    }
    Ok(())
}

/// What differs between the tools that a run has seen first and those that its server shows now; none when
/// nothing does.
pub(crate) fn changed(
    key: &str,
    first: &[&ToolDescriptor],
    now: &[ToolDescriptor],
) -> Option<Denied> {
    let before: BTreeMap<&str, &ToolDescriptor> = first
        .iter()
        .map(|tool| (tool.name.as_str(), *tool))
        .collect();
    let after: BTreeMap<&str, &ToolDescriptor> =
        now.iter().map(|tool| (tool.name.as_str(), tool)).collect();
    let mut lines = Vec::new();
    for (name, tool) in &before {
        match after.get(name) {
            None => lines.push(format!("`{name}` is gone")),
            Some(other) if other.hash() == tool.hash() => {}
            Some(other) => lines.push(difference(tool, other)),
        }
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    lines.extend(new.map(|name| format!("`{name}` is new")));
    if lines.is_empty() {
        return None;
    }
    let text: String = lines.join("; ").chars().take(DIFFERENCE_CHARS).collect();
    Some(Denied {
        right: "tools",
        wanted: format!("{key}: {text}"),
        rule: "the tools as the run saw them first".to_owned(),
        cure: None,
    })
}

/// Tools as somebody saw them before.
#[derive(Clone, Copy)]
pub(crate) struct Before<'a> {
    pub(crate) hashes: &'a BTreeMap<String, String>,
    /// All that was shown, of those of which that is known; none where only hashes ever are.
    pub(crate) texts: Option<&'a BTreeMap<String, ToolDescriptor>>,
}

/// One thing that is another than it was seen before.
pub(crate) struct Drift {
    /// Which tool, and what became of it.
    pub(crate) what: String,
    /// What of it differs, in lines of the server's; empty where that is not known.
    pub(crate) how: String,
}

impl From<String> for Drift {
    fn from(what: String) -> Self {
        let how = String::new();
        Self { what, how }
    }
}

/// What differs between the tools that a person has accepted, or that a run was shown before it was taken up, and those
/// that a server shows; empty when nothing does.
pub(crate) fn drifted(before: Before<'_>, installed: &Installed) -> Vec<Drift> {
    let Before { hashes, texts } = before;
    let now: BTreeMap<&str, &ToolDescriptor> = installed
        .tool_texts()
        .map(|tool| (tool.name.as_str(), tool))
        .collect();
    let mut all: Vec<Drift> = Vec::new();
    for (name, pin) in hashes {
        let Some(tool) = now.get(name.as_str()) else {
            all.push(format!("`{name}` is gone").into());
            continue;
        };
        let hash = tool.hash();
        if hash != *pin {
            let (pin, hash) = (short(pin), short(&hash));
            let what = format!("`{name}` changed: {pin} → {hash}");
            all.push(match texts.map(|texts| texts.get(name)) {
                Some(Some(first)) => Drift {
                    what,
                    how: told(&differences(first, tool)),
                },
                Some(None) => format!("{what}{HASH_ALONE}").into(),
                None => what.into(),
            });
        }
    }
    let new = now.keys().filter(|name| !hashes.contains_key(**name));
    all.extend(new.map(|name| Drift::from(format!("`{name}` is new"))));
    all
}

/// What of a tool differs, with both hashes.
fn difference(before: &ToolDescriptor, after: &ToolDescriptor) -> String {
    let other = differences(before, after);
    // To whoever reads the log: the denial is read by the guest that called, and a model behind it must not be told
    // what the server says now.
    let how = told(&other).replace('\n', " ");
    tracing::warn!(target: "flowhost::mcp", tool = %before.name, "a server shows another tool than before: {how}");
    let other: Vec<&str> = other.iter().map(|it| it.field).collect();
    format!(
        "`{}` changed: {} → {} ({})",
        before.name,
        short(&before.hash()),
        short(&after.hash()),
        other.join(", ")
    )
}

/// `sha256:` and twelve digits: enough to tell two apart that somebody looks at.
fn short(hash: &str) -> &str {
    hash.get(..19).unwrap_or(hash)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn tool(name: &str, description: &str) -> ToolDescriptor {
        ToolDescriptor {
            name: name.to_owned(),
            title: String::new(),
            description: description.to_owned(),
            input: json!({ "type": "object" }),
            output: None,
            effects: Default::default(),
            annotations: Default::default(),
        }
    }

    #[test]
    fn tells_what_a_server_exchanged_and_what_it_added() {
        // MCP-002
        let first = [tool("read", "Reads."), tool("gone", "Was here.")];
        let now = [
            tool("read", "Reads, and sends it home."),
            tool("new", "Hello."),
        ];
        let denied = changed("files", &first.iter().collect::<Vec<_>>(), &now).unwrap();
        assert!(
            denied.wanted.contains("`read` changed: sha256:"),
            "{}",
            denied.wanted
        );
        assert!(denied.wanted.contains("(description)"), "{}", denied.wanted);
        assert!(denied.wanted.contains("`gone` is gone") && denied.wanted.contains("`new` is new"));
    }

    #[test]
    fn of_a_server_that_is_not_heard_it_is_told_where_to_look() {
        let guest = |class| Fault::Guest {
            class,
            message: "the server did not answer in time".to_owned(),
        };
        let late = Fault::Limit {
            name: "deadline",
            used: 2,
            allowed: 1,
        };
        for silent in [guest("transient"), late] {
            let started = cure_of_silence(&silent, true);
            assert!(started.contains("[[process]] by hand"), "{started}");
            let at_an_address = cure_of_silence(&silent, false);
            assert!(at_an_address.contains("at its address"), "{at_an_address}");
        }
        assert_eq!(cure_of_silence(&guest("failed"), true), "");
    }

    #[test]
    fn another_order_is_no_change() {
        let first = [tool("a", "A"), tool("b", "B")];
        let now = [tool("b", "B"), tool("a", "A")];
        assert!(changed("files", &first.iter().collect::<Vec<_>>(), &now).is_none());
    }

    #[test]
    fn a_server_cannot_say_that_its_list_holds_for_ever() {
        assert_eq!(holds(None), UNSAID);
        assert_eq!(holds(Some(f64::NAN)), UNSAID);
        assert_eq!(holds(Some(-1.0)), UNSAID);
        assert_eq!(holds(Some(0.0)), Duration::ZERO);
        assert_eq!(holds(Some(f64::INFINITY)), SAID_MAX);
    }
}
