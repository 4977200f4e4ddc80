//! The operator's `trust.toml`, beside the operator's own `flowhost.toml`: whose *plugins* a host believes.
//!
//! ```toml
//! # whose plugins this host believes: `trust.toml` beside its flowhost.toml
//! keys = ["author.example+0123abcd+AQ…"]      # as `flowhost keys show` prints them
//! revoked = ["other.example+89abcdef+AQ…"]    # refused, whoever else signed
//! [plugins]
//! signed = true                               # nothing is loaded without a signature by one of the keys
//! [tools]
//! signed = true                               # no MCP server is used whose tools nobody of them vouches for
//! ```
//!
//! A working folder has no say in it. What comes with the program (`builtin:`) is the operator's own and
//! is not asked for a signature.
//!
//! The file of `flowhost verify --trust` often has the same name: it holds `keys` alone and says whose *runs* a verifier
//! believes ([`flowhost_ledger::parse_trust`]), which refuses this file by its other keys. The other way round there is
//! nothing to tell them apart by: `keys` alone is sound here, and asks for nothing.

use std::path::{Path, PathBuf};

use flowhost_author::{STATEMENT_TYPE, statement};
use flowhost_flow::Exit;
use flowhost_ledger::{VKey, dsse};
use flowhost_policy::Manifest;
use serde::Deserialize;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::finding::Finding;

/// The file's name.
pub const TRUST_FILE: &str = "trust.toml";
/// Which of the two files of the name it is, where it cannot be read.
const WHICH: &str = "this file says whose plugins may run, by `keys`, `revoked`, [plugins] and [tools]; the file of \
                     `verify --trust`, which says whose runs are believed, is another one";
/// Bytes of it: a thousand keys fit.
const TRUST_BYTES_MAX: u64 = 256 << 10;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Keys whose signatures count.
    pub keys: Vec<VKey>,
    /// Keys whose signatures are refused.
    pub revoked: Vec<VKey>,
    /// Whether a component without a signature is refused.
    pub signed: bool,
    /// Whether an MCP server is refused whose tools nobody vouches for.
    pub tools_signed: bool,
    /// Where it stands; none where there is no such file.
    pub file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    revoked: Vec<String>,
    #[serde(default)]
    plugins: Asked,
    #[serde(default)]
    tools: Asked,
}

/// What is asked of signatures.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Asked {
    #[serde(default)]
    signed: bool,
}

impl Trust {
    /// What the operator says; nothing is asked for where there is no file.
    ///
    /// # Errors
    /// When the file is there and is wrong, or everybody may write it.
    pub fn find(ambient: &Ambient, config: &Config) -> Result<Self, Failure> {
        let Some(file) = Self::place(config) else {
            return Ok(Self::default());
        };
        // `read_rights`, which refuses a file that others may write: whoever may add a key decides what this host
        // loads.
        match ambient.read_rights(&file, TRUST_BYTES_MAX) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(error.into()),
        }
    }

    /// Where the file is looked for; none without a place of the operator's own.
    #[must_use]
    pub fn place(config: &Config) -> Option<PathBuf> {
        let folder = config.own_path.as_deref().and_then(Path::parent)?;
        Some(folder.join(TRUST_FILE))
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, Failure> {
        let wrong = || Failure::new(Exit::Internal, format!("cannot use `{}`", file.display()));
        let read: Document =
            toml::from_str(text).map_err(|error| wrong().caused_by(&error).hint(WHICH))?;
        let keys = |texts: &[String]| -> Result<Vec<VKey>, Failure> {
            let parse = |text: &String| VKey::parse(text);
            let parsed: Result<Vec<VKey>, _> = texts.iter().map(parse).collect();
            parsed.map_err(|error| wrong().caused_by(&error))
        };
        let trust = Self {
            keys: keys(&read.keys)?,
            revoked: keys(&read.revoked)?,
            signed: read.plugins.signed,
            tools_signed: read.tools.signed,
            file: Some(file.to_owned()),
        };
        // Told here, where it is written: at each plugin it would read as a signature that is missing, and send a
        // person to authors who cannot help.
        if (trust.signed || trust.tools_signed) && trust.keys.is_empty() {
            let hint = "name a key under `keys`, or nothing that is to be signed will ever be used";
            return Err(wrong()
                .because("it asks for signatures and believes no key")
                .hint(hint));
        }
        Ok(trust)
    }

    /// Holds a component against what is asked for. `signature` is the text of its signature file, if there
    /// is one.
    ///
    /// # Errors
    /// Why it must not be loaded, without a place.
    pub fn admits(
        &self,
        component: &str,
        digest: &str,
        manifest: Option<&Manifest>,
        signature: Option<&str>,
    ) -> Result<(), Finding> {
        // No file, no question: a signature that is there and broken is not looked at either, because there is no key
        // to look with.
        let Some(file) = &self.file else {
            return Ok(());
        };
        let refused = |what: String, cure: String| Err(Finding::new("", what).cure(cure));
        let asked = format!("`signed = true` in `{}` asks for it", file.display());
        let Some(signature) = signature else {
            // Not having one is no reason to refuse where none is asked for; a bad one is, below: somebody meant it
            // to be held against.
            return match self.signed {
                false => Ok(()),
                true => refused(
                    format!("`{component}` has no signature, and {asked}"),
                    format!("its author makes one with `flowhost plugin sign {component}`"),
                ),
            };
        };
        match (
            opened(signature, digest, manifest, &self.keys, &self.revoked),
            self.signed,
        ) {
            (Ok(_), _) => Ok(()),
            // A stranger's signature is as good as none, where none is asked for.
            (Err(Unsigned::Envelope(dsse::DsseError::Untrusted(_))), false) => Ok(()),
            (Err(why), _) => refused(
                format!("the signature of `{component}` is not accepted: {why}"),
                format!("`{}` says whom this host believes", file.display()),
            ),
        }
    }
}

