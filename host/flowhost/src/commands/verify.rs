//! `flowhost verify`: checks evidence with nothing but its files and the keys that are believed.
//!
//! Must need no state of this host beyond finding a run by its name and the host's own public keys: the
//! same command runs on another machine on a copied folder.

use std::path::{Path, PathBuf};

use flowhost::ambient::Ambient;
use flowhost::failure::Failure;
use flowhost::keys::own_keys;
use flowhost::made_here;
use flowhost::output::neutral;
use flowhost::state::FindRuns as _;
use flowhost_evidence::links;
use flowhost_flow::Exit;
use flowhost_ledger::{
    Code, LedgerReport, Note, NoteError, PROOF_BYTES_MAX, Problem, ProofError, RealDisk, Report,
    Trust, VKey, VerifyOptions, parse_trust, read_witness, verify_path, verify_proof_of,
    verify_removed,
};

use super::verify_files;
use crate::cli::VerifyArgs;
use crate::commands::Context;

/// How to say which key is believed.
const GIVE_A_KEY: &str = "give the key with `--key KEY` or `--trust FILE`. KEY is what `flowhost keys show --state DIR` \
                          prints, where DIR is the state folder (`.flowhost`) that the run was made in: each \
                          state folder has a key of its own";
/// A ledger names the key that signed it; a proof does not.
const OR_ANY_KEY: &str = "; `--any-key` checks only that the evidence agrees with itself";
const NO_KEY_WITHIN: &str =
    "; a proof names no key of its own, so that `--any-key` has nothing to check it with";
/// A file of keys: thousands of them.
const TRUST_BYTES_MAX: u64 = 1 << 20;

pub(crate) fn perform(args: &VerifyArgs, context: &Context) -> Result<Exit, Failure> {
    let target = target(args, context)?;
    let trusted = trusted(args, &context.ambient)?;
    // Before anything else: a proof is a file, and would be refused as a ledger that is none.
    if let Some(text) = proof(&target, &context.ambient) {
        return verify_record(&text, trusted, context);
    }
    // A run that was killed is signed first: it would be told as one that nobody ended.
    if target.own {
        super::settle(context);
    }
    let options = VerifyOptions {
        trusted,
        witnessed: witnessed(args, &context.ambient)?,
        in_place: target.run.is_some(),
        ..VerifyOptions::default()
    };
    let mut report = match options.trusted.is_empty() {
        true => verify_by_own_keys(&target, options, context)?,
        false => target.verify(&options),
    };
    if let Some(run) = &target.run {
        require_run(&mut report, context.state.tenant(), run);
    }
    if !args.any_key {
        require_trust(&mut report);
    }
    // After trust: what a run says of others counts only where the run is believed.
    linked(&mut report, &target);
    // Of a run that goes on, a stage may be writing some.
    if let Some(run) = &target.run
        && report.ok
        && report.ledgers.iter().any(|it| it.ended)
    {
        verify_files::compare(&mut report, &target.path, run, &context.ambient);
    }
    if context.output.json {
        context.output.document(&report);
    } else {
        context.output.result(&neutral(&format!("{report}\n")));
    }
    Ok(if report.ok { Exit::Ok } else { Exit::Internal })
}

/// What is wrong with the ledger of a run of this host: the first that `flowhost verify` would say; none where it
/// stands as a key of this host signed it.
pub(super) fn wrong_with(run: &str, context: &Context) -> Result<Option<String>, Failure> {
    let options = VerifyOptions {
        trusted: own_keys(&context.ambient, &context.state)?,
        in_place: true,
        ..VerifyOptions::default()
    };
    let mut report = verify_path(&context.state.run_dir(run), &options);
    require_run(&mut report, context.state.tenant(), run);
    require_trust(&mut report);
    let problem = report.all_problems().next().map(|it| it.what.clone());
    Ok((!report.ok).then(|| problem.unwrap_or_else(|| "it is not signed".to_owned())))
}

/// Follows what a run says of other runs.
fn linked(report: &mut Report, target: &Target) {
    if target.run.is_none() || !report.ok {
        return; // a record that does not hold says nothing
    }
    let Ok(links) = links::follow(&target.path) else {
        return; // what was read a moment ago is damaged now; the next `verify` says where
    };
    match links.same {
        0 => {}
        1 => report
            .notes
            .push("1 record of another run is as this run says".to_owned()),
        same => report
            .notes
            .push(format!("{same} records of other runs are as this run says")),
    }
    for run in links.gone {
        let note = format!("run {run} is gone: what this run says of it was not looked at");
        report.notes.push(note);
    }
    for (seq, what) in links.wrong {
        report.ok = false;
        report.problems.push(Problem {
            code: Code::Record,
            file: target.path.display().to_string(),
            line: None,
            offset: None,
            seq: Some(seq),
            what,
        });
    }
}

/// What is verified: a path, or a run of this host, which must then be that very run.
struct Target {
    path: PathBuf,
    run: Option<String>,
    /// Below this host's state: signed by a key of this host, or not what it says.
    own: bool,
    /// A run that was removed: what is left of it is verified.
    removed: Option<String>,
}

impl Target {
    fn verify(&self, options: &VerifyOptions) -> Report {
        match &self.removed {
            Some(run) => verify_removed(&self.path, run, options),
            None => verify_path(&self.path, options),
        }
    }
}

