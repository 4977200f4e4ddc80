//! The grant tables of a profile: what may be written in them, and nothing else.
//!
//! A key that no part of the host enforces is not read here, so it is an unknown key. What is
//! missing grants nothing.

use std::collections::BTreeMap;

use super::{
    Fields, Reader,
    node::{Entry, Node, Value},
};
use crate::{
    decide::{is_plain_name, is_secret_name},
    egress,
    grant::{
        Access, ClockMode, EnvValue, FileGrant, Grants, HttpRule, Inject, MessagesGrant,
        ModelGrant, RandomSource, SecretsGrant, StateGrant, ToolsGrant,
    },
    pattern::{self, model, tool, topic},
    text,
    unit::Unit,
};

/// The keys of all grants, as they stand in a profile and below `[needs]`.
pub(crate) const GRANT_KEYS: [&str; 13] = [
    "log", "config", "budget", "http", "files", "env", "model", "tools", "messages", "state",
    "clock", "random", "secrets",
];

pub(crate) const HTTP_KEYS: [&str; 6] = [
    "url",
    "methods",
    "inject",
    "response",
    "request",
    "private_network",
];

/// Most bytes of one HTTP body.
pub(crate) const BODY_BYTES_MAX: u64 = 1 << 30;
/// Most bytes below one writable folder.
pub(crate) const QUOTA_BYTES_MAX: u64 = 1 << 40;
/// Most entries below one writable folder.
pub(crate) const QUOTA_ENTRIES_MAX: u64 = 10_000_000;
/// Most tokens per run of a plugin.
pub(crate) const TOKENS_MAX: u64 = 1_000_000_000;
/// Most micro-USD per run of a plugin.
pub(crate) const MICRO_USD_MAX: u64 = 1_000_000_000_000;
/// Most bytes of state in one namespace.
pub(crate) const STATE_BYTES_MAX: u64 = 1 << 30;
/// Bytes of state in one namespace where a profile says nothing.
const STATE_BYTES: u64 = 1 << 20;

pub(crate) const CLOCK_WORDS: [(&str, ClockMode); 3] = [
    ("denied", ClockMode::Denied),
    ("virtual", ClockMode::Virtual),
    ("real", ClockMode::Real),
];

pub(crate) const RANDOM_WORDS: [(&str, RandomSource); 3] = [
    ("denied", RandomSource::Denied),
    ("seeded", RandomSource::Seeded),
    ("os", RandomSource::Os),
];

pub(crate) const ACCESS_WORDS: [(&str, Access); 2] =
    [("read", Access::Read), ("write", Access::Write)];

/// Reads every grant table of a profile.
pub(crate) fn grants(reader: &mut Reader, fields: &Fields<'_>) -> Grants {
    Grants {
        log: reader.bool(fields, "log").unwrap_or_default(),
        config: reader.bool(fields, "config").unwrap_or_default(),
        budget: reader.bool(fields, "budget").unwrap_or_default(),
        http: tables(reader, fields, "http", http_rule),
        files: files(reader, fields),
        env: env(reader, fields),
        model: model_grant(reader, fields),
        tools: fields
            .get("tools")
            .and_then(|node| tools(reader, node, &fields.path_of("tools")))
            .unwrap_or_default(),
        messages: fields
            .get("messages")
            .and_then(|node| messages(reader, node, &fields.path_of("messages")))
            .unwrap_or_default(),
        state: fields
            .get("state")
            .and_then(|node| state(reader, node, &fields.path_of("state"), STATE_BYTES))
            .unwrap_or_default(),
        clock: clock(reader, fields).unwrap_or_default(),
        random: random(reader, fields).unwrap_or_default(),
        secrets: fields
            .get("secrets")
            .and_then(|node| secrets(reader, node, &fields.path_of("secrets")))
            .unwrap_or_default(),
        named: LISTS
            .into_iter()
            .filter(|key| fields.get(key).is_some())
            .collect(),
    }
}

