//! The second URL parser: RFC 3986 to the letter, and stricter where parsers are known to differ.
//!
//! The attack: a host checks one reading of a URL and dials another. `http://a\@b`, `http://127.1`,
//! `http://a%2eb` all mean different places to different parsers. This one shares no code with the
//! `url` crate and forgives nothing; a request goes out only when both read the same place. It
//! must never be made lenient to let something pass.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a URL is not a place that we dial: the rule's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) &'static str);

/// Host as it stands in the text; a name is not lowercased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RawHost<'a> {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
    Name(&'a str),
}

/// The parts of `scheme://host[:port][rest]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Split<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) host: RawHost<'a>,
    pub(crate) port: u16,
    /// Path without query and fragment; may be empty.
    pub(crate) path: &'a str,
}

/// Reads `url` as RFC 3986 section 3 does, for the two schemes that we serve.
pub(crate) fn split(url: &str) -> Result<Split<'_>, Refused> {
    let (scheme, rest) = url.split_once("://").ok_or(Refused("url.scheme"))?;
    let default_port = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(Refused("url.scheme")),
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (host, port) = host_port(authority)?;
    let path = tail.split_at(tail.find(['?', '#']).unwrap_or(tail.len())).0;
    Ok(Split {
        scheme,
        host,
        port: port.unwrap_or(default_port),
        path,
    })
}

/// Splits `host[:port]`.
pub(crate) fn host_port(authority: &str) -> Result<(RawHost<'_>, Option<u16>), Refused> {
    if authority.contains('@') {
        return Err(Refused("url.userinfo"));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(inside) => {
            let (literal, after) = inside.split_once(']').ok_or(Refused("url.host"))?;
            (v6(literal)?, after)
        }
        None => {
            let end = authority.find(':').unwrap_or(authority.len());
            let (host, after) = authority.split_at(end);
            (name_or_v4(host)?, after)
        }
    };
    Ok((host, port_number(port)?))
}

fn v6(literal: &str) -> Result<RawHost<'static>, Refused> {
    if literal.contains('%') {
        return Err(Refused("url.zone"));
    }
    literal
        .parse()
        .map(RawHost::V6)
        .map_err(|_| Refused("url.host"))
}

fn name_or_v4(host: &str) -> Result<RawHost<'_>, Refused> {
    if let Ok(v4) = host.parse() {
        return Ok(RawHost::V4(v4));
    }
    // Bounded before names of other scripts are normalised, which takes time by their length. A dot
    // at the end is another spelling of the same name, and no rule has it.
    if host.is_empty() || host.len() > 1024 || host.ends_with('.') {
        return Err(Refused("url.host"));
    }
    let plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') || !c.is_ascii();
    if !host.chars().all(plain) {
        return Err(Refused("url.host"));
    }
    Ok(RawHost::Name(host))
}

fn port_number(text: &str) -> Result<Option<u16>, Refused> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(Refused("url.host"))?;
    let plain = !digits.is_empty()
        && digits.len() <= 5
        // Neither port 0, which means any, nor `0443`, which some parsers read as octal.
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit());
    match digits.parse() {
        Ok(port) if plain => Ok(Some(port)),
        _ => Err(Refused("url.port")),
    }
}

/// Checks a canonical (ASCII, lower-case) host name: labels of 1 to 63, 253 in all.
pub(crate) fn is_host_name(name: &str) -> bool {
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(label_ok)
}
