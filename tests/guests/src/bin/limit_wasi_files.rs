//! Opens `path` `times` through `wasi:filesystem` and closes nothing, or with `entries` starts to list it
//! `times` and never reads to the end (FS-022).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::{Answer, Context, Error, answer, json, parse};
use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{DescriptorFlags, OpenFlags, PathFlags};

#[derive(serde::Deserialize)]
struct Input {
    path: String,
    times: usize,
    #[serde(default)]
    entries: bool,
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let roots = get_directories();
    let (root, _) = roots.first().ok_or_else(|| Error::invalid("no preopen"))?;
    let (mut open, mut streams) = (Vec::new(), Vec::new());
    for _ in 0..input.times {
        let how = if input.entries {
            OpenFlags::DIRECTORY
        } else {
            OpenFlags::empty()
        };
        match root.open_at(PathFlags::empty(), &input.path, how, DescriptorFlags::READ) {
            Ok(descriptor) => open.push(descriptor),
            Err(error) => return answer(&json!({ "open": open.len(), "code": error.name() })),
        }
        if input.entries {
            streams.extend(open.last().and_then(|folder| folder.read_directory().ok()));
        }
    }
    answer(&json!({ "open": open.len(), "streams": streams.len() }))
}

flowhost_test_guests::guest!(run);