/// The rights that can be written down and hold nothing. The others say no by one word (`log = false`,
/// `wall = "denied"`), which means it.
pub(crate) const LISTS: [&str; 8] = [
    "http", "files", "env", "model", "tools", "messages", "state", "secrets",
];

/// Reads a list of tables such as `[[http]]`.
pub(crate) fn tables<T>(
    reader: &mut Reader,
    fields: &Fields<'_>,
    key: &str,
    read: impl Fn(&mut Reader, &Node, &str) -> Option<T>,
) -> Vec<T> {
    let Some(node) = fields.get(key) else {
        return Vec::new();
    };
    let path = fields.path_of(key);
    let mut out = Vec::new();
    for (index, item) in reader.list(node, &path).iter().enumerate() {
        let path = format!("{path}[{index}]");
        reader.place(&path, item.at);
        out.extend(read(reader, item, &path));
    }
    out
}

fn http_rule(reader: &mut Reader, node: &Node, path: &str) -> Option<HttpRule> {
    let fields = reader.fields(node, path, &HTTP_KEYS)?;
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
        response_bytes: body(reader, "response", HttpRule::RESPONSE_BYTES),
        request_bytes: body(reader, "request", HttpRule::REQUEST_BYTES),
        private_network: reader.bool(&fields, "private_network").unwrap_or_default(),
    };
    check_clear_text(reader, &fields, &rule);
    Some(rule)
}

pub(crate) fn url(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "url", "\"https://api.example.com/\"")?;
    let text = reader.text(fields, "url")?;
    match egress::rule::canonical(&text) {
        Ok(url) => Some(url),
        Err(why) => {
            let shown = text::shown(&text, 128);
            let path = fields.path_of("url");
            reader.problem(node.at, format!("`{path}` is `{shown}`: {why}"), None);
            None
        }
    }
}

pub(crate) fn methods(reader: &mut Reader, fields: &Fields<'_>) -> Vec<String> {
    reader.texts(fields, "methods", |method| {
        if egress::is_method(method) {
            Ok(method.to_owned())
        } else {
            Err("a method is upper case, and CONNECT and TRACE are never sent".to_owned())
        }
    })
}

fn inject(reader: &mut Reader, fields: &Fields<'_>) -> Option<Inject> {
    let node = fields.get("inject")?;
    let inner = reader.fields(node, &fields.path_of("inject"), &["header", "value"])?;
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
    Some(Inject {
        header: header?,
        value: value?,
    })
}

/// Headers that frame a message or route it: the host's own, never a profile's.
const HOST_HEADERS: [&str; 11] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "trailer",
    "keep-alive",
    "expect",
    "proxy-authorization",
    "proxy-connection",
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
    let parts = egress::rule::RuleUrl::of(&rule.url);
    let here = parts
        .and_then(|parts| egress::rule::literal(parts.host))
        .is_some_and(|ip| ip.is_loopback());
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

fn files(reader: &mut Reader, fields: &Fields<'_>) -> Vec<FileGrant> {
    let grants = tables(reader, fields, "files", file_grant);
    let guests: Vec<&str> = grants.iter().map(|grant| grant.guest.as_str()).collect();
    check_apart(reader, fields, &guests);
    grants
}

/// Reports guest paths that are the same or nested. A nested one would hide a part of the other,
/// and taking it away would then show what was hidden: narrowing would widen.
pub(crate) fn check_apart(reader: &mut Reader, fields: &Fields<'_>, guests: &[&str]) {
    let at = fields.get("files").map_or(fields.at, |node| node.at);
    for (index, guest) in guests.iter().enumerate() {
        let nested = |other: &&&str| {
            pattern::path::below(other, guest).is_some()
                || pattern::path::below(guest, other).is_some()
        };
        let Some(other) = guests.iter().take(index).find(nested) else {
            continue;
        };
        let message = if guest == other {
            format!("two `files` tables have the guest path `{guest}`")
        } else {
            format!("the guest paths `{other}` and `{guest}` lie in one another")
        };
        let cure = "give them guest paths side by side, such as `/docs` and `/out`".to_owned();
        reader.problem(at, message, Some(cure));
    }
}