/// Why a signature does not count.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// The envelope is not believed.
    #[error(transparent)]
    Envelope(#[from] dsse::DsseError),
    /// It vouches for something else.
    #[error("it vouches for something else than this component")]
    Other,
    /// There is nothing that says what the component asks for.
    #[error("the component has no manifest, and a signature is about one")]
    NoManifest,
}

/// Checks that one of `trusted` vouches for exactly this component with this manifest.
///
/// # Errors
/// [`Unsigned`].
pub fn opened(
    signature: &str,
    digest: &str,
    manifest: Option<&Manifest>,
    trusted: &[VKey],
    revoked: &[VKey],
) -> Result<VKey, Unsigned> {
    let opened = dsse::open(signature, STATEMENT_TYPE, trusted, revoked)?;
    let manifest = manifest.ok_or(Unsigned::NoManifest)?;
    // The statement is made anew and compared as bytes, in place of reading the signed one: there is no parser
    // between a stranger's bytes and the question, and a member that a newer version adds is not taken for a yes.
    match opened.payload == statement(digest, manifest).as_bytes() {
        true => Ok(opened.key),
        false => Err(Unsigned::Other),
    }
}

/// Where the signature of a component stands: `NAME.wasm.sig` beside it.
#[must_use]
pub fn signature_file(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use flowhost_ledger::HostKey;

    use super::*;

    const MANIFEST: &str = "version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n";

    fn key(seed: u8) -> HostKey {
        HostKey::from_seed("author.example", [seed; 32]).unwrap()
    }

    fn trust(signed: bool, revoked: &str) -> Trust {
        let text = format!(
            "keys = [\"{}\"]\nrevoked = [{revoked}]\n[plugins]\nsigned = {signed}\n",
            key(1).vkey()
        );
        Trust::parse(&text, Path::new("/etc/trust.toml")).unwrap()
    }

    fn admitted(trust: &Trust, by: Option<u8>, digest: &str) -> Result<(), String> {
        let manifest = Manifest::parse(MANIFEST, "plugin.toml").unwrap();
        let said = statement("sha256:0", &manifest);
        let signature = by.map(|seed| dsse::sign(&key(seed), STATEMENT_TYPE, said.as_bytes()));
        let admitted = trust.admits("x.wasm", digest, Some(&manifest), signature.as_deref());
        admitted.map_err(|finding| finding.message)
    }

    #[test]
    fn where_signatures_are_asked_for_none_a_strangers_and_anothers_are_refused() {
        let strict = trust(true, "");
        assert!(
            admitted(&strict, None, "sha256:0")
                .unwrap_err()
                .contains("no signature")
        );
        assert!(
            admitted(&strict, Some(2), "sha256:0")
                .unwrap_err()
                .contains("not accepted")
        );
        let other = admitted(&strict, Some(1), "sha256:1").unwrap_err();
        assert!(other.contains("something else"), "{other}");
        assert!(admitted(&strict, Some(1), "sha256:0").is_ok());
    }

    #[test]
    fn where_none_is_asked_for_a_revoked_key_and_a_wrong_digest_are_refused_all_the_same() {
        let revoked = format!("\"{}\"", key(2).vkey());
        let mild = trust(false, &revoked);
        assert!(admitted(&mild, None, "sha256:0").is_ok());
        assert!(admitted(&mild, Some(3), "sha256:0").is_ok());
        assert!(
            admitted(&mild, Some(2), "sha256:0")
                .unwrap_err()
                .contains("revoked")
        );
        assert!(admitted(&mild, Some(1), "sha256:1").is_err());
    }

    #[test]
    fn a_misspelt_key_and_a_demand_that_nobody_can_meet_are_refused() {
        let file = Path::new("/etc/trust.toml");
        assert!(Trust::parse("key = []", file).is_err());
        assert!(Trust::parse("[plugins]\nsigned = true\n", file).is_err());
        assert!(Trust::parse("[tools]\nsigned = true\n", file).is_err());
        assert!(Trust::parse("keys = [\"a+b+c\"]", file).is_err());
    }
}
