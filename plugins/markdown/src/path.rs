//! Where a relative link leads, by names alone.

use percent_encoding::percent_decode_str;

/// The path that `target` leads to from the document `from`; none when it leaves the root.
/// `%20` and the like are decoded, and `?…` is dropped.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    let target = target.split('?').next().unwrap_or_default();
    // What decodes to no text is taken as it is written.
    let decoded = percent_decode_str(target).decode_utf8();
    let target = decoded.as_deref().unwrap_or(target);
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => names(folder(from)).collect(),
    };
    for name in names(target) {
        if name == ".." {
            parts.pop()?;
        } else {
            parts.push(name);
        }
    }
    let root = if from.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}

/// The folder of a path; empty for the root.
pub(crate) fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Whether `path` is `folder` or lies below it.
pub(crate) fn is_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || folder.is_empty())
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
}

#[cfg(test)]
mod tests {
    use super::{is_below, resolve};

    #[test]
    fn a_link_that_leaves_the_root_leads_nowhere() {
        assert_eq!(resolve("/docs/a.md", "../../x.md"), None);
    }

    #[test]
    fn links_lead_from_the_folder_of_their_document() {
        let from = "/docs/guide/a.md";
        for (target, wanted) in [
            ("b.md", "/docs/guide/b.md"),
            ("./b.md", "/docs/guide/b.md"),
            ("../b.md?x=1", "/docs/b.md"),
            ("/top.md", "/top.md"),
            ("a%20b.md", "/docs/guide/a b.md"),
            ("100%.md", "/docs/guide/100%.md"),
            ("sub/", "/docs/guide/sub"),
        ] {
            assert_eq!(resolve(from, target).as_deref(), Some(wanted), "{target}");
        }
    }

    #[test]
    fn a_name_that_begins_alike_is_not_below() {
        assert!(!is_below("/docs2/a", "/docs"));
        assert!(is_below("/docs/a", "/docs/") && is_below("/docs", "/docs") && is_below("/a", "/"));
    }

    #[test]
    fn relative_documents_stay_relative() {
        assert_eq!(resolve("a/b.md", "c.md").as_deref(), Some("a/c.md"));
        assert_eq!(resolve("b.md", "c.md").as_deref(), Some("c.md"));
    }
}
