//! What an authority says of itself: where people log in and where tokens are given (RFC 8414, and OpenID Connect
//! Discovery, whose documents have the same members).

use serde::Deserialize;
use url::Url;

use crate::address::Address;
use crate::asked::said;
use crate::client::Method;
use crate::error::{OauthError, unreadable};

pub(crate) const WHAT: &str = "the authority's metadata";

/// An authority, as its document describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    /// Its name for itself, which its answers have to carry (RFC 9207).
    pub issuer: String,
    /// Where people log in.
    pub authorize: Address,
    /// Where tokens are given.
    pub token: Address,
    /// Where clients register themselves, if they may (RFC 7591).
    pub register: Option<Address>,
    /// Where tokens are given back (RFC 7009).
    pub revoke: Option<Address>,
    /// How clients say who they are when they ask for a token; RFC 8414 says what holds where it says nothing.
    pub methods: Vec<Method>,
    /// Whether tokens may be asked to outlive the person's presence.
    pub offline: bool,
    /// Whether each of its answers says that it is its (RFC 9207).
    pub names_itself: bool,
    /// Whether a client may be the address of a document that describes it.
    pub documents: bool,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    registration_endpoint: Option<String>,
    revocation_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    response_types_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default)]
    code_challenge_methods_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    client_id_metadata_document_supported: bool,
}

impl Authority {
    /// Where an authority has its document, in the order in which it is looked for.
    #[must_use]
    pub fn places(issuer: &Address) -> Vec<Address> {
        const OAUTH: &str = "/.well-known/oauth-authorization-server";
        const OPENID: &str = "/.well-known/openid-configuration";
        let path = issuer.path();
        match path.is_empty() {
            true => vec![issuer.at_path(OAUTH), issuer.at_path(OPENID)],
            false => vec![
                issuer.at_path(&format!("{OAUTH}{path}")),
                issuer.at_path(&format!("{OPENID}{path}")),
                issuer.at_path(&format!("{path}{OPENID}")),
            ],
        }
    }

