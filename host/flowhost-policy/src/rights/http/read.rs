//! `[[http]]` in a profile, a manifest and a plan.

use super::{
    Http,
    egress::{is_method, rule},
    grant::{HttpAsk, HttpRule, Inject, LentAsk, is_login_name},
};
use crate::{
    read::{Fields, Reader, node::Node},
    rights::{part::Part, secrets::is_secret_name},
    text,
    unit::Unit,
};

/// Most bytes of one body: it is held in memory until it is whole.
const BODY_BYTES_MAX: u64 = 1 << 30;

pub(super) fn granted(reader: &mut Reader, node: &Node, path: &str) -> Option<HttpRule> {
    let fields = reader.fields(node, path, Http::KEYS)?;
    let url = url(reader, &fields);
    reader.required(&fields, "methods", "[\"GET\"]");
    let methods = methods(reader, &fields);
    let body = |reader: &mut Reader, key, usual| {
        reader
            .quantity(&fields, key, Unit::Bytes, (1, BODY_BYTES_MAX))
            .unwrap_or(usual)
    };
    let rule = HttpRule {
        url: url?,
        methods,
        inject: inject(reader, &fields),
        identity: identity(reader, &fields),
        response_bytes: body(reader, "response", HttpRule::RESPONSE_BYTES),
        request_bytes: body(reader, "request", HttpRule::REQUEST_BYTES),
        private_network: reader.bool(&fields, "private_network").unwrap_or_default(),
    };
    check_clear_text(reader, &fields, &rule);
    check_identity(reader, &fields, &rule);
    Some(rule)
}

/// What is injected or shown, and whether a private address may answer, is the operator's, and not asked for. A
/// missing cap is the ceiling: what is not named does not lower anything.
pub(super) fn asked(reader: &mut Reader, node: &Node, path: &str) -> Option<HttpAsk> {
    let fields = reader.fields(node, path, &["url", "methods", "response", "request"])?;
    let url = url(reader, &fields);
    reader.required(&fields, "methods", "[\"GET\"]");
    let methods = methods(reader, &fields);
    let cap = |reader: &mut Reader, key| {
        reader
            .quantity(&fields, key, Unit::Bytes, (1, BODY_BYTES_MAX))
            .unwrap_or(BODY_BYTES_MAX)
    };
    Some(HttpAsk {
        url: url?,
        methods,
        response_bytes: cap(reader, "response"),
        request_bytes: cap(reader, "request"),
        private_network: true,
        inject: LentAsk::Keep,
        identity: LentAsk::Keep,
    })
}

fn url(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "url", "\"https://api.example.com/\"")?;
    let text = reader.text(fields, "url")?;
    match rule::canonical(&text) {
        Ok(url) => Some(url),
        Err(why) => {
            let shown = text::shown(&text, 128);
            let path = fields.path_of("url");
            reader.problem(node.at, format!("`{path}` is `{shown}`: {why}"), None);
            None
        }
    }
}

fn methods(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    reader.texts(fields, "methods", |method| {
        if is_method(method) {
            Ok(method.to_owned())
        } else {
            Err("a method is upper case, and CONNECT and TRACE are never sent".to_owned())
        }
    })
}

fn inject(reader: &mut Reader, fields: &Fields<'_>) -> Option<Inject> {
    let node = fields.get("inject")?;
    let path = fields.path_of("inject");
    let inner = reader.fields(node, &path, &["header", "value", "login"])?;
    if let Some(node) = inner.get("login") {
        let login = reader.text(&inner, "login")?;
        let fault = match ["header", "value"]
            .iter()
            .any(|key| inner.get(key).is_some())
        {
            true => {
                Some("a login says by itself which header it is: leave out `header` and `value`")
            }
            false => (!is_login_name(&login))
                .then_some("the name of a login has 1 to 32 letters, digits, `-` and `_`"),
        };
        if let Some(fault) = fault {
            reader.problem(
                node.at,
                format!("`{}`: {fault}", inner.path_of("login")),
                None,
            );
        }
        // Also a faulty one: a document with a problem gives no profile, and the rest of the rule
        // is read for its own.
        return Some(Inject::Login(login));
    }
    reader.required(&inner, "header", "\"authorization\"");
    reader.required(&inner, "value", "\"Bearer ${secret:NAME}\"");
    let header = reader.text(&inner, "header");
    let value = reader.text(&inner, "value");
    for (key, fault) in [
        ("header", header.as_deref().and_then(header_fault)),
        ("value", value.as_deref().and_then(template_fault)),
    ] {
        if let (Some(fault), Some(node)) = (fault, inner.get(key)) {
            reader.problem(node.at, format!("`{}`: {fault}", inner.path_of(key)), None);
        }
    }
    Some(Inject::Header {
        header: header?,
        value: value?,
    })
}

fn identity(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("identity")?;
    let name = reader.text(fields, "identity")?;
    if is_secret_name(&name) {
        return Some(name);
    }
    let path = fields.path_of("identity");
    let message = format!("`{path}`: an identity is named in letters, digits and `_`");
    reader.problem(node.at, message, None);
    None
}

/// Headers that frame a message or route it: the host's own, never a profile's. The sender keeps the same list
/// for what guests set, and a test of its compares the two.
const HOST_HEADERS: [&str; 13] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "expect",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "http2-settings",
];

fn header_fault(header: &str) -> Option<&'static str> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if header.is_empty() || header.len() > 128 || !header.bytes().all(plain) {
        return Some("a header name is lower-case letters, digits and `-`");
    }
    HOST_HEADERS
        .contains(&header)
        .then_some("this header is the host's own")
}

fn template_fault(value: &str) -> Option<&'static str> {
    if !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Some("a header value is printable ASCII");
    }
    if !value.contains("${secret:") {
        return Some("nothing to inject: write `${secret:NAME}`");
    }
    let well_formed = value.split("${").skip(1).all(|part| {
        part.split_once('}')
            .and_then(|(inside, _)| inside.strip_prefix("secret:"))
            .is_some_and(is_secret_name)
    });
    (!well_formed).then_some("a placeholder is `${secret:NAME}`, the name letters, digits and `_`")
}

/// A secret goes over TLS, or to this machine.
fn check_clear_text(reader: &mut Reader, fields: &Fields<'_>, rule: &HttpRule) {
    let parts = rule::RuleUrl::of(&rule.url);
    // By what is written: a name that leads to this machine today may lead elsewhere tomorrow.
    let here = parts.is_some_and(|parts| {
        parts.host == "localhost" || rule::literal(parts.host).is_some_and(|ip| ip.is_loopback())
    });
    let clear = parts.is_some_and(|parts| parts.scheme == "http") && !here;
    if let (true, Some(_), Some(node)) = (clear, &rule.inject, fields.get("inject")) {
        let message = format!("`{}` would be sent in clear text", fields.path_of("inject"));
        reader.problem(
            node.at,
            message,
            Some("write `https://` in `url`".to_owned()),
        );
    }
}

/// A certificate is shown in a handshake, which a request in clear text has not.
fn check_identity(reader: &mut Reader, fields: &Fields<'_>, rule: &HttpRule) {
    let clear = rule::RuleUrl::of(&rule.url).is_some_and(|url| url.scheme == "http");
    if let (true, Some(_), Some(node)) = (clear, &rule.identity, fields.get("identity")) {
        let message = format!(
            "`{}` would never be shown: only TLS asks for a certificate",
            fields.path_of("identity")
        );
        reader.problem(
            node.at,
            message,
            Some("write `https://` in `url`".to_owned()),
        );
    }
}
