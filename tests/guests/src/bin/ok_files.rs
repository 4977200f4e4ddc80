//! Works on files through `flowhost:files`: `op` is roots, read, read-range, list, stat, write, append,
//! mkdir or remove, with `path`, `contents`, `offset` and `length`; takes a table of `cases`, so one component walks all of the
//! file attacks.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::files::{self, Entry, Kind};
use flowhost_test_guests::{Answer, Context, Error, Value, each, json};

#[derive(serde::Deserialize)]
struct Input {
    op: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    contents: String,
    #[serde(default)]
    offset: String,
    #[serde(default)]
    length: i32,
}

fn shown(entry: &Entry) -> Value {
    let kind = match entry.kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Other => "other",
    };
    json!({ "name": entry.name, "kind": kind, "size": entry.size, "target": entry.target })
}

fn work(input: Input) -> Result<Value, Error> {
    let Input {
        op,
        path,
        contents,
        offset,
        length,
    } = input;
    Ok(match op.as_str() {
        "roots" => json!(files::roots()),
        "read" => json!(String::from_utf8_lossy(&files::read(&path)?)),
        "read-range" => {
            let read = files::read_range(&path, &offset, length)?;
            json!(String::from_utf8_lossy(&read))
        }
        "list" => files::list(&path)?.iter().map(shown).collect(),
        "stat" => shown(&files::stat(&path)?),
        "write" => json!(files::write(&path, contents.as_bytes())?),
        "append" => json!(files::append(&path, contents.as_bytes())?),
        "mkdir" => json!(files::make_directory(&path)?),
        "remove" => json!(files::remove(&path)?),
        other => return Err(Error::invalid(format_args!("no operation `{other}`"))),
    })
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
