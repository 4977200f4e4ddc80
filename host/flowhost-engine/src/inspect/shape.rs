//! How big a component may be, dimension by dimension, counted as its sections pass by.
//!
//! `wasmparser` bounds each section of each module; a component has many modules, so the sums are
//! bounded here. The numbers are about ten times what CPython, the largest honest guest known, has.

use std::ops::Range;

use wasmparser::{ComponentExternName, Payload};

use super::InspectError;

/// Sums over all modules and components inside one component. At each: the component is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeLimits {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of all custom sections together (names, producers, debug information).
    pub custom_bytes: u64,
    /// Bytes of the embedded manifest.
    pub manifest_bytes: u64,
    /// Core functions.
    pub functions: u64,
    /// Bytes of one core function; compile time grows faster than linear in it.
    pub function_bytes: u64,
    /// Types of all kinds.
    pub types: u64,
    /// Components and modules inside one another.
    pub nesting: u64,
    /// Type declarations inside one another, in one section.
    pub type_nesting: u64,
    /// Components and modules.
    pub modules: u64,
    /// Core and component instances.
    pub instances: u64,
    /// Imports of all kinds.
    pub imports: u64,
    /// Exports of all kinds.
    pub exports: u64,
    /// Bytes of one imported or exported name.
    pub name_bytes: u64,
    /// Globals, elements, data segments, aliases and canonical functions.
    pub items: u64,
}

impl Default for ShapeLimits {
    fn default() -> Self {
        Self {
            bytes: 64 << 20,
            custom_bytes: 32 << 20,
            manifest_bytes: 64 << 10,
            functions: 200_000,
            function_bytes: 2 << 20,
            types: 100_000,
            nesting: 8,
            type_nesting: 256,
            modules: 100,
            instances: 200,
            imports: 50_000,
            exports: 50_000,
            name_bytes: 4 << 10,
            items: 500_000,
        }
    }
}

impl ShapeLimits {
    pub(super) fn check(
        &self,
        what: &'static str,
        used: u64,
        allowed: u64,
    ) -> Result<(), InspectError> {
        if used > allowed {
            return Err(InspectError::Shape {
                what,
                used,
                allowed,
            });
        }
        Ok(())
    }
}

/// The running sums.
pub(super) struct Shape<'a> {
    limits: &'a ShapeLimits,
    bytes: &'a [u8],
    depth: usize,
    custom_bytes: u64,
    functions: u64,
    types: u64,
    modules: u64,
    instances: u64,
    imports: u64,
    exports: u64,
    items: u64,
}

impl<'a> Shape<'a> {
    pub(super) fn new(limits: &'a ShapeLimits, bytes: &'a [u8]) -> Self {
        Self {
            limits,
            bytes,
            depth: 0,
            custom_bytes: 0,
            functions: 0,
            types: 0,
            modules: 0,
            instances: 0,
            imports: 0,
            exports: 0,
            items: 0,
        }
    }

    /// 1 inside the outermost component.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Whether the outermost component has ended.
    pub(super) fn done(&self) -> bool {
        self.depth == 0
    }

    pub(super) fn functions(&self) -> u64 {
        self.functions
    }

    /// Counts one section, before anyone reads what is in it.
    pub(super) fn count(&mut self, payload: &Payload<'_>) -> Result<(), InspectError> {
        match payload {
            Payload::Version { .. } => self.enter(),
            Payload::End(_) => {
                self.depth = self.depth.saturating_sub(1);
                Ok(())
            }
            Payload::CustomSection(section) => self.custom(section.name(), section.data().len()),
            Payload::FunctionSection(section) => self.add_functions(section.count()),
            Payload::CodeSectionEntry(body) => {
                let used = span(&body.range());
                self.limits
                    .check("function_bytes", used, self.limits.function_bytes)
            }
            Payload::TypeSection(section) => self.add_types(section.count()),
            Payload::CoreTypeSection(section) => self.add_types(section.count()),
            Payload::ComponentTypeSection(section) => {
                self.nested(section.range())?;
                self.add_types(section.count())
            }
            Payload::InstanceSection(section) => self.add_instances(section.count()),
            Payload::ComponentInstanceSection(section) => self.add_instances(section.count()),
            other => self.count_names(other),
        }
    }

