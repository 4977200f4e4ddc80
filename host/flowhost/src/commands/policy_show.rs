//! `flowhost policy show NAME`: a profile's text, to read it, or to begin a profile of one's own.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::neutral;
use flowhost::sources::{ProfileText, Sources, is_shipped, read_profile};
use flowhost_flow::Exit;
use flowhost_policy::Profile;

use crate::commands::Context;

pub(crate) fn perform(
    wanted: &str,
    name: Option<&str>,
    policies: Option<&Path>,
    context: &mut Context,
) -> Result<Exit, Failure> {
    let refused = |findings| Failure::findings(&format!("the profile `{wanted}`"), findings);
    let here = context.ambient.cwd().to_owned();
    let sources = Sources::new(&context.ambient, &context.config, policies);
    let text = sources.profile_text(wanted, &here);
    let ProfileText { file, text, .. } = text.map_err(|finding| refused(vec![finding]))?;
    context.texts.add(&file, text.as_str());
    let parsed = read_profile(&text, &file).map_err(refused)?;
    let (profile, text) = match name {
        None => (parsed, text),
        Some(name) => renamed(&parsed, &text, name)?,
    };
    if context.output.json {
        context.output.document(&serde_json::json!({
            "name": profile.name, "file": file, "shipped": is_shipped(wanted),
            "hash": profile.hash(), "text": text,
        }));
    } else {
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

/// The profile under another name, with everything else as it stands, comments included.
fn renamed(profile: &Profile, text: &str, name: &str) -> Result<(Profile, String), Failure> {
    if is_shipped(name) {
        let message = format!("`{name}` is the name of a shipped profile");
        return Err(Failure::new(Exit::Usage, message).hint("choose another name"));
    }
    let text = with_name(profile, text, name);
    match Profile::parse(&text, name) {
        Ok(profile) if profile.name == name => Ok((profile, text)),
        _ => Err(
            Failure::new(Exit::Usage, format!("`{name}` cannot be a profile's name"))
                .hint("use letters, digits, `-` and `_`"),
        ),
    }
}

/// As [`renamed`], for a text that is a profile and a name that is one.
pub(crate) fn renamed_text(text: &str, name: &str) -> Option<String> {
    let profile = Profile::parse(text, "").ok()?;
    Some(with_name(&profile, text, name))
}

fn with_name(profile: &Profile, text: &str, name: &str) -> String {
    let line = profile.position("name").map_or(0, |at| at.line as usize);
    let swap = |(index, old): (usize, &str)| match index + 1 == line {
        true => format!("name = \"{name}\"\n"),
        false => old.to_owned(),
    };
    text.split_inclusive('\n').enumerate().map(swap).collect()
}
