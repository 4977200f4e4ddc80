//! Where the thresholds of alerts come from: a file that is named, the operator's, the folder's, or the built-in ones.
//!
//! A folder's file decides when somebody is told and nothing else: it can name no address to send to, because whoever
//! wrote the folder is not the operator.

use std::ops::Range;
use std::path::{Path, PathBuf};

use flowhost_evidence::analysis::alerts::{Rules, Unusable};

use crate::ambient::Ambient;
use crate::config::{Config, document};
use crate::failure::Failure;
use crate::finding::Finding;

/// The file's name in a folder of policies.
pub const RULES_FILE: &str = "alerts.toml";
/// Bytes of such a file: it has ten keys.
const RULES_BYTES_MAX: u64 = 64 << 10;

/// The thresholds that hold, and the file that they were read from.
///
/// # Errors
/// When a file that is named is not there, and everything that is wrong with the one that is read.
pub fn find(
    ambient: &Ambient,
    config: &Config,
    named: Option<&Path>,
) -> Result<(Rules, Option<PathBuf>), Failure> {
    if let Some(path) = named {
        let text = ambient.read_text(path, RULES_BYTES_MAX)?;
        return Ok((parsed(&text, path)?, Some(path.to_owned())));
    }
    let own = config.policies.iter().map(|folder| folder.join(RULES_FILE));
    let here = Path::new("policies").join(RULES_FILE);
    // The operator's before the folder's, and the first that is there alone: thresholds that were put together of two
    // files would be nobody's.
    for path in own.chain([here]) {
        match ambient.read_text(&path, RULES_BYTES_MAX) {
            Ok(text) => return Ok((parsed(&text, &path)?, Some(path))),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok((Rules::default(), None))
}

fn parsed(text: &str, path: &Path) -> Result<Rules, Failure> {
    rules(text, &path.display().to_string())
        .map_err(|findings| Failure::findings("the file of alert rules", findings))
}

/// Reads thresholds.
///
/// # Errors
/// Everything that is wrong with the text, with its place.
pub fn rules(text: &str, name: &str) -> Result<Rules, Vec<Finding>> {
    // The TOML reader recurses once for each level, and a folder's file may be a stranger's.
    if let Some(at) = flowhost_policy::toml_too_deep_at(text) {
        let finding = Finding::at_offset(name, text, Some(at..at), "it is nested too deeply");
        return Err(vec![
            finding.cure("no key of this file needs more than a table"),
        ]);
    }
    let (rules, mut findings) = document::<Rules>(name, text);
    let unusable = rules.unusable();
    findings.extend(unusable.into_iter().map(|it| finding(name, text, it)));
    findings.sort_by_key(|it| (it.line, it.column));
    match findings.is_empty() {
        true => Ok(rules),
        false => Err(findings),
    }
}

fn finding(name: &str, text: &str, unusable: Unusable) -> Finding {
    let Unusable { table, key, wanted } = unusable;
    let message = format!("`{key}` is a value that no alert can be raised by");
    let place = place(text, table, key);
    Finding::at_offset(name, text, place, &message).cure(format!("write {wanted}"))
}

/// The key as it stands below its table.
fn place(text: &str, table: &str, key: &str) -> Option<Range<usize>> {
    // Good enough for a place: a comment that has the words before them is shown instead, at worst.
    let below = text.find(table)?;
    let at = below + text.get(below..)?.find(key)?;
    Some(at..at + key.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_that_is_shipped_says_what_is_built_in() {
        let shipped = include_str!("../../../policies/alerts.toml");
        assert_eq!(rules(shipped, "alerts.toml").unwrap(), Rules::default());
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_with_its_place() {
        let text = "version = 1\n[stage_cost]\nfactor = 0.5\n[escalation]\nover = 3\n[failed_checks]\nover = -1\n";
        let found = rules(text, "a.toml").unwrap_err();
        let lines: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 3, "{lines:#?}");
        assert!(lines[0].starts_with("a.toml:3:1: `factor`"), "{lines:#?}");
        assert!(
            lines[1].starts_with("a.toml:4:2: unknown key `escalation`"),
            "{lines:#?}"
        );
        assert!(lines[2].starts_with("a.toml:7:8:"), "{lines:#?}");
        let later = rules("version = 2\n", "a.toml").unwrap_err();
        assert_eq!((later.len(), later[0].line), (1, 1));
    }

    #[test]
    fn the_folders_file_is_read_where_the_operator_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let ambient = Ambient::with(
            std::collections::BTreeMap::new(),
            dir.path().to_owned(),
            None,
        );
        let mut config = Config::default();
        assert_eq!(
            find(&ambient, &config, None).unwrap(),
            (Rules::default(), None)
        );
        let factor = |config: &Config| find(&ambient, config, None).unwrap().0.stage_cost.factor;
        for (folder, factor) in [("policies", "2.0"), ("own", "3.0")] {
            let folder = dir.path().join(folder);
            ambient.create_dir(&folder).unwrap();
            let text = format!("[stage_cost]\nfactor = {factor}\n");
            ambient
                .write(&folder.join(RULES_FILE), text.as_bytes())
                .unwrap();
        }
        assert_eq!(factor(&config), 2.0);
        config.policies = Some(dir.path().join("own"));
        assert_eq!(factor(&config), 3.0);
        assert!(find(&ambient, &config, Some(Path::new("none.toml"))).is_err());
    }
}
