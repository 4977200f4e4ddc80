//! The browser in which a test looks at the report page: Debian's Chromium, installed when this
//! machine lets us, and left out with a word about it otherwise.

use std::path::Path;

use crate::{process, say};

/// Names that distributions give it; the test looks for the same ones.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// Sees to it that there is one, if that can be done without asking anyone.
pub(crate) fn ensure(root: &Path) {
    say::step("a browser for the report page");
    if let Some(found) = here() {
        return say::line(found);
    }
    let why = match install(root) {
        Ok(()) => match here() {
            Some(found) => return say::line(found),
            None => "the package `chromium` brought no program of that name".to_owned(),
        },
        Err(why) => why,
    };
    say::skipped(
        "the report page in a browser",
        why,
        "install `chromium`, or name a browser in FLOWHOST_CHROMIUM, and run this again",
    );
}

fn here() -> Option<String> {
    if let Some(named) = std::env::var_os("FLOWHOST_CHROMIUM") {
        return Some(format!("FLOWHOST_CHROMIUM: {}", named.to_string_lossy()));
    }
    NAMES
        .iter()
        .find(|name| process::answers(name, &["--version"]))
        .map(|name| (*name).to_owned())
}

/// With Debian's package manager, which only root may ask.
fn install(root: &Path) -> Result<(), String> {
    if !process::answers("apt-get", &["--version"]) {
        return Err(
            "this machine has neither Chromium nor an `apt-get` to install it with".to_owned(),
        );
    }
    let user = process::output(&mut process::program("id", root, &["-u"]));
    if user.map_err(|error| error.to_string())?.trim() != "0" {
        return Err("Chromium is not installed, and only root may install it".to_owned());
    }
    say::line("apt-get install chromium");
    for arguments in [
        &["update", "--quiet"][..],
        &[
            "install",
            "--quiet",
            "--yes",
            "--no-install-recommends",
            "chromium",
        ],
    ] {
        let mut command = process::program("apt-get", root, arguments);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        process::output(&mut command)
            .map_err(|error| format!("Chromium could not be installed: {error}"))?;
    }
    Ok(())
}