/// Nobody named a key: this host's own are believed. Where none is at work here, the state folder that is looked at is,
/// if it was made on this machine. A folder or bundle from elsewhere may be by another host; then only the ledger itself
/// names its key, and the report says so.
fn verify_by_own_keys(
    target: &Target,
    mut options: VerifyOptions,
    context: &Context,
) -> Result<Report, Failure> {
    let none = options.clone();
    let (ambient, state) = (&context.ambient, &context.state);
    options.trusted = own_keys(ambient, state)?;
    // Beside a host that has keys, another state folder is another host, whoever made it.
    if options.trusted.is_empty()
        && let Some(around) = made_here::around(ambient, &target.path, state.tenant())
    {
        options.trusted = own_keys(ambient, &around)?;
    }
    let report = target.verify(&options);
    let foreign = report
        .all_problems()
        .any(|problem| problem.code == Code::UnknownKey);
    // Below our own state a strange key is the fault itself, and its ledger must not vouch for itself.
    Ok(match foreign && !target.own {
        true => target.verify(&none),
        false => report,
    })
}

/// A path that exists is that path; anything else names a run. A run's own folder is that run.
fn target(args: &VerifyArgs, context: &Context) -> Result<Target, Failure> {
    let (ambient, state) = (&context.ambient, &context.state);
    let path = Path::new(&args.target);
    if !ambient.is_dir(path) && !ambient.is_file(path) {
        let run = match state.resolve_run(ambient, &args.target) {
            Ok(run) => run,
            Err(failure) => {
                let removed = state.removed_run(&args.target).ok_or(failure)?;
                return Ok(Target {
                    path: state.tenant_dir(),
                    run: None,
                    own: true,
                    removed: Some(removed.run_id),
                });
            }
        };
        return Ok(Target {
            path: state.run_dir(&run),
            run: Some(run),
            own: true,
            removed: None,
        });
    }
    let path: PathBuf = ambient.resolve(path).components().collect();
    let name = path.file_name().and_then(|name| name.to_str());
    let run = name.filter(|name| path == state.run_dir(name));
    Ok(Target {
        run: run.map(str::to_owned),
        own: path.starts_with(state.root()),
        path,
        removed: None,
    })
}

/// The text of a proof, if that is what the path names: the proof itself, or what
/// `evidence prove --json` printed.
fn proof(target: &Target, ambient: &Ambient) -> Option<String> {
    if !ambient.is_file(&target.path) {
        return None;
    }
    // A bundle is larger, or not a text; neither is a proof.
    let text = ambient.read_text(&target.path, PROOF_BYTES_MAX).ok()?;
    let document: Option<serde_json::Value> = serde_json::from_str(&text).ok();
    let text = document
        .as_ref()
        .and_then(|it| it.get("proof")?.as_str())
        .map_or(text.clone(), str::to_owned);
    // Also where an editor put a mark before it: that it is a proof, and not a good one, is what has to be told.
    let marked = text.strip_prefix('\u{feff}').unwrap_or(&text);
    marked.starts_with("c2sp.org/tlog-proof@").then_some(text)
}

/// Checks that one record is in a ledger that a believed key signed.
fn verify_record(text: &str, mut keys: Vec<VKey>, context: &Context) -> Result<Exit, Failure> {
    if keys.is_empty() {
        keys = own_keys(&context.ambient, &context.state)?;
    }
    let found = verify_proof_of(text, &keys).map_err(|error| {
        let failure = Failure::new(Exit::Internal, "the proof proves nothing").caused_by(&error);
        match error {
            ProofError::Note(NoteError::UnknownKey) => {
                failure.hint(format!("{GIVE_A_KEY}{NO_KEY_WITHIN}"))
            }
            ProofError::Malformed(_) => failure.hint(
                "a proof counts to the byte: a mail program or an editor may have changed the ends of its lines or put \
                 a mark before it; make it anew with `flowhost evidence prove SEQ > FILE`, or send it in an archive",
            ),
            _ => failure,
        }
    })?;
    let (seq, signed) = (found.proven.seq, &found.proven.checkpoint);
    let record = String::from_utf8_lossy(&found.line);
    if context.output.json {
        context.output.document(&serde_json::json!({
            "ok": true, "seq": seq, "origin": signed.origin, "records": signed.size,
            "key": found.key.to_string(), "record": record,
        }));
    } else {
        let text = format!(
            "verified: record {seq} of {} is one of the {} that were signed\n  key     trusted: {}\n  record  {record}\n",
            signed.origin, signed.size, found.key
        );
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

/// Evidence by a key that nobody vouched for is not verified: whoever rewrote everything would pass, too.
fn require_trust(report: &mut Report) {
    let asserted = |ledger: &&LedgerReport| ledger.trust == Some(Trust::SelfAsserted);
    // Every key has somebody who vouches for it.
    let Some(ledger) = report.ledgers.iter().find(asserted) else {
        return;
    };
    let problem = Problem {
        code: Code::UnknownKey,
        // A bundle's own ledger lies at its root, which has no name: the bundle's is told.
        file: match ledger.path.as_str() {
            "" => report.path.clone(),
            path => path.to_owned(),
        },
        line: None,
        offset: None,
        seq: None,
        what: format!("nobody vouches for the key that signed it; {GIVE_A_KEY}{OR_ANY_KEY}"),
    };
    report.ok = false;
    report.problems.push(problem);
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
                .hint(
                    "pass what `flowhost keys show --state DIR` prints, where DIR is the state folder (`.flowhost`) \
                     that the run was made in",
                )
        })?;
        keys.push(key);
    }
    if let Some(path) = &args.trust {
        let text = ambient.read_text(path, TRUST_BYTES_MAX)?;
        let more = parse_trust(&text).map_err(|error| {
            let refused = Failure::new(Exit::Usage, format!("cannot use {}", path.display()));
            refused.caused_by(&error).hint(
                "the file holds one list, the keys that runs are signed with: keys = [\"NAME+ID+BASE64\"]",
            )
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
