//! An address that a person or a document names, before anything is sent to it or opened in a browser.
//!
//! What is encrypted to its end, or stays on this machine, is asked; nothing else. A program that opens pages may hand
//! an address to a shell or to another program by its scheme, so that `javascript:`, `file:` and every character that a
//! shell would obey are refused here, once for all addresses (MCP-024).

use std::fmt;

use url::{Host, Url};

/// Bytes of an address. Servers take some thousand in a request line, and ours adds parameters to it.
const BYTES_MAX: usize = 2_048;

/// A checked address: `https:`, or `http:` on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Url);

/// Why an address is not asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressFault {
    /// Nothing or too much.
    #[error("an address has 1 to {BYTES_MAX} bytes")]
    Length,
    /// Something that a shell would obey, or nobody can see.
    #[error("it holds {0}, which no such address needs and a shell or a terminal may obey")]
    Character(String),
    /// It cannot be read.
    #[error("it is not an address: {0}")]
    Unreadable(String),
    /// Another scheme.
    #[error("it begins with `{0}:`, and only `https:` is asked, or `http:` on this machine")]
    Scheme(String),
    /// `http:` to another machine.
    #[error(
        "it is `http:` to another machine, where everybody on the way reads along; it has to be `https:`"
    )]
    ClearText,
    /// A name or a password before the host.
    #[error("it holds a name or a password, which belong into no address")]
    Password,
    /// A part behind `#`.
    #[error("it has a part behind `#`, which is never sent")]
    Fragment,
}

impl Address {
    /// Reads and checks an address.
    ///
    /// # Errors
    /// Why it is not asked.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_oauth::Address;
    ///
    /// assert!(Address::parse("https://mcp.example.com/mcp").is_ok());
    /// assert!(Address::parse("http://127.0.0.1:8080/mcp").is_ok());
    /// assert!(Address::parse("http://mcp.example.com/mcp").is_err());
    /// assert!(Address::parse("javascript:alert(1)").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self, AddressFault> {
        if text.is_empty() || text.len() > BYTES_MAX {
            return Err(AddressFault::Length);
        }
        // On the text as it is written: the reader of addresses passes over tabs and line breaks,
        // and writes others as `%xx`.
        if let Some(bad) = text.chars().find(|c| !is_plain(*c)) {
            return Err(AddressFault::Character(format!("{bad:?}")));
        }
        let url = Url::parse(text).map_err(|error| AddressFault::Unreadable(error.to_string()))?;
        match url.scheme() {
            "https" => {}
            "http" if is_here(&url) => {}
            "http" => return Err(AddressFault::ClearText),
            other => return Err(AddressFault::Scheme(other.to_owned())),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressFault::Password);
        }
        if url.fragment().is_some() {
            return Err(AddressFault::Fragment);
        }
        Ok(Self(url))
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The address as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether `other` is this address, or a path below it on the same server.
    ///
    /// # Examples
    ///
    /// ```
    /// use flowhost_oauth::Address;
    /// use url::Url;
    ///
    /// let base = Address::parse("https://mcp.example.com/a").unwrap();
    /// let at = |text| Url::parse(text).unwrap();
    /// assert!(base.covers(&at("https://mcp.example.com:443/a/b?c")));
    /// assert!(!base.covers(&at("https://mcp.example.com/ab")));
    /// assert!(!base.covers(&at("https://evil.example/a")));
    /// ```
    #[must_use]
    pub fn covers(&self, other: &Url) -> bool {
        let own = &self.0;
        let base = own.path().trim_end_matches('/');
        let below = other
            .path()
            .strip_prefix(base)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // A query in the server's own address tells one customer of it from another.
        let query = own.query().is_none() || own.query() == other.query();
        own.origin() == other.origin() && below && query
    }

    /// The same server with another path, and without what stood behind `?`.
    pub(crate) fn at_path(&self, path: &str) -> Self {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(None);
        Self(url)
    }

    /// The path without a closing `/`; empty for the root.
    pub(crate) fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// What the addresses of endpoints are made of. Of the characters that RFC 3986 allows, `!$'()*;` are missing, because
/// a shell obeys them; they may stand there as `%xx`.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@%&=+,".contains(c)
}

/// Whether the host is this machine, by what is written: no name but `localhost` is believed (RFC 6761).
fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_a_shell_or_a_browser_would_obey() {
        for text in [
            "",
            "javascript:alert",
            "file:///etc/passwd",
            "data:text/html,x",
            "http://mcp.example.com/",
            "http://127.0.0.1.evil.example/",
            "http://10.0.0.1/",
            "https://a.example/$(reboot)",
            "https://a.example/`reboot`",
            "https://a.example/;reboot",
            "https://a.example/|sh",
            "https://a.example/a b",
            "https://a.example/\"",
            "https://a.example/'",
            "https://a.example/\n",
            "https://a.example/\u{202e}",
            "https://user:pass@a.example/",
            "https://a.example/#x",
            "https://",
            "//a.example/",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
        let long = format!("https://a.example/{}", "x".repeat(BYTES_MAX));
        assert_eq!(Address::parse(&long), Err(AddressFault::Length));
    }

    #[test]
    fn takes_the_web_and_this_machine() {
        for text in [
            "https://a.example/",
            "https://a.example:8443/x?y=z&v=1",
            "http://127.0.0.1:1/",
            "http://[::1]:1/cb",
            "http://localhost/",
        ] {
            assert!(Address::parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below_it() {
        let at = |text: &str| Address::parse(text).unwrap();
        let cases = [
            ("https://a.example/", "https://a.example/any/thing", true),
            ("https://a.example/mcp", "https://a.example/mcp", true),
            ("https://a.example/mcp/", "https://a.example/mcp", true),
            ("https://a.example/mcp", "https://a.example/mcp/../x", false),
            ("https://a.example/mcp", "https://a.example/mcpx", false),
            ("https://a.example/mcp", "https://a.example/", false),
            ("https://a.example/mcp", "https://a.example:444/mcp", false),
            ("http://localhost/mcp", "http://127.0.0.1/mcp", false),
            ("https://a.example/m?t=1", "https://a.example/m?t=2", false),
            ("https://a.example/m?t=1", "https://a.example/m?t=1", true),
        ];
        for (base, other, covered) in cases {
            assert_eq!(at(base).covers(at(other).url()), covered, "{base} {other}");
        }
    }
}
