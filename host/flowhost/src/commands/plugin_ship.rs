//! `flowhost plugin sign|verify|pack|unpack`: from an author to a stranger.

use std::path::{Path, PathBuf};

use flowhost::component::{self, Seen, without_manifest};
use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::host::signing_key;
use flowhost::output::neutral;
use flowhost::plugin::trust::{Trust, opened, signature_file};
use flowhost::plugin::{Lang, Project};
use flowhost::sources::{DOCUMENT_BYTES_MAX, Sources};
use flowhost_author::{Pack, STATEMENT_TYPE, WrapError, check_manifest, sbom, statement};
use flowhost_engine::{Inspection, ShapeLimits, inspect};
use flowhost_flow::Exit;
use flowhost_ledger::{HostKey, VKey, dsse};
use flowhost_policy::Manifest;
use flowhost_words::shell_word;
use serde_json::json;

use crate::commands::Context;

/// Bytes of a component or a pack: above their own limits, which give the better message.
pub(crate) const FILE_BYTES_MAX: u64 = 320 << 20;

/// A component with the manifest that a host holds it to.
pub(crate) struct Component {
    pub(crate) bytes: Vec<u8>,
    pub(crate) inspection: Inspection,
    pub(crate) manifest: Manifest,
    /// The manifest as it is written.
    pub(crate) text: String,
}

impl Component {
    /// With the manifest inside it, which alone travels with it.
    pub(crate) fn read(bytes: Vec<u8>, shown: &str) -> Result<Self, Failure> {
        let refused = || Failure::new(Exit::Internal, format!("`{shown}` is refused"));
        let inspection = inspect(&bytes, &ShapeLimits::default());
        let inspection = inspection.map_err(|error| refused().caused_by(&error))?;
        let Some(text) = &inspection.manifest else {
            return Err(refused()
                .because("it has no manifest inside, so nothing says what it asks for")
                .hint("its author puts it there: `flowhost plugin build` of its project or file"));
        };
        let text = String::from_utf8_lossy(text).into_owned();
        let manifest = Manifest::parse(&text, "plugin.toml").map_err(|problems| {
            let findings = problems.into_iter().map(Finding::from).collect();
            Failure::findings(&format!("the manifest inside `{shown}`"), findings)
        })?;
        let read = Self {
            bytes,
            inspection,
            manifest,
            text,
        };
        read.checked(shown)
    }

    /// Of a file of its own: the manifest inside, else the one beside it, which counts in a run as well.
    pub(crate) fn of_file(file: &Path, context: &Context) -> Result<Self, Failure> {
        let sources = Sources::new(&context.ambient, &context.config, None);
        let shown = file.display().to_string();
        let Seen {
            path,
            bytes,
            inspection,
            manifest,
        } = component::look(&sources, &shown, context.ambient.cwd())?;
        let found = sources.manifest(&path, inspection.manifest.as_deref());
        // `look` has read the same manifest and told what is wrong with it: without one here there is none.
        let (Some(manifest), Ok(Some((_, text)))) = (manifest, found) else {
            return Err(without_manifest(&sources, &path, &bytes, &inspection));
        };
        let read = Self {
            bytes: bytes.to_vec(),
            inspection: Inspection::clone(&inspection),
            manifest,
            text,
        };
        read.checked(&shown)
    }

    /// Of what was [`brought`]: a pack has its manifest inside its component.
    pub(crate) fn of(file: &Path, pack: &mut Pack, context: &Context) -> Result<Self, Failure> {
        match is_packed(pack) {
            true => Self::read(
                std::mem::take(&mut pack.component),
                &file.display().to_string(),
            ),
            false => Self::of_file(file, context),
        }
    }

    /// Whether nothing has to come with it.
    pub(crate) fn is_whole(&self) -> bool {
        self.inspection.manifest.is_some()
    }

    /// Holds the manifest against what the component imports.
    fn checked(self, shown: &str) -> Result<Self, Failure> {
        let Err(error) = check_manifest(&self.bytes, &self.text) else {
            return Ok(self);
        };
        let cure = match &error {
            WrapError::Mismatch(mismatch) => mismatch.cure(),
            _ => String::new(),
        };
        let refused = Failure::new(Exit::Internal, format!("`{shown}` is refused"));
        Err(refused.caused_by(&error).hint(cure))
    }
}

/// Whether it came as a pack, and not as a file of its own.
pub(crate) fn is_packed(pack: &Pack) -> bool {
    !pack.manifest.is_empty()
}

