//! The builds of plugins that a run was performed by, each when it was: a swap, or a resumption with another
//! component, gave calls from then on another build.
//!
//! A call takes the build that its records name, whatever came later.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use flowhost_engine::{LoadedComponent, RunScope};
use flowhost_words::PluginKind;

use super::Script;
use super::lives::Build;
use crate::base::failure::Failure;
use crate::given::process::Process;
use crate::given::project::{Member, Project, at_member};
use crate::plugins::installed::Installed;
use crate::plugins::registry::Registry;
use crate::plugins::wiring::{self, Ready};

/// See the module.
#[derive(Default)]
pub(super) struct Builds {
    /// Those that each call was performed by, its own calls included.
    of_call: HashMap<String, Vec<Arc<Installed>>>,
}

impl Builds {
    /// Links the plugins as the run had them, and asks those without a manifest what they offer.
    pub(super) async fn install(
        host: &Process,
        project: &Project,
        later: &[(String, Member)],
        scope: &RunScope,
        script: &Script,
        registry: &Registry,
    ) -> Result<Self, Failure> {
        let mut installing = Installing {
            host,
            project,
            scope,
            findings: Vec::new(),
        };
        // What stands where no record names a build: that of a call that never began.
        let mut first = HashMap::new();
        for (key, component) in Ready::load(host, project).await? {
            let Some(member) = project.members.get(&key) else {
                debug_assert!(false, "what was loaded are the project's members");
                continue;
            };
            let installed = installing.one(&key, 1, member, &component).await?;
            let installed = Arc::new(installed);
            registry.turn_to(installed.clone());
            first.insert(key, (member, component, installed));
        }
        let mut made: BTreeMap<(&str, String, u64), Arc<Installed>> = BTreeMap::new();
        let mut of_call: HashMap<String, Vec<Arc<Installed>>> = HashMap::new();
        for (call, builds) in script.builds() {
            for (
                plugin,
                Build {
                    component,
                    revision,
                },
            ) in builds
            {
                let key = (plugin, component.clone(), revision);
                let installed = match made.get(&key) {
                    Some(installed) => installed.clone(),
                    None => {
                        // By its digest, before the plan's own: a swap back gives the first build a later revision.
                        let other = later.iter().find(|(key, member)| {
                            key == plugin && *member.inspection.digest == *component
                        });
                        let installed = match (other, first.get(plugin)) {
                            (Some((_, member)), _) => {
                                let loaded = host.engine.load_inspected(&member.inspection).await;
                                let loaded = loaded.map_err(|error| {
                                    let why = error.to_string();
                                    Failure::findings(
                                        "the plan",
                                        vec![at_member(project, plugin, &why)],
                                    )
                                })?;
                                Arc::new(installing.one(plugin, revision, member, &loaded).await?)
                            }
                            (None, Some((_, _, installed))) if revision == 1 => installed.clone(),
                            (None, Some((member, loaded, _))) => {
                                Arc::new(installing.one(plugin, revision, member, loaded).await?)
                            }
                            // The record names a plugin that the plan has not. Whoever asks for its call says so.
                            (None, None) => continue,
                        };
                        made.insert(key, installed.clone());
                        installed
                    }
                };
                of_call.entry(call.clone()).or_default().push(installed);
            }
        }
        match installing.findings.is_empty() {
            true => Ok(Self { of_call }),
            false => Err(Failure::findings("the plan", installing.findings)),
        }
    }

    /// Makes those builds current that performed this call.
    pub(super) fn turn_to(&self, registry: &Registry, call: &str) {
        for installed in self.of_call.get(call).into_iter().flatten() {
            registry.turn_to(installed.clone());
        }
    }
}

struct Installing<'i> {
    host: &'i Process,
    project: &'i Project,
    scope: &'i RunScope,
    findings: Vec<crate::base::finding::Finding>,
}

impl Installing<'_> {
    async fn one(
        &mut self,
        key: &str,
        revision: u64,
        member: &Member,
        component: &LoadedComponent,
    ) -> Result<Installed, Failure> {
        let plugin = wiring::prepare(self.host, self.project, key, member, component)?;
        let mut installed = Installed::new(key, revision, plugin, member);
        // When a server is asked for its tools again is a matter of time, which a replay has none of.
        let told = match member.decl.kind {
            PluginKind::McpAdapter => {
                Err("the conversation of an MCP adapter cannot be replayed yet"
                    .to_owned()
                    .into())
            }
            _ => installed.introduce(member, self.scope).await,
        };
        if let Err(why) = told {
            self.findings
                .push(at_member(self.project, key, &why.to_string()));
        }
        Ok(installed)
    }
}
