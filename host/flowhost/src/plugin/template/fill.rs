//! Words into texts: `{{word}}` becomes what the word stands for, in a file and in its path.
//!
//! What stands after a `$` is an expression of a plan or a workflow, and stays as it is. So does whatever has a space or a
//! sign within its braces: other languages use them too. A word that nobody knows is an error, because it would stay in
//! a project as rubbish.

use std::collections::BTreeMap;

use flowhost_words::nearest;

use crate::finding::Finding;

/// Unknown words of one file that are told: each is looked up with its line and the word that was probably meant, and a
/// file of 1 MiB has room for some hundred thousand.
const UNKNOWN_MAX: usize = 20;

/// A file of the project.
///
/// # Errors
/// Every word that is unknown, and a path that leaves the project.
pub(super) fn file(
    from: &str,
    path: &str,
    bytes: &[u8],
    words: &BTreeMap<String, String>,
) -> Result<(String, Vec<u8>), Vec<Finding>> {
    let mut findings = Vec::new();
    let to = text_with(path, words).unwrap_or_else(|unknown| {
        findings.extend(unknown.into_iter().map(|it| it.in_path(from, words)));
        String::new()
    });
    let bytes = match std::str::from_utf8(bytes) {
        Ok(text) => text_with(text, words)
            .unwrap_or_else(|unknown| {
                findings.extend(unknown.into_iter().map(|it| it.in_text(from, text, words)));
                String::new()
            })
            .into_bytes(),
        // A picture, say: it has no words.
        Err(_) => bytes.to_vec(),
    };
    moved(from, to, bytes, findings)
}

/// The file at its path, if that is one and nothing is wrong.
fn moved(
    from: &str,
    to: String,
    bytes: Vec<u8>,
    mut findings: Vec<Finding>,
) -> Result<(String, Vec<u8>), Vec<Finding>> {
    // A backslash as well, which some systems take for a separator: a project is carried from one to another.
    let stays = to.split('/').all(|part| !["", ".", ".."].contains(&part)) && !to.contains('\\');
    if findings.is_empty() && !stays {
        let message = format!("it becomes `{to}`, which is not a path within the project");
        findings.push(Finding::new(from, message).cure("give another value"));
    }
    match findings.is_empty() {
        true => Ok((to, bytes)),
        false => Err(findings),
    }
}

/// A word that no parameter has.
struct Unknown {
    at: usize,
    word: String,
}

impl Unknown {
    fn in_text(&self, from: &str, text: &str, words: &BTreeMap<String, String>) -> Finding {
        let message = format!(
            "`{{{{{}}}}}` is not a parameter of this template",
            self.word
        );
        let finding = Finding::at_offset(from, text, Some(self.at..self.at), &message);
        self.cured(finding, words)
    }

    fn in_path(&self, from: &str, words: &BTreeMap<String, String>) -> Finding {
        let word = &self.word;
        let message =
            format!("its path has `{{{{{word}}}}}`, which is not a parameter of this template");
        self.cured(Finding::new(from, message), words)
    }

    fn cured(&self, finding: Finding, words: &BTreeMap<String, String>) -> Finding {
        let word = &self.word;
        match nearest(word, words.keys().map(String::as_str)) {
            Some(near) => finding.cure(format!("did you mean `{{{{{near}}}}}`?")),
            None => finding.cure(format!("write `[parameters.{word}]` into template.toml")),
        }
    }
}

/// The text with what its words stand for. What is put in is not looked at again.
fn text_with(text: &str, words: &BTreeMap<String, String>) -> Result<String, Vec<Unknown>> {
    let mut filled = String::with_capacity(text.len());
    let mut unknown = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        let at = text.len() - after.len() - "{{".len();
        let word = after.split_once("}}").map(|(word, _)| word);
        let word = word.filter(|word| is_word(word) && !before.ends_with('$'));
        let Some(word) = word else {
            filled.push_str("{{");
            rest = after;
            continue;
        };
        match words.get(word) {
            Some(value) => filled.push_str(value),
            None if unknown.len() == UNKNOWN_MAX => return Err(unknown),
            None => unknown.push(Unknown {
                at,
                word: word.to_owned(),
            }),
        }
        rest = after.get(word.len() + "}}".len()..).unwrap_or_default();
    }
    filled.push_str(rest);
    match unknown.is_empty() {
        true => Ok(filled),
        false => Err(unknown),
    }
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    !text.is_empty() && text.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(owned).collect()
    }

    fn told(path: &str, text: &str, pairs: &[(&str, &str)]) -> Vec<String> {
        let findings = file("t/a.md", path, text.as_bytes(), &words(pairs)).unwrap_err();
        findings
            .iter()
            .map(|it| format!("{it} ({})", it.hint))
            .collect()
    }

    #[test]
    fn an_unknown_word_is_told_with_its_place_and_the_one_that_was_meant() {
        let told = told("a.md", "one\n two {{nmae}} {{x}}", &[("name", "n")]);
        assert_eq!(told.len(), 2, "{told:#?}");
        assert!(told[0].starts_with("t/a.md:2:6: `{{nmae}}`"), "{told:#?}");
        assert!(told[0].contains("did you mean `{{name}}`?"), "{told:#?}");
        assert!(told[1].contains("[parameters.x]"), "{told:#?}");
    }

    #[test]
    fn a_file_of_nothing_but_unknown_words_is_told_by_the_first_of_them() {
        let text = "{{x}}".repeat(200_000);
        assert_eq!(told("a.md", &text, &[("name", "n")]).len(), UNKNOWN_MAX);
    }

    #[test]
    fn a_path_that_leaves_the_project_is_refused() {
        for value in ["..", "", ".", "a/../../b", "/etc", "a\\b"] {
            let told = told("src/{{name}}/x", "", &[("name", value)]);
            assert!(told[0].contains("not a path within"), "{value}: {told:#?}");
        }
    }

    #[test]
    fn words_are_filled_in_and_what_only_looks_like_one_stays() {
        let words = words(&[("name", "n{{name}}"), ("a_1", "A")]);
        let text = "{{name}} {{a_1}}{{a_1}} ${{name}} ${{ inputs.x }} {{ name }} {{}} {{name {{a-b}} }} {{";
        let (path, bytes) = file("t", "{{a_1}}/b", text.as_bytes(), &words).unwrap();
        assert_eq!(path, "A/b");
        let wanted = "n{{name}} AA ${{name}} ${{ inputs.x }} {{ name }} {{}} {{name {{a-b}} }} {{";
        assert_eq!(String::from_utf8(bytes).unwrap(), wanted);
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let bytes = [0xff, b'{', b'{', b'x', b'}', b'}'];
        let (_, made) = file("t", "a.png", &bytes, &BTreeMap::new()).unwrap();
        assert_eq!(made, bytes);
    }

    proptest! {
        #[test]
        fn a_text_without_braces_is_itself_and_no_text_breaks_it(text in "[ -~\n{}$]{0,80}") {
            let made = text_with(&text, &words(&[("name", "n")]));
            if !text.contains("{{") {
                prop_assert_eq!(made.ok(), Some(text));
            }
        }
    }
}
