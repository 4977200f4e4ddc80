//! What is agreed on with a server, and how it is found out which era it speaks: a modern question first,
//! and what is answered to it decides.

use flowhost_mcp::{Code, LEGACY, MODERN, SERVER_INFO, is_modern, is_supported};
use flowhost_sdk::{Context, Error, Session};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::config::{Config, Extra, Wanted};
use crate::exchange::{Got, Server, Way, client, refused, said, told};
use crate::extra;

/// Bytes of a session's id: servers make up texts of some forty.
const SESSION_MAX: usize = 512;
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
    pub(crate) session: Option<String>,
    /// What is offered beside the server's tools.
    #[serde(default)]
    pub(crate) offer: Vec<Extra>,
}

impl State {
    pub(crate) fn of(session: &Session, ctx: &Context) -> Result<(Server, Self), Error> {
        let state = Self::kept(session)?;
        let server = Server::at(state.way.clone(), &ctx.call, ctx.deadline_ms);
        Ok((server, state))
    }

    fn kept(session: &Session) -> Result<Self, Error> {
        let state: Self = serde_json::from_str(&session.state).map_err(|error| {
            Error::failed(format_args!(
                "the session's state is not this adapter's: {error}"
            ))
        })?;
        Ok(state)
    }

    pub(crate) fn has_session(&self) -> bool {
        self.session.is_some()
    }

    /// A new session in place of one that the server has ended; the modern era has none to begin.
    pub(crate) fn begin_again(&mut self, server: &Server) -> Result<(), Error> {
        if let Era::Legacy = self.era {
            let (state, _) = initialize(server)?;
            *self = Self {
                offer: std::mem::take(&mut self.offer),
                ..state
            };
        }
        Ok(())
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

/// Ends a conversation, as far as there is somebody to tell.
pub(crate) fn close(session: &Session) {
    if let Ok(state) = State::kept(session) {
        Server::at(state.way.clone(), "", 0.0).leave(&state);
    }
}

/// Asks as the modern era does. None when the server is of the other one.
fn discover(server: &Server, config: &Config) -> Result<Option<(State, Value)>, Error> {
    let state = State {
        way: server.way().clone(),
        era: Era::Modern,
        version: MODERN.to_owned(),
        session: None,
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
    let mut got = server.request("initialize", params.clone(), &[])?;
    // A process that the first question of all was too much for is started again.
    if got.unsent.is_some() {
        got = server.request("initialize", params, &[])?;
    }
    let session = session_id(&got)?;
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
        session,
        offer: Vec::new(),
    };
    server.notify(&state, "notifications/initialized")?;
    Ok((state, result))
}

/// The id that a server gave the session, if it did: it goes back in a header, so it holds nothing that
/// could end one.
fn session_id(got: &Got) -> Result<Option<String>, Error> {
    let Some(id) = got.header("mcp-session-id") else {
        return Ok(None);
    };
    let visible =
        !id.is_empty() && id.len() <= SESSION_MAX && id.bytes().all(|byte| byte.is_ascii_graphic());
    match visible {
        true => Ok(Some(id.to_owned())),
        false => Err(Error::failed(
            "the server's session id is not a visible text of at most 512 bytes",
        )),
    }
}
