//! One conversation with one server: where it may send us, what it learns of us, and how much it may answer.
//!
//! The attacks: a redirect to an address inside of the operator's network, or one that takes the password with
//! it; an authority for tokens that is somebody else's; an answer without end. So every address is held against
//! the operator's list before it is asked, the password goes to the server's own origin and to the authority
//! that the operator names, and every answer has a bound.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flowhost_author::remote::{Challenge, Place, token};
use flowhost_models::{Body, Transport};
use http::header::{self, HeaderName, HeaderValue};
use http::uri::InvalidUri;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use tokio::time::timeout;
use url::{Origin, Url};
use zeroize::Zeroizing;

use super::RemoteError;
use crate::config::SourceLine;

/// How often a server may send us on: to a store, and by it to its copy.
const REDIRECTS_MAX: usize = 3;
/// Time to the head of an answer, and between two pieces of its body. Between two pieces, so that a large
/// component over a slow line is not cut off while it moves.
const PAUSE: Duration = Duration::from_secs(30);
/// Bytes of an authority's answer. A token is a few KiB, with its lists of rights.
const TOKEN_ANSWER_MAX: usize = 64 << 10;
/// Characters of what a server says of its refusal that a person is shown. It is a stranger's text in our
/// message.
const SAID_MAX: usize = 200;
/// What we say we are.
const USER_AGENT: &str = concat!("flowhost/", env!("CARGO_PKG_VERSION"));

/// What a conversation needs of its host.
pub(super) trait Roads: Sync {
    /// The way to the servers of a line of the list.
    fn road(&self, line: &SourceLine) -> Result<Arc<dyn Transport>, RemoteError>;
    /// Name and password for them, as `NAME:PASSWORD`.
    fn login(&self, line: &SourceLine) -> Result<Option<Zeroizing<String>>, RemoteError>;
}

/// A conversation.
pub(super) struct Session<'a> {
    roads: &'a dyn Roads,
    list: &'a [SourceLine],
    line: &'a SourceLine,
    own: Origin,
    /// Whether the server's other paths are asked too, as a registry's protocol needs.
    registry: bool,
    authorization: Mutex<Option<HeaderValue>>,
}

/// A request.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// What is asked for, for a person.
    what: String,
    /// Bytes that the answer may have.
    most: usize,
}

impl Wanted {
    pub(super) fn new(method: Method, url: Url, what: &str, most: usize) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            what: what.to_owned(),
            most,
        }
    }

    pub(super) fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    pub(super) fn sending(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}

/// An answer, read to its end.
pub(super) struct Answer {
    pub(super) url: Url,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The same where it says yes.
    pub(super) fn success(self) -> Result<Self, RemoteError> {
        if self.status.is_success() {
            return Ok(self);
        }
        let said: String = String::from_utf8_lossy(&self.body)
            .chars()
            .filter(|it| !it.is_control())
            .take(SAID_MAX)
            .collect();
        Err(RemoteError::Status {
            url: shown(&self.url),
            status: self.status.as_u16(),
            said: match said.is_empty() {
                true => String::new(),
                false => format!(": {said}"),
            },
        })
    }

    /// The address that a header names, relative to what was asked.
    pub(super) fn location(&self) -> Option<Url> {
        let text = self.headers.get(header::LOCATION)?.to_str().ok()?;
        self.url.join(text).ok()
    }
}

impl<'a> Session<'a> {
    /// A conversation with the server of a place; none where the list does not cover it.
    pub(super) fn to(place: &Place, list: &'a [SourceLine], roads: &'a dyn Roads) -> Option<Self> {
        let line = list.iter().find(|line| line.listed.covers(place))?;
        let (own, registry) = match place {
            Place::Web(url) => (url.origin(), false),
            Place::Registry(reference) => (Url::parse(&reference.base()).ok()?.origin(), true),
        };
        Some(Self {
            roads,
            list,
            line,
            own,
            registry,
            authorization: Mutex::new(None),
        })
    }

