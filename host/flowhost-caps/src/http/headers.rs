//! Which headers a guest may set, and how many of them travel.
//!
//! Framing, `Host` and hop-by-hop headers belong to the host: a guest that could write them could
//! smuggle a second request into the connection or speak to another site than the one decided.

use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::error::SendError;

/// Most header fields in a request or response: as many as common servers take. More is refused before it is
/// kept.
pub(super) const FIELDS_MAX: usize = 100;

/// Most bytes of names and values in a request or response. Servers refuse more than 8 to 64 KiB; without a bound
/// an answer's headers would grow in the host's memory before the guest's limit sees them.
pub(super) const FIELD_BYTES_MAX: usize = 64 * 1024;

/// Headers that are the host's alone.
const HOSTS_OWN: [HeaderName; 13] = [
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Whether a guest may not set it.
pub(super) fn is_hosts_own(name: &HeaderName) -> bool {
    HOSTS_OWN.contains(name)
}

/// Reads the headers of `flowhost:http`.
pub(super) fn from_pairs<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<HeaderMap, SendError> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        // Refused here already: `HeaderMap` panics beyond 32,768 fields, and a guest may hand over
        // more.
        if headers.len() == FIELDS_MAX {
            return Err(over(FIELDS_MAX + 1, FIELDS_MAX));
        }
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| SendError::Invalid("a header name is not a token".to_owned()))?;
        let value = HeaderValue::from_str(value).map_err(|_| {
            SendError::Invalid(format!("the value of `{name}` holds a control character"))
        })?;
        // Not `insert`: a field may be given several times (`set-cookie`, `accept`), and the order
        // counts.
        headers.append(name, value);
    }
    Ok(headers)
}

/// Refuses what is the host's own, and too much of anything.
pub(super) fn check_request(headers: &HeaderMap) -> Result<(), SendError> {
    if let Some(name) = headers.keys().find(|name| is_hosts_own(name)) {
        return Err(SendError::Invalid(format!(
            "the header `{name}` is set by the host alone"
        )));
    }
    check_size(headers)
}

/// Refuses a header section over the caps.
pub(super) fn check_size(headers: &HeaderMap) -> Result<(), SendError> {
    if headers.len() > FIELDS_MAX {
        return Err(over(headers.len(), FIELDS_MAX));
    }
    match usize::try_from(bytes(headers)) {
        Ok(bytes) if bytes <= FIELD_BYTES_MAX => Ok(()),
        bytes => Err(over(bytes.unwrap_or(usize::MAX), FIELD_BYTES_MAX)),
    }
}

/// Bytes of names and values.
pub(super) fn bytes(headers: &HeaderMap) -> u64 {
    let field = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    headers.iter().map(|it| field(it) as u64).sum()
}

fn over(used: usize, allowed: usize) -> SendError {
    SendError::Limit {
        name: "http.headers",
        used: used as u64,
        allowed: allowed as u64,
    }
}

/// Whether a body is framed as it was asked for. No request of ours has a `te`, so that a server may not compress what it
/// transfers (RFC 9112, 7.4); hyper takes the pieces apart and leaves the rest, which would reach a guest without its
/// name, and past the search for secrets.
pub(super) fn check_framing(headers: &HeaderMap) -> Result<(), SendError> {
    let mut codings = headers
        .get_all(header::TRANSFER_ENCODING)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    let plain = |coding: &[u8]| {
        coding.eq_ignore_ascii_case(b"chunked") || coding.eq_ignore_ascii_case(b"identity")
    };
    if codings.any(|coding| !coding.is_empty() && !plain(coding)) {
        return Err(SendError::Protocol(
            "the server transfers its answer in a coding that it was not asked for".to_owned(),
        ));
    }
    Ok(())
}

/// Removes what described the connection, which ended here. What a body is compressed with stays, also where a server
/// names it in `connection`: a body that could hide a secret is refused by it, after this.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|list| list.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .filter(|name| *name != header::CONTENT_ENCODING)
        .collect();
    // What a server names in `connection` as well (RFC 9110, 7.6.1).
    let own = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ];
    for name in own.into_iter().chain(named) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_cannot_have_the_compression_of_its_body_forgotten() {
        let mut headers = HeaderMap::new();
        let of = HeaderValue::from_static;
        headers.insert(header::CONNECTION, of("Content-Encoding, x-hop"));
        headers.insert(header::CONTENT_ENCODING, of("gzip"));
        headers.insert("x-hop", of("1"));
        strip_hop_by_hop(&mut headers);
        let left: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["content-encoding"]);
    }

    #[test]
    fn what_a_guest_may_not_set_no_profile_injects_either() {
        for name in &HOSTS_OWN {
            let text = format!(
                "version = 1\nname = \"p\"\n[secrets]\nnames = [\"A\"]\n[[http]]\n\
                 url = \"https://api.example.com/\"\nmethods = [\"GET\"]\n\
                 inject = {{ header = \"{name}\", value = \"${{secret:A}}\" }}\n"
            );
            let problems = flowhost_policy::Profile::parse(&text, "p.toml").unwrap_err();
            assert!(problems[0].message.contains("the host's own"), "{name}");
        }
    }
}