/// What makes the signature that a file lacks.
pub(crate) fn how_to_sign(file: &Path, pack: &Pack) -> String {
    match is_packed(pack) {
        true => {
            "its author signs the component by `flowhost plugin sign` and packs it again".to_owned()
        }
        false => {
            let file = shell_word(&file.display().to_string());
            format!("`flowhost plugin sign {file}` makes one")
        }
    }
}

/// The key in this file, else this host's.
pub(crate) fn key_of(file: Option<&Path>, context: &Context) -> Result<HostKey, Failure> {
    let Some(path) = file else {
        let key = signing_key(&context.ambient, &context.config, &context.state)?;
        return Ok((*key).clone());
    };
    HostKey::load(&context.ambient.resolve(path)).map_err(|error| {
        Failure::new(Exit::Internal, "the signing key cannot be used").caused_by(&error)
    })
}

pub(crate) fn sign(
    component: &Path,
    key: Option<&Path>,
    context: &Context,
) -> Result<Exit, Failure> {
    let read = Component::of_file(component, context)?;
    let key = key_of(key, context)?;
    let said = statement(&read.inspection.digest, &read.manifest);
    let envelope = dsse::sign(&key, STATEMENT_TYPE, said.as_bytes());
    let path = signature_file(component);
    context.ambient.write(&path, envelope.as_bytes())?;
    let (path, key) = (path.display().to_string(), key.vkey().to_string());
    match context.output.json {
        true => context
            .output
            .document(&json!({ "signature": path, "key": key,
            "digest": &*read.inspection.digest })),
        false => {
            let text = format!("{path}\n  key {key}\n  {said}\n");
            context.output.result(&neutral(&text));
        }
    }
    Ok(Exit::Ok)
}

pub(crate) fn verify(file: &Path, keys: &[String], context: &Context) -> Result<Exit, Failure> {
    let shown = file.display().to_string();
    let mut pack = brought(file, context)?;
    let read = Component::of(file, &mut pack, context)?;
    let unsigned = || Failure::new(Exit::Internal, format!("nobody vouches for `{shown}`"));
    let Some(signature) = &pack.signature else {
        return Err(unsigned()
            .because("it has no signature")
            .hint(how_to_sign(file, &pack)));
    };
    let trust = Trust::find(&context.ambient, &context.config)?;
    // Keys that are named take the place of the operator's; what he has revoked is refused all the same.
    let trusted = match keys {
        [] => trust.keys,
        keys => parsed(keys)?,
    };
    // Told as what it is: held against no key, every signature would be a stranger's.
    if trusted.is_empty() {
        let hint = "name the author's key with --key, or in the operator's trust.toml; its author prints it with \
                    `flowhost keys show`";
        return Err(unsigned().because("no key is trusted").hint(hint));
    }
    let digest = &read.inspection.digest;
    let key = opened(
        signature,
        digest,
        Some(&read.manifest),
        &trusted,
        &trust.revoked,
    )
    .map_err(|error| unsigned().caused_by(&error))?;
    let (name, release) = (&read.manifest.name, &read.manifest.release);
    match context.output.json {
        true => context
            .output
            .document(&json!({ "verified": true, "key": key.to_string(),
            "digest": &**digest, "name": name, "release": release })),
        false => {
            let text = format!("verified: {name} {release}\n  {digest}\n  key {key}\n");
            context.output.result(&neutral(&text));
        }
    }
    Ok(Exit::Ok)
}

/// A component with what came with it: of a pack all that is in it, of a file of its own the signature beside it.
pub(crate) fn brought(file: &Path, context: &Context) -> Result<Pack, Failure> {
    let bytes = context.ambient.read(file, FILE_BYTES_MAX)?;
    // By its first bytes, and not by how the file is called.
    if !bytes.starts_with(b"\0asm") {
        return unpacked(&bytes, &file.display().to_string());
    }
    let path = signature_file(file);
    let signature = match context.ambient.read_text(&path, DOCUMENT_BYTES_MAX) {
        Ok(text) => Some(text),
        Err(error) if error.is_missing() => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Pack {
        component: bytes,
        signature,
        ..Pack::default()
    })
}

fn parsed(keys: &[String]) -> Result<Vec<VKey>, Failure> {
    let parse = |text: &String| {
        VKey::parse(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("`{text}` is not a key")).caused_by(&error)
        })
    };
    keys.iter().map(parse).collect()
}

pub(crate) fn unpacked(bytes: &[u8], shown: &str) -> Result<Pack, Failure> {
    Pack::read(bytes).map_err(|error| {
        Failure::new(Exit::Internal, format!("`{shown}` is refused")).caused_by(&error)
    })
}