    /// Sends a request, shows who we are where that is asked for, and follows the server as far as the list
    /// goes.
    pub(super) async fn send(&self, wanted: Wanted) -> Result<Answer, RemoteError> {
        // First without a word of who we are, though a login may be there: the server's question says how it wants to
        // be told, and a public source is never shown a password.
        let answer = self.follow(wanted.clone()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.authorize(&answer).await?;
        let answer = self.follow(wanted).await?;
        match answer.status {
            // Once: the same login again is the same answer, and some servers lock an account after a few.
            StatusCode::UNAUTHORIZED => Err(RemoteError::Unauthorized {
                url: shown(&answer.url),
                why: ", and does not take what it was shown".to_owned(),
            }),
            _ => Ok(answer),
        }
    }

    async fn follow(&self, mut wanted: Wanted) -> Result<Answer, RemoteError> {
        let first = wanted.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let answer = self.one(&wanted).await?;
            // What writes is not repeated elsewhere: its body was meant for this server, and whether the first one
            // took it is not known.
            let safe = matches!(wanted.method, Method::GET | Method::HEAD);
            let to = answer
                .location()
                .filter(|_| safe && answer.status.is_redirection());
            let Some(to) = to else { return Ok(answer) };
            if self.line_of(&to).is_none() {
                return Err(RemoteError::Elsewhere {
                    from: shown(&wanted.url),
                    to: shown(&to),
                });
            }
            wanted.url = to;
        }
        Err(RemoteError::Redirects(shown(&first), REDIRECTS_MAX))
    }

