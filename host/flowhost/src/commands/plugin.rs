//! `flowhost plugin …`: an author's commands.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use flowhost::component;
use flowhost::failure::Failure;
use flowhost::fresh;
use flowhost::output::neutral;
use flowhost::plugin::template::Given;
use flowhost::plugin::{Built, Lang, Project, Template, build, kit, new, wrap};
use flowhost::sources::Sources;
use flowhost_flow::Exit;
use flowhost_policy::RIGHTS;
use flowhost_words::shell_word;
use serde_json::{Value, json};

use crate::cli::{LangArg, PluginCommand, ReportArg, TestArgs};
use crate::commands::{Context, inspect, plugin_add, plugin_lock, plugin_remote, plugin_ship};

pub(crate) fn perform(command: PluginCommand, context: &mut Context) -> Result<Exit, Failure> {
    match command {
        PluginCommand::New {
            name,
            kind,
            lang,
            dir,
            template,
            set,
            dry_run,
        } => {
            // Before a template is fetched or filled with it.
            fresh::check_name(&name)?;
            let folder = dir.unwrap_or_else(|| PathBuf::from(&name));
            let mut wanted = new::Wanted {
                name: &name,
                kind: kind.0,
                lang: lang.into(),
                folder: context.ambient.resolve(&folder),
                templated: None,
            };
            let mut origin = None;
            if let Some(source) = template {
                let template = Template::read(&context.ambient, &source, &mut context.texts)?;
                let given = Given {
                    name: &name,
                    parameters: &set,
                };
                wanted.templated = Some(template.filled(&given, &mut context.texts)?);
                wanted.kind = template.kind();
                wanted.lang = template.lang();
                origin = Some(template.origin);
            }
            make(&wanted, origin.as_deref(), &folder, dry_run, context)
        }
        PluginCommand::Build { project, out } => compile(&project, out.as_deref(), context),
        PluginCommand::Test(args) => test(&args, context),
        PluginCommand::Inspect(args) => inspect::perform(&args, context),
        PluginCommand::Sign { component, key } => {
            plugin_ship::sign(&component, key.as_deref(), context)
        }
        PluginCommand::Verify { file, keys } => plugin_ship::verify(&file, &keys, context),
        PluginCommand::Pack { project, out } => {
            plugin_ship::pack(&project, out.as_deref(), context)
        }
        PluginCommand::Add(args) => plugin_add::perform(&args, context),
        PluginCommand::Publish {
            file,
            destination,
            replace,
        } => plugin_remote::publish(&file, &destination, replace, context),
        PluginCommand::Pull {
            source,
            sha256,
            dir,
        } => plugin_remote::pull(&source, sha256.as_deref(), &dir, context),
        PluginCommand::List(plan) => plugin_lock::list(&plan, context),
        PluginCommand::Lock(plan) => plugin_lock::lock(&plan, context),
        PluginCommand::Update { plan, yes } => plugin_lock::update(&plan, yes, context),
        PluginCommand::Unpack { pack, dir } => plugin_ship::unpack(&pack, dir.as_deref(), context),
    }
}

fn make(
    wanted: &new::Wanted<'_>,
    template: Option<&str>,
    shown: &Path,
    dry_run: bool,
    context: &Context,
) -> Result<Exit, Failure> {
    let files = match dry_run {
        // The files are made all the same, and only not written: what is wrong with a template is told here as well.
        true => {
            let files = new::files(&context.ambient, wanted)?;
            files.into_iter().map(|(path, _)| path).collect()
        }
        false => new::make(&context.ambient, wanted)?,
    };
    if context.output.json {
        context.output.document(&json!({
            "name": wanted.name, "kind": wanted.kind.wit_name(), "lang": wanted.lang.word(),
            "template": template, "folder": shown, "files": files, "written": !dry_run,
        }));
        return Ok(Exit::Ok);
    }
    let (_, sdk) = wanted.lang.sdk();
    let own = files
        .iter()
        // The copy of the SDK is counted below and not listed: its dozens of files would hide the author's own.
        .filter(|path| !path.starts_with(&format!("{sdk}/")));
    let mut text = String::new();
    if let Some(template) = template {
        let _infallible = writeln!(text, "from {template}");
    }
    for path in own {
        let _infallible = writeln!(text, "{}", shown.join(path).display());
    }
    let copies = files
        .iter()
        .filter(|path| path.starts_with(&format!("{sdk}/")))
        .count();
    if copies > 0 {
        let folder = shown.join(sdk);
        let _infallible = writeln!(text, "{}/ ({copies} files of the SDK)", folder.display());
    }
    if !dry_run {
        let folder = shell_word(&shown.display().to_string());
        let steps = [wanted.lang.install(), "flowhost plugin build"];
        let steps: Vec<&str> = steps.into_iter().filter(|step| !step.is_empty()).collect();
        let _infallible = writeln!(text, "\nnext: cd {folder} && {}", steps.join(" && "));
    }
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

fn compile(folder: &Path, out: Option<&Path>, context: &mut Context) -> Result<Exit, Failure> {
    let built = match context.ambient.is_file(folder) {
        true => {
            let sources = Sources::new(&context.ambient, &context.config, None);
            wrap(&context.ambient, &sources, folder, out)?
        }
        false => {
            let project = Project::read(&context.ambient, folder, &mut context.texts)?;
            build(&context.ambient, &project, out)?
        }
    };
    let sources = Sources::new(&context.ambient, &context.config, None);
    let shown = sources.shown(&built.path);
    let needs = needs(&built);
    let Built {
        manifest,
        inspection,
        ..
    } = &built;
    let tools: Vec<&str> = manifest
        .tools
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    if context.output.json {
        context.output.document(&json!({
            "path": shown, "name": manifest.name, "release": manifest.release,
            "role": inspection.role.as_str(), "digest": &*inspection.digest,
            "size": inspection.size, "needs": needs, "tools": tools,
        }));
        return Ok(Exit::Ok);
    }
    let list = |names: &[&str]| match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    };
    let mut text = format!(
        "{shown}\n  {}, {} bytes\n  {}\n  needs {}\n",
        inspection.role.as_str(),
        inspection.size,
        inspection.digest,
        list(&needs)
    );
    if !tools.is_empty() {
        let _infallible = writeln!(text, "  tools {}", list(&tools));
    }
    context.output.result(&neutral(&text));
    Ok(Exit::Ok)
}

