//! The languages that a plugin can be written in, one module each: what a new project holds, and how a
//! component is made of it. Everything else about a plugin is the same whatever it is written in.

pub mod python;
pub mod rust;
pub mod typescript;

use std::path::{Path, PathBuf};

use flowhost_author::Ingredient;
use flowhost_flow::Exit;
use flowhost_words::PluginKind;
use serde::Deserialize;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::plugin::project::Project;
use crate::sources::DOCUMENT_BYTES_MAX;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lang {
    /// Rust, with `flowhost-sdk`.
    Rust,
    /// TypeScript, with `@flowhost/sdk`.
    TypeScript,
    /// Python, with the package `flowhost`.
    Python,
}

/// A file of a new project: its path in it, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Relative, with `/`.
    pub path: String,
    /// What stands in it.
    pub text: String,
}

impl File {
    /// A file whose text has the project's name where it says `{{name}}`.
    #[must_use]
    pub fn of(path: &str, template: &str, name: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: template
                .replace("{{name}}", name)
                .replace("{{type}}", &type_name(name)),
        }
    }
}

/// `word-count` as the name of a type: `WordCount`.
fn type_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        let first = letters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

/// What a language's toolchain made.
#[derive(Debug)]
pub struct Made {
    /// The component, without a manifest.
    pub component: Vec<u8>,
}

impl Lang {
    /// Every language, in the order of help and documentation.
    pub const ALL: [Self; 3] = [Self::Rust, Self::TypeScript, Self::Python];

    /// The word on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::TypeScript => "ts",
            Self::Python => "python",
        }
    }

    /// The file by which a project of the language is known.
    #[must_use]
    pub fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::TypeScript => "package.json",
            Self::Python => "pyproject.toml",
        }
    }

    /// The language of the project in a folder.
    #[must_use]
    pub fn of(ambient: &Ambient, folder: &Path) -> Option<Self> {
        let has = |lang: &Self| ambient.is_file(&folder.join(lang.mark()));
        // The first of several: a project of Rust or TypeScript may have a script in Python beside it.
        Self::ALL.into_iter().find(has)
    }

    /// The files of a new project that are the language's own; `new` adds those that all have.
    #[must_use]
    pub fn template(self, kind: PluginKind, name: &str) -> Vec<File> {
        match self {
            Self::Rust => rust::template(kind, name),
            Self::TypeScript => typescript::template(kind, name),
            Self::Python => python::template(kind, name),
        }
    }

    /// The folder of the language's SDK in a release, by its name below `sdk/`, and where a project keeps
    /// its copy.
    #[must_use]
    pub fn sdk(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => ("rust", "sdk"),
            Self::TypeScript => ("ts", "sdk"),
            Self::Python => ("python", "sdk"),
        }
    }

    /// What a new project wants before it can be built, as one would type it; empty for nothing.
    #[must_use]
    pub fn install(self) -> &'static str {
        match self {
            Self::Rust => "",
            Self::TypeScript => "npm install",
            Self::Python => {
                "python3 -m venv .venv && .venv/bin/pip install sdk/flowhost-0.1.0-py3-none-any.whl"
            }
        }
    }

    /// Makes a component of a project, with the language's own tools.
    ///
    /// # Errors
    /// When a tool is missing (with the command that installs it), or the project does not build.
    pub fn make(self, ambient: &Ambient, project: &Project) -> Result<Made, Failure> {
        match self {
            Self::Rust => rust::make(ambient, project),
            Self::TypeScript => typescript::make(ambient, project),
            Self::Python => python::make(ambient, project),
        }
    }
}

impl Lang {
    /// What a project is made of, for the list that goes with its component; `None` where the language's
    /// own build lists it, and nothing was built yet.
    ///
    /// # Errors
    /// When a tool is missing or fails.
    pub fn ingredients(
        self,
        ambient: &Ambient,
        project: &Project,
    ) -> Result<Option<Vec<Ingredient>>, Failure> {
        match self {
            Self::Rust => rust::ingredients(ambient, project).map(Some),
            Self::TypeScript => typescript::ingredients(ambient, project),
            Self::Python => python::ingredients(ambient, project),
        }
    }
}

/// A package as a language's own build lists it.
#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
}

/// What the last build of a project has listed beside its component, in `made`; `None` before the first.
fn listed(
    ambient: &Ambient,
    project: &Project,
    made: &str,
    purl: fn(&str, &str) -> String,
) -> Result<Option<Vec<Ingredient>>, Failure> {
    let name = format!("{}.packages.json", project.manifest.name);
    let path = project.folder.join(made).join(name);
    if !ambient.is_file(&path) {
        return Ok(None);
    }
    let bytes = ambient.read(&path, DOCUMENT_BYTES_MAX)?;
    let packages: Vec<Package> = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("`{}` is not a list of packages", path.display());
        Failure::new(Exit::Internal, message)
            .caused_by(&error)
            .hint("run `flowhost plugin build` again")
    })?;
    let ingredient = |it: Package| Ingredient {
        purl: purl(&it.name, &it.version),
        name: it.name,
        version: it.version,
    };
    Ok(Some(packages.into_iter().map(ingredient).collect()))
}

/// A program that a language needs, found in `PATH`.
///
/// # Errors
/// When it is not there, with how to get it.
pub fn program(ambient: &Ambient, name: &str, cure: &str) -> Result<PathBuf, Failure> {
    ambient.program(name).ok_or_else(|| {
        let message = format!("`{name}` is not installed, or not in PATH");
        Failure::new(Exit::Internal, message).hint(cure)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_becomes_the_name_of_a_type() {
        assert_eq!(type_name("word-count"), "WordCount");
        let file = File::of("a", "{{name}} {{type}}", "x-1");
        assert_eq!(file.text, "x-1 X1");
    }
}