    /// Reads a document that was found at `url` and has to be of `issuer`.
    ///
    /// # Errors
    /// When it is no such document, another authority's, or of one that cannot be used safely.
    pub fn read(bytes: &[u8], url: &Address, issuer: &Address) -> Result<Self, OauthError> {
        let fault = |why: String| OauthError::Document {
            what: WHAT,
            url: url.to_string(),
            why,
        };
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| fault(unreadable(bytes, &error)))?;
        // Whoever could answer in another's name could have its codes and tokens sent to himself. The same but for a
        // closing `/` of a server without a path: they are one address.
        let named = Url::parse(&document.issuer).ok();
        if named.as_ref() != Some(issuer.url()) {
            let found = said(&document.issuer);
            return Err(fault(format!("it is of `{found}`, and not of `{issuer}`")));
        }
        // RFC 8414 wants the list, and some leave it out: only one that rules codes out is
        // believed.
        let types = document.response_types_supported.unwrap_or_default();
        if !types.is_empty() && types.iter().all(|it| it != "code") {
            return Err(fault(
                "it gives no codes (`response_types_supported`)".to_owned(),
            ));
        }
        // A code that somebody on this machine reads along would else be worth a token (RFC 7636).
        let pkce = &document.code_challenge_methods_supported;
        if pkce.iter().all(|it| it != "S256") {
            return Err(fault(
                "it does not say that it checks PKCE with S256 (`code_challenge_methods_supported`), without which no \
                 code is asked for"
                    .to_owned(),
            ));
        }
        let address = |what, text: &str| {
            Address::parse(text).map_err(|error| OauthError::Address {
                what,
                shown: said(text),
                fault: error,
            })
        };
        let maybe = |what, text: &Option<String>| {
            text.as_deref().map(|text| address(what, text)).transpose()
        };
        // Of the whole list and not of what `scopes` keeps of it: the place of one scope means nothing.
        let mut supported = document.scopes_supported.iter();
        let offline = supported.any(|all| all.split(' ').any(|it| it == "offline_access"));
        Ok(Self {
            authorize: address("the page to log in", &document.authorization_endpoint)?,
            token: address("the place where tokens are given", &document.token_endpoint)?,
            register: maybe(
                "the place where clients register",
                &document.registration_endpoint,
            )?,
            revoke: maybe(
                "the place where tokens are given back",
                &document.revocation_endpoint,
            )?,
            methods: match document.token_endpoint_auth_methods_supported {
                None => vec![Method::Basic],
                Some(named) => named.iter().filter_map(|it| Method::named(it)).collect(),
            },
            offline,
            names_itself: document.authorization_response_iss_parameter_supported,
            documents: document.client_id_metadata_document_supported,
            issuer: document.issuer,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    pub(crate) fn document() -> Value {
        json!({
            "issuer": "https://auth.example.com",
            "authorization_endpoint": "https://auth.example.com/authorize",
            "token_endpoint": "https://auth.example.com/token",
            "registration_endpoint": "https://auth.example.com/register",
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            "token_endpoint_auth_methods_supported": ["none", "client_secret_post", "private_key_jwt"],
            "scopes_supported": ["openid", "offline_access"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    fn read(document: &Value) -> Result<Authority, OauthError> {
        let issuer = Address::parse("https://auth.example.com").unwrap();
        let url = &Authority::places(&issuer)[0];
        Authority::read(document.to_string().as_bytes(), url, &issuer)
    }

    /// The authority of these tests.
    pub(crate) fn authority() -> Authority {
        read(&document()).unwrap()
    }

    #[test]
    fn refuses_another_issuer_no_pkce_and_addresses_that_are_not_asked() {
        for (member, value) in [
            ("issuer", json!("https://evil.example")),
            ("issuer", json!("https://auth.example.com/tenant")),
            ("issuer", json!("none")),
            ("code_challenge_methods_supported", json!(["plain"])),
            ("code_challenge_methods_supported", json!([])),
            ("response_types_supported", json!(["token"])),
            ("authorization_endpoint", json!("javascript:alert(1)")),
            ("authorization_endpoint", json!("https://a.example/$(x)")),
            ("token_endpoint", json!("http://auth.example.com/token")),
            ("token_endpoint", json!(null)),
            ("registration_endpoint", json!("file:///x")),
        ] {
            let mut changed = document();
            changed[member] = value.clone();
            assert!(read(&changed).is_err(), "{member}: {value}");
        }
        let mut without = document();
        without
            .as_object_mut()
            .unwrap()
            .remove("code_challenge_methods_supported");
        assert!(read(&without).is_err());
    }

    #[test]
    fn reads_what_is_needed_of_it() {
        let authority = authority();
        assert_eq!(authority.methods, [Method::None, Method::Post]);
        assert!(authority.offline && authority.names_itself && !authority.documents);
        let mut many = document();
        let scopes = (0..100).map(|it| format!("s{it}"));
        let scopes: Vec<String> = scopes.chain(["offline_access".to_owned()]).collect();
        many["scopes_supported"] = json!(scopes);
        assert!(read(&many).unwrap().offline);
        let mut closed = document();
        closed["issuer"] = json!("https://auth.example.com/");
        assert!(read(&closed).is_ok());
    }

    #[test]
    fn a_path_of_the_issuer_goes_behind_the_known_one_and_for_openid_also_before_it() {
        let issuer = Address::parse("https://a.example/t1/").unwrap();
        let places = Authority::places(&issuer);
        let places: Vec<&str> = places.iter().map(Address::as_str).collect();
        assert_eq!(
            places,
            [
                "https://a.example/.well-known/oauth-authorization-server/t1",
                "https://a.example/.well-known/openid-configuration/t1",
                "https://a.example/t1/.well-known/openid-configuration",
            ]
        );
    }
}
