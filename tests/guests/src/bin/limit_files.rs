//! Fills `folder` with files of `bytes` until the host says no, at most `files`; with `nested` each in a
//! folder below the last (FS-019, FS-020).

#![cfg_attr(target_arch = "wasm32", no_main)]

use flowhost_test_guests::host::files;
use flowhost_test_guests::{Answer, Context, Error, answer, error_of, json, parse};

#[derive(serde::Deserialize)]
struct Input {
    folder: String,
    bytes: usize,
    files: usize,
    #[serde(default)]
    nested: bool,
}

fn one(folder: &str, number: usize, contents: &[u8]) -> Result<(), Error> {
    files::write(&format!("{folder}/f{number}"), contents)
}

fn run(_: &Context, input: &str) -> Result<Answer, Error> {
    let input: Input = parse(input)?;
    let contents = vec![b'x'; input.bytes];
    let mut folder = input.folder;
    for written in 0..input.files {
        let mut result = one(&folder, written, &contents);
        if input.nested && result.is_ok() {
            folder.push_str("/d");
            result = files::make_directory(&folder);
        }
        if let Err(error) = result {
            return answer(&json!({ "written": written, "stopped": error_of(&error) }));
        }
    }
    answer(&json!({ "written": input.files, "stopped": null }))
}

flowhost_test_guests::guest!(run);
