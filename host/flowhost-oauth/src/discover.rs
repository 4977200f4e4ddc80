//! From a server's address to the authority whose tokens it takes, step by step, each address checked before it is
//! asked.

use http::header::{ACCEPT, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{Method, Request, Response, StatusCode};

use crate::address::Address;
use crate::asked::{Asked, said};
use crate::authority::{self, Authority};
use crate::error::OauthError;
use crate::resource::{self, Resource};
use crate::road::{Reads, Road};

/// What a server is asked without a token. A ping begins no session that would have to be ended, and a server that
/// lets strangers begin one still wants to know who asks for anything else.
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

const SERVER: &str = "the server";

/// Whom a server believes, and what it wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What the server says of itself.
    pub resource: Resource,
    /// Who gives tokens for it.
    pub authority: Authority,
    /// What a token has to allow: as the server asked, else all that its document names (MCP, 2025-11-25).
    pub scopes: Vec<String>,
}

/// Asks a server whose tokens it takes, and the authority how they are had. With `issuer` it is that one of the
/// server's authorities, else its first.
///
/// # Errors
/// When one of them does not say it, or says what cannot be believed.
pub async fn discover(
    road: &dyn Road,
    server: &Address,
    issuer: Option<&Address>,
) -> Result<Found, OauthError> {
    let (asked, answered) = challenge(road, server).await?;
    let resource = resource(road, server, &asked, answered).await?;
    let chosen = match issuer {
        None => resource.authorities.first(),
        Some(wanted) => resource.authorities.iter().find(|it| *it == wanted),
    };
    let chosen = chosen.ok_or_else(|| OauthError::NotItsAuthority {
        server: server.to_string(),
        wanted: issuer.map(ToString::to_string).unwrap_or_default(),
        named: shown(&resource.authorities),
    })?;
    let authority = authority(road, chosen).await?;
    let scopes = match asked.scopes.is_empty() {
        true => resource.scopes.clone(),
        false => asked.scopes,
    };
    Ok(Found {
        resource,
        authority,
        scopes,
    })
}

fn shown(authorities: &[Address]) -> String {
    let all: Vec<String> = authorities.iter().map(|it| format!("`{it}`")).collect();
    all.join(", ")
}

/// What a server says to somebody without a token, and with which status.
async fn challenge(road: &dyn Road, server: &Address) -> Result<(Asked, StatusCode), OauthError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(server.as_str())
        .header(CONTENT_TYPE, "application/json")
        // Both: the protocol wants it so, and servers refuse the request before they look at a
        // token.
        .header(ACCEPT, "application/json, text/event-stream")
        .body(PING.as_bytes().to_vec());
    // The head alone, since a server that lets strangers in may answer a ping with a stream.
    let answer = sent(road, SERVER, server.as_str(), request, Reads::Head).await?;
    let values = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let asked = Asked::of(values.filter_map(|value| value.to_str().ok()));
    Ok((asked.unwrap_or_default(), answer.status()))
}

async fn resource(
    road: &dyn Road,
    server: &Address,
    asked: &Asked,
    answered: StatusCode,
) -> Result<Resource, OauthError> {
    let places = match &asked.metadata {
        None => Resource::places(server),
        Some(text) => vec![Address::parse(text).map_err(|fault| OauthError::Address {
            what: "the place where the server describes itself",
            shown: said(text),
            fault,
        })?],
    };
    let document = first(road, resource::WHAT, &places).await?;
    let (place, bytes) = document.ok_or_else(|| OauthError::NoMetadata {
        server: server.to_string(),
        said: match answered.is_success() {
            true => ", and answers without a login".to_owned(),
            false => format!("; without a token it answers HTTP {}", answered.as_u16()),
        },
    })?;
    Resource::read(&bytes, &place, server)
}

async fn authority(road: &dyn Road, issuer: &Address) -> Result<Authority, OauthError> {
    let document = first(road, authority::WHAT, &Authority::places(issuer)).await?;
    let (place, bytes) = document.ok_or_else(|| OauthError::NoAuthority {
        issuer: issuer.to_string(),
    })?;
    Authority::read(&bytes, &place, issuer)
}

