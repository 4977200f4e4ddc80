//! How much of the adversarial catalogue the tests of this repository cover. Ids live in test names
//! and nowhere else, so that a run shows which attack was tried. That every guest is used by a test
//! is a house rule (`cargo xtask tidy`).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use regex_lite::Regex;

use crate::support::repository;

/// Ids that the spine promises.
const AT_LEAST: usize = 120;

/// The numbers of the catalogue by group: what a range in a name leaves out is no attack.
const CATALOGUE: &[(&str, &[(u32, u32)])] = &[
    (
        "net",
        &[
            (1, 5),
            (9, 10),
            (12, 17),
            (20, 26),
            (28, 28),
            (30, 35),
            (37, 40),
        ],
    ),
    ("netip", &[(1, 14), (20, 25), (27, 40)]),
    (
        "netx",
        &[
            (1, 3),
            (10, 16),
            (20, 21),
            (23, 23),
            (25, 26),
            (29, 32),
            (35, 35),
        ],
    ),
    (
        "fs",
        &[
            (1, 2),
            (5, 7),
            (10, 11),
            (13, 15),
            (19, 20),
            (22, 22),
            (24, 27),
            (29, 31),
            (34, 34),
            (37, 38),
        ],
    ),
    (
        "dos",
        &[
            (1, 1),
            (4, 7),
            (9, 9),
            (11, 16),
            (18, 21),
            (23, 24),
            (26, 27),
            (29, 29),
            (32, 33),
            (35, 36),
            (39, 40),
            (42, 45),
            (47, 47),
            (51, 51),
        ],
    ),
    (
        "cap",
        &[(1, 2), (4, 4), (6, 6), (8, 8), (10, 12), (14, 16), (18, 18)],
    ),
    (
        "led",
        &[(1, 1), (4, 7), (9, 12), (14, 19), (21, 23), (25, 28)],
    ),
];

fn is_listed(group: &str, number: u32) -> bool {
    let ranges = CATALOGUE
        .iter()
        .find(|(name, _)| *name == group)
        .map_or(&[][..], |it| it.1);
    ranges
        .iter()
        .any(|(from, to)| (*from..=*to).contains(&number))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The ids in a test's name: `net_001_…`, `fs_001_002_005_…`, `netip_001_to_010_…`, `net_009_and_010_…`.
fn ids(name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut group, mut last, mut range) = (None, None, false);
    for word in name.split('_') {
        match (word, word.parse::<u32>()) {
            ("net" | "netip" | "netx" | "fs" | "dos" | "cap" | "led", _) => {
                (group, last, range) = (Some(word), None, false);
            }
            (_, Ok(number)) if word.len() == 3 => {
                let Some(group) = group else { continue };
                let from = if range {
                    last.unwrap_or(number)
                } else {
                    number
                };
                let listed = (from..=number).filter(|number| is_listed(group, *number));
                found.extend(listed.map(|number| format!("{group}_{number:03}")));
                (last, range) = (Some(number), false);
            }
            ("to", _) if last.is_some() => range = true,
            ("and", _) => {}
            _ => group = None,
        }
    }
    found
}

/// The names of all tests in this repository.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["host", "tests/it", "tests/benches"] {
        sources(&repository().join(folder), &mut files);
    }
    let test = Regex::new(r"#\[(?:tokio::)?test[^\]]*\]\s*(?:async )?fn (\w+)").unwrap();
    let of = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let names: Vec<String> = test
            .captures_iter(&text)
            .map(|found| found[1].to_owned())
            .collect();
        names
    };
    files.iter().flat_map(of).collect()
}

#[test]
fn reads_ids_of_lists_and_ranges() {
    let all = |name: &str| ids(name).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(all("net_001_denies"), "net_001");
    assert_eq!(all("net_003_and_004_allow"), "net_003 net_004");
    assert_eq!(
        all("netip_001_to_003_denies"),
        "netip_001 netip_002 netip_003"
    );
    assert_eq!(all("netx_010_and_029_end"), "netx_010 netx_029");
    assert_eq!(all("fs_001_002_x_005"), "fs_001 fs_002");
    assert_eq!(
        all("netip_010_to_020_denies").len(),
        "netip_010 ".len() * 6 - 1,
        "15 to 19 are none"
    );
    assert_eq!(
        all("cap_001_netx_020_021_sockets"),
        "cap_001 netx_020 netx_021"
    );
    assert_eq!(all("takes_100_fields"), "");
}

#[test]
fn the_tests_cover_the_catalogue() {
    let covered: BTreeSet<String> = tests().iter().flat_map(|name| ids(name)).collect();
    assert!(
        covered.len() >= AT_LEAST,
        "{} ids of the catalogue are in test names, {AT_LEAST} were promised: {covered:?}",
        covered.len()
    );
    for group in ["net_", "netip_", "netx_", "fs_", "dos_", "cap_", "led_"] {
        assert!(
            covered.iter().any(|id| id.starts_with(group)),
            "none of {group}"
        );
    }
}