    fn count_names(&mut self, payload: &Payload<'_>) -> Result<(), InspectError> {
        match payload {
            Payload::ImportSection(section) => {
                self.add_imports(section.count())?;
                section
                    .clone()
                    .into_imports()
                    .flatten()
                    .map(|import| import.module.len().max(import.name.len()))
                    .try_for_each(|bytes| {
                        self.limits
                            .check("name_bytes", bytes as u64, self.limits.name_bytes)
                    })
            }
            Payload::ExportSection(section) => {
                self.add_exports(section.count())?;
                section
                    .clone()
                    .into_iter()
                    .flatten()
                    .try_for_each(|export| {
                        let bytes = export.name.len() as u64;
                        self.limits
                            .check("name_bytes", bytes, self.limits.name_bytes)
                    })
            }
            Payload::ComponentImportSection(section) => {
                self.add_imports(section.count())?;
                section
                    .clone()
                    .into_iter()
                    .flatten()
                    .try_for_each(|it| self.name(&it.name))
            }
            Payload::ComponentExportSection(section) => {
                self.add_exports(section.count())?;
                section
                    .clone()
                    .into_iter()
                    .flatten()
                    .try_for_each(|it| self.name(&it.name))
            }
            other => self.count_items(other),
        }
    }

    fn count_items(&mut self, payload: &Payload<'_>) -> Result<(), InspectError> {
        let count = match payload {
            Payload::GlobalSection(section) => section.count(),
            Payload::TableSection(section) => section.count(),
            Payload::MemorySection(section) => section.count(),
            Payload::TagSection(section) => section.count(),
            Payload::ElementSection(section) => section.count(),
            Payload::DataSection(section) => section.count(),
            Payload::ComponentAliasSection(section) => section.count(),
            Payload::ComponentCanonicalSection(section) => section.count(),
            _ => 0,
        };
        self.items = self.items.saturating_add(count.into());
        self.limits.check("items", self.items, self.limits.items)
    }

    fn enter(&mut self) -> Result<(), InspectError> {
        self.depth += 1;
        self.modules += 1;
        self.limits
            .check("nesting", self.depth as u64, self.limits.nesting)?;
        self.limits
            .check("modules", self.modules, self.limits.modules)
    }

    fn custom(&mut self, name: &str, bytes: usize) -> Result<(), InspectError> {
        let bytes = bytes as u64;
        if name == super::MANIFEST_SECTION {
            self.limits
                .check("manifest_bytes", bytes, self.limits.manifest_bytes)?;
        }
        self.custom_bytes = self.custom_bytes.saturating_add(bytes);
        self.limits
            .check("custom_bytes", self.custom_bytes, self.limits.custom_bytes)
    }

    /// Bounds how deep type declarations can nest in a section, from its raw bytes.
    ///
    /// `wasmparser` reads nested declarations by recursion, so a few hundred kilobytes of them would
    /// overflow the host's stack before its own depth limit is reached. Each level opens with the
    /// bytes 0x01 (a type declaration), 0x41 or 0x42 (component or instance type) and a count that is
    /// not 0; their number bounds the depth. Honest sections hold a handful, by chance.
    fn nested(&self, range: Range<usize>) -> Result<(), InspectError> {
        let section = self.bytes.get(range).unwrap_or_default();
        let opens = section
            .windows(3)
            .filter(|bytes| matches!(bytes, [0x01, 0x41 | 0x42, count] if *count != 0))
            .count();
        self.limits
            .check("type_nesting", opens as u64, self.limits.type_nesting)
    }

    fn name(&self, name: &ComponentExternName<'_>) -> Result<(), InspectError> {
        self.limits
            .check("name_bytes", name.name.len() as u64, self.limits.name_bytes)
    }

    fn add_functions(&mut self, count: u32) -> Result<(), InspectError> {
        self.functions = self.functions.saturating_add(count.into());
        self.limits
            .check("functions", self.functions, self.limits.functions)
    }

    fn add_types(&mut self, count: u32) -> Result<(), InspectError> {
        self.types = self.types.saturating_add(count.into());
        self.limits.check("types", self.types, self.limits.types)
    }

    fn add_instances(&mut self, count: u32) -> Result<(), InspectError> {
        self.instances = self.instances.saturating_add(count.into());
        self.limits
            .check("instances", self.instances, self.limits.instances)
    }

    fn add_imports(&mut self, count: u32) -> Result<(), InspectError> {
        self.imports = self.imports.saturating_add(count.into());
        self.limits
            .check("imports", self.imports, self.limits.imports)
    }

    fn add_exports(&mut self, count: u32) -> Result<(), InspectError> {
        self.exports = self.exports.saturating_add(count.into());
        self.limits
            .check("exports", self.exports, self.limits.exports)
    }
}

fn span(range: &Range<usize>) -> u64 {
    range.end.saturating_sub(range.start) as u64
}
