//! Looks at a component without compiling it: is it one, is it small enough to compile, which role
//! does it take, what does it ask for.
//!
//! Compilation is hostile input, so everything that can be refused is refused here first, on the
//! structure alone. Function bodies are not read; the compile child validates them. Nothing here may
//! recurse over the input: `shape` bounds nesting before `wasmparser` gets to see it.

mod inspected;
mod kept;
mod names;
mod shape;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use flowhost_words::PluginKind;
use sha2::{Digest, Sha256};
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::TypesRef;
use wasmparser::{BinaryReader, Parser, Payload, ValidPayload, Validator};

pub use inspected::Inspected;
pub use kept::Inspections;
pub use names::{InterfaceName, Version};
pub use shape::ShapeLimits;

use crate::knobs;
use shape::Shape;

/// Custom section for the plugin's manifest, as it is on disk.
pub const MANIFEST_SECTION: &str = "flowhost:manifest";

/// The package of the roles, which every component exports one of.
const ROLES: &str = "flowhost:roles";
/// The version of our packages that this build speaks; each folder of `wit/` that is served has it.
const OURS: Version = Version {
    major: 0,
    minor: 1,
    patch: 0,
};

/// Something that a component imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// As the component names it: `flowhost:files/files@0.1.0`.
    pub name: InterfaceName,
    /// Functions and resources that it takes from there, in order. Empty when only types are shared,
    /// which needs no right.
    pub items: Vec<String>,
}

impl Import {
    /// Whether only types are shared.
    #[must_use]
    pub fn types_only(&self) -> bool {
        self.items.is_empty()
    }
}

/// What a component is and asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// SHA-256 of the bytes, `sha256:…`: the component's identity.
    pub digest: Arc<str>,
    /// Bytes.
    pub size: u64,
    /// Its role.
    pub role: PluginKind,
    /// Whether it takes none of our roles, and its plain functions are what it offers as a tool.
    pub foreign: bool,
    /// Its imports, in order.
    pub imports: Vec<Import>,
    /// Its exports, in order.
    pub exports: Vec<String>,
    /// The embedded manifest, if there is one.
    pub manifest: Option<Vec<u8>>,
    /// Core functions that would be compiled.
    pub functions: u64,
}

impl Inspection {
    /// Imports of our own packages in a version that this host does not serve, each as the error that
    /// says so. No profile can grant them. A package that this host does not know at all is not
    /// judged here.
    #[must_use]
    pub fn unserved(&self) -> Vec<InspectError> {
        let known = |name: &InterfaceName| {
            let package = name.package.as_str();
            package.starts_with("flowhost:")
                && (package == ROLES
                    || package == "flowhost:types"
                    || flowhost_policy::Right::behind(&name.full).is_some())
        };
        let names = self.imports.iter().map(|import| &import.name);
        names
            .filter(|name| known(name))
            .filter_map(|name| newer(name, OURS).err())
            .collect()
    }
}

/// Why a component is refused before anything is compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InspectError {
    /// Not WebAssembly at all.
    #[error("not a component: {what}\n\nhint: {cure}")]
    NotComponent {
        /// What it looks like.
        what: &'static str,
        /// How to get a component from it.
        cure: &'static str,
    },
    /// Native code from outside is never loaded (SUP-010).
    #[error(
        "a precompiled artifact is native code and is never loaded from outside\n\n\
         hint: give the component it was compiled from; the host compiles and caches it"
    )]
    Precompiled,
    /// Ends in the middle.
    #[error("the file ends at byte {offset}, in the middle of a section\n\nhint: fetch it again")]
    Truncated {
        /// Where.
        offset: u64,
    },
    /// Too big in some dimension.
    #[error("the component has too much to compile: {what} {used}, allowed {allowed}")]
    Shape {
        /// Which dimension.
        what: &'static str,
        /// What it has, at least.
        used: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// Breaks the format, or uses a proposal that is off.
    #[error("not a valid component for this host: {message} (at byte {offset})")]
    Invalid {
        /// The validator's words, neutralised.
        message: String,
        /// Where.
        offset: u64,
    },
    /// Exports no role.
    #[error(
        "the component takes no role: it exports {}\n\n\
         hint: export one of flowhost:roles/agent, tool, guardrail or mcp-adapter, version 0.1.0, or plain \
         functions, which become tools",
        listed(.exports)
    )]
    NoRole {
        /// What it exports instead.
        exports: Vec<String>,
    },
    /// Exports several.
    #[error("the component takes several roles ({}); it must take exactly one", listed(.roles))]
    SeveralRoles {
        /// Which.
        roles: Vec<String>,
    },
    /// Was built against a contract that this host does not know.
    #[error(
        "it wants `{interface}`, and this host serves `{ours}`\n\n\
         hint: build the plugin against {ours}, or take a flowhost that serves {interface}"
    )]
    NewerWit {
        /// The interface it wants.
        interface: String,
        /// The version that this build serves.
        ours: String,
    },
    /// Carries two manifests.
    #[error("the component carries more than one `flowhost:manifest` section")]
    SeveralManifests,
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "nothing".to_owned()
    } else {
        names.join(", ")
    }
}