fn file_grant(reader: &mut Reader, node: &Node, path: &str) -> Option<FileGrant> {
    let fields = reader.fields(node, path, &["guest", "host", "access", "quota", "entries"])?;
    let guest = guest_path(reader, &fields);
    let host = host_folder(reader, &fields);
    reader.required(&fields, "access", "\"read\"");
    let access = reader.word(&fields, "access", &ACCESS_WORDS);
    let (quota_bytes, quota_entries) = quota(reader, &fields, access);
    Some(FileGrant {
        guest: guest?,
        host: host?,
        access: access?,
        quota_bytes,
        quota_entries,
    })
}

pub(crate) fn guest_path(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "guest", "\"/docs\"")?;
    let guest = reader.text(fields, "guest")?;
    if pattern::path::is_canonical(&guest) {
        return Some(guest);
    }
    let message = format!(
        "`{}` is not an absolute path in normal form",
        fields.path_of("guest")
    );
    reader.problem(node.at, message, Some("write it like `/docs`".to_owned()));
    None
}

fn host_folder(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = reader.required(fields, "host", "\"docs\"")?;
    let host = reader.text(fields, "host")?;
    match host_fault(&host) {
        None => Some(normal_host(&host)),
        Some(fault) => {
            let shown = text::shown(&host, 128);
            let cure = "name a folder relative to the plan, such as `docs`".to_owned();
            reader.problem(
                node.at,
                format!("`{}` is `{shown}`: {fault}", fields.path_of("host")),
                Some(cure),
            );
            None
        }
    }
}

/// What is wrong with a host folder as far as its text can tell; links are the opener's business.
pub(crate) fn host_fault(host: &str) -> Option<&'static str> {
    if host.is_empty() || host.len() > 1024 {
        return Some("not a folder");
    }
    if text::first_hidden(host).is_some() || host.contains('\\') {
        return Some("it holds a backslash or a character that cannot be seen");
    }
    if host.split('/').any(|segment| segment == "..") {
        return Some("it climbs with `..`");
    }
    if host_input(host).is_some() {
        return None;
    }
    if host.contains("${inputs.") {
        return Some(
            "`${inputs.NAME}` is the whole of it: nothing stands beside it, and a folder below is an \
             input of its own",
        );
    }
    if host.starts_with('~') || host.contains('$') {
        return Some("the home directory and variables are not expanded");
    }
    if !host.starts_with('/') {
        return None;
    }
    let first = host
        .split('/')
        .find(|segment| !matches!(*segment, "" | "."));
    match first {
        None => Some("the root of the machine is never granted"),
        Some("proc" | "sys" | "dev") => Some("kernel and device files are never granted"),
        Some("etc" | "root" | "boot" | "run") => Some("system folders are never granted"),
        Some(_) => None,
    }
}

