//! The list itself: what every capability owes, asked of all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cap_std::{ambient_authority, fs::Dir};
use flowhost_bus::{LocalBus, LocalConfig};
use flowhost_engine::{CallScope, Descriptor, Fault, Provider, Shortfall, ToolContent};
use flowhost_policy::{Effective, Profile};
use wasmtime::component::Linker;
use zeroize::Zeroizing;

use crate::budget::{BudgetView, Left};
use crate::clock::TimeSource;
use crate::env::HostVariables;
use crate::http::testing::{RecordingConnector, ScriptedResolver};
use crate::http::{HttpServices, Tls};
use crate::messaging::Mailboxes;
use crate::model::{HoldId, Origin, Spending};
use crate::random::Entropy;
use crate::shared::line::MemoryLog;
use crate::shared::secret::SecretStore;
use crate::state::FolderStore;
use crate::tools::ToolRouter;
use crate::{Services, all, providers};

/// Has nothing and does nothing.
struct Nothing;

impl SecretStore for Nothing {
    fn get(&self, _name: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl HostVariables for Nothing {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

impl Mailboxes for Nothing {
    fn readers(&self, _caller: &CallScope, _topic: &str) -> Vec<String> {
        Vec::new()
    }
}

impl BudgetView for Nothing {
    fn left(&self, _caller: &CallScope) -> Left {
        Left::default()
    }
}

impl Spending for Nothing {
    fn hold(&self, _: &CallScope, _: Left) -> Result<HoldId, Shortfall> {
        Ok(HoldId(1))
    }

    fn settle(&self, _: HoldId, _: Left) {}

    fn origin(&self, _: &CallScope) -> Origin {
        Origin::default()
    }
}

impl TimeSource for Nothing {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Nothing {
    fn fill(&self, _bytes: &mut [u8]) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

#[async_trait]
impl ToolRouter for Nothing {
    fn list(&self, _caller: &CallScope) -> Vec<Descriptor> {
        Vec::new()
    }

    async fn call(&self, _: &CallScope, _: &str, _: &str) -> Result<ToolContent, Fault> {
        Err(Fault::Cancelled)
    }
}

/// What a run brings, of doubles.
fn brought() -> Arc<[Arc<dyn Provider>]> {
    let temporary = tempfile::tempdir().unwrap();
    let dir = Dir::open_ambient_dir(temporary.path(), ambient_authority()).unwrap();
    let nothing = Arc::new(Nothing);
    providers(Services {
        bus: Arc::new(LocalBus::new(LocalConfig::default())),
        mailboxes: nothing.clone(),
        logs: Arc::new(MemoryLog::new(1)),
        tools: nothing.clone(),
        secrets: nothing.clone(),
        state: Arc::new(FolderStore::new(dir)),
        budget: nothing.clone(),
        model: crate::model::testing::services(nothing.clone()),
        time: nothing.clone(),
        entropy: nothing.clone(),
        variables: nothing.clone(),
        http: HttpServices {
            resolver: Arc::new(ScriptedResolver::default()),
            connector: Arc::new(RecordingConnector::default()),
            tls: Tls::web().unwrap(),
            roots: Arc::default(),
            identities: Arc::default(),
            secrets: nothing,
            logins: Arc::new(crate::http::NoLogins),
            own_addresses: Vec::new(),
            allow_private_network: false,
        },
        files: crate::files::FileServices::default(),
        process: crate::mcp_transport::ProcessServices::none(),
    })
}

/// A folder beside this crate's manifest.
fn folder(relative: &str) -> Dir {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    Dir::open_ambient_dir(path, ambient_authority()).unwrap()
}

#[test]
fn a_run_brings_something_for_each_in_the_order_of_the_list() {
    let names: Vec<_> = all().iter().map(|it| it.name()).collect();
    let brought = brought();
    let opened: Vec<_> = brought.iter().map(|it| it.capability().name()).collect();
    assert_eq!(opened, names);
}

#[test]
fn each_has_a_name_of_its_own_and_serves_interfaces_that_no_other_serves() {
    let (mut names, mut served) = (BTreeSet::new(), BTreeMap::new());
    for capability in all() {
        assert!(
            names.insert(capability.name()),
            "{} twice",
            capability.name()
        );
        let interfaces = capability.interfaces().iter();
        for interface in interfaces.chain(capability.runtime_interfaces()) {
            let other = served.insert(*interface, capability.name());
            assert_eq!(other, None, "{interface} twice");
        }
    }
}

#[test]
fn each_of_our_interfaces_stands_in_wit_and_each_package_but_the_shared_is_served() {
    let wit = folder("../../wit");
    let mut served = BTreeSet::new();
    for capability in all() {
        for interface in capability.interfaces() {
            let Some(rest) = interface.strip_prefix("flowhost:") else {
                continue;
            };
            let (name, version) = rest.split_once('@').unwrap();
            let (package, interface) = name.split_once('/').unwrap();
            let path = format!("{package}/{version}/{package}.wit");
            let text = wit.read_to_string(path).unwrap();
            assert!(text.contains(&format!("package flowhost:{package}@{version};")));
            assert!(text.contains(&format!("interface {interface} {{")));
            served.insert(package.to_owned());
        }
    }
    let later: [&str; 0] = [];
    for entry in wit.entries().unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let is_package = entry.file_type().unwrap().is_dir();
        let known = ["types", "roles"].contains(&name.as_str()) || later.contains(&name.as_str());
        assert!(
            !is_package || known || served.contains(&name),
            "nobody serves {name}"
        );
    }
}

#[test]
fn none_is_granted_by_deny_all_but_the_inert_runtime() {
    let deny_all = Effective::default();
    for capability in all() {
        let granted = capability.granted(&deny_all);
        let inert = capability.interfaces().is_empty() && capability.name() == "runtime";
        assert_eq!(granted, inert, "{}", capability.name());
    }
}

#[test]
fn each_cure_is_a_profile_that_reads() {
    for capability in all() {
        if capability.name() == "runtime" {
            continue;
        }
        let cure = capability.cure().replace('…', "api.example.com/");
        let profile = format!("version = 1\nname = \"cured\"\n{cure}\n");
        let read = Profile::parse(&profile, "cured.toml");
        assert!(read.is_ok(), "{}: {read:?}", capability.name());
    }
}

#[test]
fn all_link_together_granted_or_not() {
    let engine = wasmtime::Engine::default();
    for granted in [false, true] {
        let mut linker = Linker::new(&engine);
        for capability in all() {
            let linked = capability.link(&mut linker, granted);
            linked.unwrap_or_else(|error| panic!("{}: {error:#}", capability.name()));
        }
    }
}

#[test]
fn each_right_of_the_policy_has_its_capability() {
    let names: BTreeSet<_> = all().iter().map(|it| it.name()).collect();
    for right in &flowhost_policy::RIGHTS {
        assert!(names.contains(right.capability), "{}", right.capability);
    }
}

#[test]
fn each_capability_refers_to_its_right_and_is_granted_by_its_lines() {
    for capability in all() {
        let Some(right) = capability.right() else {
            // What language runtimes drag in is linked for every component, and holds nothing.
            assert_eq!(capability.name(), "runtime");
            assert!(capability.granted(&Effective::default()));
            continue;
        };
        assert!(!capability.granted(&Effective::default()), "{}", right.key);
        let text = format!("version = 1\nname = \"x\"\n{}\n", right.lines);
        let effective = Effective {
            grants: Profile::parse(&text, "x.toml").unwrap().grants,
            ..Effective::default()
        };
        assert!(capability.granted(&effective), "{}", right.key);
        for other in all().iter().filter(|it| it.right() != Some(right)) {
            let granted = other.granted(&effective);
            assert_eq!(granted, other.right().is_none(), "{}", other.name());
        }
    }
}

#[test]
fn each_folder_has_the_same_files() {
    let source = folder("src");
    for capability in all() {
        let folder = source.open_dir(capability.name()).unwrap();
        let tests = folder.exists("tests.rs") || folder.exists("tests");
        assert!(tests, "{} has no tests", capability.name());
        assert!(folder.exists("mod.rs"), "{}", capability.name());
        let host = folder.exists("host.rs") || capability.name() == "runtime";
        assert!(host, "{} has no host.rs", capability.name());
    }
}
