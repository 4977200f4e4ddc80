//! Where the links of a document lead, and what is to be said of each once it is known what is there.
//!
//! A check names the paths, somebody who may look says which of them are there, and the report judges: so
//! no call carries the list of all files, and what reads Markdown needs no right to read files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    outline::{Link, LinkKind},
    path,
    words::code,
};

/// Why a path that is not found proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Doubt {
    /// It leads out of what is checked.
    Outside,
    /// It begins with `/`, and nobody said where that is.
    NoRoot,
}

/// A link to a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Target {
    /// From 1.
    pub(crate) line: usize,
    /// As it is written.
    pub(crate) target: String,
    /// What it may mean; it is sound when one of them is there.
    pub(crate) paths: Vec<String>,
    /// What follows the `#`, as it is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) anchor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) doubt: Option<Doubt>,
    /// Somebody has already said whether it is there.
    pub(crate) settled: bool,
}

/// Something that was not checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unchecked {
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
}

/// What is said of a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sound,
    Broken(String),
    Unchecked(String),
}

/// What is known of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Presence<'w> {
    There,
    Missing,
    /// Nobody could tell, and why.
    Unclear(&'w str),
}

/// Where a document is, and what the whole is.
pub(crate) struct Base<'d> {
    pub(crate) path: &'d str,
    /// What is checked; a link out of it cannot be judged.
    pub(crate) folder: &'d str,
    /// What a leading `/` means.
    pub(crate) root: Option<&'d str>,
}

/// A link to a path, or why it cannot be one that is looked up.
pub(crate) fn target(link: &Link, base: &Base<'_>) -> Option<Result<Target, Unchecked>> {
    if link.kind != LinkKind::Path {
        return None;
    }
    let unchecked = |why: &str| {
        let message = format!("{} {why}", code(&link.target));
        let line = link.line;
        Some(Err(Unchecked { line, message }))
    };
    if ["{{", "{%", "<%", "${"]
        .iter()
        .any(|open| link.target.contains(open))
    {
        return unchecked("is filled in by a template");
    }
    if link.target.contains('\u{fffd}') {
        return unchecked("holds bytes that are not UTF-8");
    }
    let (file, anchor) = match link.target.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor.to_owned())),
        None => (link.target.as_str(), None),
    };
    let (paths, doubt) = places(file, base);
    Some(Ok(Target {
        line: link.line,
        target: link.target.clone(),
        paths,
        anchor: anchor.filter(|anchor| !anchor.is_empty()),
        doubt,
        settled: false,
    }))
}

fn places(file: &str, base: &Base<'_>) -> (Vec<String>, Option<Doubt>) {
    if !file.starts_with('/') {
        let found = match file.split('?').next() {
            // `?x=1` and nothing before it is the document itself.
            Some("") => Some(base.path.to_owned()),
            _ => path::resolve(base.path, file),
        };
        // Nobody may look outside of what is checked: asking for it would be refused, and told as a denial.
        let inside = found.filter(|path| path::is_below(path, base.folder));
        let doubt = inside.is_none().then_some(Doubt::Outside);
        return (inside.into_iter().collect(), doubt);
    }
    let below = |folder: &str| path::resolve(&format!("{folder}/x"), file.trim_start_matches('/'));
    match base.root {
        Some(root) => (
            below(root.trim_end_matches('/')).into_iter().collect(),
            None,
        ),
        // The repository, or the site's folder, is one of those around the document.
        None => {
            let mut paths: Vec<String> = Vec::new();
            let mut folder = path::folder(base.path);
            loop {
                paths.extend(below(folder));
                if folder.is_empty() {
                    break;
                }
                folder = path::folder(folder);
            }
            paths.retain(|path| path::is_below(path, base.folder));
            (paths, Some(Doubt::NoRoot))
        }
    }
}

impl Target {
    /// Judges the link by what is known of its paths.
    pub(crate) fn verdict<'w>(&self, presence: impl Fn(&str) -> Presence<'w>) -> Verdict {
        let shown = code(&self.target);
        let mut unclear = None;
        for path in &self.paths {
            match presence(path) {
                Presence::There => return Verdict::Sound,
                Presence::Missing => {}
                Presence::Unclear(why) => unclear = Some(why),
            }
        }
        match (unclear, self.doubt) {
            (Some(why), _) => Verdict::Unchecked(format!("{shown} cannot be looked up: {why}")),
            (None, Some(Doubt::Outside)) => {
                Verdict::Unchecked(format!("{shown} leads out of the folder that is checked"))
            }
            (None, Some(Doubt::NoRoot)) => Verdict::Unchecked(format!(
                "{shown} begins with `/`, and no `root` says what that is"
            )),
            (None, None) => Verdict::Broken(format!("links to {shown}, which is not there")),
        }
    }
}

/// A path is there when it is a file, or a folder of one.
pub(crate) fn is_in(existing: &BTreeSet<String>, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    existing.contains(path)
        || existing
            .range(folder.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(text: &str) -> Link {
        crate::outline::read(text).links.remove(0)
    }

    fn places_of(written: &str, root: Option<&str>) -> (Vec<String>, Option<Doubt>) {
        let base = Base {
            path: "/docs/guide/a.md",
            folder: "/docs",
            root,
        };
        let target = target(&link(&format!("[x](<{written}>)")), &base);
        let target = target.expect("a path").expect("to look up");
        (target.paths, target.doubt)
    }

    #[test]
    fn a_link_out_of_the_folder_is_not_called_broken() {
        for link in ["../../x.md", "../../../x.md"] {
            assert_eq!(
                places_of(link, None),
                (Vec::new(), Some(Doubt::Outside)),
                "and is not asked for: {link}"
            );
        }
    }

    #[test]
    fn a_leading_slash_is_the_root_that_was_given_or_any_folder_around() {
        assert_eq!(
            places_of("/b.md", Some("/docs")),
            (vec!["/docs/b.md".to_owned()], None)
        );
        let around = ["/docs/guide/b.md", "/docs/b.md"].map(str::to_owned);
        assert_eq!(
            places_of("/b.md", None),
            (around.into(), Some(Doubt::NoRoot))
        );
    }

    #[test]
    fn a_link_that_a_template_fills_in_is_not_checked() {
        let base = Base {
            path: "a.md",
            folder: "",
            root: None,
        };
        for written in ["{{ site.url }}/x.md", "<%= x %>.md", "${base}/x.md"] {
            let text = format!("<a href='{written}'>");
            let found = target(&link(&text), &base).expect("a path");
            assert!(found.is_err(), "{written}");
        }
    }

    #[test]
    fn one_of_several_places_is_enough_and_an_unclear_one_is_no_fault() {
        let (paths, doubt) = places_of("/b.md", None);
        let target = Target {
            line: 1,
            target: "/b.md".to_owned(),
            paths,
            anchor: None,
            doubt,
            settled: false,
        };
        let there = |path: &str| match path {
            "/docs/b.md" => Presence::There,
            _ => Presence::Missing,
        };
        assert_eq!(target.verdict(there), Verdict::Sound);
        let unclear = target.verdict(|_| Presence::Unclear("denied"));
        assert!(matches!(unclear, Verdict::Unchecked(why) if why.contains("denied")));
    }
}