/// The input that a host folder names: `folder` for `${inputs.folder}`, which is the whole of it.
/// The one who starts the run says which folder that is; no text of a plan or a guest gets there.
///
/// # Examples
///
/// ```
/// assert_eq!(flowhost_policy::host_input("${inputs.folder}"), Some("folder"));
/// assert_eq!(flowhost_policy::host_input("${inputs.folder}/.."), None);
/// ```
#[must_use]
pub fn host_input(host: &str) -> Option<&str> {
    let name = host.strip_prefix("${inputs.")?.strip_suffix('}')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

/// `./docs//a/` as `docs/a`; the plan's own folder is `.`.
pub(crate) fn normal_host(host: &str) -> String {
    let parts: Vec<&str> = host
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    match (host.starts_with('/'), parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn quota(reader: &mut Reader, fields: &Fields<'_>, access: Option<Access>) -> (u64, u64) {
    if access == Some(Access::Write) {
        reader.required(fields, "quota", "\"10MiB\"");
        reader.required(fields, "entries", "1_000");
    } else {
        for key in ["quota", "entries"] {
            if let (Some(node), Some(Access::Read)) = (fields.get(key), access) {
                let message = format!("`{}` has no meaning for read access", fields.path_of(key));
                reader.problem(node.at, message, Some("remove it".to_owned()));
            }
        }
    }
    let bytes = reader.quantity(fields, "quota", Unit::Bytes, (1, QUOTA_BYTES_MAX));
    let entries = reader.quantity(fields, "entries", Unit::Count, (1, QUOTA_ENTRIES_MAX));
    (bytes.unwrap_or_default(), entries.unwrap_or_default())
}

fn env(reader: &mut Reader, fields: &Fields<'_>) -> BTreeMap<String, EnvValue> {
    let table = fields
        .get("env")
        .and_then(|node| reader.open(node, &fields.path_of("env")));
    let Some(table) = table else {
        return BTreeMap::new();
    };
    let mut out = BTreeMap::new();
    for entry in table.all() {
        if let Some(value) = env_value(reader, &table, entry) {
            out.insert(entry.key.clone(), value);
        }
    }
    out
}

fn env_value(reader: &mut Reader, table: &Fields<'_>, entry: &Entry) -> Option<EnvValue> {
    let path = table.path_of(&text::shown(&entry.key, 64));
    if let Some(fault) = env_name_fault(&entry.key) {
        reader.problem(entry.at, format!("`{path}`: {fault}"), None);
        return None;
    }
    if let Value::Table(_) = entry.node.value {
        let inner = reader.fields(&entry.node, &path, &["from"])?;
        let node = reader.required(&inner, "from", "\"NAME\"")?;
        let from = reader.text(&inner, "from")?;
        if let Some(fault) = env_name_fault(&from) {
            reader.problem(node.at, format!("`{path}.from`: {fault}"), None);
            return None;
        }
        return Some(EnvValue::From(from));
    }
    let value = reader.text_of(&entry.node, &path)?;
    if value.contains('\0') {
        reader.problem(entry.node.at, format!("`{path}` holds a NUL"), None);
        return None;
    }
    Some(EnvValue::Literal(value))
}

pub(crate) fn env_name_fault(name: &str) -> Option<&'static str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = (1..=128).contains(&name.len())
        && name.chars().all(plain)
        && !name.starts_with(|c: char| c.is_ascii_digit());
    (!good).then_some("a variable's name is letters, digits and `_`")
}

fn model_grant(reader: &mut Reader, fields: &Fields<'_>) -> ModelGrant {
    let Some(node) = fields.get("model") else {
        return ModelGrant::default();
    };
    let path = fields.path_of("model");
    if let Some(inner) = reader.fields(node, &path, &MODEL_KEYS) {
        reader.required(&inner, "allow", "[\"mock/*\"]");
        reader.required(&inner, "tokens", "20_000");
        reader.required(&inner, "usd", "0.50");
    }
    model_table(reader, node, &path, (0, 0)).unwrap_or_default()
}

const MODEL_KEYS: [&str; 3] = ["allow", "tokens", "usd"];

/// `[model]` with what stands for a missing amount.
pub(crate) fn model_table(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    usual: (u64, u64),
) -> Option<ModelGrant> {
    let fields = reader.fields(node, path, &MODEL_KEYS)?;
    let rule = "a model is `provider/name`, `*` only at the end of a segment";
    Some(ModelGrant {
        allow: reader.texts(&fields, "allow", one_of(model::is_pattern, rule)),
        tokens: reader
            .quantity(&fields, "tokens", Unit::Count, (1, TOKENS_MAX))
            .unwrap_or(usual.0),
        micro_usd: reader
            .quantity(&fields, "usd", Unit::MicroUsd, (0, MICRO_USD_MAX))
            .unwrap_or(usual.1),
    })
}

/// `[tools]`; `fetch` is kept as `fetch/*`, which means the same.
pub(crate) fn tools(reader: &mut Reader, node: &Node, path: &str) -> Option<ToolsGrant> {
    let fields = reader.fields(node, path, &["call"])?;
    let call = reader.texts(&fields, "call", |text| {
        if !tool::is_pattern(text) {
            return Err("a tool is `plugin`, `plugin/tool` or `plugin/*`".to_owned());
        }
        Ok(if text.contains('/') {
            text.to_owned()
        } else {
            format!("{text}/*")
        })
    });
    Some(ToolsGrant { call })
}

/// `[messages]`.
pub(crate) fn messages(reader: &mut Reader, node: &Node, path: &str) -> Option<MessagesGrant> {
    let fields = reader.fields(node, path, &["publish", "subscribe"])?;
    let rule = "a topic is tokens of letters, digits, `-` and `_` between dots; `*` is one token, \
                `>` the rest";
    let check = one_of(topic::is_pattern, rule);
    Some(MessagesGrant {
        publish: reader.texts(&fields, "publish", &check),
        subscribe: reader.texts(&fields, "subscribe", &check),
    })
}

/// `[state]` with what stands for missing `bytes`.
pub(crate) fn state(
    reader: &mut Reader,
    node: &Node,
    path: &str,
    usual: u64,
) -> Option<StateGrant> {
    let fields = reader.fields(node, path, &["namespaces", "bytes"])?;
    let rule = "a namespace is a plain name of at most 64 letters, digits, `-`, `_` and `.`";
    let namespaces = reader.texts(&fields, "namespaces", one_of(is_plain_name, rule));
    let bytes = reader
        .quantity(&fields, "bytes", Unit::Bytes, (1, STATE_BYTES_MAX))
        .unwrap_or(usual);
    Some(StateGrant { namespaces, bytes })
}

/// `[secrets]`; whose value may be read must be known by name too.
pub(crate) fn secrets(reader: &mut Reader, node: &Node, path: &str) -> Option<SecretsGrant> {
    let fields = reader.fields(node, path, &["names", "reveal"])?;
    let check = one_of(
        is_secret_name,
        "a secret is written out: letters, digits and `_`, no pattern",
    );
    let names = reader.texts(&fields, "names", &check);
    let reveal = reader.texts(&fields, "reveal", &check);
    for name in reveal.iter().filter(|name| !names.contains(name)) {
        let at = fields.get("reveal").map_or(fields.at, |node| node.at);
        let message = format!("`{path}.reveal` names `{name}`, which `{path}.names` does not");
        reader.problem(at, message, Some(format!("add `{name}` to `{path}.names`")));
    }
    Some(SecretsGrant { names, reveal })
}

pub(crate) fn clock(reader: &mut Reader, fields: &Fields<'_>) -> Option<ClockMode> {
    let node = fields.get("clock")?;
    let inner = reader.fields(node, &fields.path_of("clock"), &["wall"])?;
    reader.required(&inner, "wall", "\"virtual\"");
    reader.word(&inner, "wall", &CLOCK_WORDS)
}

pub(crate) fn random(reader: &mut Reader, fields: &Fields<'_>) -> Option<RandomSource> {
    let node = fields.get("random")?;
    let inner = reader.fields(node, &fields.path_of("random"), &["source"])?;
    reader.required(&inner, "source", "\"seeded\"");
    reader.word(&inner, "source", &RANDOM_WORDS)
}

/// A check that keeps the text as it is.
pub(crate) fn one_of(
    good: fn(&str) -> bool,
    rule: &'static str,
) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        if good(text) {
            Ok(text.to_owned())
        } else {
            Err(rule.to_owned())
        }
    }
}