/// The first of these documents that is there. What is not there is answered with 4xx, whichever.
async fn first(
    road: &dyn Road,
    what: &'static str,
    places: &[Address],
) -> Result<Option<(Address, Vec<u8>)>, OauthError> {
    for place in places {
        let request = Request::builder()
            .uri(place.as_str())
            .header(ACCEPT, "application/json")
            .body(Vec::new());
        let answer = sent(road, what, place.as_str(), request, Reads::Whole).await?;
        // No other success: they have no document in them.
        if answer.status() == StatusCode::OK {
            return Ok(Some((place.clone(), answer.into_body())));
        }
        if !answer.status().is_client_error() {
            return Err(refused(what, place.as_str(), &answer));
        }
    }
    Ok(None)
}

/// Sends, and refuses an answer that sends us elsewhere.
pub(crate) async fn sent(
    road: &dyn Road,
    what: &'static str,
    url: &str,
    request: http::Result<Request<Vec<u8>>>,
    reads: Reads,
) -> Result<Response<Vec<u8>>, OauthError> {
    let unanswered = |why: String| OauthError::Unanswered {
        what,
        url: url.to_owned(),
        why,
    };
    let request = request.map_err(|error| unanswered(error.to_string()))?;
    let answer = road
        .send(request, reads)
        .await
        .map_err(|error| unanswered(error.0))?;
    match answer.status().is_redirection() {
        true => Err(OauthError::Redirected {
            what,
            url: url.to_owned(),
            status: answer.status().as_u16(),
        }),
        false => Ok(answer),
    }
}

/// Sends, and refuses everything but a success.
pub(crate) async fn exchange(
    road: &dyn Road,
    what: &'static str,
    url: &str,
    request: http::Result<Request<Vec<u8>>>,
) -> Result<Response<Vec<u8>>, OauthError> {
    let answer = sent(road, what, url, request, Reads::Whole).await?;
    match answer.status().is_success() {
        true => Ok(answer),
        false => Err(refused(what, url, &answer)),
    }
}

