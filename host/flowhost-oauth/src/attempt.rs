//! One login, from the page that a person is shown to the answer that comes back.
//!
//! The attacks: an answer to a login that somebody else began, put into this person's browser; an authority that
//! answers in the place of another; a code that was read along on its way. Against them stand `state`, `iss` and PKCE,
//! each made for one attempt and of no use to the next.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth2::{AuthUrl, CsrfToken, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope};
use url::{Url, form_urlencoded};

use crate::asked::said;
use crate::authority::Authority;
use crate::client::Client;
use crate::error::OauthError;
use crate::secret::Secret;
use crate::tokens::library;

/// Bytes of what comes back: a code has some hundred.
const ANSWER_BYTES_MAX: usize = 8 << 10;

/// What only we know of a login that has begun.
#[derive(Debug)]
pub struct Attempt {
    state: String,
    verifier: Secret,
    redirect: RedirectUrl,
    issuer: String,
    names_itself: bool,
}

impl Attempt {
    /// Begins a login. The page that it gives is the authority's, for a person; `entropy` is randomness that nobody
    /// can guess.
    ///
    /// # Errors
    /// When the redirect address is none.
    pub fn begin(
        authority: &Authority,
        client: &Client,
        resource: &str,
        scopes: &[String],
        redirect: &str,
        entropy: &[u8; 64],
    ) -> Result<(Self, Url), OauthError> {
        // 32 bytes are 43 characters of base64, the shortest verifier that RFC 7636 allows, and no
        // shorter secret is worth a guess.
        let (state, verifier) = entropy.split_at(32);
        let (state, verifier) = (
            URL_SAFE_NO_PAD.encode(state),
            URL_SAFE_NO_PAD.encode(verifier),
        );
        let broken = || OauthError::Answer("the redirect address is not one".to_owned());
        let back = RedirectUrl::new(redirect.to_owned()).map_err(|_| broken())?;
        let shared =
            library(client).set_auth_uri(AuthUrl::from_url(authority.authorize.url().clone()));
        let proof = PkceCodeVerifier::new(verifier.clone());
        let mut page = shared
            .authorize_url(|| CsrfToken::new(state.clone()))
            .set_redirect_uri(Cow::Borrowed(&back))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&proof))
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            // RFC 8707: the token is then good for this server alone, and of no use to another that
            // is shown it.
            .add_extra_param("resource", resource);
        if scopes.iter().any(|it| it == "offline_access") {
            // OpenID Connect Core, section 11: without it the wish is passed over.
            page = page.add_extra_param("prompt", "consent");
        }
        let (page, _state) = page.url();
        let attempt = Self {
            state,
            // Always one: base64 of 32 bytes.
            verifier: Secret::new(&verifier).ok_or_else(broken)?,
            redirect: back,
            issuer: authority.issuer.clone(),
            names_itself: authority.names_itself,
        };
        Ok((attempt, page))
    }

    /// Reads what came back behind the `?` of the redirect address, and gives its code.
    ///
    /// # Errors
    /// When it is the answer to another login, or another authority's, or says no.
    pub fn answered(&self, query: &str) -> Result<Secret, OauthError> {
        if query.len() > ANSWER_BYTES_MAX {
            return Err(OauthError::Answer(format!(
                "it has more than {ANSWER_BYTES_MAX} bytes"
            )));
        }
        let one = |name: &str| {
            let mut found = form_urlencoded::parse(query.as_bytes())
                .filter(|(it, _)| it == name)
                .map(|(_, value)| value.into_owned());
            match (found.next(), found.next()) {
                (found, None) => Ok(found),
                // Two readers of such an answer could take different ones.
                (_, Some(_)) => Err(OauthError::Answer(format!("`{name}` stands twice in it"))),
            }
        };
        // Before all else: of what is no answer to this login, not even an error is shown.
        if !same(one("state")?.as_deref().unwrap_or_default(), &self.state) {
            return Err(OauthError::State);
        }
        match one("iss")? {
            Some(issuer) if issuer == self.issuer => {}
            // An authority that has promised its name and leaves it out may be another.
            None if !self.names_itself => {}
            other => {
                return Err(OauthError::OtherIssuer {
                    wanted: self.issuer.clone(),
                    found: other.map_or_else(
                        || "somebody who does not say who (`iss` is missing)".to_owned(),
                        |issuer| format!("`{}`", said(&issuer)),
                    ),
                });
            }
        }
        if let Some(error) = one("error")? {
            let more = one("error_description")?.map(|it| format!(": {}", said(&it)));
            let error = said(&error);
            return Err(OauthError::Declined(error + &more.unwrap_or_default()));
        }
        let code = one("code")?;
        let code = code.ok_or_else(|| OauthError::Answer("it holds no `code`".to_owned()))?;
        Secret::new(&code)
            .ok_or_else(|| OauthError::Answer("its `code` is not one visible word".to_owned()))
    }

    /// What proves that the code is ours.
    pub(crate) fn verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.verifier.reveal().to_owned())
    }

    /// Where the answer had to come.
    pub(crate) fn redirect(&self) -> RedirectUrl {
        self.redirect.clone()
    }
}

