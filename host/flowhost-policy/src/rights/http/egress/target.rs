//! Where a request wants to go, in the one form that rules are compared with.
//!
//! A [`Target`] exists only if two parsers agree on it. Whatever decides, connects or sends later
//! takes the target and never the guest's text again.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

use url::Url;

use super::{
    address,
    authority::{self, RawHost, Refused},
    path,
};
use crate::{decision::Denied, text};

/// Longest URL that is read, in bytes. A longer one is refused before it is parsed. What servers take of a
/// request line; the parser and every rule's match would else work on what a guest made up.
pub const URL_BYTES_MAX: usize = 8 * 1024;

/// Longest path that a denial repeats, in characters. A guest chooses the path, and a denial goes to the person's
/// screen.
const SHOWN_MAX: usize = 256;

/// A checked, canonical destination: method, scheme, host, port, path and query.
///
/// # Examples
///
/// ```
/// use flowhost_policy::egress::Target;
///
/// let target = Target::parse("https://API.example.com/v1?q=1", "GET").unwrap();
/// assert_eq!(target.host(), "api.example.com");
/// assert_eq!(target.port(), 443);
/// assert_eq!(target.path_and_query(), "/v1?q=1");
/// assert!(Target::parse("https://api.example.com\\@evil.test/", "GET").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    method: String,
    /// `scheme://host:port/path?query`; the port always stands there.
    url: String,
    scheme_end: usize,
    host_end: usize,
    origin_end: usize,
    path_end: usize,
    port: u16,
    ip: Option<IpAddr>,
}

impl Target {
    /// Reads what a guest asked for.
    ///
    /// A fragment is dropped, because it is never sent. An IPv4-mapped IPv6 address is its IPv4
    /// address. A trailing dot on a host name is refused.
    ///
    /// # Errors
    ///
    /// [`Denied`] with a rule `url.…` or `http.method` when the text is not one plain place, and
    /// `egress.…` when it is a blocked address in a disguise.
    pub fn parse(url: &str, method: &str) -> Result<Self, Denied> {
        check_method(method)
            .and_then(|()| read(url, method))
            .map_err(|refused| denied(refused.rule(), url, method))
    }

    /// Reads the parts that `wasi:http` hands over. A missing scheme is refused, and so is a path
    /// that does not start with `/`.
    ///
    /// # Errors
    ///
    /// As [`Target::parse`].
    pub fn from_parts(
        scheme: Option<&str>,
        authority: &str,
        path_and_query: &str,
        method: &str,
    ) -> Result<Self, Denied> {
        let text = format!(
            "{}://{authority}{path_and_query}",
            scheme.unwrap_or_default()
        );
        let stray = authority.contains(['/', '?', '#']);
        let plain_path = path_and_query.is_empty() || path_and_query.starts_with('/');
        if stray {
            return Err(denied("url.host", &text, method));
        }
        if !plain_path {
            return Err(denied("url.path", &text, method));
        }
        Self::parse(&text, method)
    }

    /// Upper-case method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// `scheme://host:port/path?query`, canonical, the port written out.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http` or `https`.
    #[must_use]
    pub fn scheme(&self) -> &str {
        self.slice(0, self.scheme_end)
    }

    /// Host in lower case, `xn--` where needed; an IPv6 address stands in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.slice(self.scheme_end + 3, self.host_end)
    }

    /// The address when the host is one.
    #[must_use]
    pub const fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// Port, never 0.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// `scheme://host:port`.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.slice(0, self.origin_end)
    }

    /// Path, at least `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.slice(self.origin_end, self.path_end)
    }

    /// Path and query as they are sent.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.slice(self.origin_end, self.url.len())
    }

    /// The URL without its query: what rules are compared with.
    pub(super) fn place(&self) -> &str {
        self.slice(0, self.path_end)
    }

    /// `scheme://host`, with the port only where it is not the scheme's own.
    pub(crate) fn short_origin(&self) -> &str {
        let usual = matches!((self.scheme(), self.port), ("https", 443) | ("http", 80));
        self.slice(
            0,
            if usual {
                self.host_end
            } else {
                self.origin_end
            },
        )
    }

    fn slice(&self, from: usize, to: usize) -> &str {
        self.url.get(from..to).unwrap_or_default()
    }
}

