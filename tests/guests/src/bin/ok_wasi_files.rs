//! Works on files through `wasi:filesystem`: `op` on `path` (and `to`) below the preopen number
//! `root`; takes a table of `cases`, so one component walks all of the file attacks.

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, Value, each, json};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{
    Advice, Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags,
};

#[derive(serde::Deserialize)]
struct Input {
    /// roots, read, write, append, truncate, create, exclusive, list, stat, lstat, mkdir, rmdir,
    /// unlink, symlink, readlink, link, rename, set-times, set-size, advise.
    op: String,
    #[serde(default)]
    root: usize,
    #[serde(default)]
    path: String,
    /// Second path of symlink, link and rename.
    #[serde(default)]
    to: String,
    /// Preopen of the second path.
    #[serde(default)]
    to_root: usize,
    #[serde(default)]
    contents: String,
    /// Follow a symbolic link at the end of the path.
    #[serde(default)]
    follow: bool,
}

fn flags(input: &Input) -> PathFlags {
    if input.follow {
        PathFlags::SYMLINK_FOLLOW
    } else {
        PathFlags::empty()
    }
}

fn open(
    root: &Descriptor,
    input: &Input,
    how: OpenFlags,
    access: DescriptorFlags,
) -> Result<Descriptor, ErrorCode> {
    root.open_at(flags(input), &input.path, how, access)
}

fn write(root: &Descriptor, input: &Input, how: OpenFlags) -> Result<Value, ErrorCode> {
    let file = open(
        root,
        input,
        how,
        DescriptorFlags::READ | DescriptorFlags::WRITE,
    )?;
    Ok(json!(file.write(input.contents.as_bytes(), 0)?.to_string()))
}

fn append(root: &Descriptor, input: &Input) -> Result<Value, ErrorCode> {
    let file = open(root, input, OpenFlags::CREATE, DescriptorFlags::WRITE)?;
    let stream = file.append_via_stream()?;
    let result = stream.blocking_write_and_flush(input.contents.as_bytes());
    Ok(json!(result.map_err(|error| error.to_string())))
}

fn names(root: &Descriptor, input: &Input) -> Result<Value, ErrorCode> {
    let folder = open(root, input, OpenFlags::DIRECTORY, DescriptorFlags::READ)?;
    let entries = folder.read_directory()?;
    let mut names = Vec::new();
    while let Some(entry) = entries.read_directory_entry()? {
        names.push(entry.name);
    }
    names.sort();
    Ok(json!(names))
}

fn look(root: &Descriptor, input: &Input) -> Result<Option<Value>, ErrorCode> {
    Ok(Some(match input.op.as_str() {
        "read" => {
            let file = open(root, input, OpenFlags::empty(), DescriptorFlags::READ)?;
            json!(String::from_utf8_lossy(&file.read(1 << 20, 0)?.0))
        }
        "list" => names(root, input)?,
        "stat" | "lstat" => {
            let stat = root.stat_at(flags(input), &input.path)?;
            json!({ "type": format!("{:?}", stat.type_), "size": stat.size.to_string() })
        }
        "readlink" => json!(root.readlink_at(&input.path)?),
        "advise" => {
            let file = open(root, input, OpenFlags::empty(), DescriptorFlags::READ)?;
            json!(file.advise(0, 1, Advice::WillNeed)?)
        }
        _ => return Ok(None),
    }))
}

fn change(root: &Descriptor, to: &Descriptor, input: &Input) -> Result<Value, ErrorCode> {
    Ok(match input.op.as_str() {
        "write" => write(root, input, OpenFlags::empty())?,
        "append" => append(root, input)?,
        "truncate" => write(root, input, OpenFlags::TRUNCATE)?,
        "create" => write(root, input, OpenFlags::CREATE)?,
        "exclusive" => write(root, input, OpenFlags::CREATE | OpenFlags::EXCLUSIVE)?,
        "truncate-only" => {
            open(root, input, OpenFlags::TRUNCATE, DescriptorFlags::READ)?;
            Value::Null
        }
        "mkdir" => json!(root.create_directory_at(&input.path)?),
        "rmdir" => json!(root.remove_directory_at(&input.path)?),
        "unlink" => json!(root.unlink_file_at(&input.path)?),
        "symlink" => json!(root.symlink_at(&input.to, &input.path)?),
        "link" => json!(root.link_at(flags(input), &input.path, to, &input.to)?),
        "rename" => json!(root.rename_at(&input.path, to, &input.to)?),
        "set-times" => {
            let now = NewTimestamp::Now;
            json!(root.set_times_at(flags(input), &input.path, now, now)?)
        }
        "set-size" => {
            let file = open(root, input, OpenFlags::empty(), DescriptorFlags::WRITE)?;
            json!(file.set_size(1)?)
        }
        _ => return Err(ErrorCode::Unsupported),
    })
}

fn work(input: Input) -> Result<Value, Error> {
    let roots = get_directories();
    if input.op == "roots" {
        let paths: Vec<&String> = roots.iter().map(|(_, path)| path).collect();
        return Ok(json!(paths));
    }
    let at = |place: usize| {
        roots
            .get(place)
            .ok_or_else(|| Error::invalid("no such preopen"))
    };
    let (root, _) = at(input.root)?;
    let (to, _) = at(input.to_root)?;
    let result = match look(root, &input) {
        Ok(Some(value)) => Ok(value),
        Ok(None) => change(root, to, &input),
        Err(error) => Err(error),
    };
    Ok(match result {
        Ok(value) => json!({ "value": value }),
        Err(error) => json!({ "code": error.name() }),
    })
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    each(input, work)
}

flowhost_test_guests::guest!(run);
