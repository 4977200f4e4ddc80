//! What a rule's URL may say, and whether a target lies below it.
//!
//! A rule is kept as one canonical string, so that the common case is one comparison of bytes
//! followed by a look at the next byte. Only wildcards and networks are taken apart.

use super::{address::Cidr, names, target::Target};

/// A canonical rule URL, taken apart without allocating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RuleUrl<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: &'a str,
    pub(crate) prefix: &'a str,
}

impl<'a> RuleUrl<'a> {
    /// Takes a canonical rule apart; `None` for anything else, which then matches nothing.
    pub(crate) fn of(canonical: &'a str) -> Option<Self> {
        let (scheme, rest) = canonical.split_at_checked(position(canonical, b':')?)?;
        let rest = rest.strip_prefix("://")?;
        let host_end = match rest.strip_prefix('[') {
            Some(inside) => position(inside, b']')? + 2,
            None => position(rest, b':')?,
        };
        let (host, rest) = rest.split_at_checked(host_end)?;
        let rest = rest.strip_prefix(':')?;
        let (port, prefix) = rest.split_at_checked(position(rest, b'/')?)?;
        Some(Self {
            scheme,
            host,
            port,
            prefix,
        })
    }

    pub(crate) fn cidr(self) -> Option<Cidr> {
        let inside = self.host.strip_prefix('[')?.strip_suffix(']')?;
        Cidr::parse(inside)
    }

    pub(crate) fn wildcard(self) -> Option<&'a str> {
        self.host.strip_prefix("*.")
    }
}

/// Byte for byte: rules are short, and a searcher costs more to set up than they are long.
fn position(text: &str, byte: u8) -> Option<usize> {
    text.bytes().position(|b| b == byte)
}

/// Whether `target` lies below the canonical rule `rule`.
pub(crate) fn covers(rule: &str, target: &Target) -> bool {
    let rest = rule
        .strip_prefix(target.scheme())
        .and_then(|rest| rest.strip_prefix("://"));
    match rest.and_then(|rest| rest.as_bytes().first()) {
        Some(b'*') => RuleUrl::of(rule).is_some_and(|rule| covers_wildcard(rule, target)),
        Some(b'[') => {
            covers_plainly(rule, target)
                || RuleUrl::of(rule).is_some_and(|rule| covers_network(rule, target))
        }
        Some(_) => covers_plainly(rule, target),
        None => false,
    }
}

/// A rule shorter than the origin is no canonical rule, and must not become a prefix of all.
fn covers_plainly(rule: &str, target: &Target) -> bool {
    rule.len() > target.origin().len() && is_prefix(rule, target.place())
}

fn covers_wildcard(rule: RuleUrl<'_>, target: &Target) -> bool {
    let host = target.host();
    target.ip().is_none()
        && rule.wildcard().is_some_and(|suffix| below(suffix, host))
        && !names::is_local(host)
        && covers_rest(rule, target)
}

fn covers_network(rule: RuleUrl<'_>, target: &Target) -> bool {
    let inside = |(network, ip): (Cidr, _)| network.contains(ip);
    rule.cidr().zip(target.ip()).is_some_and(inside) && covers_rest(rule, target)
}

/// Port and path; the scheme has been compared before.
fn covers_rest(rule: RuleUrl<'_>, target: &Target) -> bool {
    rule.port.parse() == Ok(target.port()) && is_prefix(rule.prefix, target.path())
}

/// Whether `host` has at least one label before `.suffix`.
pub(crate) fn below(suffix: &str, host: &str) -> bool {
    host.strip_suffix(suffix)
        .and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|label| !label.is_empty())
}