/// `GET https://api.example.com/x`: what denials and the ledger show. The query is left out, since
/// it may hold a secret.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = text::shown(self.path(), SHOWN_MAX);
        write!(f, "{} {}{path}", self.method, self.short_origin())
    }
}

/// A refusal, or a blocked address that was written in a disguise.
enum Reason {
    Text(Refused),
    Address(&'static str),
}

impl From<Refused> for Reason {
    fn from(refused: Refused) -> Self {
        Self::Text(refused)
    }
}

impl Reason {
    fn rule(&self) -> &str {
        match self {
            Self::Text(Refused(rule)) | Self::Address(rule) => rule,
        }
    }
}

/// A method is upper-case letters with inner hyphens; CONNECT and TRACE are never sent.
pub(crate) fn is_method(method: &str) -> bool {
    let plain = |b: u8| b.is_ascii_uppercase() || b == b'-';
    (1..=32).contains(&method.len())
        && method.bytes().all(plain)
        && !method.starts_with('-')
        && !matches!(method, "CONNECT" | "TRACE")
}

fn check_method(method: &str) -> Result<(), Reason> {
    if is_method(method) {
        Ok(())
    } else {
        Err(Refused("http.method").into())
    }
}

fn read(raw: &str, method: &str) -> Result<Target, Reason> {
    if raw.len() > URL_BYTES_MAX {
        return Err(Refused("url.length").into());
    }
    check_characters(raw)?;
    let ours = authority::split(raw)?;
    // On the text as it came, before the other parser mends anything in it.
    path::check(ours.path)?;
    let theirs = Url::parse(raw).map_err(|_| Refused("url.host"))?;
    let host = agree(&ours, &theirs)?;
    Ok(assemble(&host, ours.port, &theirs, method))
}

fn check_characters(raw: &str) -> Result<(), Refused> {
    if raw.contains('\\') {
        return Err(Refused("url.backslash"));
    }
    match text::first_hidden(raw) {
        Some(_) => Err(Refused("url.invisible")),
        None if raw.contains(' ') => Err(Refused("url.invisible")),
        None => Ok(()),
    }
}

/// A host that both parsers read alike.
enum Host {
    Ip(IpAddr),
    Name(String),
}

fn agree(ours: &authority::Split<'_>, theirs: &Url) -> Result<Host, Reason> {
    const DISAGREE: Refused = Refused("url.parsers-disagree");
    let port = theirs.port_or_known_default();
    let clean = theirs.username().is_empty() && theirs.password().is_none();
    // The other parser resolves dot segments; a path that has lost a slash to it was one of two
    // readings.
    let depth = |path: &str| path.bytes().filter(|b| *b == b'/').count().max(1);
    let same_path = depth(ours.path) == depth(theirs.path());
    if theirs.scheme() != ours.scheme || port != Some(ours.port) || !clean || !same_path {
        return Err(DISAGREE.into());
    }
    match (ours.host, theirs.host()) {
        (RawHost::V4(a), Some(url::Host::Ipv4(b))) if a == b => Ok(Host::Ip(a.into())),
        (RawHost::V6(a), Some(url::Host::Ipv6(b))) if a == b => Ok(Host::Ip(canonical_v6(a))),
        (RawHost::Name(a), Some(url::Host::Domain(b))) => same_name(a, b).map_err(Into::into),
        // Named by what it hides, so that a denial says `egress.loopback` and not only that parsers
        // disagree.
        (_, Some(url::Host::Ipv4(hidden))) => Err(disguised(hidden.into())),
        _ => Err(DISAGREE.into()),
    }
}

fn canonical_v6(address: Ipv6Addr) -> IpAddr {
    IpAddr::V6(address).to_canonical()
}

/// An address that only one parser sees: `2130706433`, `0x7f.1`, circled digits.
fn disguised(hidden: IpAddr) -> Reason {
    match address::blocked(hidden) {
        Some(line) => Reason::Address(line.class.rule()),
        None => Refused("url.parsers-disagree").into(),
    }
}

fn same_name(raw: &str, theirs: &str) -> Result<Host, Refused> {
    let ascii = canonical_name(raw)?;
    if ascii != theirs {
        return Err(Refused("url.parsers-disagree"));
    }
    Ok(Host::Name(ascii))
}

/// Lower case and, for other scripts, UTS 46 with nothing ignored; then the DNS lengths.
fn canonical_name(raw: &str) -> Result<String, Refused> {
    let punycode = raw.split('.').any(|label| {
        label
            .get(..4)
            .is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
    });
    let ascii = if raw.is_ascii() && !punycode {
        raw.to_ascii_lowercase()
    } else {
        to_ascii(raw)?
    };
    if authority::is_host_name(&ascii) {
        Ok(ascii)
    } else {
        Err(Refused("url.host"))
    }
}

/// A label in `xn--` form must decode and encode back to itself.
fn to_ascii(raw: &str) -> Result<String, Refused> {
    let deny = idna::AsciiDenyList::URL;
    let ascii = idna::domain_to_ascii_cow(raw.as_bytes(), deny).map_err(|_| Refused("url.idna"))?;
    let (unicode, decoded) = idna::domain_to_unicode(&ascii);
    let back = idna::domain_to_ascii_cow(unicode.as_bytes(), deny);
    match (decoded, back) {
        (Ok(()), Ok(back)) if back == ascii && ends_plain(&unicode, &ascii) => {
            Ok(ascii.into_owned())
        }
        _ => Err(Refused("url.idna")),
    }
}

/// A decoded `xn--` label must hold something that ASCII could not (RUSTSEC-2024-0421).
fn ends_plain(unicode: &str, ascii: &str) -> bool {
    let pairs = unicode.split('.').zip(ascii.split('.'));
    unicode.split('.').count() == ascii.split('.').count()
        && pairs
            .into_iter()
            .all(|(u, a)| a.starts_with("xn--") != u.is_ascii())
}

fn assemble(host: &Host, port: u16, theirs: &Url, method: &str) -> Target {
    let (host, ip) = match host {
        Host::Ip(IpAddr::V6(v6)) => (format!("[{v6}]"), Some(IpAddr::V6(*v6))),
        Host::Ip(IpAddr::V4(v4)) => (v4.to_string(), Some(IpAddr::V4(*v4))),
        Host::Name(name) => (name.clone(), None),
    };
    let scheme_end = theirs.scheme().len();
    let mut url = format!("{}://{host}", theirs.scheme());
    let host_end = url.len();
    url.push_str(&format!(":{port}"));
    let origin_end = url.len();
    url.push_str(theirs.path());
    let path_end = url.len();
    if let Some(query) = theirs.query() {
        url.push('?');
        url.push_str(query);
    }
    let method = method.to_owned();
    Target {
        method,
        url,
        scheme_end,
        host_end,
        origin_end,
        path_end,
        port,
        ip,
    }
}

/// A refusal of a text that has no canonical form: shown short, escaped, without query and userinfo.
fn denied(rule: &str, url: &str, method: &str) -> Denied {
    let place = url.split(['?', '#']).next().unwrap_or_default();
    let shown = match place.rsplit_once('@') {
        Some((_, after)) => format!("…@{}", text::shown(after, SHOWN_MAX)),
        None => text::shown(place, SHOWN_MAX),
    };
    Denied {
        right: "http",
        wanted: format!("{} {shown}", text::shown(method, 32)),
        rule: rule.to_owned(),
        cure: None,
    }
}
