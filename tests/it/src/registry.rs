//! A registry that we did not write, on this machine: Debian's `docker-registry`, with a folder and a port of
//! its own.

use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::repository;

/// Name and password of a closed registry, and the line that knows them (bcrypt of `secret`).
pub(crate) const LOGIN: &str = "me:secret";
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// A registry that ends with its owner.
pub(crate) struct Registry {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// One that everybody may use; none where this machine has no such program.
    pub(crate) fn open() -> Option<Self> {
        Self::start("")
    }

    /// One that wants [`LOGIN`].
    pub(crate) fn closed() -> Option<Self> {
        Self::start("auth:\n  htpasswd:\n    realm: test\n    path: HTPASSWD\n")
    }

    fn start(auth: &str) -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: there is no `docker-registry` here (cargo xtask test fetches it)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("htpasswd");
        std::fs::write(&password, HTPASSWD).unwrap();
        // Free a moment ago: the program takes a port and tells nobody which.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage:\n  filesystem: {{ rootdirectory: {} }}\nhttp: {{ addr: \
             '127.0.0.1:{port}' }}\n{}",
            folder.path().join("store").display(),
            auth.replace("HTPASSWD", &password.display().to_string()),
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let registry = Self {
            child,
            port,
            _folder: folder,
        };
        let until = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "the registry does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Named, installed, or unpacked by the test command.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("FLOWHOST_REGISTRY").map(PathBuf::from);
    let unpacked = repository().join("target/registry/usr/bin/docker-registry");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("docker-registry"));
    named
        .into_iter()
        .chain([unpacked])
        .chain(installed)
        .find(|program| program.is_file())
}
