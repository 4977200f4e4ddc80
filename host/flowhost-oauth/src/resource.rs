//! What a server says of itself: whose tokens it takes (RFC 9728).

use serde::Deserialize;

use crate::address::Address;
use crate::asked::{said, scopes};
use crate::error::{OauthError, unreadable};

/// Authorities that are read of a server's list. A person chooses among them by `--issuer`, and is shown them
/// all where the choice is none of them.
const AUTHORITIES_MAX: usize = 16;

pub(crate) const WHAT: &str = "the server's metadata";

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// What a token is asked for, as the server writes it (RFC 8707).
    pub name: String,
    /// Whose tokens it takes; at least one.
    pub authorities: Vec<Address>,
    /// What tokens may be asked to allow.
    pub scopes: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    resource: String,
    #[serde(default)]
    authorization_servers: Vec<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    bearer_methods_supported: Option<Vec<String>>,
}

impl Resource {
    /// Where a server has its document, if it did not say so: for its path first.
    #[must_use]
    pub fn places(server: &Address) -> Vec<Address> {
        const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";
        let mut places = vec![server.at_path(WELL_KNOWN)];
        if !server.path().is_empty() {
            places.insert(0, server.at_path(&format!("{WELL_KNOWN}{}", server.path())));
        }
        places
    }

    /// Reads a document that was found at `url` and has to be of `server`.
    ///
    /// # Errors
    /// When it is no such document, or another server's.
    pub fn read(bytes: &[u8], url: &Address, server: &Address) -> Result<Self, OauthError> {
        let fault = |why: String| OauthError::Document {
            what: WHAT,
            url: url.to_string(),
            why,
        };
        let document: Document =
            serde_json::from_slice(bytes).map_err(|error| fault(unreadable(bytes, &error)))?;
        let shown = said(&document.resource);
        let named = Address::parse(&document.resource).map_err(|error| {
            fault(format!(
                "it is of `{shown}`, which is not the address of a server: {error}"
            ))
        })?;
        // Whoever answers could else have a token made out to another server, and be shown it.
        if !named.covers(server.url()) {
            return Err(fault(format!("it is of `{shown}`, and not of `{server}`")));
        }
        let methods = document.bearer_methods_supported.unwrap_or_default();
        // An empty list is what most servers have: the header is what every one of them takes.
        if !methods.is_empty() && methods.iter().all(|it| it != "header") {
            return Err(fault(
                "it takes tokens in addresses or bodies only, and they are sent in a header alone"
                    .to_owned(),
            ));
        }
        let authorities: Vec<Address> = document
            .authorization_servers
            .iter()
            .take(AUTHORITIES_MAX)
            .map(|text| {
                Address::parse(text).map_err(|error| OauthError::Address {
                    what: "the server's authority",
                    shown: said(text),
                    fault: error,
                })
            })
            .collect::<Result<_, _>>()?;
        if authorities.is_empty() {
            return Err(fault("it names no `authorization_servers`".to_owned()));
        }
        Ok(Self {
            name: document.resource,
            authorities,
            scopes: scopes(&document.scopes_supported.join(" ")),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    fn read(document: &Value) -> Result<Resource, OauthError> {
        let url = at("https://mcp.example.com/.well-known/oauth-protected-resource/mcp");
        Resource::read(
            document.to_string().as_bytes(),
            &url,
            &at("https://mcp.example.com/mcp"),
        )
    }

    #[test]
    fn refuses_the_document_of_another_server_and_one_without_authorities() {
        let authorities = json!(["https://auth.example.com"]);
        for document in [
            json!({ "resource": "https://evil.example/mcp", "authorization_servers": authorities }),
            json!({ "resource": "https://mcp.example.com/other", "authorization_servers": authorities }),
            json!({ "resource": "mcp", "authorization_servers": authorities }),
            json!({ "resource": "https://mcp.example.com/mcp", "authorization_servers": [] }),
            json!({ "resource": "https://mcp.example.com/mcp" }),
            json!({ "resource": "https://mcp.example.com/mcp", "authorization_servers": ["file:///x"] }),
            json!({ "resource": "https://mcp.example.com/mcp", "authorization_servers": authorities, "bearer_methods_supported": ["query"] }),
            json!({ "authorization_servers": authorities }),
            json!([]),
        ] {
            assert!(read(&document).is_err(), "{document}");
        }
    }

    #[test]
    fn takes_a_document_of_the_server_or_of_all_of_its_paths() {
        for name in ["https://mcp.example.com/mcp", "https://mcp.example.com"] {
            let document = json!({
                "resource": name,
                "authorization_servers": ["https://auth.example.com/tenant"],
                "scopes_supported": ["a", "b c", "a"],
            });
            let resource = read(&document).unwrap();
            assert_eq!(resource.name, name);
            assert_eq!(resource.scopes, ["a", "b", "c"]);
        }
    }

    #[test]
    fn the_place_for_the_path_is_looked_at_first() {
        let shown = |server: &str| -> Vec<String> {
            let places = Resource::places(&at(server));
            places.iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            shown("https://a.example/x/mcp?y"),
            [
                "https://a.example/.well-known/oauth-protected-resource/x/mcp",
                "https://a.example/.well-known/oauth-protected-resource"
            ]
        );
        assert_eq!(
            shown("https://a.example/"),
            ["https://a.example/.well-known/oauth-protected-resource"]
        );
    }
}