fn test(args: &TestArgs, context: &mut Context) -> Result<Exit, Failure> {
    let sources = Sources::new(&context.ambient, &context.config, None);
    let seen = component::look(&sources, &args.component, context.ambient.cwd())?;
    let shown = sources.shown(&seen.path);
    let wanted = kit::Wanted {
        shown: &shown,
        component: &seen.bytes,
        manifest: seen.manifest.as_ref(),
        calls: &calls(args)?,
        config: config(args)?,
        seed: args.seed,
    };
    let report = kit::test(&context.ambient, &wanted)?;
    say(&report, args, context)?;
    Ok(if report.passed {
        Exit::Ok
    } else {
        Exit::Plugin
    })
}

fn calls(args: &TestArgs) -> Result<Vec<kit::Call>, Failure> {
    let call = |(name, json): &(String, String)| {
        let input = serde_json::from_str(json).map_err(|error| {
            let message = format!("the input of `--call {name}=…` is not JSON");
            Failure::new(Exit::Usage, message).caused_by(&error)
        })?;
        let name = name.clone();
        Ok(kit::Call { name, input })
    };
    args.calls.iter().map(call).collect()
}

fn config(args: &TestArgs) -> Result<&str, Failure> {
    let refused = || Failure::new(Exit::Usage, "`--config` takes one JSON object");
    match serde_json::from_str::<Value>(&args.config) {
        Ok(Value::Object(_)) => Ok(&args.config),
        Ok(_) => Err(refused()),
        Err(error) => Err(refused().caused_by(&error)),
    }
}

/// The report, in the form that was asked for, to where it was asked for.
fn say(report: &kit::Report, args: &TestArgs, context: &Context) -> Result<(), Failure> {
    let output = &context.output;
    let text = match args.report {
        ReportArg::Json => None,
        // `--json` promises one document on standard output, whatever form was asked for.
        _ if output.json && args.out.is_none() => None,
        ReportArg::Text => Some(neutral(&report.text())),
        ReportArg::Junit => Some(report.junit()),
        ReportArg::Html => Some(report.html()),
    };
    match (text, &args.out) {
        (Some(text), Some(path)) => {
            context.ambient.write(path, text.as_bytes())?;
        }
        (Some(text), None) => output.result(&text),
        (None, Some(path)) => {
            // A report is texts and numbers, which always have a form.
            let text = serde_json::to_string_pretty(report).unwrap_or_default();
            context
                .ambient
                .write(path, format!("{text}\n").as_bytes())?;
        }
        (None, None) => output.document(report),
    }
    if args.out.is_some() {
        match output.json {
            true => output.document(report),
            false => output.result(&format!("{}\n", report.summary())),
        }
    }
    Ok(())
}

/// The rights that the manifest asks for, which are those that the component uses.
fn needs(built: &Built) -> Vec<&'static str> {
    RIGHTS
        .iter()
        .filter(|right| right.is_asked_by(&built.manifest))
        .map(|right| right.key)
        .collect()
}

impl From<LangArg> for Lang {
    fn from(lang: LangArg) -> Self {
        match lang {
            LangArg::Rust => Self::Rust,
            LangArg::Ts => Self::TypeScript,
            LangArg::Python => Self::Python,
        }
    }
}
