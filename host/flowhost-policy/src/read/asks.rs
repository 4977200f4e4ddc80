//! The grant tables as a manifest (`[needs]`) or a plan writes them.
//!
//! Three things differ from a profile: any right may be the word `"granted"`, meaning as much as
//! the profile grants; what only the operator can know (host folders, secrets to inject, values of
//! variables) is not said; and a missing amount does not lower anything.

use super::{
    Fields, Reader,
    grants::{self, BODY_BYTES_MAX, QUOTA_BYTES_MAX, QUOTA_ENTRIES_MAX},
    node::{Node, Value},
};
use crate::{
    ask::{Ask, Asks, EnvAsk, FileAsk, HttpAsk, InjectAsk},
    grant::Access,
    unit::Unit,
};

/// Who writes the tables, and so what a missing right means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Author {
    /// A missing right is not asked for.
    Manifest,
    /// A missing right stays as it is.
    Plan,
}

/// Reads every right of `[needs]` or of a plan's narrowing.
pub(crate) fn asks(reader: &mut Reader, fields: &Fields<'_>, author: Author) -> Asks {
    let absent = author == Author::Plan;
    let flag = |reader: &mut Reader, key| reader.bool(fields, key).unwrap_or(absent);
    let (log, config, budget) = (
        flag(reader, "log"),
        flag(reader, "config"),
        flag(reader, "budget"),
    );
    let mut tables = Tables {
        reader,
        fields,
        author,
    };
    Asks {
        log,
        config,
        budget,
        http: tables.list("http", http),
        files: tables.files(),
        env: tables.one("env", env),
        model: tables.one("model", |reader, node, path| {
            grants::model_table(
                reader,
                node,
                path,
                (grants::TOKENS_MAX, grants::MICRO_USD_MAX),
            )
        }),
        tools: tables.one("tools", grants::tools),
        messages: tables.one("messages", grants::messages),
        state: tables.one("state", |reader, node, path| {
            grants::state(reader, node, path, grants::STATE_BYTES_MAX)
        }),
        clock: tables.field("clock", grants::clock),
        random: tables.field("random", grants::random),
        secrets: tables.one("secrets", grants::secrets),
    }
}

struct Tables<'r, 'f, 'n> {
    reader: &'r mut Reader,
    fields: &'f Fields<'n>,
    author: Author,
}

impl Tables<'_, '_, '_> {
    /// Answers for what is missing or the word `"granted"`; `Err` holds what is to be read.
    fn short<T>(&mut self, key: &str) -> Result<Ask<T>, &Node> {
        match self.fields.get(key) {
            None if self.author == Author::Plan => Ok(Ask::Granted),
            None => Ok(Ask::None),
            Some(Node {
                value: Value::Text(word),
                ..
            }) if word == "granted" => Ok(Ask::Granted),
            Some(Node {
                value: Value::Text(_),
                at,
            }) => {
                let path = self.fields.path_of(key);
                let message = format!("`{path}` is a word, and the only word is \"granted\"");
                self.reader.problem(*at, message, None);
                Ok(Ask::None)
            }
            Some(node) => Err(node),
        }
    }

    fn list<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Reader, &Node, &str) -> Option<T>,
    ) -> Ask<Vec<T>> {
        match self.short(key) {
            Ok(ask) => ask,
            Err(_) => Ask::Only(grants::tables(self.reader, self.fields, key, read)),
        }
    }

    fn files(&mut self) -> Ask<Vec<FileAsk>> {
        let author = self.author;
        let ask = self.list("files", |reader, node, path| {
            file(reader, node, path, author)
        });
        if let Ask::Only(files) = &ask {
            let guests: Vec<&str> = files.iter().map(|file| file.guest.as_str()).collect();
            grants::check_apart(self.reader, self.fields, &guests);
        }
        ask
    }

    fn one<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Reader, &Node, &str) -> Option<T>,
    ) -> Ask<T> {
        let path = self.fields.path_of(key);
        let fields = self.fields;
        match (self.short(key), fields.get(key)) {
            (Ok(ask), _) => ask,
            (Err(_), Some(node)) => read(self.reader, node, &path).map_or(Ask::None, Ask::Only),
            (Err(_), None) => Ask::None,
        }
    }

    fn field<T>(
        &mut self,
        key: &str,
        read: impl Fn(&mut Reader, &Fields<'_>) -> Option<T>,
    ) -> Ask<T> {
        match self.short(key) {
            Ok(ask) => ask,
            Err(_) => read(self.reader, self.fields).map_or(Ask::None, Ask::Only),
        }
    }
}

fn http(reader: &mut Reader, node: &Node, path: &str) -> Option<HttpAsk> {
    let fields = reader.fields(node, path, &["url", "methods", "response", "request"])?;
    let url = grants::url(reader, &fields);
    reader.required(&fields, "methods", "[\"GET\"]");
    let methods = grants::methods(reader, &fields);
    let cap = |reader: &mut Reader, key| {
        let value = reader.quantity(&fields, key, Unit::Bytes, (1, BODY_BYTES_MAX));
        value.unwrap_or(BODY_BYTES_MAX)
    };
    Some(HttpAsk {
        url: url?,
        methods,
        response_bytes: cap(reader, "response"),
        request_bytes: cap(reader, "request"),
        private_network: true,
        inject: InjectAsk::Keep,
    })
}

fn file(reader: &mut Reader, node: &Node, path: &str, author: Author) -> Option<FileAsk> {
    let known: &[&str] = match author {
        Author::Manifest => &["guest", "access"],
        Author::Plan => &["guest", "host", "access", "quota", "entries"],
    };
    let fields = reader.fields(node, path, known)?;
    let guest = grants::guest_path(reader, &fields);
    if author == Author::Manifest {
        reader.required(&fields, "access", "\"read\"");
    }
    let access = reader
        .word(&fields, "access", &grants::ACCESS_WORDS)
        .unwrap_or(Access::Write);
    let host = host(reader, &fields);
    let mut cap = |key, unit, most| {
        reader
            .quantity(&fields, key, unit, (1, most))
            .unwrap_or(most)
    };
    Some(FileAsk {
        quota_bytes: cap("quota", Unit::Bytes, QUOTA_BYTES_MAX),
        quota_entries: cap("entries", Unit::Count, QUOTA_ENTRIES_MAX),
        guest: guest?,
        host,
        access,
    })
}

fn host(reader: &mut Reader, fields: &Fields<'_>) -> Option<String> {
    let node = fields.get("host")?;
    let host = reader.text(fields, "host")?;
    if let Some(fault) = grants::host_fault(&host) {
        reader.problem(
            node.at,
            format!("`{}`: {fault}", fields.path_of("host")),
            None,
        );
    }
    Some(grants::normal_host(&host))
}

fn env(reader: &mut Reader, node: &Node, path: &str) -> Option<Vec<EnvAsk>> {
    let mut out = Vec::new();
    for (index, item) in reader.list(node, path).iter().enumerate() {
        let path = format!("{path}[{index}]");
        reader.place(&path, item.at);
        let Some(name) = reader.text_of(item, &path) else {
            continue;
        };
        match grants::env_name_fault(&name) {
            Some(fault) => reader.problem(item.at, format!("`{path}`: {fault}"), None),
            None => out.push(EnvAsk { name, value: None }),
        }
    }
    Some(out)
}
