//! Tokens: given for a code, given anew for an older one, and given back.

use std::borrow::Cow;
use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method as Verb, Request, StatusCode};
use oauth2::basic::{BasicClient, BasicErrorResponse, BasicTokenResponse, BasicTokenType};
use oauth2::{
    AuthType, AuthorizationCode, ClientId, ClientSecret, HttpRequest, HttpResponse, RefreshToken,
    RequestTokenError, TokenResponse as _, TokenUrl,
};
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::asked::{SCOPES_MAX, is_scope, said};
use crate::attempt::Attempt;
use crate::authority::Authority;
use crate::client::{Client, Method};
use crate::discover::{refused, sent};
use crate::error::{OauthError, is_busy};
use crate::login::Login;
use crate::road::{Reads, Road};
use crate::secret::Secret;

const WHAT: &str = "the place where tokens are given";
const BACK: &str = "the place where tokens are given back";

/// Seconds that a token is believed to last at most: a year, in which every authority may have its reasons.
const LIFETIME_MAX_S: u64 = 366 * 24 * 3_600;

/// What an authority gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// What the server is shown.
    pub access: Secret,
    /// What a new one is had for.
    pub refresh: Option<Secret>,
    /// For how long the access token is good, in seconds, if the authority says it.
    pub lifetime_s: Option<u64>,
    /// What it allows, where that is not what was asked for.
    pub scopes: Option<Vec<String>>,
}

/// The library's client, without addresses.
pub(crate) fn library(client: &Client) -> BasicClient {
    let made =
        BasicClient::new(ClientId::new(client.id.clone())).set_auth_type(match client.method {
            Method::Basic => AuthType::BasicAuth,
            Method::None | Method::Post => AuthType::RequestBody,
        });
    match &client.secret {
        Some(secret) => made.set_client_secret(ClientSecret::new(secret.reveal().to_owned())),
        None => made,
    }
}

/// Has tokens given for a code. They are good for `resource` alone (RFC 8707).
///
/// # Errors
/// When the authority gives none.
pub async fn redeem(
    road: &dyn Road,
    authority: &Authority,
    client: &Client,
    attempt: &Attempt,
    resource: &str,
    code: &Secret,
) -> Result<Tokens, OauthError> {
    let place = &authority.token;
    let given = |ask: &Ask<'_>| {
        let shared = library(client).set_token_uri(TokenUrl::from_url(place.url().clone()));
        let asked = shared
            .exchange_code(AuthorizationCode::new(code.reveal().to_owned()))
            .set_pkce_verifier(attempt.verifier())
            .set_redirect_uri(Cow::Owned(attempt.redirect()))
            .add_extra_param("resource", resource);
        asked.request(&ask)
    };
    let request = written(&given)?;
    let proof = attempt.verifier();
    let told = Told::of(client, [code.reveal(), proof.secret().as_str()]);
    let answer = carried(road, place.as_str(), request, &told).await?;
    tokens(given(&|_| Ok(answer.clone())), place.as_str(), &told)
}

/// Has a new token given for the login's refresh token, for the same server.
///
/// # Errors
/// When the authority gives none, or the login has nothing to give for it.
pub async fn renew(road: &dyn Road, login: &Login) -> Result<Tokens, OauthError> {
    let refresh = login.refresh.as_ref().ok_or_else(|| OauthError::Refused {
        error: "no refresh token".to_owned(),
        said: String::new(),
    })?;
    let place = address(&login.token_endpoint)?;
    let given = |ask: &Ask<'_>| {
        let shared = library(&login.client).set_token_uri(TokenUrl::from_url(place.url().clone()));
        let refresh = RefreshToken::new(refresh.reveal().to_owned());
        let asked = shared
            .exchange_refresh_token(&refresh)
            .add_extra_param("resource", login.resource.as_str());
        asked.request(&ask)
    };
    let request = written(&given)?;
    // The access token as well, though it is not sent: the authority has given it, and may name
    // what it replaces.
    let told = Told::of(&login.client, [refresh.reveal(), login.access.reveal()]);
    let answer = carried(road, place.as_str(), request, &told).await?;
    tokens(given(&|_| Ok(answer.clone())), place.as_str(), &told)
}

