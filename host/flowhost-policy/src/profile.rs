//! The operator's document: what may be had.
//!
//! A profile is read once and never asked for anything but its values: it does not know which
//! plugin will run under it. A right that it does not name does not exist.

use std::collections::BTreeMap;

use crate::{
    canonical,
    grant::Limits,
    pattern::is_plain_name,
    problem::{Position, Problem},
    read::{Reader, limits},
    rights::{Grants, KEYS},
};

/// An exec profile, checked.
///
/// # Examples
///
/// ```
/// use flowhost_policy::Profile;
///
/// let profile = Profile::parse("version = 1\nname = \"quiet\"\n", "policies/quiet.toml").unwrap();
/// assert!(profile.grants.http.is_empty());
/// assert_eq!(profile.limits.memory_bytes, 64 << 20);
///
/// let problems = Profile::parse("version = 1\nname = \"x\"\nnetwrok = 1\n", "x.toml").unwrap_err();
/// assert_eq!((problems[0].line, problems[0].column), (3, 1));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name, by which plans call it.
    pub name: String,
    /// One sentence for people; not part of the hash.
    pub description: String,
    /// All limits, defaults filled in.
    pub limits: Limits,
    /// What it grants.
    pub grants: Grants,
    /// The file as the person named it.
    pub file: String,
    places: BTreeMap<String, Position>,
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    ///
    /// Every problem of the document, in its order.
    pub fn parse(text: &str, file: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader::new(file);
        let parts = reader.toml(text).map(|node| {
            let mut known = vec!["version", "name", "description", "limits"];
            known.extend(KEYS);
            let fields = reader.fields(&node, "", &known);
            fields.map(|fields| {
                check_version(&mut reader, &fields);
                let name = name(&mut reader, &fields);
                let description = reader.text(&fields, "description").unwrap_or_default();
                let named = limits::named(&mut reader, &fields);
                let grants = Grants::read(&mut reader, &fields);
                (name, description, named, grants)
            })
        });
        let places = reader.finish()?;
        // Never defaulted: what could not be read is a problem, and then `finish` has returned.
        let (name, description, named, grants) = parts.flatten().unwrap_or_default();
        let limits = limits::over_defaults(&named);
        Ok(Self {
            name,
            description,
            limits,
            grants,
            file: file.to_owned(),
            places,
        })
    }

    /// One text for one meaning: the order of keys, comments and the description do not change it.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical::rights(&self.name, &self.limits, &self.grants)
    }

    /// `sha256:` of [`Profile::canonical`].
    #[must_use]
    pub fn hash(&self) -> String {
        canonical::hash(&self.canonical())
    }

    /// Where a key stands: `limits.memory`, `http[0].url`. `None` for a default.
    #[must_use]
    pub fn position(&self, path: &str) -> Option<Position> {
        self.places.get(path).copied()
    }

    /// `policies/x.toml:12` for a key, `policies/x.toml` with `(default)` for what it leaves out.
    #[must_use]
    pub fn source(&self, path: &str) -> String {
        match self.position(path) {
            Some(at) => format!("{}:{}", self.file, at.line),
            None => format!("{} (default)", self.file),
        }
    }
}

/// Every document says `version = 1`.
pub(crate) fn check_version(reader: &mut Reader, fields: &crate::read::Fields<'_>) {
    use crate::read::node::Value;
    if let Some(node) = reader.required(fields, "version", "1")
        && node.value != Value::Whole("1".to_owned())
    {
        reader.problem(node.at, "`version` is not 1, the only one".to_owned(), None);
    }
}

/// A document's own name: lower-case letters, digits, `-` and `_`.
pub(crate) fn name(reader: &mut Reader, fields: &crate::read::Fields<'_>) -> String {
    let node = reader.required(fields, "name", "\"my-name\"");
    let name = reader.text(fields, "name").unwrap_or_default();
    if let (Some(node), false) = (node, is_document_name(&name)) {
        let rule = "`name` is lower-case letters, digits, `-` and `_`, at most 64, and not `self`";
        reader.problem(node.at, rule.to_owned(), None);
    }
    name
}

fn is_document_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    is_plain_name(name) && name.chars().all(plain) && name != "self"
}
