//! `https://…` and `oci://…`, and the lines of an operator's list.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use url::Url;

/// Bytes of a place: longer ones are no address of a file.
const PLACE_BYTES_MAX: usize = 2048;
/// Bytes of a repository's name, as the distribution specification has it.
const REPOSITORY_BYTES_MAX: usize = 255;
/// Bytes of a tag, as the distribution specification has it.
const TAG_BYTES_MAX: usize = 128;

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It begins with neither of the two schemes.
    #[error("`{0}` begins with neither `https://` nor `oci://`")]
    Scheme(String),
    /// It is no address.
    #[error("`{text}` is not an address: {why}")]
    Address {
        /// As it is written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It says neither which release nor which bytes.
    #[error(
        "`{0}` names neither a tag nor a digest, and `latest` is not assumed: add `:TAG` or `@sha256:…`"
    )]
    Untagged(String),
}

/// Where a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A file on a web server.
    Web(Url),
    /// An artifact in a registry.
    Registry(Reference),
}

/// An artifact in a registry: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:HEX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Host, and port where one is named.
    pub registry: String,
    /// The repository's name, with `/` between its parts.
    pub repository: String,
    /// Its tag.
    pub tag: Option<String>,
    /// `sha256:…` of its manifest.
    pub digest: Option<String>,
}

impl Place {
    /// Whether a text is meant as one.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.contains("://")
    }

    /// Reads a place.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if text.len() > PLACE_BYTES_MAX {
            let start: String = text.chars().take(40).collect();
            return Err(address(
                &format!("{start}…"),
                "it is longer than 2,048 bytes",
            ));
        }
        if text.starts_with("https://") {
            return web(text).map(Self::Web);
        }
        match text.strip_prefix("oci://") {
            Some(rest) => {
                let reference = Reference::parse(text, rest)?;
                match (&reference.tag, &reference.digest) {
                    (None, None) => Err(PlaceError::Untagged(text.to_owned())),
                    _ => Ok(Self::Registry(reference)),
                }
            }
            None => Err(PlaceError::Scheme(text.to_owned())),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Web(url) => f.write_str(url.as_str()),
            Self::Registry(reference) => write!(f, "{reference}"),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "oci://{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl Reference {
    fn parse(text: &str, rest: &str) -> Result<Self, PlaceError> {
        let wrong = |why: &str| address(text, why);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) if is_digest(digest) => (rest, Some(digest.to_owned())),
            Some(_) => {
                return Err(wrong(
                    "after `@` stands `sha256:` with 64 digits from 0-9 and a-f",
                ));
            }
            None => (rest, None),
        };
        let (registry, name) = rest
            .split_once('/')
            .ok_or_else(|| wrong("it needs a host and a repository: `oci://HOST/NAME:TAG`"))?;
        check_registry(registry).map_err(wrong)?;
        let (repository, tag) = match name.split_once(':') {
            Some((name, tag)) => (name, Some(tag)),
            None => (name, None),
        };
        if !is_repository(repository) {
            return Err(wrong(
                "a repository has parts of a-z and 0-9, joined by `.`, `_` or `-`, with `/` between them",
            ));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(
                "a tag has up to 128 of letters, digits, `_`, `.` and `-`, and begins with none of the last two",
            ));
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }

    /// What a registry is asked for: the digest where one is named, because a tag may move.
    #[must_use]
    pub fn wanted(&self) -> &str {
        let named = self.digest.as_deref().or(self.tag.as_deref());
        debug_assert!(
            named.is_some(),
            "a place without tag and digest was refused when it was read"
        );
        named.unwrap_or_default()
    }

    /// The registry's address. Without TLS only this machine is spoken to, as registries' own tools do.
    #[must_use]
    pub fn base(&self) -> String {
        // An IPv6 address has colons, too: what follows the last one is a port only where it is a number.
        let host = self.registry.rsplit_once(':').map_or_else(
            || self.registry.as_str(),
            |(host, port)| match port.bytes().all(|byte| byte.is_ascii_digit()) {
                true => host,
                false => self.registry.as_str(),
            },
        );
        let scheme = if is_this_machine(host) {
            "http"
        } else {
            "https"
        };
        format!("{scheme}://{}", self.registry)
    }
}

/// One line of an operator's list: a server, or a part of what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listed {
    /// Everything below an address, which ends in `/`.
    Web(Url),
    /// A registry, or the repositories below a name.
    Registry {
        /// Host, and port where one is named.
        registry: String,
        /// The name; empty for all repositories.
        below: String,
    },
}

