//! The manifest of a component in a registry: one layer, which is the component, so that the layer's digest is
//! the component's; a small configuration that says what it imports and exports; the author's signature as an
//! annotation. The layout is that of the guidance for Wasm OCI artifacts, so that other tools read ours and we
//! read theirs.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use super::papers::Paper;
use super::place::is_digest;

/// What a manifest is sent and asked for as.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// What a layer with a component is.
pub const WASM_TYPE: &str = "application/wasm";
/// What the configuration is.
const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
/// The annotation with the author's signature: the text of `NAME.wasm.sig`.
const SIGNATURE: &str = "dev.flowhost.signature";
/// The annotations that registries show.
const TITLE: &str = "org.opencontainers.image.title";
const VERSION: &str = "org.opencontainers.image.version";
const DESCRIPTION: &str = "org.opencontainers.image.description";

/// Bytes of a manifest. Registries take 4 MiB; one with a single layer needs a thousandth of it.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// Why a manifest is not a component's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is larger than any we would write.
    #[error("it is larger than {MANIFEST_BYTES_MAX} bytes")]
    Huge,
    /// It is not one.
    #[error("it is not an image manifest: {0}")]
    Malformed(String),
    /// It lists others.
    #[error("it is an index of several artifacts; name the one that is meant by its digest")]
    Index,
    /// It has another number of layers.
    #[error("it has {0} layers, and a component is one")]
    Layers(usize),
    /// Its layer is something else.
    #[error("its layer is `{0}`, and a component is `{WASM_TYPE}`")]
    Type(String),
    /// It names a paper by a digest that we cannot check.
    #[error("its `{name}` is `{digest}`, and only sha256 is checked")]
    Paper {
        /// The annotation.
        name: &'static str,
        /// What stands in it.
        digest: String,
    },
    /// Its layer's digest is none that we can check.
    #[error("its layer's digest is `{0}`, and only sha256 is checked")]
    Digest(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    config: Option<Layer>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifests: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    annotations: BTreeMap<String, String>,
}

/// Bytes in a registry, by what names them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// What it is.
    pub media_type: String,
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
}

/// A component in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// The component.
    pub layer: Layer,
    /// The author's signature, if it is there.
    pub signature: Option<String>,
    /// What goes with it, by its digest.
    pub papers: Vec<(Paper, String)>,
}

