//! What MCP servers, their authorities and a browser say in a login.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use flowhost_oauth::{
    Address, Asked, Attempt, Authority, Client, Found, Login, Reads, Resource, Road, RoadError,
    Secret, is_scope, renew,
};
use http::{Request, Response};

use super::{head_and_rest, text};
use crate::{Outcome, Target};

pub(crate) const ASKED: Target = Target {
    name: "oauth-asked",
    run: asked,
    words: &[
        "Bearer ",
        "Basic ",
        "resource_metadata=\"https://a.example/m\"",
        "scope=\"a b\"",
        "error=\"insufficient_scope\"",
        "=",
        "\"",
        "\\\"",
        ",",
    ],
};

pub(crate) const DOCUMENTS: Target = Target {
    name: "oauth-documents",
    run: documents,
    words: &[
        "\"resource\":\"https://a.example/mcp\"",
        "\"authorization_servers\":[\"https://a.example\"]",
        "\"issuer\":\"https://a.example\"",
        "\"authorization_endpoint\":\"https://a.example/authorize\"",
        "\"token_endpoint\":\"https://a.example/token\"",
        "\"code_challenge_methods_supported\":[\"S256\"]",
        "\"scopes_supported\":[\"a\"]",
        "https://a.example/",
        "http://127.0.0.1/",
        "javascript:",
        "$(x)",
        "null",
        "[[[[",
    ],
};

pub(crate) const ANSWER: Target = Target {
    name: "oauth-answer",
    run: answer,
    words: &[
        "state=",
        "&code=c",
        "&iss=https%3A%2F%2Fa.example",
        "&error=access_denied",
        "%00",
        "+",
        "&&",
        "code=",
    ],
};

pub(crate) const TOKEN: Target = Target {
    name: "oauth-token",
    run: token,
    words: &[
        "\"access_token\":\"a\"",
        "\"token_type\":\"Bearer\"",
        "\"expires_in\":60",
        "\"refresh_token\":\"b\"",
        "\"scope\":\"a b\"",
        "\"error\":\"invalid_grant\"",
        "-1",
        "1e99",
        "null",
        "\\u0000",
    ],
};

/// What is asked for can be asked for: scopes are words, and words for people have nothing hidden in them.
fn asked(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let asked = Asked::of([&*text]);
    if let Some(asked) = &asked {
        assert!(asked.scopes.iter().all(|it| is_scope(it)));
        let error = asked.error.as_deref().unwrap_or_default();
        assert!(!error.chars().any(char::is_control), "{error:?}");
    }
    Outcome::of(&asked.ok_or(()))
}

fn here(text: &str) -> Option<Address> {
    Address::parse(text).ok()
}

/// First line: a server's description of itself. The rest: an authority's. Whatever is believed is of whom it was asked,
/// and every address of it is one that may be asked.
fn documents(bytes: &[u8]) -> Outcome {
    let (head, rest) = head_and_rest(bytes);
    let (Some(server), Some(issuer)) = (here("https://a.example/mcp"), here("https://a.example"))
    else {
        return Outcome::Refused;
    };
    let resource = Resource::read(head, &server, &server);
    if let Ok(resource) = &resource {
        let named = here(&resource.name);
        assert!(named.is_some_and(|it| it.covers(server.url())));
        assert!(!resource.authorities.is_empty());
        assert!(resource.scopes.iter().all(|it| is_scope(it)));
    }
    let authority = Authority::read(rest, &issuer, &issuer);
    if let Ok(authority) = &authority {
        assert_eq!(here(&authority.issuer).as_ref(), Some(&issuer));
        let all = [&authority.authorize, &authority.token].into_iter();
        for address in all.chain(&authority.register).chain(&authority.revoke) {
            let again = Address::parse(address.as_str());
            assert_eq!(again.as_ref(), Ok(address), "{address}");
        }
    }
    Outcome::of(&resource.map(drop).and(authority.map(drop)))
}

/// An authority and a client without anything special.
fn begun() -> Option<(Found, Client)> {
    let authority =
        br#"{"issuer":"https://a.example","authorization_endpoint":"https://a.example/authorize",
        "token_endpoint":"https://a.example/token","code_challenge_methods_supported":["S256"]}"#;
    let issuer = here("https://a.example")?;
    let authority = Authority::read(authority, &issuer, &issuer).ok()?;
    let resource = Resource {
        name: "https://a.example/mcp".to_owned(),
        authorities: vec![issuer],
        scopes: Vec::new(),
    };
    let client = Client::document("https://a.example/client.json");
    let found = Found {
        resource,
        authority,
        scopes: Vec::new(),
    };
    Some((found, client))
}

/// What only the login knows, of these tests.
const ENTROPY: [u8; 64] = [0; 64];

/// A code is taken only beside the state that was sent, which is 32 zeros here.
fn answer(bytes: &[u8]) -> Outcome {
    let Some((found, client)) = begun() else {
        return Outcome::Refused;
    };
    let redirect = "http://127.0.0.1:1/callback";
    let begun = Attempt::begin(
        &found.authority,
        &client,
        &found.resource.name,
        &[],
        redirect,
        &ENTROPY,
    );
    let Ok((attempt, _)) = begun else {
        return Outcome::Refused;
    };
    let query = text(bytes);
    let code = attempt.answered(&query);
    if let Ok(code) = &code {
        assert!(query.contains(&"A".repeat(40)), "{query}");
        assert!(code.reveal().bytes().all(|byte| byte.is_ascii_graphic()));
    }
    Outcome::of(&code)
}

/// Answers at once, and with the same.
struct Said<'a>(&'a [u8]);

#[async_trait]
impl Road for Said<'_> {
    async fn send(
        &self,
        _request: Request<Vec<u8>>,
        _reads: Reads,
    ) -> Result<Response<Vec<u8>>, RoadError> {
        Ok(Response::new(self.0.to_vec()))
    }
}

/// A token can be sent in a header, and nothing of what came is shown where there is none.
fn token(bytes: &[u8]) -> Outcome {
    let Some((found, client)) = begun() else {
        return Outcome::Refused;
    };
    let (Some(server), Some(old)) = (here("https://a.example/mcp"), Secret::new("old")) else {
        return Outcome::Refused;
    };
    let tokens = flowhost_oauth::Tokens {
        access: old.clone(),
        refresh: Some(old),
        lifetime_s: None,
        scopes: None,
    };
    let login = Login::new("a", &server, &found, client, Vec::new(), tokens, 0);
    let road = Said(bytes);
    let mut renewing = pin!(renew(&road, &login));
    // Nothing in it waits.
    let Poll::Ready(given) = renewing
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    else {
        return Outcome::Refused;
    };
    if let Ok(given) = &given {
        let word = |it: &Secret| it.reveal().bytes().all(|byte| byte.is_ascii_graphic());
        assert!(word(&given.access) && given.refresh.as_ref().is_none_or(word));
        let scopes = given.scopes.as_deref().unwrap_or_default();
        assert!(scopes.iter().all(|it| is_scope(it)));
    }
    Outcome::of(&given)
}
