//! What we are towards an authority: a client that somebody registered there, one that registers itself (RFC 7591), or
//! the address of a document that describes one.
//!
//! A client that registers itself does so for each login anew: an authority that remembers what a person allowed a
//! client would else give one login what was allowed to another (MCP-028).

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method as Verb, Request};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::CLIENT_NAME;
use crate::asked::said;
use crate::authority::Authority;
use crate::discover::exchange;
use crate::error::{OauthError, unreadable};
use crate::road::Road;
use crate::secret::Secret;

/// Bytes of a client's id; those of documents are addresses.
const ID_BYTES_MAX: usize = 2_048;

const WHAT: &str = "the registration of a client";

/// How a client says who it is when it asks for a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By its id alone.
    None,
    /// By id and secret in the header `authorization`.
    Basic,
    /// By id and secret in the body.
    Post,
}

impl Method {
    /// The method of this name in documents, where it is one of ours.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "none" => Some(Self::None),
            "client_secret_basic" => Some(Self::Basic),
            "client_secret_post" => Some(Self::Post),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
        }
    }
}

/// Where a client comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientKind {
    /// Somebody registered it with the authority.
    Registered,
    /// It is the address of a document that describes it.
    Document,
    /// It registered itself.
    Dynamic,
}

/// Who we are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// What the authority calls us.
    pub id: String,
    /// What proves it, where it is to be proved.
    pub secret: Option<Secret>,
    /// How it is said.
    pub method: Method,
    /// Where it comes from.
    pub kind: ClientKind,
}

impl Client {
    /// A client that somebody registered.
    ///
    /// # Errors
    /// When the id cannot be one.
    pub fn registered(
        id: &str,
        secret: Option<Secret>,
        authority: &Authority,
    ) -> Result<Self, OauthError> {
        if !is_id(id) {
            return Err(OauthError::Answer(
                "a client's id is a text of visible characters".to_owned(),
            ));
        }
        let method = match &secret {
            None => Method::None,
            // Where the authority names none that we know, RFC 6749 wants this one to be there.
            Some(_) => authority
                .methods
                .iter()
                .copied()
                .find(|it| *it != Method::None)
                .unwrap_or(Method::Basic),
        };
        Ok(Self {
            id: id.to_owned(),
            secret,
            method,
            kind: ClientKind::Registered,
        })
    }

    /// A client that a document describes, whose address is its id.
    #[must_use]
    pub fn document(url: &str) -> Self {
        Self {
            id: url.to_owned(),
            secret: None,
            method: Method::None,
            kind: ClientKind::Document,
        }
    }
}

/// Printable ASCII (RFC 6749, appendix A.1).
fn is_id(text: &str) -> bool {
    let plain = |byte: u8| (0x20..=0x7e).contains(&byte);
    !text.is_empty() && text.len() <= ID_BYTES_MAX && text.bytes().all(plain)
}

/// How a client that registers itself wants to say who it is: without a secret where that is enough, because a
/// program on a person's machine can keep none from its owner.
fn wanted(authority: &Authority) -> Method {
    let methods = &authority.methods;
    match methods.contains(&Method::None) {
        true => Method::None,
        false => methods.first().copied().unwrap_or(Method::None),
    }
}

fn request(redirect: &str, scopes: &[String], method: Method) -> Vec<u8> {
    let mut wanted = json!({
        "client_name": CLIENT_NAME,
        "redirect_uris": [redirect],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.name(),
        // OpenID's registration takes a client for a web page where nothing is said, whose redirect
        // addresses may have to be `https:`.
        "application_type": "native",
    });
    if let (Some(members), false) = (wanted.as_object_mut(), scopes.is_empty()) {
        members.insert("scope".to_owned(), scopes.join(" ").into());
    }
    wanted.to_string().into_bytes()
}

#[derive(Deserialize)]
struct Registered {
    client_id: String,
    client_secret: Option<Secret>,
    token_endpoint_auth_method: Option<String>,
    redirect_uris: Option<Vec<String>>,
}

