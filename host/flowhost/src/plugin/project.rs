//! An author's project: a folder with `plugin.toml` and one language's own project file.

use std::path::{Path, PathBuf};

use flowhost_flow::Exit;
use flowhost_policy::Manifest;

use super::lang::Lang;
use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::report::problems::Texts;
use crate::sources::DOCUMENT_BYTES_MAX;

/// A project that can be built.
#[derive(Debug)]
pub struct Project {
    /// Where it is.
    pub folder: PathBuf,
    /// What it is written in.
    pub lang: Lang,
    /// `plugin.toml` as it stands there.
    pub text: String,
    /// The same, read.
    pub manifest: Manifest,
}

impl Project {
    /// Reads the project in a folder.
    ///
    /// # Errors
    /// When there is no manifest or project file, and everything that is wrong with the manifest.
    pub fn read(ambient: &Ambient, folder: &Path, texts: &mut Texts) -> Result<Self, Failure> {
        let folder = ambient.resolve(folder);
        let file = folder.join("plugin.toml");
        let shown = file
            .strip_prefix(ambient.cwd())
            .unwrap_or(&file)
            .display()
            .to_string();
        let text = match ambient.read_text(&file, DOCUMENT_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.is_missing() => {
                let message = format!("this is not a plugin project: `{shown}` is missing");
                let hint = "make one with `flowhost plugin new NAME`, or name its folder";
                return Err(Failure::new(Exit::Internal, message).hint(hint));
            }
            Err(error) => return Err(error.into()),
        };
        texts.add(&shown, text.as_str());
        let manifest = Manifest::parse(&text, &shown).map_err(|problems| {
            let findings = problems.into_iter().map(Into::into).collect();
            Failure::findings("the manifest", findings)
        })?;
        let lang = Lang::of(ambient, &folder).ok_or_else(|| {
            let marks: Vec<&str> = Lang::ALL.iter().map(|lang| lang.mark()).collect();
            let message = format!(
                "what this plugin is written in cannot be told: none of {} stands beside `{shown}`",
                marks.join(", ")
            );
            Failure::new(Exit::Internal, message)
        })?;
        Ok(Self {
            folder,
            lang,
            text,
            manifest,
        })
    }
}
