//! Where a relative link leads, by names alone.

/// The path that `target` leads to from the document `from`; none when it leaves the root.
/// `%20` and the like are decoded, and `?…` is dropped.
pub(crate) fn resolve(from: &str, target: &str) -> Option<String> {
    let target = decoded(target.split('?').next().unwrap_or_default())?;
    let mut parts: Vec<&str> = match target.starts_with('/') {
        true => Vec::new(),
        false => from
            .rsplit_once('/')
            .map_or(Vec::new(), |(folder, _)| names(folder).collect()),
    };
    for name in names(&target) {
        if name == ".." {
            parts.pop()?;
        } else {
            parts.push(name);
        }
    }
    let root = if from.starts_with('/') { "/" } else { "" };
    Some(format!("{root}{}", parts.join("/")))
}

fn names(path: &str) -> impl Iterator<Item = &str> {
    path.split('/')
        .filter(|name| !name.is_empty() && *name != ".")
}

/// Percent-decoding (RFC 3986, section 2.1); none when what comes out is no text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match (
            first,
            tail.split_at_checked(2)
                .and_then(|(hex, after)| Some((byte(hex)?, after))),
        ) {
            (b'%', Some((byte, after))) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn byte(hex: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(hex)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    u8::from_str_radix(text, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::resolve;

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
    fn relative_documents_stay_relative() {
        assert_eq!(resolve("a/b.md", "c.md").as_deref(), Some("a/c.md"));
        assert_eq!(resolve("b.md", "c.md").as_deref(), Some("c.md"));
    }
}
