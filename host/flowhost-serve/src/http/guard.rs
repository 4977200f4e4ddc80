//! Who may ask: decided from the request's head alone. Pure.
//!
//! A page that a browser shows can send requests to this machine, and a name that its author owns can
//! be made to resolve to it (DNS rebinding). Such a request says in `Host` or `Origin` where it comes
//! from; and it does not know the token.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode, Uri, header};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// The only path there is.
pub(super) const PATH: &str = "/mcp";

/// A secret that a client shows.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl Token {
    /// Of the secret text, which is not kept.
    #[must_use]
    pub fn new(secret: &Zeroizing<String>) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Compares digests, every byte of them: how long that takes says nothing of the secret.
    fn is(&self, shown: &str) -> bool {
        let shown: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        let differing = self
            .0
            .iter()
            .zip(shown)
            .fold(0_u8, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

/// What a request's head is held against.
#[derive(Clone)]
pub struct Front {
    token: Token,
    /// Names beside this machine's own, as a proxy in front of it is called.
    hosts: Vec<String>,
    port: u16,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turned {
    pub(super) status: StatusCode,
    pub(super) why: &'static str,
}

const fn turned(status: StatusCode, why: &'static str) -> Turned {
    Turned { status, why }
}

impl Front {
    /// Takes requests that show the token, to this machine or to one of `hosts` (`name` or `name:port`).
    #[must_use]
    pub fn new(token: Token, hosts: Vec<String>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase());
        Self {
            token,
            hosts: hosts.collect(),
            port: 0,
        }
    }

    pub(super) fn on(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Whether a request may be read further.
    pub(super) fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Turned> {
        let host = only(headers, header::HOST).map_err(|count| match count {
            0 => turned(StatusCode::BAD_REQUEST, "the header Host is missing"),
            _ => turned(
                StatusCode::BAD_REQUEST,
                "the header Host comes more than once",
            ),
        })?;
        // A target in absolute form would name another host than the header.
        if uri.authority().is_some() || !self.is_host(host) {
            return Err(turned(
                StatusCode::FORBIDDEN,
                "this host is not served here",
            ));
        }
        match only(headers, header::ORIGIN) {
            Ok(origin) if !self.is_origin(origin) => {
                return Err(turned(
                    StatusCode::FORBIDDEN,
                    "pages of this origin are not served",
                ));
            }
            Err(count) if count > 1 => {
                return Err(turned(
                    StatusCode::BAD_REQUEST,
                    "the header Origin comes more than once",
                ));
            }
            _ => {}
        }
        if uri.query().is_some() {
            return Err(turned(
                StatusCode::BAD_REQUEST,
                "nothing is taken from the address; a token belongs into the header Authorization",
            ));
        }
        if uri.path() != PATH {
            return Err(turned(
                StatusCode::NOT_FOUND,
                "there is /mcp and nothing else",
            ));
        }
        // Last: whoever a browser was led here for is told nothing of whether its token was right.
        let shown = only(headers, header::AUTHORIZATION).ok().and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
        });
        if shown.is_some_and(|token| self.token.is(token)) {
            Ok(())
        } else {
            Err(turned(
                StatusCode::UNAUTHORIZED,
                "the token is missing or not this server's",
            ))
        }
    }

    /// This machine by an address or its name, with this port; or one of the operator's names.
    fn is_host(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        if self.hosts.contains(&host) {
            return true;
        }
        let (name, port) = split(&host);
        let port = match port {
            // Clients leave out the port that `http` has by itself.
            None => self.port == 80,
            Some(port) => port.parse() == Ok(self.port),
        };
        port && is_this_machine(name)
    }

    /// A page that this machine serves, on whatever port (a developer's own page), or one of the operator's
    /// names.
    fn is_origin(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let rest = origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"));
        let Some(rest) = rest else { return false };
        self.hosts.iter().any(|host| host == rest) || is_this_machine(split(rest).0)
    }
}

/// The only value of a header; else how many there are. One that is no text counts as two: it is not
/// taken either.
fn only(headers: &HeaderMap, name: header::HeaderName) -> Result<&str, usize> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Err(0),
        (Some(value), None) => value.to_str().map_err(|_| 2),
        (Some(_), Some(_)) => Err(2),
    }
}

