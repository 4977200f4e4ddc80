//! What is agreed on with a server, and how it is found out which era it speaks: a modern question first,
//! and what is answered to it decides.

use flowhost_mcp::{
    CLIENT_CAPABILITIES, CLIENT_INFO, Code, LEGACY, MODERN, PROTOCOL_VERSION, SERVER_INFO,
    encode_header, is_modern, is_supported, name_of,
};
use flowhost_sdk::host::mcp_transport::Header;
use flowhost_sdk::{Context, Error, Session};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::{Config, Extra, Wanted};
use crate::exchange::{Server, Way, client, header, refused, said, told};
use crate::extra;

/// Bytes of what a server says of itself to models.
const INSTRUCTIONS_MAX: usize = 4_096;

/// In which era a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Era {
    Legacy,
    Modern,
}

/// What outlives a call: the host keeps it and hands it back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    way: Way,
    pub(crate) era: Era,
    pub(crate) version: String,
    /// Whether the server says by itself that its tools have changed.
    #[serde(default)]
    pub(crate) listens: bool,
    /// What is offered beside the server's tools.
    #[serde(default)]
    pub(crate) offer: Vec<Extra>,
}

impl State {
    pub(crate) fn of(session: &Session, ctx: &Context) -> Result<(Server, Self), Error> {
        let state: Self = serde_json::from_str(&session.state).map_err(|error| {
            Error::failed(format_args!(
                "the session's state is not this adapter's: {error}"
            ))
        })?;
        let server = Server::at(state.way.clone(), &ctx.call, ctx.deadline_ms)?;
        Ok((server, state))
    }

    /// The headers that a request repeats of itself, over HTTP.
    pub(crate) fn headers(&self, method: &str, params: &Map<String, Value>) -> Vec<Header> {
        let mut all = vec![header("MCP-Protocol-Version", &self.version)];
        if self.era == Era::Modern {
            all.push(header("Mcp-Method", method));
            all.extend(
                name_of(method, params).map(|name| header("Mcp-Name", &encode_header(name))),
            );
        }
        all
    }

    /// Says in a request what the modern era says in each of them.
    pub(crate) fn sign(&self, params: &mut Map<String, Value>) {
        if self.era == Era::Modern {
            let meta = json!({
                PROTOCOL_VERSION: self.version,
                CLIENT_INFO: client(),
                CLIENT_CAPABILITIES: {},
            });
            params.insert("_meta".to_owned(), meta);
        }
    }

    /// A new session in place of one that the server has ended, or a new beginning with a process that was started
    /// again; the modern era has no session to begin.
    pub(crate) fn begin_again(&mut self, server: &Server) -> Result<(), Error> {
        if let Era::Legacy = self.era {
            let (state, _) = initialize(server)?;
            *self = Self {
                offer: std::mem::take(&mut self.offer),
                listens: self.listens,
                ..state
            };
        }
        // A process that was started again has not been asked to say what changes.
        server.listen(self)
    }
}