pub(crate) fn pack(
    folder: &Path,
    out: Option<&Path>,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let project = Project::read(&context.ambient, folder, &mut context.texts)?;
    let name = &project.manifest.name;
    let dist = project.folder.join("dist");
    let component = dist.join(format!("{name}.wasm"));
    let bytes = match context.ambient.read(&component, FILE_BYTES_MAX) {
        Ok(bytes) => bytes,
        Err(error) if error.is_missing() => {
            let message = format!("`{}` is not built yet", component.display());
            let folder = shell_word(&folder.display().to_string());
            let hint = format!("run `flowhost plugin build {folder}` first");
            return Err(Failure::new(Exit::Internal, message).hint(hint));
        }
        Err(error) => return Err(error.into()),
    };
    let read = Component::read(bytes, &component.display().to_string())?;
    let optional = |path: &Path| match context.ambient.read_text(path, DOCUMENT_BYTES_MAX) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(Failure::from(error)),
    };
    let signature = optional(&signature_file(&component))?;
    let lang: Lang = project.lang;
    // Of the project as it is now. Whoever changed it since the build packs another list than was built, which a
    // build server does not.
    let ingredients = lang.ingredients(&context.ambient, &project)?;
    let digest = read.inspection.digest.clone();
    let pack = Pack {
        sbom: ingredients.map(|it| sbom(&read.manifest, &digest, &it)),
        component: read.bytes,
        manifest: read.text,
        readme: optional(&project.folder.join("README.md"))?,
        signature,
    };
    let written = pack.write().map_err(|error| {
        Failure::new(Exit::Internal, "this plugin cannot be packed").caused_by(&error)
    })?;
    let path = match out {
        Some(out) => context.ambient.resolve(out),
        None => dist.join(format!("{name}.fhp")),
    };
    context.ambient.write(&path, &written)?;
    let sources = Sources::new(&context.ambient, &context.config, None);
    let shown = sources.shown(&path);
    match context.output.json {
        true => context
            .output
            .document(&json!({ "path": shown, "digest": &*digest,
            "size": written.len(), "signed": pack.signature.is_some() })),
        false => {
            let signed = match pack.signature {
                Some(_) => "signed".to_owned(),
                None => {
                    let component = shell_word(&sources.shown(&component));
                    format!("not signed: `flowhost plugin sign {component}` before packing")
                }
            };
            let text = format!("{shown}\n  {} bytes, {digest}\n  {signed}\n", written.len());
            context.output.result(&neutral(&text));
        }
    }
    Ok(Exit::Ok)
}

pub(crate) fn unpack(file: &Path, dir: Option<&Path>, context: &Context) -> Result<Exit, Failure> {
    let shown = file.display().to_string();
    let pack = unpacked(&context.ambient.read(file, FILE_BYTES_MAX)?, &shown)?;
    let read = Component::read(pack.component, &shown)?;
    // A person reads the one in the archive, and a host the one inside.
    if read.text != pack.manifest {
        let message = format!("`{shown}` is refused");
        return Err(Failure::new(Exit::Internal, message)
            .because("the manifest in it is not the one inside its component"));
    }
    let name = read.manifest.name.clone();
    // The name is the manifest's, whose rules leave no way out of a folder.
    let folder = dir.map_or_else(|| PathBuf::from(&name), Path::to_owned);
    let component = format!("{name}.wasm");
    let files = [
        (component.clone(), Some(read.bytes)),
        (
            format!("{component}.sig"),
            pack.signature.map(String::into_bytes),
        ),
        ("README.md".to_owned(), pack.readme.map(String::into_bytes)),
        (
            format!("{name}.sbom.json"),
            pack.sbom.map(String::into_bytes),
        ),
    ];
    let there = |name: &String| context.ambient.is_file(&folder.join(name));
    if let Some((name, _)) = files
        .iter()
        .find(|(name, bytes)| bytes.is_some() && there(name))
    {
        let message = format!("`{}` is there already", folder.join(name).display());
        return Err(Failure::new(Exit::Internal, message)
            .hint("nothing was written; name another folder with --dir"));
    }
    // After the look at all of them: half a plugin over half of another would be nobody's.
    context.ambient.create_dir(&folder)?;
    let mut written = Vec::new();
    for (name, bytes) in files {
        let Some(bytes) = bytes else { continue };
        let path = folder.join(name);
        context.ambient.write(&path, &bytes)?;
        written.push(path.display().to_string());
    }
    match context.output.json {
        true => context.output.document(&json!({ "files": written,
            "digest": &*read.inspection.digest })),
        false => context
            .output
            .result(&neutral(&format!("{}\n", written.join("\n")))),
    }
    Ok(Exit::Ok)
}
