//! New folders with files in them: all or nothing, and never over what is there.

use std::path::Path;

use flowhost_flow::Exit;

use crate::ambient::Ambient;
use crate::failure::Failure;

/// Longest name: it becomes a file's, a crate's and a plan's.
const NAME_MAX: usize = 64;

/// Names that are good everywhere they are used: in files, crates, packages and plans.
///
/// # Errors
/// When some tool would not take it.
pub fn check_name(name: &str) -> Result<(), Failure> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
    let ends = !name.ends_with('-') && !name.contains("--");
    let reserved = name == "self"; // in a profile it means the plugin itself
    if begins && ends && !reserved && name.len() <= NAME_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let message = format!("`{name}` cannot be the name of a plugin or plan");
    Err(Failure::new(Exit::Usage, message).hint(format!(
        "small letters, digits and single `-`, a letter first, at most {NAME_MAX}: `word-count`"
    )))
}

/// Writes files into a folder that is not there, or empty.
///
/// # Errors
/// When the folder has something in it (nothing is written then), or cannot be written.
pub fn write(ambient: &Ambient, folder: &Path, files: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    refuse_what_is_there(ambient, folder)?;
    // Not in one step: a disk that fills up in the middle leaves a part, and the next try says that the folder is not
    // empty.
    for (path, bytes) in files {
        let path = folder.join(path);
        ambient.create_dir(path.parent().unwrap_or(folder))?;
        ambient.write(&path, bytes)?;
    }
    Ok(())
}

fn refuse_what_is_there(ambient: &Ambient, folder: &Path) -> Result<(), Failure> {
    let there = match ambient.list(folder) {
        Ok(names) => names,
        Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    if there.is_empty() {
        return Ok(());
    }
    let message = format!("`{}` is there already, and not empty", folder.display());
    Err(Failure::new(Exit::Internal, message)
        .hint("nothing was written; choose another name, or another folder with `--dir`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_names_that_some_tool_would_not_take() {
        let long = "a".repeat(NAME_MAX + 1);
        for name in [
            "", "1a", "-a", "a-", "a--b", "A", "a_b", "../a", "ä", "self", &long,
        ] {
            assert!(check_name(name).is_err(), "{name}");
        }
        assert!(check_name("word-count2").is_ok());
    }
}