/// `name`, `name:port`, `[v6]`, `[v6]:port`.
fn split(authority: &str) -> (&str, Option<&str>) {
    if let Some(rest) = authority.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((address, "")) => (address, None),
            // A `?` is no port, so that what stands behind the bracket is not passed over.
            Some((address, port)) => (address, Some(port.strip_prefix(':').unwrap_or("?"))),
            None => ("", None),
        };
    }
    match authority.rsplit_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (authority, None),
    }
}

fn is_this_machine(name: &str) -> bool {
    // By name alone, and never looked up: what a name resolves to is what the author of a page decides.
    name == "localhost"
        || name
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn front() -> Front {
        let secret = Zeroizing::new("s3cret".to_owned());
        Front::new(Token::new(&secret), vec!["Mcp.Example".to_owned()]).on(8765)
    }

    fn status(uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        match front().admit(&uri.parse().unwrap(), &map) {
            Ok(()) => 200,
            Err(turned) => turned.status.as_u16(),
        }
    }

    const TOKEN: (&str, &str) = ("authorization", "Bearer s3cret");

    #[test]
    fn refuses_names_that_only_resolve_to_this_machine() {
        // MCP-014, MCP-015
        for host in [
            "evil.test",
            "127.0.0.1.nip.io:8765",
            "localhost:9999",
            "localhost",
            "0.0.0.0:8765",
            "10.0.0.1:8765",
            "localhost.evil.test:8765",
            "[::2]:8765",
            "127.0.0.1:8765:8765",
            "",
        ] {
            assert_eq!(status("/mcp", &[("host", host), TOKEN]), 403, "{host}");
        }
        assert_eq!(status("/mcp", &[TOKEN]), 400);
        let two = [("host", "localhost:8765"), ("host", "evil.test"), TOKEN];
        assert_eq!(status("/mcp", &two), 400);
        assert_eq!(
            status("http://evil.test/mcp", &[("host", "localhost:8765"), TOKEN]),
            403
        );
    }

    #[test]
    fn refuses_pages_of_other_origins() {
        // MCP-015
        let host = ("host", "127.0.0.1:8765");
        for origin in [
            "http://evil.test",
            "null",
            "file://",
            "http://127.0.0.1.nip.io",
            "http://localhost.evil.test:1",
        ] {
            assert_eq!(
                status("/mcp", &[host, ("origin", origin), TOKEN]),
                403,
                "{origin}"
            );
        }
        for origin in [
            "http://localhost:6274",
            "http://127.0.0.1:3000",
            "http://[::1]:1",
            "https://mcp.example",
        ] {
            assert_eq!(
                status("/mcp", &[host, ("origin", origin), TOKEN]),
                200,
                "{origin}"
            );
        }
    }

    #[test]
    fn refuses_whoever_does_not_show_the_token_in_its_header() {
        // MCP-017
        let host = ("host", "127.0.0.1:8765");
        assert_eq!(status("/mcp", &[host]), 401);
        for shown in [
            "Bearer s3cre",
            "Bearer s3crett",
            "Bearer",
            "Basic s3cret",
            "s3cret",
            "Bearer other",
        ] {
            assert_eq!(
                status("/mcp", &[host, ("authorization", shown)]),
                401,
                "{shown}"
            );
        }
        assert_eq!(status("/mcp", &[host, TOKEN, TOKEN]), 401);
        assert_eq!(status("/mcp?token=s3cret", &[host, TOKEN]), 400);
    }

    #[test]
    fn takes_this_machine_by_all_its_names_and_the_operators_own() {
        for host in [
            "127.0.0.1:8765",
            "LOCALHOST:8765",
            "[::1]:8765",
            "127.9.9.9:8765",
            "mcp.example",
        ] {
            assert_eq!(status("/mcp", &[("host", host), TOKEN]), 200, "{host}");
        }
        assert_eq!(status("/other", &[("host", "localhost:8765"), TOKEN]), 404);
    }
}
