//! One file for a plugin and what belongs to it (`.fhp`): an uncompressed tar archive with fixed names.
//!
//! The attack: an archive that writes where it should not, or makes a reader hold more than it can. So
//! nothing in an archive is ever a path: there are five names, each at most once, each a regular file of
//! bounded size, and whatever else stands in it is refused by name. The same parts give the same bytes.

use std::io::Read as _;

use tar::{Archive, Builder, EntryType, Header};

/// What an archive holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pack {
    /// The component, with its manifest inside.
    pub component: Vec<u8>,
    /// The same manifest, for people who look into the archive.
    pub manifest: String,
    /// What the plugin is, in Markdown.
    pub readme: Option<String>,
    /// What it is made of: CycloneDX.
    pub sbom: Option<String>,
    /// Who vouches for it: a DSSE envelope.
    pub signature: Option<String>,
}

/// Why an archive is not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// It is not a tar archive, or a broken one.
    #[error("it is not a pack: {0}")]
    NotAnArchive(String),
    /// It holds what no pack has.
    #[error("it holds `{name}`, and a pack has {known} only", name = .0, known = names())]
    Stranger(String),
    /// Something under one of the names is not a file.
    #[error("`{0}` in it is not a regular file")]
    NotAFile(String),
    /// A name is there twice.
    #[error("`{0}` is in it twice")]
    Twice(String),
    /// A part is too large.
    #[error("`{name}` in it is larger than {most} bytes")]
    TooLarge {
        /// Which part.
        name: &'static str,
        /// Most bytes that it may have.
        most: u64,
    },
    /// A part that is text is not.
    #[error("`{0}` in it is not UTF-8 text")]
    NotText(&'static str),
    /// It is not what [`Pack::write`] makes of its parts: cut off, or with something beside them.
    #[error("it was cut off, or was not written by `flowhost plugin pack`")]
    NotCanonical,
    /// A part is missing.
    #[error("it has no `{0}`")]
    Missing(&'static str),
}

const COMPONENT: &str = "component.wasm";
const MANIFEST: &str = "plugin.toml";
const README: &str = "README.md";
const SBOM: &str = "sbom.json";
const SIGNATURE: &str = "signature.json";

/// The names, in the order of the archive, with the most bytes of each. The engine has a lower bound for
/// components, and the better message.
const PARTS: [(&str, u64); 5] = [
    (COMPONENT, 256 << 20),
    (MANIFEST, 1 << 20),
    (README, 1 << 20),
    (SBOM, 16 << 20),
    (SIGNATURE, 1 << 20),
];

fn names() -> String {
    let names: Vec<String> = PARTS.iter().map(|(name, _)| format!("`{name}`")).collect();
    names.join(", ")
}

impl Pack {
    /// The archive.
    ///
    /// # Errors
    /// [`PackError::TooLarge`].
    pub fn write(&self) -> Result<Vec<u8>, PackError> {
        let text = |it: &'_ Option<String>| it.as_ref().map(|it| it.clone().into_bytes());
        let parts = [
            Some(self.component.clone()),
            Some(self.manifest.clone().into_bytes()),
            text(&self.readme),
            text(&self.sbom),
            text(&self.signature),
        ];
        let mut archive = Builder::new(Vec::new());
        for ((name, most), part) in PARTS.into_iter().zip(parts) {
            let Some(bytes) = part else { continue };
            if bytes.len() as u64 > most {
                return Err(PackError::TooLarge { name, most });
            }
            let broken = |error: std::io::Error| PackError::NotAnArchive(error.to_string());
            // Time and owner stay 0: they would make other bytes of the same parts.
            let mut header = Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(EntryType::Regular);
            archive
                .append_data(&mut header, name, bytes.as_slice())
                .map_err(broken)?;
        }
        archive
            .into_inner()
            .map_err(|error| PackError::NotAnArchive(error.to_string()))
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// [`PackError`].
    pub fn read(bytes: &[u8]) -> Result<Self, PackError> {
        let broken = |error: std::io::Error| PackError::NotAnArchive(error.to_string());
        let mut found: [Option<Vec<u8>>; PARTS.len()] = Default::default();
        let mut archive = Archive::new(bytes);
        for entry in archive.entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            let place = PARTS
                .iter()
                .zip(&mut found)
                .find(|((name, _), _)| *name == path);
            let Some(((name, most), place)) = place else {
                return Err(PackError::Stranger(path.escape_default().to_string()));
            };
            if entry.header().entry_type() != EntryType::Regular {
                return Err(PackError::NotAFile(path));
            }
            if place.is_some() {
                return Err(PackError::Twice(path));
            }
            let (name, most) = (*name, *most);
            if entry.size() > most {
                return Err(PackError::TooLarge { name, most });
            }
            let mut part = Vec::new();
            // The size in the header is the archive's word: what is read is bounded all the same.
            entry.take(most).read_to_end(&mut part).map_err(broken)?;
            *place = Some(part);
        }
        let [component, manifest, readme, sbom, signature] = found;
        let text = |name: &'static str, part: Option<Vec<u8>>| {
            let text = part.map(String::from_utf8).transpose();
            text.map_err(|_| PackError::NotText(name))
        };
        let pack = Self {
            component: component.ok_or(PackError::Missing(COMPONENT))?,
            manifest: text(MANIFEST, manifest)?.ok_or(PackError::Missing(MANIFEST))?,
            readme: text(README, readme)?,
            sbom: text(SBOM, sbom)?,
            signature: text(SIGNATURE, signature)?,
        };
        // An archive that is cut off between two parts is one all the same, with the signature gone: only
        // the bytes that belong to the parts are taken.
        match pack.write()? == bytes {
            true => Ok(pack),
            false => Err(PackError::NotCanonical),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack() -> Pack {
        Pack {
            component: b"\0asm".to_vec(),
            manifest: "version = 1\n".to_owned(),
            readme: Some("# It\n".to_owned()),
            ..Pack::default()
        }
    }

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut archive = Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            let mut header = Header::new_ustar();
            // Written by hand, because the library refuses to make what a hostile archive holds.
            header.as_ustar_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_entry_type(*kind);
            header.set_cksum();
            archive.append(&header, *bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn refuses_names_that_climb_links_and_what_stands_there_twice() {
        let file = EntryType::Regular;
        let climbs = archive(&[("../component.wasm", file, b"x")]);
        assert!(
            matches!(Pack::read(&climbs), Err(PackError::Stranger(name)) if name.contains(".."))
        );
        let absolute = archive(&[("/component.wasm", file, b"x")]);
        assert!(matches!(Pack::read(&absolute), Err(PackError::Stranger(_))));
        for kind in [
            EntryType::Symlink,
            EntryType::Link,
            EntryType::Directory,
            EntryType::Fifo,
        ] {
            let other = archive(&[("plugin.toml", kind, b"")]);
            assert!(
                matches!(Pack::read(&other), Err(PackError::NotAFile(_))),
                "{kind:?}"
            );
        }
        let twice = archive(&[("plugin.toml", file, b"a"), ("plugin.toml", file, b"b")]);
        assert!(matches!(Pack::read(&twice), Err(PackError::Twice(_))));
    }

    #[test]
    fn refuses_half_a_pack_and_what_is_none() {
        let half = archive(&[("plugin.toml", EntryType::Regular, b"a")]);
        assert!(matches!(
            Pack::read(&half),
            Err(PackError::Missing(COMPONENT))
        ));
        assert!(Pack::read(&[0x55; 2_000]).is_err());
        let whole = pack().write().unwrap();
        assert!(Pack::read(&whole[..whole.len() / 2]).is_err());
        let longer = [whole.as_slice(), b"more"].concat();
        assert!(matches!(Pack::read(&longer), Err(PackError::NotCanonical)));
        let binary = archive(&[
            ("component.wasm", EntryType::Regular, b"x"),
            ("plugin.toml", EntryType::Regular, b"\xff"),
        ]);
        assert!(matches!(
            Pack::read(&binary),
            Err(PackError::NotText(MANIFEST))
        ));
    }

    #[test]
    fn what_was_packed_comes_back_and_is_the_same_each_time() {
        let bytes = pack().write().unwrap();
        assert_eq!(Pack::read(&bytes).unwrap(), pack());
        assert_eq!(pack().write().unwrap(), bytes);
    }
}
