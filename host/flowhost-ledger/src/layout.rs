//! A ledger's folder: the names of its files, and the one file that says what it is.
//!
//! Pure. `ledger.json` is written once and read strictly: it is one canonical line.

use crate::canonical::{self, Parsed};
use crate::checkpoint::VKey;
use crate::fact::Value;
use crate::record::{FORMAT, Owner};

/// What a run was started from, beside its ledger: plan, prompts, schemas, profiles and manifests. Whoever
/// drives runs writes it, and whoever shows them reads it.
pub const PLAN_BUNDLE: &str = "bundle.json";
/// What the ledger is: origin, keys, format.
pub(crate) const META: &str = "ledger.json";
/// The latest note.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Every note ever issued.
pub(crate) const CHECKPOINTS: &str = "checkpoints.log";
/// Where the runs of a tenant are.
pub(crate) const RUNS: &str = "runs";
/// The ledger of a tenant's runs.
pub(crate) const INDEX: &str = "runs.index";
/// Where a run's folder is made before the index knows the run.
pub(crate) const STAGING: &str = "runs.new";
/// Where a run's folder goes before the index says that it was removed.
pub(crate) const GONE: &str = "runs.gone";
/// Where archives of removed runs are kept.
pub(crate) const ARCHIVES: &str = "archive";
/// Where the index ends: derived, see [`crate::head`].
pub(crate) const HEAD: &str = "head";
/// Most bytes of `ledger.json`; ours has about 400.
pub(crate) const META_BYTES_MAX: u64 = 64 * 1024;
const HASH: &str = "sha256";

pub(crate) fn segment(index: u32) -> String {
    format!("seg-{index:08}.jsonl")
}

pub(crate) fn payloads(index: u32) -> String {
    format!("payloads-{index:08}.jsonl")
}

/// Whether a file name claims to be a segment or a payload file, and which one.
pub(crate) fn numbered<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    name.strip_prefix(prefix)?.strip_suffix(".jsonl")
}

/// The file's name of a run's archive.
pub(crate) fn archive(run: &str) -> String {
    format!("{run}{ARCHIVE_SUFFIX}")
}

/// What the name of an archive ends with.
pub(crate) const ARCHIVE_SUFFIX: &str = ".tar.zst";

/// `<host id>/evidence/<tenant>/<run>`.
pub(crate) fn origin(host: &str, owner: &Owner) -> String {
    format!("{host}/evidence/{}/{}", owner.tenant, owner.run)
}

/// Tenant and run in an origin.
pub(crate) fn owner_of(origin: &str) -> Option<Owner> {
    let mut parts = origin.rsplitn(4, '/');
    let (run, tenant, word) = (parts.next()?, parts.next()?, parts.next()?);
    parts.next().filter(|host| !host.is_empty())?;
    (word == "evidence" && segment_is_valid(tenant) && segment_is_valid(run)).then(|| Owner {
        tenant: tenant.to_owned(),
        run: run.to_owned(),
    })
}

/// Whether a tenant or run id can be a folder's name and a part of an origin.
pub(crate) fn segment_is_valid(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('.')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// The content of `ledger.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) origin: String,
    pub(crate) created: String,
    pub(crate) keys: Vec<VKey>,
}

impl Meta {
    pub(crate) fn print(&self) -> Vec<u8> {
        let keys: Vec<String> = self.keys.iter().map(ToString::to_string).collect();
        let mut line = canonical::object([
            ("created", Value::from(self.created.as_str())),
            ("format", FORMAT.into()),
            ("hash", HASH.into()),
            ("keys", keys.into()),
            ("origin", self.origin.as_str().into()),
        ]);
        line.push(b'\n');
        line
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let line = bytes.strip_suffix(b"\n").ok_or("its line has no end")?;
        let entries = canonical::parse_line(line).map_err(|error| error.to_string())?;
        let text = |name: &str| {
            entries
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value)
                .and_then(Parsed::text)
                .ok_or(format!("{name} is missing"))
        };
        if entries.len() != 5 || text("format")? != FORMAT || text("hash")? != HASH {
            return Err(format!("it is not of format {FORMAT}"));
        }
        let Some((_, Parsed::List(keys))) = entries.iter().find(|(key, _)| key == "keys") else {
            return Err("keys is missing".to_owned());
        };
        Ok(Self {
            origin: text("origin")?.to_owned(),
            created: text("created")?.to_owned(),
            keys: keys
                .iter()
                .map(|key| VKey::parse(key))
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_ids_that_are_no_single_folder_name() {
        for bad in [
            "",
            ".",
            "..",
            ".x",
            "a/b",
            "a b",
            "ä",
            "a+b",
            &"x".repeat(129),
        ] {
            assert!(!segment_is_valid(bad), "{bad:?}");
        }
        assert!(segment_is_valid("run-1"));
        assert!(segment_is_valid("01JD3M_x.y"));
    }

    #[test]
    fn reads_tenant_and_run_out_of_an_origin() {
        assert_eq!(owner_of("evidence/t/r"), None);
        assert_eq!(owner_of("h/other/t/r"), None);
        let owner = Owner {
            tenant: "t".into(),
            run: "r".into(),
        };
        assert_eq!(owner_of("h.example/x/evidence/t/r"), Some(owner.clone()));
        assert_eq!(owner_of(&origin("h", &owner)), Some(owner));
    }
}
