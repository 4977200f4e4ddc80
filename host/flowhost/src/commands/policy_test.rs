//! `flowhost policy test FILE`: runs a table of allow and deny cases against a profile. Nothing is
//! opened or sent; the decisions are the ones a run would make.

use std::fmt::Write as _;
use std::path::Path;

use flowhost::failure::Failure;
use flowhost::finding::Finding;
use flowhost::output::neutral;
use flowhost::sources::{DOCUMENT_BYTES_MAX, Sources};
use flowhost_flow::Exit;
use flowhost_policy::cases::{CaseResult, Cases, run};
use flowhost_policy::{Denied, Effective, Profile};

use crate::commands::Context;

pub(crate) fn perform(
    file: &Path,
    policies: Option<&Path>,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let shown = file.display().to_string();
    let text = context.ambient.read_text(file, DOCUMENT_BYTES_MAX)?;
    context.texts.add(&shown, text.as_str());
    let cases = Cases::parse(&text, &shown).map_err(|problems| {
        Failure::findings(&shown, problems.into_iter().map(Finding::from).collect())
    })?;
    let profile = profile(&cases, file, policies, context)?;
    let results = run(&cases, &rights(&profile));
    let failed = results.iter().filter(|result| !result.passed).count();
    if context.output.json {
        context.output.document(&document(&profile, &results));
    } else {
        context.output.result(&neutral(&lines(&shown, &results)));
    }
    Ok(if failed == 0 {
        Exit::Ok
    } else {
        Exit::Internal
    })
}

/// The profile that the table names, looked up as a plan beside the table would; a table that lies among the
/// profiles means those.
fn profile(
    cases: &Cases,
    file: &Path,
    policies: Option<&Path>,
    context: &mut Context,
) -> Result<Profile, Failure> {
    let Some(wanted) = &cases.profile else {
        let message = format!("{} does not say which profile it is about", file.display());
        return Err(
            Failure::new(Exit::Internal, message).hint("add `profile = \"NAME\"` at the top")
        );
    };
    let path = context.ambient.resolve(file);
    let folder = path.parent().unwrap_or(Path::new("/"));
    let beside = match folder.file_name() {
        Some(name) if name == "policies" => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    Sources::new(&context.ambient, &context.config, policies)
        .profile(wanted, beside, &mut context.texts)
        .map(|(profile, _)| profile)
        .map_err(|findings| Failure::findings(&format!("the profile `{wanted}`"), findings))
}

/// A profile alone: a table asks what it would allow a plugin that asks for everything.
fn rights(profile: &Profile) -> Effective {
    Effective {
        plugin: "under-test".to_owned(),
        profile: profile.name.clone(),
        hash: profile.hash(),
        limits: profile.limits.clone(),
        grants: profile.grants.clone(),
    }
}

fn lines(file: &str, results: &[CaseResult]) -> String {
    let mut text = String::new();
    for result in results {
        let verdict = if result.passed { "ok  " } else { "FAIL" };
        let got = match &result.got {
            Ok(rule) => format!("allowed by {rule}"),
            Err(denied) => format!("denied by {}", denied.rule),
        };
        let _infallible = writeln!(
            text,
            "{verdict} {file}:{} {}: {got}",
            result.line, result.name
        );
    }
    let failed = results.iter().filter(|result| !result.passed).count();
    let passed = results.len() - failed;
    let _infallible = writeln!(text, "{passed} passed, {failed} failed");
    text
}

fn document(profile: &Profile, results: &[CaseResult]) -> serde_json::Value {
    let rule = |got: &Result<String, Denied>| match got {
        Ok(rule) => rule.clone(),
        Err(denied) => denied.rule.clone(),
    };
    let cases: Vec<serde_json::Value> = results
        .iter()
        .map(|result| {
            serde_json::json!({
                "name": result.name, "line": result.line, "passed": result.passed,
                "decision": if result.got.is_ok() { "allow" } else { "deny" },
                "rule": rule(&result.got),
            })
        })
        .collect();
    serde_json::json!({ "profile": profile.name, "profile_hash": profile.hash(), "cases": cases })
}
