//! From a loaded component and effective rights to something that can be called: which imports are
//! served, which rights are missing, and a linker that holds exactly what is granted.
//!
//! The linking rule (CAP-002). An import is answered by an interface of the same name and the same
//! semver track. Our own packages are refused when they are newer than this host. A foreign one
//! (WASI) may carry a newer patch version: it is linked when every function that the component
//! imports exists with the same type, and refused by name when one does not. There are no stubs.

use std::sync::Arc;

use flowhost_policy::Effective;
use wasmtime::component::{InstancePre, Linker};

use crate::capability::{Capability, HostState};
use crate::engine::{Engine, EngineError, LoadError, LoadedComponent};
use crate::fault::{BUILD_ANEW, EARLIER_CONTRACT};
use crate::inspect::{Import, InspectError, Inspection, InterfaceName, Version};
use crate::instance::Plugin;
use crate::text::{MESSAGE_CHARS, neutralise};

/// Packages that hold only types and roles; no capability serves them.
const SHARED: [&str; 5] = [
    "flowhost:types/types@0.1.0",
    "flowhost:roles/agent@0.1.0",
    "flowhost:roles/tool@0.1.0",
    "flowhost:roles/guardrail@0.1.0",
    "flowhost:roles/mcp-adapter@0.1.0",
];

/// An interface that a component imports and may not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingRight {
    /// As the component names it.
    pub interface: String,
    /// The capability that would serve it; `None` when this build has none that does.
    pub capability: Option<&'static str>,
    /// The profile line that would grant it.
    pub cure: Option<String>,
}

/// A capability that was linked for a component.
#[derive(Clone)]
pub(crate) struct Linked {
    pub(crate) capability: Arc<dyn Capability>,
    /// Its place in the engine's list, and in each run's providers.
    pub(crate) index: usize,
    pub(crate) granted: bool,
}

struct Interface {
    name: InterfaceName,
    capability: usize,
    /// Linked even without the grant, to an empty implementation.
    runtime: bool,
}

/// Which capability serves which interface.
pub(crate) struct Served {
    capabilities: Vec<Arc<dyn Capability>>,
    interfaces: Vec<Interface>,
    shared: Vec<InterfaceName>,
}

impl Served {
    pub(crate) fn new(capabilities: Vec<Arc<dyn Capability>>) -> Result<Self, EngineError> {
        let mut interfaces: Vec<Interface> = Vec::new();
        for (index, capability) in capabilities.iter().enumerate() {
            let granted = capability.interfaces().iter().map(|name| (*name, false));
            let runtime = capability
                .runtime_interfaces()
                .iter()
                .map(|name| (*name, true));
            for (name, runtime) in granted.chain(runtime) {
                let twice = interfaces.iter().find(|it| it.name.full == name);
                if let Some(first) = twice.and_then(|it| capabilities.get(it.capability)) {
                    return Err(EngineError::ServedTwice {
                        interface: name.to_owned(),
                        first: first.name(),
                        second: capability.name(),
                    });
                }
                let name = InterfaceName::parse(name);
                interfaces.push(Interface {
                    name,
                    capability: index,
                    runtime,
                });
            }
        }
        let shared = SHARED
            .iter()
            .map(|name| InterfaceName::parse(name))
            .collect();
        Ok(Self {
            capabilities,
            interfaces,
            shared,
        })
    }

    /// Refuses imports of our own packages in a version that this host does not have.
    pub(crate) fn reject_newer(&self, inspection: &Inspection) -> Result<(), InspectError> {
        let ours = |import: &&Import| import.name.package.starts_with("flowhost:");
        inspection
            .imports
            .iter()
            .filter(ours)
            .try_for_each(|import| self.known(&import.name))
    }

    fn known(&self, name: &InterfaceName) -> Result<(), InspectError> {
        let same = self
            .interfaces
            .iter()
            .map(|it| &it.name)
            .chain(&self.shared)
            .filter(|it| it.package == name.package && it.interface == name.interface);
        let mut newest: Option<Version> = None;
        for version in same.filter_map(|it| it.version) {
            if crate::inspect::newer(name, version).is_ok() {
                return Ok(());
            }
            newest = newest.max(Some(version));
        }
        // A package that nobody here serves is not newer but unknown, which `preflight` says.
        newest.map_or(Ok(()), |ours| crate::inspect::newer(name, ours))
    }

    fn answer(&self, import: &Import) -> Option<(&Interface, &Arc<dyn Capability>)> {
        let interface = self
            .interfaces
            .iter()
            .find(|it| import.name.answered_by(&it.name))?;
        Some((interface, self.capabilities.get(interface.capability)?))
    }