impl Listed {
    /// Reads a line.
    ///
    /// # Errors
    /// [`PlaceError`].
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        if let Some(rest) = text.strip_prefix("oci://") {
            let rest = rest.trim_end_matches('/');
            let (registry, below) = rest.split_once('/').unwrap_or((rest, ""));
            check_registry(registry).map_err(|why| address(text, why))?;
            if !below.is_empty() && !is_repository(below) {
                return Err(address(
                    text,
                    "it names a tag or digest, or no repository; list the repository or what is above it",
                ));
            }
            return Ok(Self::Registry {
                registry: registry.to_owned(),
                below: below.to_owned(),
            });
        }
        if !text.starts_with("https://") {
            return Err(PlaceError::Scheme(text.to_owned()));
        }
        let mut url = web(text)?;
        if url.query().is_some() {
            return Err(address(text, "a list covers paths, and has no `?`"));
        }
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self::Web(url))
    }

    /// Whether a place is on the list by this line.
    #[must_use]
    pub fn covers(&self, place: &Place) -> bool {
        match (self, place) {
            (Self::Registry { registry, below }, Place::Registry(wanted)) => {
                let inside = |rest: &str| rest.is_empty() || rest.starts_with('/');
                registry == &wanted.registry
                    && (below.is_empty()
                        || wanted
                            .repository
                            .strip_prefix(below.as_str())
                            .is_some_and(inside))
            }
            (Self::Web(_), Place::Web(url)) => self.covers_url(url),
            _ => false,
        }
    }

    /// Whether an address that a server sent us to is on the list by this line.
    #[must_use]
    pub fn covers_url(&self, url: &Url) -> bool {
        match self {
            Self::Web(base) => {
                base.origin() == url.origin()
                    && url.path().starts_with(base.path())
                    && is_plain(url.path())
            }
            Self::Registry { .. } => false,
        }
    }
}

fn address(text: &str, why: &str) -> PlaceError {
    PlaceError::Address {
        text: text.to_owned(),
        why: why.to_owned(),
    }
}

fn web(text: &str) -> Result<Url, PlaceError> {
    if text
        .bytes()
        .any(|byte| byte.is_ascii_whitespace() || byte.is_ascii_control())
    {
        return Err(address(text, "it has a space or a control character in it"));
    }
    let url = Url::parse(text).map_err(|error| address(text, &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: what stands there is a password.
        let shown = url.host_str().unwrap_or_default();
        return Err(address(
            shown,
            "it has a name or password in it; name a secret with `login` in the operator's list",
        ));
    }
    // Two texts that differ in it alone would be one file under two names.
    if url.fragment().is_some() {
        return Err(address(text, "it has a `#` part, which no server is sent"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(address(text, "it has no host"));
    }
    // As it is written: the parser has resolved what stands for a dot already.
    let written = text.trim_start_matches("https://");
    if !is_plain(written.split('?').next().unwrap_or_default()) {
        return Err(address(
            text,
            "it has an escaped slash, backslash or dot, which servers read in two ways",
        ));
    }
    Ok(url)
}

/// Whether a path means the same to whoever decodes it and to whoever does not. `%25` is among them because it becomes one of
/// the others for whoever decodes twice, and `//` because some servers leave out an empty part.
fn is_plain(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    !["%2f", "%5c", "%2e", "%25", "%00", "\\", "//"]
        .iter()
        .any(|odd| path.contains(odd))
}

fn check_registry(text: &str) -> Result<(), &'static str> {
    let wrong =
        "a registry is a host of a-z, 0-9, `.` and `-`, or an address, with a port or without";
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => {
            host.parse::<Ipv6Addr>().map_err(|_| wrong)?;
            (None, port.strip_prefix(':'))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (Some(host), Some(port)),
            None => (Some(text), None),
        },
    };
    if let Some(host) = host {
        let plain = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')
        };
        let edge = |text: &str| text.starts_with(['.', '-']) || text.ends_with(['.', '-']);
        if host.is_empty() || !host.bytes().all(plain) || edge(host) {
            return Err(wrong);
        }
    }
    match port {
        Some(port) if port.parse::<u16>().is_err() || port.starts_with('+') => {
            Err("its port is not a number up to 65535")
        }
        _ => Ok(()),
    }
}

fn is_this_machine(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback())
        || bare.parse::<Ipv6Addr>().is_ok_and(|it| it.is_loopback())
}

fn is_repository(name: &str) -> bool {
    !name.is_empty() && name.len() <= REPOSITORY_BYTES_MAX && name.split('/').all(is_part)
}

