//! A template that is in a Git repository: one commit of it, in a folder that is gone afterwards.
//!
//! The person's own `git` fetches it, with the person's own keys, as if they had typed `git clone`. Of the repository
//! nothing is run: no hook, no submodule, and no filter, because only a configuration can name one and a repository
//! brings none.

use std::path::Path;

use flowhost_flow::Exit;

use crate::ambient::{Ambient, Ran, Shown};
use crate::failure::Failure;
use crate::plugin::lang::program;

/// What a source begins with that is no folder.
const PREFIX: &str = "git+";
/// The protocols that are spoken. Others of Git's run programs of whoever wrote the address (`ext::`), or are not
/// authenticated (`git:`, `http:`).
const PROTOCOLS: [&str; 3] = ["https", "ssh", "file"];

/// Where a repository is, and what of it is wanted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    /// What Git is told.
    url: String,
    /// A branch, a tag or a commit; `HEAD` where none is named.
    wanted: String,
}

impl Address {
    /// Reads an address; none where the source is a folder.
    ///
    /// # Errors
    /// When it is an address of which nothing can be fetched.
    pub(super) fn parse(source: &str) -> Result<Option<Self>, Failure> {
        let Some(rest) = source.strip_prefix(PREFIX) else {
            // Another kind of address is not the name of a folder that somebody has.
            return match source.split_once("://") {
                Some(_) => Err(refused(
                    source,
                    "it is neither a folder nor `git+https://…`",
                )),
                None => Ok(None),
            };
        };
        let (url, wanted) = rest.split_once('#').unwrap_or((rest, "HEAD"));
        let protocol = url.split_once("://").map(|(protocol, _)| protocol);
        if !protocol.is_some_and(|it| PROTOCOLS.contains(&it)) {
            let all = PROTOCOLS.map(|it| format!("`{PREFIX}{it}://`")).join(", ");
            return Err(refused(source, &format!("it begins with none of {all}")));
        }
        // An option of Git's, or more than one name.
        let odd = |letter: char| {
            letter.is_whitespace() || letter.is_control() || ":^~*?[\\".contains(letter)
        };
        if wanted.is_empty() || wanted.starts_with('-') || wanted.contains(odd) {
            return Err(refused(
                source,
                "what stands behind `#` is not a branch, tag or commit",
            ));
        }
        Ok(Some(Self {
            url: url.to_owned(),
            wanted: wanted.to_owned(),
        }))
    }

    /// The address without what of it is wanted, as a person writes it, and without a password that stands in it.
    pub(super) fn plain(&self) -> String {
        let url = match url::Url::parse(&self.url) {
            Ok(mut url) => {
                let _cannot_have_one = url.set_password(None);
                url.to_string()
            }
            Err(_) => self.url.clone(),
        };
        format!("{PREFIX}{url}")
    }
}

fn refused(source: &str, why: &str) -> Failure {
    Failure::new(
        Exit::Internal,
        format!("no template can be had from `{source}`"),
    )
    .because(why)
    .hint("a folder, or `git+https://HOST/PATH` with `#BRANCH`, `#TAG` or `#COMMIT` behind it")
}

/// Fetches the wanted commit into a folder that is empty, and says which one it is.
///
/// # Errors
/// When Git is not there, or does not get it; Git's own message is the cause.
pub(super) fn clone(ambient: &Ambient, address: &Address, into: &Path) -> Result<String, Failure> {
    let cure = "install Git, or name a folder with the template";
    let git = program(ambient, "git", cure)?;
    let run = |arguments: &[&str]| -> Result<Ran, Failure> {
        // Nothing is asked of a person: a password would be typed into the middle of an output.
        // Nor are large files fetched by a program that only the person's configuration names.
        let quietly = [("GIT_TERMINAL_PROMPT", "0"), ("GIT_LFS_SKIP_SMUDGE", "1")];
        let ran = ambient.run(&git, arguments, into, &quietly, Shown::Nothing)?;
        match ran.ok {
            true => Ok(ran),
            false => {
                let message = format!("Git does not get `{}`", address.plain());
                let said = String::from_utf8_lossy(&ran.stderr).trim().to_owned();
                Err(Failure::new(Exit::Internal, message)
                    .because(said)
                    .hint("see that `git clone` gets it, and that what stands behind `#` is there"))
            }
        }
    };
    // Without a template: it would bring hooks.
    run(&["init", "--quiet", "--template="])?;
    run(&[
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--no-recurse-submodules",
        "--",
        &address.url,
        &address.wanted,
    ])?;
    // Without hooks: the person's own configuration may name some for all repositories.
    run(&[
        "-c",
        "core.hooksPath=/dev/null",
        "checkout",
        "--quiet",
        "FETCH_HEAD",
    ])?;
    let commit = run(&["rev-parse", "HEAD"])?;
    Ok(String::from_utf8_lossy(&commit.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_addresses_that_run_something_or_are_none() {
        for source in [
            "git+ext::sh -c id",
            "git+http://a.example/x",
            "git+git://a.example/x",
            "git+a.example:x",
            "https://a.example/x",
            "oci://a.example/x:1",
            "git+https://a.example/x#",
            "git+https://a.example/x#--upload-pack=id",
            "git+https://a.example/x#a..b:c",
            "git+https://a.example/x#a b",
        ] {
            assert!(Address::parse(source).is_err(), "{source}");
        }
    }

    #[test]
    fn a_folder_is_no_address_and_an_address_may_name_what_is_wanted() {
        assert_eq!(Address::parse("../templates/a").unwrap(), None);
        let address = |source| Address::parse(source).unwrap().unwrap();
        assert_eq!(address("git+https://a.example/x").wanted, "HEAD");
        let tagged = address("git+https://me:secret@a.example/x.git#v1.2");
        assert_eq!(
            (tagged.url.as_str(), tagged.wanted.as_str()),
            ("https://me:secret@a.example/x.git", "v1.2")
        );
        assert_eq!(tagged.plain(), "git+https://me@a.example/x.git");
    }
}
