//! `flowhost policy show NAME`: a profile's text, to read it, or to begin a profile of one's own.

use std::path::Path;

use flowhost::failure::Failure;
use flowhost::output::{neutral, one_line};
use flowhost::sources::{ProfileText, Sources, is_shipped, read_profile};
use flowhost_flow::Exit;
use flowhost_policy::Profile;

use crate::cli::ProfileArgs;
use crate::commands::Context;

pub(crate) fn perform(args: &ProfileArgs, context: &mut Context) -> Result<Exit, Failure> {
    let wanted = &args.profile;
    let refused = |findings| Failure::findings(&format!("the profile `{wanted}`"), findings);
    let here = context.ambient.cwd().to_owned();
    let sources = Sources::new(&context.ambient, &context.config, args.policies.as_deref());
    let text = sources.profile_text(wanted, &here);
    let ProfileText { file, text, .. } = text.map_err(|finding| refused(vec![finding]))?;
    context.texts.add(&file, text.as_str());
    let parsed = read_profile(&text, &file).map_err(refused)?;
    let (profile, text) = match args.name.as_deref() {
        None => (parsed, text),
        Some(name) => renamed(&parsed, &text, name)?,
    };
    if let Some(out) = &args.out {
        write(out, &profile.name, &text, context)?;
    }
    let output = &context.output;
    match (output.json, &args.out) {
        (true, out) => output.document(&serde_json::json!({
            "name": profile.name, "file": file, "shipped": is_shipped(wanted),
            "hash": profile.hash(), "text": text, "written": out,
        })),
        (false, Some(out)) => {
            let wrote = one_line(&format!("wrote {}", out.display()));
            output.message(&format!("{wrote}\n"));
        }
        (false, None) => output.result(&neutral(&text)),
    }
    Ok(Exit::Ok)
}

/// Writes it, and never over what is there: that may be the only copy of what somebody thought about.
fn write(out: &Path, name: &str, text: &str, context: &Context) -> Result<(), Failure> {
    let usage = |message: String| Failure::new(Exit::Usage, message);
    let shown = out.display();
    if out.file_stem().and_then(|stem| stem.to_str()) != Some(name)
        || out.extension().is_none_or(|it| it != "toml")
    {
        let message = format!("the profile `{name}` cannot be in `{shown}`");
        return Err(usage(message).hint(format!(
            "a profile has the name of its file: `{name}.toml`, or another name with `--name`"
        )));
    }
    let path = context.ambient.resolve(out);
    let ambient = &context.ambient;
    if let Some(folder) = path.parent() {
        ambient.create_dir(folder)?;
    }
    ambient.create(&path, text.as_bytes()).map_err(|error| {
        if !error.is_there() {
            return error.into();
        }
        usage(format!("`{shown}` is there already"))
            .hint("nothing was written; choose another name, and name the file after it")
    })
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
                .hint("use lower-case letters, digits, `-` and `_`, at most 64"),
        ),
    }
}

/// As [`renamed`], for a text that is a profile and a name that is one.
pub(crate) fn renamed_text(text: &str, name: &str) -> Option<String> {
    let profile = Profile::parse(text, "").ok()?;
    Some(with_name(&profile, text, name))
}

fn with_name(profile: &Profile, text: &str, name: &str) -> String {
    // Only this line: comments and the order of keys are somebody's work. A profile without a name does not parse, so
    // that there is one.
    let line = profile.position("name").map_or(0, |at| at.line as usize);
    let swap = |(index, old): (usize, &str)| match index + 1 == line {
        true => format!("name = \"{name}\"\n"),
        false => old.to_owned(),
    };
    text.split_inclusive('\n').enumerate().map(swap).collect()
}
