//! `flowhost verify`: checks evidence with nothing but its files and the keys that are believed.
//!
//! Must need no state of this host beyond finding a run by its name and the host's own public keys: the
//! same command runs on another machine on a copied folder.

use std::path::{Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::keys::own_keys;
use flowhost::output::neutral;
use flowhost::state::FindRuns as _;
use flowhost_flow::Exit;
use flowhost_ledger::{
    Code, Note, Problem, RealDisk, Report, VKey, VerifyOptions, parse_trust, read_witness,
    verify_path,
};

use crate::cli::VerifyArgs;
use crate::commands::Context;

/// A file of keys: thousands of them.
const TRUST_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn perform(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let target = target(args, context)?;
    let options = VerifyOptions {
        trusted: trusted(args, &context.ambient)?,
        witnessed: witnessed(args, &context.ambient)?,
        ..VerifyOptions::default()
    };
    let mut report = match options.trusted.is_empty() {
        true => verify_by_own_keys(&target, options, context)?,
        false => verify_path(&target.path, &options),
    };
    if let Some(run) = &target.run {
        require_run(&mut report, context.state.tenant(), run);
    }
    if context.output.json {
        context.output.document(&report);
    } else {
        context.output.result(&neutral(&format!("{report}\n")));
    }
    Ok(if report.ok { Exit::Ok } else { Exit::Internal })
}

/// What is verified: a path, or a run of this host, which must then be that very run.
struct Target {
    path: PathBuf,
    run: Option<String>,
    /// Below this host's state: signed by a key of this host, or not what it says.
    own: bool,
}

/// Nobody named a key: this host's own are believed. A folder or bundle from elsewhere may be by another
/// host; then only the ledger itself names its key, and the report says so.
fn verify_by_own_keys(
    target: &Target,
    mut options: VerifyOptions,
    context: &Context,
) -> Result<Report, Failure> {
    let none = options.clone();
    options.trusted = own_keys(&context.ambient, &context.state)?;
    let report = verify_path(&target.path, &options);
    let foreign = report
        .all_problems()
        .any(|problem| problem.code == Code::UnknownKey);
    Ok(match foreign && !target.own {
        true => verify_path(&target.path, &none),
        false => report,
    })
}

/// A path that exists is that path; anything else names a run. A run's own folder is that run.
fn target(args: &VerifyArgs, context: &Context) -> Result<Target, Failure> {
    let (ambient, state) = (&context.ambient, &context.state);
    let path = Path::new(&args.target);
    if !ambient.is_dir(path) && !ambient.is_file(path) {
        let run = state.resolve_run(ambient, &args.target)?;
        return Ok(Target {
            path: state.run_dir(&run),
            run: Some(run),
            own: true,
        });
    }
    let path: PathBuf = ambient.resolve(path).components().collect();
    let name = path.file_name().and_then(|name| name.to_str());
    let run = name.filter(|name| path == state.run_dir(name));
    Ok(Target {
        run: run.map(str::to_owned),
        own: path.starts_with(state.root()),
        path,
    })
}

/// Another run's ledger in this run's folder is sound in itself, and still not this run (LED-006).
fn require_run(report: &mut Report, tenant: &str, run: &str) {
    let wanted = format!("/evidence/{tenant}/{run}");
    let wrong = report.ledgers.iter().find_map(|ledger| {
        let origin = ledger.origin.clone()?;
        (!origin.ends_with(&wanted)).then_some((ledger.path.clone(), origin))
    });
    if let Some((file, origin)) = wrong {
        report.ok = false;
        report.problems.push(Problem {
            code: Code::Meta,
            file,
            line: None,
            offset: None,
            seq: None,
            what: format!("this is the ledger of `{origin}`, not of run {run}"),
        });
    }
}

fn trusted(args: &VerifyArgs, ambient: &Ambient) -> Result<Vec<VKey>, Failure> {
    let mut keys = Vec::new();
    for text in &args.keys {
        let key = VKey::parse(text).map_err(|error| {
            Failure::new(Exit::Usage, format!("`--key {text}` is not a key"))
                .caused_by(&error)
                .hint("pass what `flowhost keys show` prints on the host that ran the plan")
        })?;
        keys.push(key);
    }
    if let Some(path) = &args.trust {
        let text = ambient.read_text(path, TRUST_BYTES_MAX)?;
        let more = parse_trust(&text).map_err(|error| {
            Failure::new(Exit::Usage, format!("cannot use {}", path.display()))
                .caused_by(&error)
                .hint("the file holds one list: keys = [\"NAME+ID+BASE64\"]")
        })?;
        keys.extend(more);
    }
    Ok(keys)
}

fn witnessed(args: &VerifyArgs, ambient: &Ambient) -> Result<Vec<Note>, Failure> {
    let Some(path) = &args.witness else {
        return Ok(Vec::new());
    };
    read_witness(&RealDisk, &ambient.resolve(path)).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot use {}", path.display()))
            .caused_by(&error)
            .hint("pass the file that `flowhost run --witness FILE` appended to")
    })
}
