//! Profiles, manifests, narrowings and tables of cases.
//!
//! What these accept decides what a plugin may do, so one meaning must have one hash, and a document
//! must never say more than its problems say.

use flowhost_policy::{
    Effective, Manifest, Narrowing, Position, Problem, Profile,
    cases::{self, Cases},
};

use super::text;
use crate::{Outcome, Target};

const WORDS: &[&str] = &[
    "version = 1\n",
    "name = \"x\"\n",
    "[limits]\n",
    "[[http]]\n",
    "[[files]]\n",
    "[[case]]\n",
    "[[tools]]\n",
    "[needs]\n",
    "url = \"https://a.example/\"\n",
    "inject = { header = \"a\", value = \"Bearer ${secret:A}\" }\n",
    "methods = [\"GET\"]\n",
    "expect = \"deny\"\n",
    "\"granted\"",
    "${secret:",
    "${input:folder}",
    "18446744073709551616",
    "-1",
    "1e9",
    "64MiB",
    "10m",
    "\"*/*\"",
    "\"a.>\"",
    "../",
    "\u{202e}",
    "\\u0000",
    "'''",
    "\"\"\"",
];

pub(crate) const PROFILE: Target = Target {
    name: "profile",
    run: profile,
    words: WORDS,
};

pub(crate) const MANIFEST: Target = Target {
    name: "manifest",
    run: manifest,
    words: WORDS,
};

pub(crate) const NARROWING: Target = Target {
    name: "narrowing",
    run: narrowing,
    words: &[
        "{\"limits\":{",
        "\"grants\":{",
        "\"memory\":\"64MiB\"",
        "\"http\":[",
        "\"url\":\"https://a.example/\"",
        "\"model\":{\"allow\":[",
        "null",
        "1e400",
        "-0",
        "[[[[[[[[",
    ],
};

pub(crate) const CASES: Target = Target {
    name: "cases",
    run: cases,
    words: WORDS,
};

/// A refusal says something, and where.
fn are_told(problems: &[Problem]) {
    assert!(!problems.is_empty(), "refused without a reason");
    for problem in problems {
        assert!(problem.line >= 1 && problem.column >= 1, "{problem:?}");
        assert!(!problem.message.is_empty(), "{problem:?}");
    }
}

/// Accepted means: the hash is a function of what it grants alone, and it does not raise itself.
fn profile(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = Profile::parse(&text, "a.toml");
    match &read {
        Err(problems) => are_told(problems),
        Ok(profile) => {
            let commented = Profile::parse(&format!("{text}\n# a comment\n"), "b.toml");
            let hash = commented.map(|again| again.hash());
            assert_eq!(hash, Ok(profile.hash()));
            assert_eq!(Narrowing::none("x").check(profile), []);
        }
    }
    Outcome::of(&read)
}

/// Accepted means: the same again, wherever the file lies, and tools that are found by their names.
fn manifest(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let read = Manifest::parse(&text, "plugin.toml");
    match &read {
        Err(problems) => are_told(problems),
        Ok(manifest) => {
            let again = Manifest::parse(&format!("{text}\n# a comment\n"), "plugin.toml");
            assert_eq!(again.as_ref(), Ok(manifest));
            for tool in &manifest.tools {
                assert_eq!(manifest.tool(&tool.name), Some(tool));
                assert_eq!(tool.hash(), tool.clone().hash());
            }
            assert!(manifest.imports().len() <= flowhost_policy::RIGHTS.len());
        }
    }
    Outcome::of(&read)
}

/// Any JSON may stand in a plan; what it narrows to is checked against a shipped profile.
fn narrowing(bytes: &[u8]) -> Outcome {
    let Ok(json) = serde_json::from_slice(bytes) else {
        return Outcome::Refused;
    };
    let read = Narrowing::from_json("reader", &json, "plan.yaml", Position::START);
    match &read {
        Err(problems) => are_told(problems),
        Ok(narrowing) => {
            let shipped = include_str!("../../../../policies/networked-tool.toml");
            let profile = Profile::parse(shipped, "networked-tool.toml");
            let problems = profile.map(|profile| narrowing.check(&profile));
            assert!(problems.is_ok(), "a shipped profile does not parse");
        }
    }
    Outcome::of(&read)
}

/// Accepted means: under no rights at all, every question is denied.
fn cases(bytes: &[u8]) -> Outcome {
    let read = Cases::parse(&text(bytes), "a.cases.toml");
    match &read {
        Err(problems) => are_told(problems),
        Ok(table) => {
            let results = cases::run(table, &Effective::default());
            assert_eq!(results.len(), table.cases.len());
            for (result, case) in results.iter().zip(&table.cases) {
                assert!(result.got.is_err(), "granted by nobody: {result:?}");
                assert!(!(result.passed && case.allow), "{result:?}");
            }
        }
    }
    Outcome::of(&read)
}