/// `sha256:…` of `bytes`.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Inspects `bytes` under `limits`.
///
/// # Errors
/// Any [`InspectError`].
pub fn inspect(bytes: &[u8], limits: &ShapeLimits) -> Result<Inspection, InspectError> {
    limits.check("bytes", bytes.len() as u64, limits.bytes)?;
    sniff(bytes)?;
    let outline = outline(bytes, limits)?;
    let role = role(&outline.exports);
    // Of no other error: a component that takes two roles, or a newer one, was meant for a role.
    let foreign = outline.functions_out && matches!(role, Err(InspectError::NoRole { .. }));
    Ok(Inspection {
        digest: digest(bytes).into(),
        size: bytes.len() as u64,
        role: if foreign { PluginKind::Tool } else { role? },
        foreign,
        imports: outline.imports,
        exports: outline.exports,
        manifest: outline.manifest,
        functions: outline.functions,
    })
}

/// Tells what else a file may be, so that the message can say so.
fn sniff(bytes: &[u8]) -> Result<(), InspectError> {
    let (what, cure) = if wasmtime::Engine::detect_precompiled(bytes).is_some() {
        return Err(InspectError::Precompiled);
    } else if Parser::is_component(bytes) {
        return Ok(());
    } else if Parser::is_core_wasm(bytes) {
        (
            "it is a core module",
            "wrap it with `wasm-tools component new`",
        )
    } else if bytes.is_empty() {
        ("it is empty", "give the path of a .wasm component")
    // Eight bytes are magic, version and layer: with fewer nobody can say what it was to be.
    } else if b"\0asm".starts_with(bytes.get(..4).unwrap_or(bytes)) && bytes.len() < 8 {
        return Err(InspectError::Truncated {
            offset: bytes.len() as u64,
        });
    // wasmtime's precompiled files are ELF; one that it does not know is native code all the same.
    } else if bytes.starts_with(b"\x7fELF") {
        return Err(InspectError::Precompiled);
    } else if std::str::from_utf8(bytes.get(..64).unwrap_or(bytes)).is_ok() {
        ("it is text", "compile it to a binary component first")
    } else {
        (
            "it does not begin like WebAssembly",
            "give the path of a .wasm component",
        )
    };
    Err(InspectError::NotComponent { what, cure })
}

struct Outline {
    imports: Vec<Import>,
    exports: Vec<String>,
    manifest: Option<Vec<u8>>,
    functions: u64,
    /// Whether a function is exported, by itself or in an interface that is not ours.
    functions_out: bool,
}

fn outline(bytes: &[u8], limits: &ShapeLimits) -> Result<Outline, InspectError> {
    let mut parser = Parser::new(0);
    parser.set_features(knobs::features());
    let mut validator = Validator::new_with_features(knobs::features());
    let mut shape = Shape::new(limits, bytes);
    let mut names = Names::default();
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(|error| malformed(&error, bytes))?;
        // In this order: counted before it is read, read before it is validated. Each step is safe
        // only on what the one before has let through.
        shape.count(&payload)?;
        names.take(&payload, shape.depth())?;
        let valid = validator
            .payload(&payload)
            .map_err(|error| malformed(&error, bytes))?;
        if let ValidPayload::End(types) = valid
            // A component inside ends with the same payload.
            && shape.done()
        {
            return Ok(Outline {
                functions_out: names.has_functions(types.as_ref()),
                imports: names.imports(types.as_ref())?,
                exports: names.exports,
                manifest: names.manifest,
                functions: shape.functions(),
            });
        }
    }
    Err(InspectError::Truncated {
        offset: bytes.len() as u64,
    })
}

/// Names and the manifest of the outermost component, as its sections pass by.
#[derive(Default)]
struct Names {
    imports: Vec<String>,
    exports: Vec<String>,
    manifest: Option<Vec<u8>>,
}

