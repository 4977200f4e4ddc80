//! The registry that plugins are published to in a test: Debian's `docker-registry`, unpacked below `target/`
//! when this machine lets us, and left out with a word about it otherwise. Unpacked and not installed, so that
//! nobody's machine gets a service, and nobody needs to be root.

use crate::folders::Folders;
use crate::{process, say};

const PACKAGE: &str = "docker-registry";

/// Sees to it that there is one, if that can be done without asking anyone.
pub(crate) fn ensure(folders: &Folders) {
    say::step("a registry to publish to");
    let own = folders.target.join("registry/usr/bin").join(PACKAGE);
    let there = own.is_file()
        || std::env::var_os("FLOWHOST_REGISTRY").is_some()
        || process::answers(PACKAGE, &["--version"]);
    if there {
        return say::line(PACKAGE);
    }
    if let Err(why) = unpack(folders) {
        say::skipped(
            "publishing to a registry",
            why,
            "install `docker-registry`, or name its program in FLOWHOST_REGISTRY, and run this again",
        );
    }
}

fn unpack(folders: &Folders) -> Result<(), String> {
    if !process::answers("apt-get", &["--version"]) {
        return Err(
            "this machine has neither a registry nor an `apt-get` to fetch one with".to_owned(),
        );
    }
    let folder = folders.target.join("registry");
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    say::line("apt-get download docker-registry");
    let mut download = process::program("apt-get", &folder, &["download", "--quiet", PACKAGE]);
    process::output(&mut download).map_err(|error| format!("it could not be fetched: {error}"))?;
    let files = std::fs::read_dir(&folder).map_err(|error| error.to_string())?;
    let mut packages = files
        .filter_map(|file| Some(file.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|it| it == "deb"));
    let package = packages.next().ok_or("apt-get wrote no package")?;
    let package = package.display().to_string();
    let mut unpack = process::program("dpkg-deb", &folder, &["--extract", &package, "."]);
    process::output(&mut unpack).map_err(|error| format!("it could not be unpacked: {error}"))?;
    Ok(())
}