/// Finds out what the server speaks, and agrees on it.
pub(crate) fn open(server: &Server, config: &Config) -> Result<Session, Error> {
    let (mut state, about) = match config.era {
        Wanted::Legacy => initialize(server)?,
        Wanted::Modern | Wanted::Auto => match discover(server, config)? {
            Some(found) => found,
            None => initialize(server)?,
        },
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let info = match state.era {
        Era::Legacy => about.get("serverInfo"),
        Era::Modern => about.get("_meta").and_then(|meta| meta.get(SERVER_INFO)),
    };
    let mut instructions = text(about.get("instructions"));
    if instructions.len() > INSTRUCTIONS_MAX {
        instructions.clear(); // half of a text could say the opposite of the whole
    }
    let capabilities = about.get("capabilities").filter(|it| it.is_object());
    extra::check(&config.offer, capabilities.unwrap_or(&Value::Null))?;
    state.offer.clone_from(&config.offer);
    state.listens = capabilities.is_some_and(says_of_changes);
    server.listen(&state)?;
    Ok(Session {
        name: said(&text(info.and_then(|info| info.get("name")))),
        version: said(&text(info.and_then(|info| info.get("version")))),
        protocol: state.version.clone(),
        capabilities: capabilities.map_or("{}".to_owned(), Value::to_string),
        instructions,
        state: serde_json::to_string(&state)
            .map_err(|error| Error::failed(format_args!("the session cannot be kept: {error}")))?,
    })
}

/// Whether a server says by itself that it has other tools.
fn says_of_changes(capabilities: &Value) -> bool {
    let tools = capabilities.get("tools");
    let said = tools.and_then(|tools| tools.get("listChanged"));
    said.and_then(Value::as_bool) == Some(true)
}

/// Asks as the modern era does. None when the server is of the other one.
fn discover(server: &Server, config: &Config) -> Result<Option<(State, Value)>, Error> {
    let state = State {
        way: server.way().clone(),
        era: Era::Modern,
        version: MODERN.to_owned(),
        listens: false,
        offer: Vec::new(),
    };
    let fall_back = |why: Error| match config.era {
        Wanted::Modern => Err(why),
        _ => Ok(None),
    };
    let got = match server.send(&state, "server/discover", Map::new(), &[]) {
        // A server of the older era may be silent, or end, where it should say that it does not know.
        Err(silent @ Error::Transient(_)) if *server.way() == Way::Stdio => {
            return fall_back(silent);
        }
        got => got?,
    };
    let result = match got.outcome {
        Some(Ok(result)) => result,
        Some(Err(error)) if error.code == Code::UnsupportedVersion => {
            let supported = error.data.get("supported").and_then(Value::as_array);
            let supported: Vec<&str> = supported
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            return match supported
                .iter()
                .any(|version| is_supported(version) && !is_modern(version))
            {
                true => fall_back(told(&error)),
                false => Err(Error::failed(format_args!(
                    "the server speaks {}, and this client {MODERN} and {LEGACY}",
                    said(&supported.join(", "))
                ))),
            };
        }
        // It is a modern server that has something against the question itself.
        Some(Err(error)) if error.code.is_modern() => return Err(told(&error)),
        Some(Err(error)) => return fall_back(told(&error)),
        None if got.unsent.is_some() => return Err(got.refused()),
        None => {
            return match got.status {
                401 | 403 | 429 | 500..=599 => Err(refused(got.status)),
                status => fall_back(refused(status)),
            };
        }
    };
    let spoken = result.get("supportedVersions").and_then(Value::as_array);
    let speaks = spoken.is_some_and(|all| all.iter().any(|version| version == MODERN));
    match speaks {
        true => Ok(Some((state, result))),
        false => fall_back(Error::failed(
            "the server does not speak the revision 2026-07-28",
        )),
    }
}

/// Begins a session as the legacy era does.
fn initialize(server: &Server) -> Result<(State, Value), Error> {
    let Value::Object(params) =
        json!({ "protocolVersion": LEGACY, "capabilities": {}, "clientInfo": client() })
    else {
        return Err(Error::failed("no handshake could be made"));
    };
    let ask = |params| server.request("initialize", params, &[], Era::Legacy, None);
    let mut got = ask(params.clone())?;
    // A process that the first question of all was too much for is started again.
    if got.unsent.is_some() {
        got = ask(params)?;
    }
    let result = match got.outcome {
        Some(Ok(result)) => result,
        Some(Err(error)) => return Err(told(&error)),
        None => return Err(got.refused()),
    };
    let version = result
        .get("protocolVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is_supported(version) || is_modern(version) {
        return Err(Error::failed(format_args!(
            "the server wants to speak `{}`, and this client does not",
            said(version)
        )));
    }
    let state = State {
        way: server.way().clone(),
        era: Era::Legacy,
        version: version.to_owned(),
        listens: false,
        offer: Vec::new(),
    };
    server.notify(&state, "notifications/initialized")?;
    Ok((state, result))
}