impl Names {
    fn take(&mut self, payload: &Payload<'_>, depth: usize) -> Result<(), InspectError> {
        if depth != 1 {
            return Ok(());
        }
        match payload {
            Payload::ComponentImportSection(section) => {
                // An entry that cannot be read is left out here, because the validator sees the
                // same section next and refuses it with its reason.
                for import in section.clone().into_iter().flatten() {
                    self.imports.push(import.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section.clone().into_iter().flatten() {
                    self.exports.push(export.name.name.to_owned());
                }
            }
            Payload::CustomSection(section) if section.name() == MANIFEST_SECTION => {
                let before = self.manifest.replace(section.data().to_vec());
                return before.map_or(Ok(()), |_| Err(InspectError::SeveralManifests));
            }
            _ => {}
        }
        Ok(())
    }

    /// An interface of ours that is no role is a mistake, and not somebody else's tool.
    fn has_functions(&self, types: TypesRef<'_>) -> bool {
        let ours = |name: &String| name.starts_with("flowhost:");
        !self.exports.iter().any(ours) && self.exports.iter().any(|it| is_function(it, types))
    }

    fn imports(&self, types: TypesRef<'_>) -> Result<Vec<Import>, InspectError> {
        self.imports
            .iter()
            .map(|name| import(name, types))
            .collect()
    }
}

/// Whether an export is a function, or an interface with one.
fn is_function(name: &str, types: TypesRef<'_>) -> bool {
    let item = types.component_item_for_export(name).map(|item| &item.ty);
    match item {
        Some(ComponentEntityType::Func(_)) => true,
        Some(ComponentEntityType::Instance(id)) => {
            #[expect(clippy::indexing_slicing, reason = "the id comes from this very list")]
            let mut exports = types[*id].exports.values();
            exports.any(|item| matches!(item.ty, ComponentEntityType::Func(_)))
        }
        _ => false,
    }
}

fn import(name: &str, types: TypesRef<'_>) -> Result<Import, InspectError> {
    let item = types.component_item_for_import(name).map(|item| &item.ty);
    let items = match item {
        Some(ComponentEntityType::Instance(id)) => {
            #[expect(clippy::indexing_slicing, reason = "the id comes from this very list")]
            let exports = types[*id].exports.iter();
            exports
                .filter(|(_, item)| needs_host(&item.ty))
                .map(|(name, _)| name.clone())
                .collect()
        }
        Some(ComponentEntityType::Module(_)) => {
            let message = format!("it imports `{name}`, a core module");
            return Err(InspectError::Invalid { message, offset: 0 });
        }
        Some(ComponentEntityType::Type { .. }) => Vec::new(),
        // A plain function, or something that is not found: it counts as wanted, so that a profile
        // has to allow it.
        Some(_) | None => vec![name.to_owned()],
    };
    Ok(Import {
        name: InterfaceName::parse(name),
        items,
    })
}

/// Whether an item of an imported instance is something that a host must bring: a function or a
/// resource. Plain types are only names for shapes.
fn needs_host(ty: &ComponentEntityType) -> bool {
    match ty {
        ComponentEntityType::Type { created, .. } => {
            matches!(
                created,
                wasmparser::component_types::ComponentAnyTypeId::Resource(_)
            )
        }
        _ => true,
    }
}

fn malformed(error: &wasmparser::Error, bytes: &[u8]) -> InspectError {
    let offset = error.offset() as u64;
    if is_cut(bytes) {
        let offset = bytes.len() as u64;
        return InspectError::Truncated { offset };
    }
    let off = error.missing_wasm_feature();
    let off = off.map_or_else(String::new, |it| format!(" (the proposal {it:?} is off)"));
    let message = crate::text::neutralise(error.message(), crate::text::MESSAGE_CHARS) + &off;
    InspectError::Invalid { message, offset }
}

/// Whether the last outermost section says that it is longer than the file: whatever else is wrong
/// with it, its end is missing.
fn is_cut(bytes: &[u8]) -> bool {
    // Magic, version and layer; what follows are sections.
    const HEADER: usize = 8;
    let mut reader = BinaryReader::new(bytes.get(HEADER..).unwrap_or_default(), HEADER);
    while !reader.eof() {
        let section = reader
            .read_u8()
            .and_then(|_id| reader.read_var_u32())
            .and_then(|size| reader.read_bytes(size as usize));
        if section.is_err() {
            return true;
        }
    }
    false
}

fn role(exports: &[String]) -> Result<PluginKind, InspectError> {
    let mut roles = Vec::new();
    for export in exports {
        let name = InterfaceName::parse(export);
        if name.package != ROLES {
            continue;
        }
        newer(&name, OURS)?;
        roles.extend(
            PluginKind::ALL
                .into_iter()
                .filter(|kind| kind.wit_name() == name.interface),
        );
    }
    match roles.as_slice() {
        [role] => Ok(*role),
        [] => Err(InspectError::NoRole {
            exports: exports.to_vec(),
        }),
        many => {
            let roles = many.iter().map(|role| role.as_str().to_owned()).collect();
            Err(InspectError::SeveralRoles { roles })
        }
    }
}

/// Refuses a version of one of our own packages that is newer than the one served, or on another
/// track. Ours grow by addition within a track, so an older one on the same track is fine.
pub(crate) fn newer(name: &InterfaceName, ours: Version) -> Result<(), InspectError> {
    match name.version {
        Some(theirs) if theirs.track() == ours.track() && theirs <= ours => Ok(()),
        _ => Err(InspectError::NewerWit {
            interface: name.full.clone(),
            ours: format!("{}/{}@{ours}", name.package, name.interface),
        }),
    }
}