/// Tells the authority that a login's tokens are no longer wanted. Gives whether it has a place for that.
///
/// The request is written here, because the library's knows only places with `https:`, and an authority on this
/// machine has none.
///
/// # Errors
/// When the authority does not take it.
pub async fn revoke(road: &dyn Road, login: &Login) -> Result<bool, OauthError> {
    let Some(place) = &login.revocation_endpoint else {
        return Ok(false);
    };
    let place = address(place)?;
    // With the refresh token go the tokens that it gave, at most authorities; not at all of them.
    let refresh = login.refresh.iter().map(|it| (it, "refresh_token"));
    for (token, hint) in refresh.chain([(&login.access, "access_token")]) {
        let client = &login.client;
        let secret = client.secret.as_ref().map(Secret::reveal);
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token.reveal());
        form.append_pair("token_type_hint", hint);
        let mut request = Request::builder()
            .method(Verb::POST)
            .uri(place.as_str())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        match (client.method, secret) {
            (Method::Basic, Some(secret)) => {
                let encoded = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encoded(&client.id), encoded(secret));
                let pair = Zeroizing::new(pair);
                request =
                    request.header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(&*pair)));
            }
            (_, secret) => {
                form.append_pair("client_id", &client.id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret);
                }
            }
        }
        let request = request.body(form.finish().into_bytes());
        let answer = sent(road, BACK, place.as_str(), request, Reads::Whole).await?;
        if !answer.status().is_success() {
            let both = login.refresh.iter().chain([&login.access]);
            let told = Told::of(client, both.map(Secret::reveal));
            return Err(told.refused(BACK, place.as_str(), answer));
        }
    }
    Ok(true)
}

/// An address that was checked when it was kept; whoever changed it since does not get a token sent there.
fn address(text: &str) -> Result<Address, OauthError> {
    Address::parse(text).map_err(|fault| OauthError::Address {
        what: WHAT,
        shown: said(text),
        fault,
    })
}

/// What stands in the library's place for HTTP: it is asked twice, once to have its request and once to hand it the
/// answer, because its own way of waiting cannot be moved between threads.
type Ask<'a> = dyn Fn(HttpRequest) -> Result<HttpResponse, OauthError> + 'a;

/// What the library makes of an answer.
type Given = Result<BasicTokenResponse, RequestTokenError<OauthError, BasicErrorResponse>>;

/// The request that the library would send.
fn written(given: &dyn Fn(&Ask<'_>) -> Given) -> Result<HttpRequest, OauthError> {
    let kept = RefCell::new(None);
    let stop = OauthError::Answer("the request for a token cannot be written".to_owned());
    let _stopped = given(&|request| {
        *kept.borrow_mut() = Some(request);
        Err(stop.clone())
    });
    kept.into_inner().ok_or(stop)
}

/// What an authority was told that nobody else may read, and which a refusal of its may repeat: that goes into messages and
/// records.
struct Told<'a>(Vec<&'a str>);

impl<'a> Told<'a> {
    fn of(client: &'a Client, secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let own = client.secret.as_ref().map(Secret::reveal);
        Self(own.into_iter().chain(secrets).collect())
    }

    /// A text without it, as it was told and as forms write it.
    fn taken_out(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, secret| {
            let encoded: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            text.replace(*secret, HIDDEN).replace(&encoded, HIDDEN)
        })
    }

    /// What an answer says that is no success.
    fn refused(&self, what: &'static str, url: &str, answer: HttpResponse) -> OauthError {
        let clean = |body: Vec<u8>| self.taken_out(&String::from_utf8_lossy(&body)).into_bytes();
        refused(what, url, &answer.map(clean))
    }
}

/// What stands in the place of a secret.
const HIDDEN: &str = "[hidden]";

async fn carried(
    road: &dyn Road,
    url: &str,
    request: HttpRequest,
    told: &Told<'_>,
) -> Result<HttpResponse, OauthError> {
    let answer = sent(road, WHAT, url, Ok(request), Reads::Whole).await?;
    // A refusal of the protocol's is a JSON document; any other is somebody's on the way. One that has too much to do may
    // use the form too, and says nothing of the token.
    let busy = is_busy(answer.status().as_u16());
    let speaks = serde_json::from_slice::<serde::de::IgnoredAny>(answer.body()).is_ok();
    match (speaks && !busy, answer.status()) {
        (true, _) => Ok(answer),
        (false, StatusCode::OK) => Err(OauthError::Document {
            what: WHAT,
            url: url.to_owned(),
            why: no_token(answer.body()).to_owned(),
        }),
        (false, _) => Err(told.refused(WHAT, url, answer)),
    }
}

