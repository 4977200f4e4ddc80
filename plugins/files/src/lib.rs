//! The tool `files`: list, read, search and write below the folders that the profile grants.
//!
//! It knows no path rules of its own: what a path may reach is decided by the host, and a refusal is
//! handed on as it came. What it bounds is its own work: depth, entries and hits.

mod search;
mod walk;

use flowhost_sdk::host::files;
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};

use crate::search::{Hit, Query};
use crate::walk::{Folder, Listing};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    suffix: String,
    #[serde(default = "most")]
    max: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    path: String,
}

#[derive(Serialize)]
struct Text {
    path: String,
    text: String,
    bytes: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    path: String,
    text: String,
    #[serde(default)]
    ignore_case: bool,
    #[serde(default)]
    suffix: String,
    #[serde(default = "most")]
    max: usize,
}

#[derive(Serialize)]
struct Hits {
    hits: Vec<Hit>,
    /// Files that are not UTF-8 or too large to read.
    skipped: Vec<String>,
    truncated: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Write {
    path: String,
    text: String,
}

#[derive(Serialize)]
struct Written {
    path: String,
    bytes: usize,
}

const fn most() -> usize {
    walk::ENTRIES_MAX
}

/// Folders as the host shows them.
struct Host;

impl Folder for Host {
    fn list(&self, path: &str) -> Result<Vec<walk::Entry>, Error> {
        let entries = files::list(path)?.into_iter().map(|entry| walk::Entry {
            path: walk::join(path, &entry.name),
            is_folder: entry.kind == files::Kind::Directory,
            bytes: entry.size.parse().unwrap_or(0),
        });
        Ok(entries.collect())
    }
}

fn list(input: List) -> Result<Listing, Error> {
    let depth = if input.recursive { walk::DEPTH_MAX } else { 0 };
    walk::list(&Host, &input.path, depth, &input.suffix, input.max)
}

fn read(path: String) -> Result<Text, Error> {
    let bytes = files::read(&path)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::invalid(format_args!("`{path}` is not UTF-8 text")))?;
    Ok(Text {
        bytes: text.len(),
        path,
        text,
    })
}

fn search(input: &Search) -> Result<Hits, Error> {
    let query = Query::new(&input.text, input.ignore_case)?;
    let below = walk::list(
        &Host,
        &input.path,
        walk::DEPTH_MAX,
        &input.suffix,
        walk::ENTRIES_MAX,
    )?;
    let mut hits = Hits {
        hits: Vec::new(),
        skipped: Vec::new(),
        truncated: below.truncated,
    };
    for path in below.paths {
        match read(path.clone()) {
            Ok(file) => hits.hits.extend(query.hits(&path, &file.text)),
            Err(Error::Invalid(_) | Error::Limit(_)) => hits.skipped.push(path),
            Err(error) => return Err(error),
        }
        if hits.hits.len() > input.max {
            hits.hits.truncate(input.max);
            hits.truncated = true;
            break;
        }
    }
    Ok(hits)
}

fn write(input: Write) -> Result<Written, Error> {
    if let Some(folder) = walk::parent(&input.path)
        && files::stat(folder).is_err()
    {
        files::make_directory(folder)?;
    }
    files::write(&input.path, input.text.as_bytes())?;
    Ok(Written {
        path: input.path,
        bytes: input.text.len(),
    })
}

struct Files;

impl Tool for Files {
    fn call(_: &Context, name: &str, input: &str) -> Result<Answer, Error> {
        match name {
            "list" => answer(&list(parse(input)?)?),
            "read" => answer(&read(parse::<Read>(input)?.path)?),
            "search" => answer(&search(&parse(input)?)?),
            "write" => answer(&write(parse(input)?)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(Files);