    fn missing(&self, import: &Import, effective: &Effective) -> Option<MissingRight> {
        let interface = import.name.full.clone();
        if import.types_only() {
            return None;
        }
        match self.answer(import) {
            None => Some(MissingRight {
                interface,
                capability: None,
                cure: None,
            }),
            Some((it, capability)) if it.runtime || capability.granted(effective) => None,
            Some((_, capability)) => Some(MissingRight {
                interface,
                capability: Some(capability.name()),
                cure: Some(capability.cure().to_owned()),
            }),
        }
    }

    /// Links what the component imports and the effective rights allow; the same list is opened for
    /// every call.
    fn link(
        &self,
        linker: &mut Linker<HostState>,
        inspection: &Inspection,
        effective: &Effective,
    ) -> wasmtime::Result<Vec<Linked>> {
        let mut linked = Vec::new();
        for (index, capability) in self.capabilities.iter().enumerate() {
            let wanted = |import: &&Import| {
                self.answer(import)
                    .is_some_and(|(it, _)| it.capability == index)
            };
            // Not linked means no state either: a component pays for the capabilities that it
            // imports.
            if inspection.imports.iter().find(wanted).is_none() {
                continue;
            }
            let granted = capability.granted(effective);
            capability.link(linker, granted)?;
            linked.push(Linked {
                capability: capability.clone(),
                index,
                granted,
            });
        }
        Ok(linked)
    }
}

/// Every import of a component that `capabilities` would not answer under `effective`: what
/// [`Engine::preflight`] says, for those who have no engine yet. Imports of a kind that no capability
/// serves are among them.
///
/// # Errors
/// [`EngineError::ServedTwice`] for capabilities that no engine takes.
pub fn unanswered(
    capabilities: &[Arc<dyn Capability>],
    inspection: &Inspection,
    effective: &Effective,
) -> Result<Vec<MissingRight>, EngineError> {
    let served = Served::new(capabilities.to_vec())?;
    let imports = inspection.imports.iter();
    Ok(imports
        .filter_map(|it| served.missing(it, effective))
        .collect())
}

impl Engine {
    /// Every right that a component needs and `effective` does not give; empty when it can run.
    #[must_use]
    pub fn preflight(&self, inspection: &Inspection, effective: &Effective) -> Vec<MissingRight> {
        let served = &self.0.served;
        inspection
            .imports
            .iter()
            .filter_map(|it| served.missing(it, effective))
            .collect()
    }

    /// Links a component with exactly what `effective` grants. Once per plugin and effective
    /// rights: the result counts the instances that are alive against `limits.instances`.
    ///
    /// # Errors
    /// [`LoadError::Missing`] when a right is missing, [`LoadError::Link`] when a function has
    /// another type than the host's.
    pub fn prepare(
        &self,
        component: &LoadedComponent,
        effective: Arc<Effective>,
    ) -> Result<Plugin, LoadError> {
        let inspection = component.inspection();
        let missing = self.preflight(inspection, &effective);
        if !missing.is_empty() {
            return Err(LoadError::Missing(missing));
        }
        let mut linker = Linker::new(component.0.component.engine());
        let linked = self
            .0
            .served
            .link(&mut linker, inspection, &effective)
            .map_err(|e| unfit(&e))?;
        let pre: InstancePre<HostState> = linker
            .instantiate_pre(&component.0.component)
            .map_err(|error| unfit(&error))?;
        Plugin::new(self.clone(), component, effective, linked, pre).map_err(|error| unfit(&error))
    }
}

fn unfit(error: &wasmtime::Error) -> LoadError {
    let why = neutralise(&format!("{error:#}"), MESSAGE_CHARS);
    // The versions are the same, or inspection had refused it; the standard's interfaces may miss a newer function.
    LoadError::Link(match why.contains("flowhost:") {
        true => format!("it {EARLIER_CONTRACT}: {why}\n\nhint: {BUILD_ANEW}"),
        false => why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_our_own_interfaces_was_built_against_an_earlier_contract() {
        let told = |interface: &str| {
            let why = format!("component imports instance `{interface}`, but it is another one");
            unfit(&wasmtime::Error::msg(why)).to_string()
        };
        let ours = told("flowhost:tools/tools@0.1.0");
        assert!(
            ours.starts_with(
                "the component does not fit this host: it was built against an earlier contract"
            ),
            "{ours}"
        );
        assert!(ours.ends_with(&format!("\n\nhint: {BUILD_ANEW}")), "{ours}");
        assert!(!told("wasi:io/poll@0.2.6").contains("earlier"));
    }
}