/// Runs of letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_part(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let joins =
        |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|byte| byte == b'-');
    let ends = part.bytes().next().is_some_and(word) && part.bytes().last().is_some_and(word);
    ends && part
        .split(|character: char| character.is_ascii_lowercase() || character.is_ascii_digit())
        .all(joins)
}

fn is_tag(tag: &str) -> bool {
    let ok = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    (1..=TAG_BYTES_MAX).contains(&tag.len()) && tag.bytes().all(ok) && !tag.starts_with(['.', '-'])
}

/// Whether a text is `sha256:` with 64 digits, as registries write it.
pub(super) fn is_digest(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:");
    digits.is_some_and(|it| {
        it.len() == 64
            && it
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    fn refused(text: &str) -> String {
        Place::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for text in [
            "https://x.example/team%2f../a.wasm",
            "https://x.example/team/%2e%2e/a.wasm",
            "https://x.example/team//a.wasm",
            "https://x.example/a.wasm#b",
            "https://x.example/a b.wasm",
            "https://",
            "oci://x.example/Team/a:1",
            "oci://x.example/a//b:1",
            "oci://x.example/../a:1",
            "oci://x.example/a:1:2",
            "oci://x.example/a:-1",
            "oci://X.example/a:1",
            "oci://x.example:70000/a:1",
            "oci://x.example:+80/a:1",
            "oci://user@x.example/a:1",
            "oci://x.example/a@sha256:12",
            "oci://x.example/a@md5:12",
            "oci:///a:1",
            "oci://x.example",
            "http://x.example/a.wasm",
            "file:///etc/passwd",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        assert!(refused("oci://x.example/a").contains("`latest` is not assumed"));
        let long = format!("https://x.example/{}", "a".repeat(3000));
        assert!(refused(&long).len() < 200);
    }

    #[test]
    fn a_password_in_an_address_is_refused_and_not_repeated() {
        let said = refused("https://me:hunter2@x.example/a.wasm");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn what_was_read_is_written_as_it_was() {
        for text in [
            "https://x.example/team/a.wasm?v=1".to_owned(),
            "oci://x.example/team/a_b__c--d.e:1.0.0".to_owned(),
            format!("oci://127.0.0.1:5000/a:1@{DIGEST}"),
            format!("oci://[::1]:5000/a@{DIGEST}"),
        ] {
            assert_eq!(Place::parse(&text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        let base = |text: &str| match Place::parse(text).unwrap() {
            Place::Registry(reference) => reference.base(),
            Place::Web(url) => panic!("{url}"),
        };
        assert_eq!(base("oci://localhost:5000/a:1"), "http://localhost:5000");
        assert_eq!(base("oci://127.9.9.9/a:1"), "http://127.9.9.9");
        assert_eq!(base("oci://[::1]:5000/a:1"), "http://[::1]:5000");
        assert_eq!(
            base("oci://127.0.0.1.x.example/a:1"),
            "https://127.0.0.1.x.example"
        );
        assert_eq!(base("oci://x.example:5000/a:1"), "https://x.example:5000");
    }

    #[test]
    fn a_line_covers_what_is_below_it_and_nothing_beside_it() {
        let covers = |line: &str, place: &str| {
            Listed::parse(line)
                .unwrap()
                .covers(&Place::parse(place).unwrap())
        };
        assert!(covers(
            "https://x.example/team",
            "https://x.example/team/a.wasm"
        ));
        assert!(covers("https://x.example", "https://x.example:443/a.wasm"));
        assert!(covers("oci://x.example", "oci://x.example/any/a:1"));
        assert!(covers("oci://x.example/team/", "oci://x.example/team/a:1"));
        assert!(covers("oci://x.example/team", "oci://x.example/team:1"));
        for (line, place) in [
            ("https://x.example/team", "https://x.example/teams/a.wasm"),
            ("https://x.example/team", "https://x.example/team/../a.wasm"),
            ("https://x.example", "https://x.example.evil.example/a.wasm"),
            ("https://x.example", "https://x.example:444/a.wasm"),
            ("oci://x.example/team", "oci://x.example/teams/a:1"),
            ("oci://x.example", "oci://x.example:444/a:1"),
            ("https://x.example", "oci://x.example/a:1"),
        ] {
            assert!(!covers(line, place), "{line} covers {place}");
        }
        for line in [
            "x.example",
            "oci://x.example/a:1",
            "https://x.example/?a",
            "oci://",
            "http://127.0.0.1/",
        ] {
            assert!(Listed::parse(line).is_err(), "{line}");
        }
    }
}