/// Whether `path` is `prefix` or lies below it, whole segments only.
pub(crate) fn is_prefix(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

/// The canonical form of a rule's URL as a person writes it.
///
/// `https://api.example.com/v1/`, `https://*.example.com`, `http://127.0.0.1:8080`,
/// `https://[2001:db8::1]/` and, for networks, `http://[10.0.0.0/8]:8080/`.
///
/// # Errors
///
/// What is wrong with it, as a sentence.
pub(crate) fn canonical(text: &str) -> Result<String, String> {
    if text.contains(['?', '#']) {
        return Err("a rule has no query and no fragment".to_owned());
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or("a rule starts with `https://` or `http://`")?;
    if let Some(inside) = rest.strip_prefix('[')
        && let Some((network, after)) = inside.split_once(']')
        && network.contains('/')
    {
        return canonical_network(scheme, network, after);
    }
    match rest.strip_prefix("*.") {
        Some(suffix) => canonical_wildcard(scheme, suffix),
        None => plain(text),
    }
}

fn canonical_network(scheme: &str, network: &str, after: &str) -> Result<String, String> {
    let cidr = Cidr::parse(network).ok_or_else(|| {
        format!("`{network}` is not a network: write `10.0.0.0/8`, host bits zero")
    })?;
    // An address in the network's place, so that port and path are read by the one reader that
    // there is for them.
    let probe = plain(&format!("{scheme}://10.0.0.0{after}"))?;
    let tail = probe
        .split_once("10.0.0.0")
        .map(|(_, tail)| tail)
        .unwrap_or_default();
    let (address, bits) = match cidr.address {
        std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some() => {
            return Err("write an IPv4-mapped network as its IPv4 network".to_owned());
        }
        address => (address, cidr.bits),
    };
    Ok(format!("{scheme}://[{address}/{bits}]{tail}"))
}

fn canonical_wildcard(scheme: &str, suffix: &str) -> Result<String, String> {
    let probe = plain(&format!("{scheme}://{suffix}"))?;
    let bare = RuleUrl::of(&probe).ok_or("the host is not a name")?;
    let named = bare.host.split('.').count() >= 2 && bare.host.parse::<std::net::IpAddr>().is_err();
    if !named || bare.host.starts_with('[') {
        return Err("a wildcard is `*.` before a name of two labels or more".to_owned());
    }
    Ok(format!(
        "{}://*.{}:{}{}",
        bare.scheme, bare.host, bare.port, bare.prefix
    ))
}

fn plain(text: &str) -> Result<String, String> {
    if !text.is_ascii() {
        return Err("a rule is written in ASCII: the host as `xn--…`, the path escaped".to_owned());
    }
    if text.contains('*') {
        return Err("`*` stands only as the whole first label, `*.example.com`".to_owned());
    }
    let target = Target::parse(text, "GET").map_err(|denied| why(&denied.rule).to_owned())?;
    // Told and not mended: a person would else read one prefix in the profile, and another would be
    // compared.
    if !text.ends_with(target.path()) && target.path() != "/" {
        return Err(format!(
            "the path is not in its normal form, which is `{}`",
            target.path()
        ));
    }
    Ok(target.place().to_owned())
}

/// A rule name of [`Target::parse`] as a sentence.
pub(crate) fn why(rule: &str) -> &'static str {
    match rule {
        "url.scheme" => "the scheme is `https` or `http`, in lower case",
        "url.userinfo" => "a URL here has no user name or password",
        "url.backslash" => "a URL has no backslash",
        "url.invisible" => "a URL has no space, control or invisible character",
        "url.length" => "a URL has at most 8 KiB",
        "url.port" => "the port is a number from 1 to 65535",
        "url.path" => "the path has a dot segment, an escaped separator or a broken escape",
        "url.zone" => "an address has no zone",
        "url.idna" => "the host is not a valid international name",
        _ => "the host is not a plain name or address",
    }
}

/// The canonical URL of what two rules both allow, if there is any.
pub(crate) fn overlap(a: &str, b: &str) -> Option<String> {
    let (a, b) = (RuleUrl::of(a)?, RuleUrl::of(b)?);
    if a.scheme != b.scheme || a.port != b.port {
        return None;
    }
    let host = narrower_host(a, b).or_else(|| narrower_host(b, a))?;
    let prefix = if is_prefix(a.prefix, b.prefix) {
        b.prefix
    } else if is_prefix(b.prefix, a.prefix) {
        a.prefix
    } else {
        return None;
    };
    Some(format!("{}://{host}:{}{prefix}", a.scheme, a.port))
}

/// `b`'s host when everything it names is named by `a`'s host.
fn narrower_host<'a>(a: RuleUrl<'_>, b: RuleUrl<'a>) -> Option<&'a str> {
    let covered = a.host == b.host
        || match (a.wildcard(), b.wildcard()) {
            (Some(wide), Some(narrow)) => below(wide, narrow),
            (Some(wide), None) => {
                !b.host.starts_with('[') && below(wide, b.host) && !names::is_local(b.host)
            }
            _ => network_covers(a, b),
        };
    covered.then_some(b.host)
}

fn network_covers(a: RuleUrl<'_>, b: RuleUrl<'_>) -> bool {
    let Some(wide) = a.cidr() else { return false };
    if let Some(narrow) = b.cidr() {
        return wide.covers(narrow);
    }
    literal(b.host).is_some_and(|ip| wide.contains(ip))
}

/// The address that a rule's host is, if it is one.
pub(crate) fn literal(host: &str) -> Option<std::net::IpAddr> {
    host.strip_prefix('[')
        .and_then(|inside| inside.strip_suffix(']'))
        .unwrap_or(host)
        .parse()
        .ok()
}