/// Compares without telling by its time how much of it is right.
fn same(a: &str, b: &str) -> bool {
    let differing = a
        .bytes()
        .zip(b.bytes())
        .fold(0, |seen, (a, b)| seen | (a ^ b));
    a.len() == b.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::tests::authority;

    const REDIRECT: &str = "http://127.0.0.1:4711/callback";
    const ISSUER: &str = "https%3A%2F%2Fauth.example.com";

    fn begun(authority: &Authority, scopes: &[&str]) -> (Attempt, Url) {
        let client = Client::document("https://flowhost.example/client.json");
        let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
        let resource = "https://mcp.example.com/mcp";
        Attempt::begin(authority, &client, resource, &scopes, REDIRECT, &[7; 64]).unwrap()
    }

    fn answer(attempt: &Attempt, rest: &str) -> Result<Secret, OauthError> {
        attempt.answered(&format!("state={}&{rest}", attempt.state))
    }

    #[test]
    fn the_page_asks_for_a_code_with_proof_for_one_server() {
        let (attempt, page) = begun(&authority(), &["read", "offline_access"]);
        let asked: std::collections::BTreeMap<String, String> =
            page.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let proof = PkceCodeChallenge::from_code_verifier_sha256(&attempt.verifier());
        assert_eq!(asked["code_challenge"], proof.as_str());
        assert_eq!(asked["resource"], "https://mcp.example.com/mcp");
        assert_eq!(asked["redirect_uri"], REDIRECT);
        assert_eq!(asked["scope"], "read offline_access");
        assert_eq!(asked["prompt"], "consent");
        assert_eq!(asked["state"], attempt.state);
        let (_, page) = begun(&authority(), &[]);
        assert!(!page.query_pairs().any(|(name, _)| name == "prompt"));
    }

    #[test]
    fn refuses_the_answer_to_another_login() {
        let (attempt, _) = begun(&authority(), &[]);
        let wrong = "x".repeat(attempt.state.len());
        for query in [
            format!("code=c&iss={ISSUER}"),
            format!("state=&code=c&iss={ISSUER}"),
            format!("state={wrong}&code=c&iss={ISSUER}"),
            format!("state={}x&code=c&iss={ISSUER}", attempt.state),
            String::new(),
        ] {
            assert_eq!(attempt.answered(&query), Err(OauthError::State), "{query}");
        }
        let twice = format!("state={}&code=c&iss={ISSUER}", attempt.state);
        assert!(answer(&attempt, &twice).is_err());
    }

    #[test]
    fn refuses_the_answer_of_another_authority_and_one_that_does_not_say_whose_it_is() {
        let (attempt, _) = begun(&authority(), &[]);
        for rest in [
            "code=c",
            "code=c&iss=https%3A%2F%2Fevil.example",
            "code=c&iss=",
        ] {
            let refused = answer(&attempt, rest).unwrap_err();
            assert!(
                matches!(refused, OauthError::OtherIssuer { .. }),
                "{rest}: {refused}"
            );
        }
        // One that never promised to say so may leave it out, and may not name another.
        let quiet = Authority {
            names_itself: false,
            ..authority()
        };
        let (attempt, _) = begun(&quiet, &[]);
        assert_eq!(answer(&attempt, "code=c").unwrap().reveal(), "c");
        assert!(answer(&attempt, "code=c&iss=https%3A%2F%2Fevil.example").is_err());
    }

    #[test]
    fn says_what_the_authority_says_and_takes_no_code_beside_it() {
        let (attempt, _) = begun(&authority(), &[]);
        let rest = format!("error=access_denied&error_description=no%1B%5B31m&code=c&iss={ISSUER}");
        let refused = answer(&attempt, &rest).unwrap_err();
        assert_eq!(
            refused,
            OauthError::Declined("access_denied: no[31m".to_owned())
        );
        for rest in ["", "code=", "code=a&code=b", "code=a%0Ab"] {
            assert!(
                answer(&attempt, &format!("{rest}&iss={ISSUER}")).is_err(),
                "{rest}"
            );
        }
    }
}
