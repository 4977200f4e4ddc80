//! Compiles a component as soon as its file is whole, while the end of the save is waited for.
//!
//! Nothing follows from it. Whether the save is over, whether the project is sound and whether the component may come in
//! is asked as ever, and whoever then wants its code finds it done or on its way. It is worth the wait that it spares: to
//! compile takes longer than all else between a save and the next call.
//!
//! Must never compile what the operator's trust, a pin of the plan or a lock would keep out: to compile is the most that
//! is done with a stranger's bytes before a run, and who asks for signatures asks before that.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowhost_engine::Inspected;
use flowhost_policy::Manifest;
use flowhost_run::{Host, Project};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::sources::{COMPONENT_BYTES_MAX, Sources};

/// What is compiled before anybody asks for it.
pub(super) struct Ahead {
    ambient: Ambient,
    config: Config,
    host: Host,
    /// With a lock every other build is refused, so that none is worth compiling.
    locked: bool,
    whole: mpsc::Receiver<PathBuf>,
    /// By file, and one for each: another change makes what was begun worthless.
    begun: BTreeMap<PathBuf, JoinSet<()>>,
}

impl Ahead {
    /// Hears of files that are whole.
    #[must_use]
    pub(super) fn new(
        ambient: &Ambient,
        config: &Config,
        host: &Host,
        locked: bool,
        whole: mpsc::Receiver<PathBuf>,
    ) -> Self {
        host.keep_compiler_ready();
        Self {
            ambient: ambient.clone(),
            config: config.clone(),
            host: host.clone(),
            locked,
            whole,
            begun: BTreeMap::new(),
        }
    }

    /// The next file that is whole; for ever none where the system tells of none.
    pub(super) async fn next(&mut self) -> PathBuf {
        match self.whole.recv().await {
            Some(path) => path,
            None => std::future::pending().await,
        }
    }

    /// Begins with this file, if a plugin of the project comes from it.
    pub(super) fn begin(&mut self, file: PathBuf, project: Option<&Project>) {
        let members = project.into_iter().flat_map(|it| it.members.values());
        let its = members.filter(|member| member.path == file);
        let uses: Vec<Use> = its
            .map(|member| Use {
                source: member.decl.source.clone(),
                sha256: member.decl.sha256.clone(),
            })
            .collect();
        if uses.is_empty() || self.locked {
            return;
        }
        let (ambient, config) = (self.ambient.clone(), self.config.clone());
        let (host, read) = (self.host.clone(), file.clone());
        let mut task = JoinSet::new();
        task.spawn(async move {
            let wanted = move || component(&ambient, &config, &read, &uses);
            if let Ok(Some(component)) = tokio::task::spawn_blocking(wanted).await {
                host.compile_ahead(&component).await;
            }
        });
        // What was begun before ends here, with its compiler.
        self.begun.insert(file, task);
    }
}

/// How a plugin of the plan names the component.
struct Use {
    source: String,
    /// The digest that the plan pins.
    sha256: Option<String>,
}

/// The component in `file`, if each of its plugins may have it. None for what cannot be read, is no component or must
/// not be loaded: that is told when the project is read.
fn component(ambient: &Ambient, config: &Config, file: &Path, uses: &[Use]) -> Option<Inspected> {
    let component = ambient.component(file, COMPONENT_BYTES_MAX).ok()?;
    let sources = Sources::new(ambient, config, None);
    let manifest = sources.manifest(file, component.manifest.as_deref()).ok()?;
    let manifest = manifest.map(|(file, text)| Manifest::parse(&text, &file));
    let manifest = manifest.transpose().ok()?;
    let digest = component.digest.trim_start_matches("sha256:");
    let may_have = |wanted: &Use| {
        let pinned = wanted.sha256.as_deref();
        let vouched = sources.vouched(&wanted.source, file, &component.digest, manifest.as_ref());
        pinned.is_none_or(|pinned| pinned == digest) && vouched.is_ok()
    };
    uses.iter().all(may_have).then(|| component.clone())
}

#[cfg(test)]
mod tests {
    use flowhost_author::{STATEMENT_TYPE, statement};
    use flowhost_ledger::{HostKey, dsse};

    use super::*;
    use crate::plugin::trust::signature_file;

    const TOOL: &str = "(component (component $c) (instance $i (instantiate $c)) \
                        (export \"flowhost:roles/tool@0.1.0\" (instance $i)))";
    const MANIFEST: &str = "version = 1\nname = \"a\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n";

    fn of_source(sha256: Option<&str>) -> [Use; 1] {
        [Use {
            source: "./a.wasm".to_owned(),
            sha256: sha256.map(str::to_owned),
        }]
    }

    #[test]
    fn a_component_is_not_compiled_before_trust_and_pins_let_it_in() {
        let folder = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(BTreeMap::new(), folder.path().to_owned(), None);
        let (file, own) = (folder.path().join("a.wasm"), folder.path().join("op"));
        ambient.create_dir(&own).unwrap();
        ambient
            .write(&file, &wat::parse_str(TOOL).unwrap())
            .unwrap();
        let beside = folder.path().join("a.toml");
        ambient.write(&beside, MANIFEST.as_bytes()).unwrap();
        let config = Config::parse("", &own.join("flowhost.toml")).unwrap();
        let let_in = |sha256| component(&ambient, &config, &file, &of_source(sha256));
        // Nobody asks for a signature: an author's builds are compiled as they come.
        let digest = let_in(None).expect("a component").digest.to_string();
        assert!(let_in(Some("00")).is_none());
        assert!(let_in(Some(digest.trim_start_matches("sha256:"))).is_some());

        let key = HostKey::from_seed("author.example", [1; 32]).unwrap();
        let trust = format!("keys = [\"{}\"]\n[plugins]\nsigned = true\n", key.vkey());
        ambient
            .write(&own.join("trust.toml"), trust.as_bytes())
            .unwrap();
        assert!(let_in(None).is_none());
        let manifest = Manifest::parse(MANIFEST, "a.toml").unwrap();
        let signed = dsse::sign(
            &key,
            STATEMENT_TYPE,
            statement(&digest, &manifest).as_bytes(),
        );
        ambient
            .write(&signature_file(&file), signed.as_bytes())
            .unwrap();
        assert!(let_in(None).is_some());
    }
}