impl Artifact {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError`].
    pub fn read(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::Huge);
        }
        let malformed = |error: serde_json::Error| ManifestError::Malformed(error.to_string());
        let mut document: Document = serde_json::from_slice(bytes).map_err(malformed)?;
        if document.manifests.is_some() {
            return Err(ManifestError::Index);
        }
        if document.schema_version != 2 {
            let what = format!("`schemaVersion` is {}", document.schema_version);
            return Err(ManifestError::Malformed(what));
        }
        let layers = document.layers.take().unwrap_or_default();
        let [layer] = layers.as_slice() else {
            return Err(ManifestError::Layers(layers.len()));
        };
        if layer.media_type != WASM_TYPE {
            return Err(ManifestError::Type(layer.media_type.clone()));
        }
        if !is_digest(&layer.digest) {
            return Err(ManifestError::Digest(layer.digest.clone()));
        }
        let mut papers = Vec::new();
        for paper in Paper::ALL {
            let name = paper.annotation();
            match document.annotations.remove(name) {
                Some(digest) if is_digest(&digest) => papers.push((paper, digest)),
                Some(digest) => return Err(ManifestError::Paper { name, digest }),
                None => {}
            }
        }
        Ok(Self {
            layer: layer.clone(),
            signature: document.annotations.remove(SIGNATURE),
            papers,
        })
    }
}

/// A component that is to be published.
#[derive(Debug, Clone, Copy)]
pub struct Published<'a> {
    /// `sha256:…` of the component.
    pub digest: &'a str,
    /// Bytes of the component.
    pub size: u64,
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub release: &'a str,
    /// What it does.
    pub description: &'a str,
    /// What it imports, by name.
    pub imports: &'a [String],
    /// What it exports, by name.
    pub exports: &'a [String],
    /// The author's signature.
    pub signature: Option<&'a str>,
    /// What goes with it, by its digest.
    pub papers: &'a [(Paper, String)],
}

impl Published<'_> {
    /// The configuration: what the component is, for tools that do not look into it.
    #[must_use]
    pub fn config(&self) -> Vec<u8> {
        let config = serde_json::json!({
            // The guidance asks for a time. A fixed one, so that the same component is the same artifact.
            "created": "1970-01-01T00:00:00Z",
            "architecture": "wasm",
            "os": "wasip2",
            "layerDigests": [self.digest],
            "component": { "exports": self.exports, "imports": self.imports, "target": null },
        });
        config.to_string().into_bytes()
    }

    /// The manifest; `config` is the digest of the configuration.
    #[must_use]
    pub fn manifest(&self, config: &str) -> Vec<u8> {
        let texts = [
            (TITLE, self.name),
            (VERSION, self.release),
            (DESCRIPTION, self.description),
            (SIGNATURE, self.signature.unwrap_or_default()),
        ];
        let papers = self.papers.iter();
        let papers = papers.map(|(paper, digest)| (paper.annotation(), digest.as_str()));
        let said = texts.into_iter().chain(papers);
        let said = said.filter(|(_, text)| !text.is_empty());
        let document = Document {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            config: Some(Layer {
                media_type: CONFIG_TYPE.to_owned(),
                digest: config.to_owned(),
                size: self.config().len() as u64,
            }),
            layers: Some(vec![Layer {
                media_type: WASM_TYPE.to_owned(),
                digest: self.digest.to_owned(),
                size: self.size,
            }]),
            manifests: None,
            annotations: said
                .map(|(key, text)| (key.to_owned(), text.to_owned()))
                .collect(),
        };
        // Texts, numbers and maps of texts always have a form in JSON.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

    fn published(signature: Option<&str>) -> Published<'_> {
        Published {
            digest: DIGEST,
            size: 12,
            name: "words",
            release: "1.0.0",
            description: "",
            imports: &[],
            exports: &[],
            signature,
            papers: &[],
        }
    }

    #[test]
    fn refuses_what_is_not_one_component() {
        let good = String::from_utf8(published(None).manifest(DIGEST)).unwrap();
        let read = |text: &str| Artifact::read(text.as_bytes()).map(|_| ());
        assert_eq!(read(&good), Ok(()));
        let layer =
            format!("{{\"mediaType\":\"{WASM_TYPE}\",\"digest\":\"{DIGEST}\",\"size\":12}}");
        let two = good.replace(&format!("[{layer}]"), &format!("[{layer},{layer}]"));
        assert_eq!(read(&two), Err(ManifestError::Layers(2)));
        assert_eq!(
            read(&good.replace(&layer, "")),
            Err(ManifestError::Layers(0))
        );
        let other = good.replace(WASM_TYPE, "application/zip");
        assert!(matches!(read(&other), Err(ManifestError::Type(_))));
        let weak = good.replace("sha256:1", "sha1:1");
        assert!(matches!(read(&weak), Err(ManifestError::Digest(_))));
        let index = "{\"schemaVersion\":2,\"manifests\":[]}";
        assert_eq!(read(index), Err(ManifestError::Index));
        let minus = good.replace("\"size\":12", "\"size\":-1");
        assert!(matches!(read(&minus), Err(ManifestError::Malformed(_))));
        assert!(matches!(read("[]"), Err(ManifestError::Malformed(_))));
        let bomb = format!(
            "{{\"schemaVersion\":2,\"layers\":[{layer}],\"x\":\"{}\"}}",
            "x".repeat(2 << 20)
        );
        assert_eq!(read(&bomb), Err(ManifestError::Huge));
        let deep = format!("{{\"schemaVersion\":2,\"x\":{}", "[".repeat(100_000));
        assert!(matches!(read(&deep), Err(ManifestError::Malformed(_))));
    }

    #[test]
    fn what_was_published_is_read_with_its_signature() {
        let artifact = Artifact::read(&published(Some("{\"a\":1}")).manifest(DIGEST)).unwrap();
        assert_eq!(artifact.layer.digest, DIGEST);
        assert_eq!(artifact.layer.size, 12);
        assert_eq!(artifact.signature.as_deref(), Some("{\"a\":1}"));
        let unsigned = Artifact::read(&published(None).manifest(DIGEST)).unwrap();
        assert_eq!(unsigned.signature, None);
    }

    #[test]
    fn papers_are_named_by_a_digest_that_can_be_checked() {
        let papers = [(Paper::Readme, DIGEST.to_owned())];
        let with = Published {
            papers: &papers,
            ..published(None)
        };
        let manifest = with.manifest(DIGEST);
        assert_eq!(Artifact::read(&manifest).unwrap().papers, papers);
        let weak = String::from_utf8(manifest).unwrap();
        let weak = weak.replace(
            &format!("\"dev.flowhost.readme\":\"{DIGEST}\""),
            "\"dev.flowhost.readme\":\"md5:1\"",
        );
        let refused = Artifact::read(weak.as_bytes());
        assert!(matches!(refused, Err(ManifestError::Paper { .. })));
    }

    #[test]
    fn the_same_component_is_the_same_artifact() {
        assert_eq!(published(None).config(), published(None).config());
        assert_eq!(
            published(None).manifest(DIGEST),
            published(None).manifest(DIGEST)
        );
    }
}
