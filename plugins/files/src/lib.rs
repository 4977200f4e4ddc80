//! The tool `files`: list, read, search and write below the folders that the profile grants.
//!
//! It knows no path rules of its own: what a path may reach is decided by the host, and a refusal is
//! handed on as it came. What it bounds is its own work: depth, entries and hits.

mod look;
mod search;
mod text;
mod walk;

use flowhost_sdk::host::files;
use flowhost_sdk::{Answer, Context, Error, Tool, answer, parse};
use serde::{Deserialize, Serialize};

use crate::look::Ask;
use crate::search::{Hit, Query};
use crate::text::{Decoded, Encoding};
use crate::walk::{Folder, Listing, Wish};

/// Whatever the query, no more lines than a person reads.
const HITS_MAX: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    suffix: String,
    #[serde(default)]
    extensions: Vec<String>,
    #[serde(default)]
    exclude: Vec<String>,
    #[serde(default = "yes")]
    follow: bool,
    /// Whoever names it takes a part.
    max: Option<usize>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    path: String,
    #[serde(default)]
    encoding: Encoding,
    /// A file that cannot be read is an answer and no failure.
    #[serde(default)]
    lenient: bool,
}

#[derive(Serialize)]
struct Text {
    /// Where the text is: of a link, where it leads.
    path: String,
    text: String,
    bytes: usize,
    encoding: &'static str,
    replaced: usize,
    /// Why it could not be read; empty when it was.
    problem: String,
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
    #[serde(default = "most_hits")]
    max: usize,
}

#[derive(Serialize)]
struct Hits {
    hits: Vec<Hit>,
    /// Files and folders that are not UTF-8, too large to read, or cannot be opened.
    skipped: Vec<String>,
    truncated: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Look {
    paths: Vec<String>,
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

const fn most_hits() -> usize {
    HITS_MAX
}

const fn yes() -> bool {
    true
}

/// Folders as the host shows them.
struct Host;

impl Folder for Host {
    fn list(&self, path: &str) -> Result<Vec<walk::Entry>, Error> {
        let entries = files::list(path)?.into_iter().map(|entry| walk::Entry {
            path: walk::join(path, &entry.name),
            kind: match entry.kind {
                files::Kind::File => walk::Kind::File,
                files::Kind::Directory => walk::Kind::Folder,
                files::Kind::Other => walk::Kind::Other,
            },
            bytes: entry.size.parse().unwrap_or(0),
            target: entry.target,
        });
        Ok(entries.collect())
    }
}

impl Ask for Host {
    fn is_there(&self, path: &str) -> Result<(), Error> {
        files::stat(path).map(|_| ())
    }
}

fn list(input: List) -> Result<Listing, Error> {
    let wish = Wish {
        recursive: input.recursive,
        suffix: input.suffix,
        extensions: input.extensions,
        exclude: input.exclude,
        stay: !input.follow,
        partial: input.partial || input.max.is_some(),
        max: input.max.unwrap_or(walk::FILES_MAX),
    };
    walk::list(&Host, &input.path, &wish)
}

fn read(input: Read) -> Result<Text, Error> {
    // Links within the text lead from where it is, and not from where a link to it is.
    let (place, found) = match files::stat(&input.path) {
        // Reading would be refused for the same reason, and the run would have two refusals to tell.
        Err(error @ Error::Denied(_)) => (None, Err(error)),
        seen => (
            seen.ok().and_then(|entry| entry.target),
            files::read(&input.path),
        ),
    };
    let path = place.unwrap_or_else(|| input.path.clone());
    let (bytes, problem) = match found {
        Ok(bytes) => (bytes, String::new()),
        Err(error) if input.lenient => (Vec::new(), walk::words(&error)),
        Err(error) => return Err(error),
    };
    let length = bytes.len();
    let Decoded {
        text,
        encoding,
        replaced,
    } = text::decode(bytes, input.encoding);
    Ok(Text {
        path,
        text,
        bytes: length,
        encoding,
        replaced,
        problem,
    })
}

fn search(input: &Search) -> Result<Hits, Error> {
    let query = Query::new(&input.text, input.ignore_case)?;
    let wish = Wish {
        recursive: true,
        suffix: input.suffix.clone(),
        max: walk::FILES_MAX,
        // What could not be searched is named.
        partial: true,
        ..Wish::default()
    };
    let below = walk::list(&Host, &input.path, &wish)?;
    let mut hits = Hits {
        hits: Vec::new(),
        skipped: below.left_out.into_iter().map(|left| left.path).collect(),
        truncated: below.truncated,
    };
    for path in below.paths {
        match files::read(&path).map(String::from_utf8) {
            Ok(Ok(text)) => hits.hits.extend(query.hits(&path, &text)),
            Ok(Err(_)) | Err(Error::Invalid(_) | Error::Limit(_)) => hits.skipped.push(path),
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
            "read" => answer(&read(parse(input)?)?),
            "look" => answer(&look::look(&Host, parse::<Look>(input)?.paths)),
            "search" => answer(&search(&parse(input)?)?),
            "write" => answer(&write(parse(input)?)?),
            other => Err(Error::unknown_tool(other)),
        }
    }
}

flowhost_sdk::export_tool!(Files);
