//! What a component is made of, in the form that tools of the field read: CycloneDX 1.5, without times and
//! serial numbers, so that the same ingredients give the same text.

use flowhost_policy::Manifest;
use serde_json::json;

/// Something that was built into a component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ingredient {
    /// Its name in its registry.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its package URL: `pkg:cargo/serde@1.0.228`.
    pub purl: String,
}

/// The list for a plugin with this manifest.
#[must_use]
pub fn sbom(manifest: &Manifest, digest: &str, ingredients: &[Ingredient]) -> String {
    let mut ingredients = ingredients.to_vec();
    ingredients.sort();
    ingredients.dedup();
    let components: Vec<serde_json::Value> = ingredients
        .iter()
        .map(|it| {
            json!({ "type": "library", "name": it.name, "version": it.version, "purl": it.purl,
                "bom-ref": it.purl })
        })
        .collect();
    let digest = digest.trim_start_matches("sha256:");
    let list = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "name": manifest.name,
            "version": manifest.release, "description": manifest.description,
            "hashes": [{ "alg": "SHA-256", "content": digest }] } },
        "components": components,
    });
    let text = serde_json::to_string_pretty(&list).unwrap_or_default();
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_in_which_ingredients_are_found_does_not_matter() {
        let it = |name: &str| Ingredient {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            purl: format!("pkg:cargo/{name}@1.0.0"),
        };
        let manifest = "version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n";
        let manifest = Manifest::parse(manifest, "plugin.toml").unwrap();
        let one = sbom(&manifest, "sha256:00", &[it("a"), it("b"), it("a")]);
        assert_eq!(one, sbom(&manifest, "sha256:00", &[it("b"), it("a")]));
        assert!(one.contains("pkg:cargo/b@1.0.0"));
    }
}