/// Reads what the authority made of a registration.
fn read(bytes: &[u8], url: &str, asked: Method, redirect: &str) -> Result<Client, OauthError> {
    let fault = |why: String| OauthError::Document {
        what: WHAT,
        url: url.to_owned(),
        why,
    };
    let made: Registered =
        serde_json::from_slice(bytes).map_err(|error| fault(unreadable(bytes, &error)))?;
    if !is_id(&made.client_id) {
        return Err(fault(
            "its `client_id` is not a text of visible characters".to_owned(),
        ));
    }
    // Codes would go to somebody else.
    let others = made.redirect_uris.unwrap_or_default();
    if !others.is_empty() && !others.iter().any(|it| it == redirect) {
        return Err(fault(
            "it has another redirect address than the one that was asked for".to_owned(),
        ));
    }
    let method = match made.token_endpoint_auth_method.as_deref() {
        // RFC 7591, section 3.2.1: what is not repeated is as it was asked for.
        None => asked,
        Some(name) => Method::named(name).ok_or_else(|| {
            let name = said(name);
            fault(format!(
                "it wants `{name}` as proof of who we are, which is not offered"
            ))
        })?,
    };
    if method != Method::None && made.client_secret.is_none() {
        return Err(fault(
            "it has no `client_secret`, and wants one shown".to_owned(),
        ));
    }
    Ok(Client {
        id: made.client_id,
        // What is never shown need not be kept.
        secret: made.client_secret.filter(|_| method != Method::None),
        method,
        kind: ClientKind::Dynamic,
    })
}

/// Registers a client of this login's own.
///
/// # Errors
/// When the authority registers none, or not such a one.
pub async fn register(
    road: &dyn Road,
    authority: &Authority,
    redirect: &str,
    scopes: &[String],
) -> Result<Client, OauthError> {
    let place = authority
        .register
        .as_ref()
        .ok_or_else(|| OauthError::NoClient {
            issuer: authority.issuer.clone(),
        })?;
    let method = wanted(authority);
    let asked = Request::builder()
        .method(Verb::POST)
        .uri(place.as_str())
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .body(request(redirect, scopes, method));
    let answer = exchange(road, WHAT, place.as_str(), asked).await?;
    read(answer.body(), place.as_str(), method, redirect)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::authority::tests::authority;

    const REDIRECT: &str = "http://127.0.0.1:4711/callback";

    fn made(document: &Value) -> Result<Client, OauthError> {
        read(
            document.to_string().as_bytes(),
            "https://auth.example.com/register",
            Method::None,
            REDIRECT,
        )
    }

    #[test]
    fn refuses_a_registration_that_sends_codes_elsewhere_or_cannot_be_used() {
        for document in [
            json!({ "client_id": "a", "redirect_uris": ["https://evil.example/"] }),
            json!({ "client_id": "a", "token_endpoint_auth_method": "private_key_jwt" }),
            json!({ "client_id": "a", "token_endpoint_auth_method": "client_secret_post" }),
            json!({ "client_id": "" }),
            json!({ "client_id": "a\n" }),
            json!({ "client_id": 1 }),
            json!({}),
        ] {
            assert!(made(&document).is_err(), "{document}");
        }
        let page = read(b"<html>", "https://a.example/", Method::None, REDIRECT).unwrap_err();
        assert!(page.to_string().contains("a page for people"), "{page}");
    }

    #[test]
    fn a_secret_that_is_not_asked_for_is_not_kept() {
        let client = made(&json!({ "client_id": "a", "client_secret": "b" })).unwrap();
        assert_eq!((client.secret, client.method), (None, Method::None));
        let client = made(&json!({
            "client_id": "a", "client_secret": "b", "token_endpoint_auth_method": "client_secret_basic",
            "redirect_uris": [REDIRECT],
        }));
        let client = client.unwrap();
        assert_eq!(client.secret.unwrap().reveal(), "b");
        assert_eq!(client.method, Method::Basic);
    }

    #[test]
    fn what_is_asked_for_is_a_program_on_this_machine() {
        let scopes = ["a".to_owned(), "b".to_owned()];
        let text = request(REDIRECT, &scopes, wanted(&authority()));
        let asked: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(asked["redirect_uris"], json!([REDIRECT]));
        assert_eq!(asked["token_endpoint_auth_method"], "none");
        assert_eq!(asked["scope"], "a b");
        let without: Value = serde_json::from_slice(&request(REDIRECT, &[], Method::Post)).unwrap();
        assert_eq!(without.get("scope"), None);
    }

    #[test]
    fn a_registered_client_says_who_it_is_as_the_authority_wants_it() {
        let authority = authority();
        let secret = Secret::new("x");
        let client = Client::registered("me", secret, &authority).unwrap();
        assert_eq!(client.method, Method::Post);
        let public = Client::registered("me", None, &authority).unwrap();
        assert_eq!(public.method, Method::None);
        assert!(Client::registered("", None, &authority).is_err());
    }
}