    /// The line of the list that an address is asked under.
    fn line_of(&self, url: &Url) -> Option<&'a SourceLine> {
        // A registry's line names repositories, and its protocol has paths beside them: blobs, uploads, tokens.
        if self.registry && url.origin() == self.own {
            return Some(self.line);
        }
        self.list.iter().find(|line| line.listed.covers_url(url))
    }

    async fn one(&self, wanted: &Wanted) -> Result<Answer, RemoteError> {
        let line = self.line_of(&wanted.url);
        let line = line.ok_or_else(|| RemoteError::Elsewhere {
            from: self.own.ascii_serialization(),
            to: shown(&wanted.url),
        })?;
        let mut headers = wanted.headers.clone();
        let known = self.authorization.lock();
        // One value, put there whole: whoever panicked beside it left nothing half done. A copy, because the lock
        // must not be held while a server is waited for.
        let known = known.unwrap_or_else(PoisonError::into_inner).clone();
        // To no other origin, listed or not: a store that a registry sends us to has the permission in its address,
        // and must not learn the password.
        if let Some(known) = known.filter(|_| wanted.url.origin() == self.own) {
            headers.insert(header::AUTHORIZATION, known);
        }
        self.exchange(line, wanted, headers).await
    }

    async fn exchange(
        &self,
        line: &SourceLine,
        wanted: &Wanted,
        headers: HeaderMap,
    ) -> Result<Answer, RemoteError> {
        let url = shown(&wanted.url);
        let failed = |why| RemoteError::Transport {
            url: url.clone(),
            why,
        };
        let mut request = Request::new(wanted.body.clone());
        *request.method_mut() = wanted.method.clone();
        *request.uri_mut() =
            wanted
                .url
                .as_str()
                .parse()
                .map_err(|error: InvalidUri| RemoteError::Address {
                    url: url.clone(),
                    why: error.to_string(),
                })?;
        *request.headers_mut() = headers;
        let agent = HeaderValue::from_static(USER_AGENT);
        request.headers_mut().insert(header::USER_AGENT, agent);
        // Made for each request, and not kept: another origin may be under another line, with a proxy and roots of
        // its own.
        let road = self.roads.road(line)?;
        let response: Response<Body> = timeout(PAUSE, road.send(request))
            .await
            .map_err(|_| RemoteError::Slow(wanted.what.clone(), PAUSE.as_secs()))?
            .map_err(failed)?;
        let (parts, mut body) = response.into_parts();
        let large = || RemoteError::Large {
            what: wanted.what.clone(),
            url: url.clone(),
            most: wanted.most,
        };
        let mut bytes = Vec::new();
        loop {
            let frame = timeout(PAUSE, body.frame()).await;
            let frame =
                frame.map_err(|_| RemoteError::Slow(wanted.what.clone(), PAUSE.as_secs()))?;
            let Some(frame) = frame else { break };
            if let Ok(data) = frame.map_err(failed)?.into_data() {
                // Counted as it comes: what a server says of the length is its own word, and need not be there.
                if bytes.len() + data.len() > wanted.most {
                    return Err(large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(Answer {
            url: wanted.url.clone(),
            status: parts.status,
            headers: parts.headers,
            body: bytes,
        })
    }

    /// Answers the server's question of who asks; what it is shown from now on stands in the session.
    async fn authorize(&self, answer: &Answer) -> Result<(), RemoteError> {
        let url = shown(&answer.url);
        let unauthorized = |why: &str| RemoteError::Unauthorized {
            url: url.clone(),
            why: why.to_owned(),
        };
        // After a redirect it may be a store that asks. It has no login here, and must not be given another's.
        if answer.url.origin() != self.own {
            return Err(unauthorized(", and is another server than the source's"));
        }
        let asked = answer.headers.get_all(header::WWW_AUTHENTICATE).iter();
        let challenge = asked
            .filter_map(|value| value.to_str().ok())
            // The first of those that we know: a server names several, the one it likes best first.
            .find_map(Challenge::parse)
            .ok_or_else(|| unauthorized(" in a way that is not known"))?;
        let login = self.roads.login(self.line)?;
        let value = match challenge {
            Challenge::Basic => {
                let login = login.ok_or_else(|| unauthorized(""))?;
                basic(&login)
            }
            Challenge::Bearer {
                realm,
                service,
                scope,
            } => {
                let asked = Authority {
                    realm: &realm,
                    service: service.as_deref(),
                    scope: scope.as_deref(),
                };
                self.token(&url, &asked, login.as_ref()).await?
            }
        };
        let mut value = value.ok_or_else(|| unauthorized(", and the login cannot be sent"))?;
        // Left out of what the library prints in its traces.
        value.set_sensitive(true);
        let known = self.authorization.lock();
        *known.unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }

    async fn token(
        &self,
        url: &str,
        asked: &Authority<'_>,
        login: Option<&Zeroizing<String>>,
    ) -> Result<Option<HeaderValue>, RemoteError> {
        let elsewhere = || RemoteError::Realm {
            url: url.to_owned(),
            realm: asked.realm.to_owned(),
        };
        let mut authority = Url::parse(asked.realm).map_err(|_| elsewhere())?;
        // The whole text, and not its origin: on a host that serves many, another path is another authority.
        let named = self.line.realm.as_deref() == Some(asked.realm);
        if authority.origin() != self.own && !named {
            return Err(elsewhere());
        }
        {
            let mut query = authority.query_pairs_mut();
            if let Some(service) = asked.service {
                query.append_pair("service", service);
            }
            if let Some(scope) = asked.scope {
                query.append_pair("scope", scope);
            }
        }
        let wanted = Wanted::new(Method::GET, authority, "a token", TOKEN_ANSWER_MAX);
        let mut headers = HeaderMap::new();
        if let Some(mut value) = login.and_then(basic) {
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        // Not followed anywhere: the password was sent.
        let answer = self.exchange(self.line, &wanted, headers).await?;
        let refused = |why: &str| RemoteError::Unauthorized {
            url: url.to_owned(),
            why: why.to_owned(),
        };
        // Without a login it is the registry's way to say that one is needed; registries differ in which of the two
        // they use.
        if matches!(answer.status.as_u16(), 401 | 403) {
            return Err(refused(", and its authority gives no token for this login"));
        }
        let token = token(&answer.success()?.body);
        let token = token.ok_or_else(|| refused(", and its authority's answer holds no token"))?;
        Ok(HeaderValue::from_str(&format!("Bearer {token}")).ok())
    }
}

/// Who gives tokens, and for what.
struct Authority<'a> {
    realm: &'a str,
    service: Option<&'a str>,
    scope: Option<&'a str>,
}

fn basic(login: &Zeroizing<String>) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("Basic {}", STANDARD.encode(login.as_bytes())));
    HeaderValue::from_str(&text).ok()
}

/// An address as a person is shown it: what stands behind `?` of a store's address is often a key.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if url.query().is_some() {
        url.set_query(Some("…"));
    }
    url.to_string().replace("%E2%80%A6", "…")
}