/// What an answer says that is no success.
pub(crate) fn refused(what: &'static str, url: &str, answer: &Response<Vec<u8>>) -> OauthError {
    let text = said(&String::from_utf8_lossy(answer.body()));
    OauthError::Status {
        what,
        url: url.to_owned(),
        status: answer.status().as_u16(),
        said: match text.trim() {
            "" => String::new(),
            text => format!(": {text}"),
        },
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use async_trait::async_trait;
    use serde_json::{Value, json};

    use super::*;
    use crate::authority::tests::document;
    use crate::road::RoadError;

    /// Status, headers, body.
    type Said = (u16, Vec<(&'static str, String)>, String);

    /// Answers by method and address; what is not known is not there.
    #[derive(Default)]
    pub(crate) struct Doubled {
        answers: BTreeMap<String, Said>,
        pub(crate) asked: Mutex<Vec<(String, String)>>,
    }

    impl Doubled {
        pub(crate) fn answering(
            mut self,
            what: &str,
            status: u16,
            headers: &[(&'static str, &str)],
            body: &str,
        ) -> Self {
            let headers = headers
                .iter()
                .map(|(name, value)| (*name, (*value).to_owned()));
            let answer = (status, headers.collect(), body.to_owned());
            self.answers.insert(what.to_owned(), answer);
            self
        }

        fn json(self, what: &str, body: &Value) -> Self {
            self.answering(what, 200, &[], &body.to_string())
        }
    }

    #[async_trait]
    impl Road for Doubled {
        async fn send(
            &self,
            request: Request<Vec<u8>>,
            _reads: Reads,
        ) -> Result<Response<Vec<u8>>, RoadError> {
            let what = format!("{} {}", request.method(), request.uri());
            let body = String::from_utf8_lossy(request.body()).into_owned();
            self.asked.lock().unwrap().push((what.clone(), body));
            let missing = (404, Vec::new(), "not found".to_owned());
            let (status, headers, body) = self.answers.get(&what).unwrap_or(&missing);
            let mut response = Response::builder().status(*status);
            for (name, value) in headers {
                response = response.header(*name, value);
            }
            Ok(response.body(body.clone().into_bytes()).unwrap())
        }
    }

    const ASK: &str = "POST https://mcp.example.com/mcp";
    const OWN: &str = "GET https://mcp.example.com/.well-known/oauth-protected-resource/mcp";
    const ROOT: &str = "GET https://mcp.example.com/.well-known/oauth-protected-resource";
    const AUTHORITY: &str = "GET https://auth.example.com/.well-known/oauth-authorization-server";
    const OPENID: &str = "GET https://auth.example.com/.well-known/openid-configuration";

    fn own() -> Value {
        json!({
            "resource": "https://mcp.example.com/mcp",
            "authorization_servers": ["https://auth.example.com", "https://second.example.com"],
            "scopes_supported": ["read", "write"],
        })
    }

    async fn found(road: &Doubled) -> Result<Found, OauthError> {
        let server = Address::parse("https://mcp.example.com/mcp").unwrap();
        discover(road, &server, None).await
    }

    fn asked(road: &Doubled) -> Vec<String> {
        let asked = road.asked.lock().unwrap();
        asked.iter().map(|(what, _)| what.clone()).collect()
    }

    #[tokio::test]
    async fn an_address_inside_of_the_network_is_told_to_the_road_and_one_of_another_kind_to_nobody()
     {
        for named in [
            "file:///etc/passwd",
            "http://169.254.169.254/latest",
            "ftp://a.example/",
        ] {
            let challenge = format!("Bearer resource_metadata=\"{named}\"");
            let road =
                Doubled::default().answering(ASK, 401, &[("www-authenticate", &challenge)], "");
            let refused = found(&road).await.unwrap_err();
            assert!(matches!(refused, OauthError::Address { .. }), "{refused}");
            assert_eq!(asked(&road), [ASK]);
        }
    }

    #[tokio::test]
    async fn nothing_is_believed_that_redirects_or_fails_or_is_not_there() {
        let road = Doubled::default();
        let refused = found(&road).await.unwrap_err();
        assert!(refused.to_string().contains("HTTP 404"), "{refused}");
        assert_eq!(asked(&road), [ASK, OWN, ROOT]);
        let road =
            Doubled::default().answering(OWN, 302, &[("location", "https://x.example/")], "");
        let refused = found(&road).await.unwrap_err();
        assert!(
            matches!(refused, OauthError::Redirected { .. }),
            "{refused}"
        );
        let road = Doubled::default().answering(OWN, 500, &[], "\u{1b}[31moops");
        let refused = found(&road).await.unwrap_err();
        assert!(refused.is_passing() && !refused.to_string().contains('\u{1b}'));
        let road = Doubled::default().json(OWN, &own());
        let refused = found(&road).await.unwrap_err();
        assert!(
            matches!(refused, OauthError::NoAuthority { .. }),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn what_a_server_asks_for_is_asked_and_else_what_its_document_names() {
        let road = Doubled::default()
            .json(ROOT, &own())
            .json(OPENID, &document());
        let there = found(&road).await.unwrap();
        assert_eq!(there.scopes, ["read", "write"]);
        assert_eq!(asked(&road), [ASK, OWN, ROOT, AUTHORITY, OPENID]);

        let challenge =
            "Bearer scope=\"read\", resource_metadata=\"https://mcp.example.com/about\"";
        let road = Doubled::default()
            .answering(ASK, 401, &[("www-authenticate", challenge)], "")
            .json("GET https://mcp.example.com/about", &own())
            .json(AUTHORITY, &document());
        let there = found(&road).await.unwrap();
        assert_eq!(there.scopes, ["read"]);
        assert_eq!(there.authority.issuer, "https://auth.example.com");
    }

    #[tokio::test]
    async fn a_person_may_choose_among_the_servers_authorities_and_name_no_other() {
        let road = Doubled::default()
            .json(OWN, &own())
            .json(AUTHORITY, &document());
        let server = Address::parse("https://mcp.example.com/mcp").unwrap();
        let wanted = Address::parse("https://evil.example").unwrap();
        let refused = discover(&road, &server, Some(&wanted)).await.unwrap_err();
        assert!(
            matches!(refused, OauthError::NotItsAuthority { .. }),
            "{refused}"
        );
        let wanted = Address::parse("https://auth.example.com").unwrap();
        assert!(discover(&road, &server, Some(&wanted)).await.is_ok());
    }
}