/// Why an answer holds no token, without a word of it: it may hold one all the same.
fn no_token(body: &[u8]) -> &'static str {
    match body.trim_ascii_start().first() {
        Some(b'<') => "its answer is a page for people (HTML or XML), and no JSON",
        _ => "its answer is not a JSON document with `access_token` and `token_type`",
    }
}

/// What came, checked. No text of the answer is shown where it may hold a token.
fn tokens(answer: Given, url: &str, told: &Told<'_>) -> Result<Tokens, OauthError> {
    let fault = |why: &str| OauthError::Document {
        what: WHAT,
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let given = answer.map_err(|error| match error {
        RequestTokenError::ServerResponse(refusal) => OauthError::Refused {
            error: said(&told.taken_out(refusal.error().as_ref())),
            said: refusal
                .error_description()
                .map_or_else(String::new, |it| format!(": {}", said(&told.taken_out(it)))),
        },
        RequestTokenError::Request(error) => error,
        RequestTokenError::Parse(_, body) => fault(no_token(&body)),
        RequestTokenError::Other(why) => fault(&said(&why)),
    })?;
    // A token of another type needs a proof beside it, and a server would be shown it without.
    if !matches!(given.token_type(), BasicTokenType::Bearer) {
        return Err(fault("its token is not a bearer's, and no other is sent"));
    }
    let word = "its token is not one visible word";
    let refresh = given
        .refresh_token()
        .map(|it| Secret::new(it.secret()).ok_or_else(|| fault(word)));
    let scopes = given.scopes().map(|all| {
        let words = all.iter().map(|it| it.as_str()).filter(|it| is_scope(it));
        words.take(SCOPES_MAX).map(str::to_owned).collect()
    });
    Ok(Tokens {
        access: Secret::new(given.access_token().secret()).ok_or_else(|| fault(word))?,
        refresh: refresh.transpose()?,
        lifetime_s: given
            .expires_in()
            .map(|it| it.as_secs().min(LIFETIME_MAX_S)),
        scopes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::tests::authority;
    use crate::discover::tests::Doubled;
    use crate::login::tests::login;

    const TOKEN: &str = "POST https://auth.example.com/token";

    fn giving(status: u16, body: &str) -> Doubled {
        Doubled::default().answering(TOKEN, status, &[], body)
    }

    async fn renewed(status: u16, body: &str) -> Result<Tokens, OauthError> {
        renew(&giving(status, body), &login()).await
    }

    #[tokio::test]
    async fn refuses_what_is_no_token_and_shows_nothing_of_it() {
        for (status, body) in [
            (200, "<html>canary</html>"),
            (200, "canary"),
            (200, ""),
            (200, r#"{"access_token":"canary"}"#),
            (200, r#"{"access_token":"canary","token_type":"mac"}"#),
            (
                200,
                r#"{"access_token":"can ary\r\n","token_type":"bearer"}"#,
            ),
            (200, r#"{"access_token":"","token_type":"bearer"}"#),
            (
                200,
                r#"{"access_token":"canary","token_type":"bearer","expires_in":"canary"}"#,
            ),
            (302, ""),
            (500, "<html>oops</html>"),
        ] {
            let refused = renewed(status, body).await.unwrap_err().to_string();
            assert!(!refused.contains("canary"), "{refused}");
        }
    }

    #[tokio::test]
    async fn says_what_the_authority_says_of_its_refusal() {
        let body = r#"{"error":"invalid_grant","error_description":"it was revoked"}"#;
        let refused = renewed(400, body).await.unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the authority gives no token: invalid_grant: it was revoked"
        );
        let away = renewed(503, "<html>later</html>").await.unwrap_err();
        assert!(away.is_passing() && !refused.is_passing());
    }

    #[tokio::test]
    async fn an_authority_that_has_too_much_to_do_says_nothing_of_the_token() {
        for (status, error, passing) in [
            (503, "temporarily_unavailable", true),
            (429, "invalid_grant", true),
            (500, "server_error", true),
            (400, "temporarily_unavailable", true),
            (400, "slow_down", true),
            (400, "invalid_grant", false),
            (401, "invalid_client", false),
        ] {
            let refused = renewed(status, &format!("{{\"error\":\"{error}\"}}")).await;
            let refused = refused.unwrap_err();
            assert_eq!(refused.is_passing(), passing, "{status} {error}: {refused}");
        }
    }

    #[tokio::test]
    async fn a_refusal_that_repeats_what_it_was_told_is_shown_without_it() {
        let mut login = login();
        login.client.secret = Secret::new("my+secret");
        login.client.method = Method::Post;
        let cut = format!("{}old-refresh", "x".repeat(195));
        for (status, body) in [
            (
                400,
                r#"{"error":"invalid_grant","error_description":"old-refresh is not known"}"#,
            ),
            (400, r#"{"error":"old-refresh"}"#),
            (
                400,
                r#"{"error":"x","error_description":"old\u002drefresh my+secret"}"#,
            ),
            (
                403,
                "you sent refresh_token=old-refresh&client_secret=my%2Bsecret",
            ),
            (503, "old-access"),
            (400, cut.as_str()),
        ] {
            let refused = renew(&giving(status, body), &login).await.unwrap_err();
            let shown = refused.to_string();
            for secret in ["old-", "my+secret", "my%2B"] {
                assert!(!shown.contains(secret), "{body}: {shown}");
            }
        }
        let place = "https://auth.example.com/revoke";
        let body = "no token old-access or old-refresh";
        let road = Doubled::default().answering(&format!("POST {place}"), 400, &[], body);
        login.revocation_endpoint = Some(place.to_owned());
        let shown = revoke(&road, &login).await.unwrap_err().to_string();
        assert!(!shown.contains("old-"), "{shown}");
    }

    #[tokio::test]
    async fn a_token_is_asked_for_one_server_and_with_what_only_we_have() {
        let road = giving(
            200,
            r#"{"access_token":"a","token_type":"Bearer","expires_in":60,"refresh_token":"r","scope":"x y"}"#,
        );
        let given = renew(&road, &login()).await.unwrap();
        assert_eq!(given.lifetime_s, Some(60));
        assert_eq!(given.scopes.unwrap(), ["x", "y"]);
        assert_eq!(given.refresh.unwrap().reveal(), "r");
        let sent = road.asked.lock().unwrap()[0].1.clone();
        let sent: Vec<(String, String)> = form_urlencoded::parse(sent.as_bytes())
            .into_owned()
            .collect();
        let has = |name: &str, value: &str| {
            assert!(
                sent.contains(&(name.to_owned(), value.to_owned())),
                "{sent:?}"
            );
        };
        has("grant_type", "refresh_token");
        has("refresh_token", "old-refresh");
        has("resource", "https://mcp.example.com/mcp");
        has("client_id", "me");
    }

    #[tokio::test]
    async fn a_code_is_redeemed_with_its_proof() {
        let client = Client::document("https://flowhost.example/client.json");
        let resource = "https://mcp.example.com/mcp";
        let redirect = "http://127.0.0.1:1/callback";
        let (attempt, _) =
            Attempt::begin(&authority(), &client, resource, &[], redirect, &[7; 64]).unwrap();
        let road = giving(200, r#"{"access_token":"a","token_type":"bearer"}"#);
        let code = Secret::new("the-code").unwrap();
        let given = redeem(&road, &authority(), &client, &attempt, resource, &code).await;
        assert_eq!(given.unwrap().lifetime_s, None);
        let sent = road.asked.lock().unwrap()[0].1.clone();
        let sent: Vec<String> = form_urlencoded::parse(sent.as_bytes())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert!(sent.contains(&format!("code_verifier={}", attempt.verifier().secret())));
        assert!(sent.contains(&format!("redirect_uri={redirect}")));
        assert!(sent.contains(&format!("resource={resource}")));
    }

    #[tokio::test]
    async fn both_tokens_are_given_back_where_there_is_a_place_for_it() {
        let place = "https://auth.example.com/revoke";
        let road = Doubled::default().answering(&format!("POST {place}"), 200, &[], "");
        let mut login = login();
        assert_eq!(revoke(&road, &login).await, Ok(false));
        login.revocation_endpoint = Some(place.to_owned());
        assert_eq!(revoke(&road, &login).await, Ok(true));
        let sent = road.asked.lock().unwrap();
        let hints: Vec<bool> = sent
            .iter()
            .map(|(_, body)| body.contains("refresh_token"))
            .collect();
        assert_eq!(hints, [true, false]);
    }
}
