//! Another build of a plugin, put in its place while the run goes on.
//!
//! What is at work keeps the revision that it pinned; the next call takes the new one. Rights never grow
//! by a swap: what the new build wants beyond the old one's rights is refused, whatever its profile would
//! grant. The swap is one record, on the disk before the first call can take the new revision.

use std::sync::Arc;

use flowhost_engine::RunScope;
use flowhost_flow::Exit;
use flowhost_ledger::records::{RecordKind as _, Reload};
use flowhost_policy::{Effective, Narrowing, effective};
use serde_json::json;
use tokio::sync::Mutex;

use crate::base::failure::{Failure, ledger_failure};
use crate::base::tasks::blocking;
use crate::given::bundle::{component_path, keep_component};
use crate::given::process::Process;
use crate::given::project::{Member, Project};
use crate::given::world::Workers;
use crate::kept::journal::Journal;
use crate::plugins::installed::Installed;
use crate::plugins::registry::Registry;
use crate::plugins::server;
use crate::plugins::wiring;

/// What a swap needs of a run that goes on.
pub(crate) struct Swaps {
    pub(crate) host: Arc<Process>,
    pub(crate) journal: Journal,
    pub(crate) scope: RunScope,
    pub(crate) plugins: Arc<Registry>,
    /// What the run began with: which tools of servers a person has accepted.
    pub(crate) project: Arc<Project>,
    /// One at a time: revisions count up.
    pub(crate) turn: Mutex<()>,
    /// Whether the run takes no build any more; held while one enters it.
    pub(crate) over: Mutex<bool>,
}

/// A swap that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Swapped {
    /// The revision that calls take from now on.
    pub revision: u64,
    /// Milliseconds from the request until then, compiling included.
    pub took_ms: u64,
}

impl Swaps {
    pub(crate) async fn swap(&self, key: &str, member: &Member) -> Result<Swapped, Failure> {
        if self.host.config.workers == Workers::Elsewhere {
            return Err(refused(
                key,
                "its calls are performed by other processes, which have the old build",
            )
            .hint("end the run and start it with the new component"));
        }
        let started = tokio::time::Instant::now();
        let _turn = self.turn.lock().await;
        let before = self.plugins.current(key).ok_or_else(|| {
            refused(key, "the run has no plugin of that name").hint("names stand under `plugins:`")
        })?;
        if !before.is_of(member.decl.kind) {
            return Err(refused(
                key,
                "the new component has another kind than the plan says",
            ));
        }
        self.host.config.operator.admits(member)?;
        let rights = before.plugin.effective();
        // Who had only its callers' tools would have its own.
        let freed = before.acts_for_caller() && !member.manifest.acts_for_caller;
        if freed || widens(rights, key, member) {
            return Err(refused(
                key,
                "the new component would have more rights than the old one",
            )
            .hint("end the run and start it with the new component: rights grow only there"));
        }
        // Beside each other: the one waits for processors and the other for the disk.
        let (component, kept) = tokio::join!(
            self.host.engine.load_inspected(&member.inspection),
            self.keep(key, member),
        );
        let component = component.map_err(|error| refused(key, error.to_string()))?;
        kept?;
        let prepared = self
            .host
            .engine
            .prepare(&component, Arc::new(member.effective.clone()));
        let prepared = prepared.map_err(|error| refused(key, error.to_string()))?;
        // From here to its place nothing ends the run: a server that a build has begun to talk to would be told of the
        // end by nobody. Compiling, which takes longest, is before.
        let over = self.over.lock().await;
        if *over {
            return Err(refused(key, "the run has ended meanwhile")
                .hint("the next run takes the new component"));
        }
        let revision = before.revision + 1;
        let mut installed = Installed::new(key, revision, Arc::new(prepared), member)
            .paced(self.host.config.server_calls_per_minute)
            .in_place_of(&before);
        let introduced = installed.introduce(member, &self.scope).await;
        introduced.map_err(|why| refused(key, why.to_string()).hint(why.cure))?;
        self.accepted(key, &installed).await?;
        self.record(&before, &installed, member).await?;
        let _still_held_by_calls_at_work = self.plugins.put(installed);
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(Swapped { revision, took_ms })
    }

    /// Lets no build enter any more, and waits for one that is entering: at most as long as its profile lets it take to
    /// connect to its server.
    pub(crate) async fn close(&self) {
        *self.over.lock().await = true;
    }

    /// That what its server shows is what was accepted of it: a new conversation begins with what it is shown first, so
    /// that nobody else would ask.
    async fn accepted(&self, key: &str, installed: &Installed) -> Result<(), Failure> {
        let findings = wiring::unaccepted(&self.host, &self.project, key, installed);
        if findings.is_empty() {
            return Ok(());
        }
        installed.disconnect(&self.scope).await;
        let why = "its MCP server shows tools that nobody has accepted";
        Err(Failure {
            exit: Exit::Denied,
            findings,
            ..refused(key, why)
        })
    }

    /// Keeps the component, so that the run can be replayed by the builds that it had.
    async fn keep(&self, key: &str, member: &Member) -> Result<(), Failure> {
        let (host, bytes) = (self.host.clone(), member.inspection.bytes().clone());
        let path = component_path(&self.host.config.state, &member.inspection.digest);
        blocking(move || keep_component(&*host.config.world, &path, &bytes))
            .await
            .map_err(|failure| refused(key, failure.message))
    }

    async fn record(
        &self,
        before: &Installed,
        after: &Installed,
        member: &Member,
    ) -> Result<(), Failure> {
        let (old, new) = (before.plugin.effective(), &member.effective);
        let reload = Reload {
            plugin: before.key.to_string(),
            revision: after.revision,
            component_before: before.plugin.digest().to_string(),
            component: after.plugin.digest().to_string(),
            profile_before: old.hash.clone(),
            profile: new.hash.clone(),
        };
        let told = json!({ "tools_before": before.tool_pins(), "tools": after.tool_pins() });
        let actor = format!("{}/host", self.scope.tenant);
        let fact = reload.by(actor).payload(told.to_string().into_bytes());
        let recorder = &self.scope.recorder;
        let seq = recorder
            .append(fact)
            .map_err(|error| ledger_failure("the ledger takes no more", &error))?;
        recorder
            .durable(seq)
            .await
            .map_err(|error| ledger_failure("the swap is not on the disk", &error))?;
        self.journal.tools(after)?;
        server::record(&self.journal, after)
    }
}

/// Whether `member`, as the plugin `key`, would get a right that `before` did not have.
#[must_use]
pub fn widens(before: &Effective, key: &str, member: &Member) -> bool {
    if member.effective.hash == before.hash {
        return false;
    }
    // What both give; if that is all of the new rights, none of them is new.
    let narrowing = Narrowing::none(key);
    let (both, _) = effective(&member.manifest, &member.profile, &narrowing, Some(before));
    both.hash != member.effective.hash
}

fn refused(key: &str, why: impl Into<String>) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("the plugin `{key}` was not swapped"),
    )
    .because(why)
    .hint("the run goes on with the build that it has")
}
