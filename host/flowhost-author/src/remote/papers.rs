//! What goes with a component in a registry: its README and its list of ingredients.
//!
//! A component is an artifact of one layer, and stays one, because other tools refuse any other. So each paper
//! is an artifact of its own that says which component it belongs to (`subject`, OCI 1.1), under the media type by
//! which such tools find it. And the component's own manifest names the papers' digests: a plan that pins the
//! manifest pins them too, and nobody can put other papers beside a component afterwards.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::manifest::{Layer, MANIFEST_TYPE, ManifestError};

/// What a list of manifests is sent and asked for as.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// The configuration of an artifact that has none, and its bytes, as the specification gives them.
const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The bytes of an empty configuration.
pub const EMPTY: &[u8] = b"{}";
/// Their digest.
pub const EMPTY_DIGEST: &str =
    "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A paper that goes with a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paper {
    /// What it is, in Markdown.
    Readme,
    /// What it is made of: CycloneDX.
    Ingredients,
}

impl Paper {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Readme, Self::Ingredients];

    /// What it is, as tools of the field call it.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Readme => "text/markdown",
            Self::Ingredients => "application/vnd.cyclonedx+json",
        }
    }

    /// The annotation of the component's manifest with its digest.
    pub(super) const fn annotation(self) -> &'static str {
        match self {
            Self::Readme => "dev.flowhost.readme",
            Self::Ingredients => "dev.flowhost.sbom",
        }
    }

    /// Bytes that it may have: as in a pack.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Readme => 1 << 20,
            Self::Ingredients => 16 << 20,
        }
    }

    /// The manifest of the artifact that is the paper `paper` of the component whose manifest is `subject`.
    #[must_use]
    pub fn manifest(self, paper: &Layer, subject: &Layer) -> Vec<u8> {
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": self.media_type(),
            "config": { "mediaType": EMPTY_TYPE, "digest": EMPTY_DIGEST, "size": EMPTY.len() },
            "layers": [paper],
            "subject": subject,
        });
        document.to_string().into_bytes()
    }
}

/// The list of artifacts about a component, which a registry that keeps none by itself has under the tag
/// [`list_tag`]. What stands in it is kept as it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    #[serde(default = "index_type")]
    media_type: String,
    #[serde(default)]
    manifests: Vec<Value>,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

fn index_type() -> String {
    INDEX_TYPE.to_owned()
}

/// The tag of the list of artifacts about the manifest with this digest.
#[must_use]
pub fn list_tag(manifest: &str) -> String {
    manifest.replace(':', "-")
}

/// The list with one more artifact, `there` being the list so far; none where it is in it already.
///
/// # Errors
/// When what is there is no list.
pub fn listed(
    there: Option<&[u8]>,
    paper: Paper,
    manifest: &Layer,
) -> Result<Option<Vec<u8>>, ManifestError> {
    let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
    let mut index = match there {
        Some(bytes) => serde_json::from_slice(bytes).map_err(malformed)?,
        None => Index {
            schema_version: 2,
            media_type: index_type(),
            manifests: Vec::new(),
            others: serde_json::Map::new(),
        },
    };
    let is_it =
        |it: &Value| it.get("digest").and_then(Value::as_str) == Some(manifest.digest.as_str());
    if index.manifests.iter().any(is_it) {
        return Ok(None);
    }
    let mut entry = serde_json::to_value(manifest).map_err(malformed)?;
    if let Some(entry) = entry.as_object_mut() {
        entry.insert("artifactType".to_owned(), paper.media_type().into());
    }
    index.manifests.push(entry);
    serde_json::to_vec(&index).map(Some).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(media_type: &str, digit: &str) -> Layer {
        Layer {
            media_type: media_type.to_owned(),
            digest: format!("sha256:{}", digit.repeat(64)),
            size: 3,
        }
    }

    #[test]
    fn refuses_to_add_to_what_is_no_list() {
        let manifest = layer(MANIFEST_TYPE, "1");
        for there in ["", "[]", "{}"] {
            let added = listed(Some(there.as_bytes()), Paper::Readme, &manifest);
            assert!(matches!(added, Err(ManifestError::Malformed(_))), "{there}");
        }
    }

    #[test]
    fn a_paper_is_listed_once_and_what_others_listed_stays() {
        let theirs = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",
            "manifests":[{"digest":"sha256:00","x":1}],"annotations":{"a":"b"}}"#;
        let readme = layer(MANIFEST_TYPE, "1");
        let once = listed(Some(theirs.as_bytes()), Paper::Readme, &readme).unwrap();
        let once = once.unwrap();
        let read: Value = serde_json::from_slice(&once).unwrap();
        assert_eq!(read["manifests"][0]["x"], 1);
        assert_eq!(read["manifests"][1]["artifactType"], "text/markdown");
        assert_eq!(read["annotations"]["a"], "b");
        assert_eq!(listed(Some(&once), Paper::Readme, &readme).unwrap(), None);
    }

    #[test]
    fn a_paper_says_which_component_it_belongs_to() {
        let paper = Paper::Ingredients;
        let subject = layer(MANIFEST_TYPE, "2");
        let manifest = paper.manifest(&layer(paper.media_type(), "1"), &subject);
        let read: Value = serde_json::from_slice(&manifest).unwrap();
        assert_eq!(read["subject"]["digest"], *subject.digest);
        assert_eq!(read["artifactType"], read["layers"][0]["mediaType"]);
    }
}
