//! `flowhost evidence prove`, `flowhost evidence export` and `flowhost evidence erase`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::keys::{in_use, own_keys};
use flowhost::output::neutral;
use flowhost::report::page;
use flowhost::state::FindRuns as _;
use flowhost_flow::Exit;
use flowhost_ledger::records::{Erasure, RecordKind as _};
use flowhost_ledger::{
    Bundle, Ledger, LedgerError, LedgerOptions, Payloads, ReadError, RealDisk, Recorder as _,
    SEALED_KEY, StoredRecord, erase_sealed_key, prove_in, read_run,
};
use flowhost_words::shell_word;

use crate::cli::EvidenceCommand;
use crate::commands::runs_show::warn_of_cut;
use crate::commands::specs::{self, Then};
use crate::commands::{Context, packets};

pub(crate) fn perform(command: &EvidenceCommand, context: &mut Context) -> Result<Exit, Failure> {
    // What a kill left is signed before it is proved, exported or erased from.
    super::settle(context);
    match command {
        EvidenceCommand::Ls { spec, evidence } => specs::list(spec, evidence, context),
        EvidenceCommand::Stats { evidence } => specs::stats(evidence, context),
        EvidenceCommand::Archive(args) => specs::put_away(args, Then::Leave, context),
        EvidenceCommand::Prune(args) => specs::put_away(args, Then::Remove, context),
        EvidenceCommand::Kit(args) => packets::kit(args, context),
        EvidenceCommand::Audit(args) => packets::audit(args, context),
        EvidenceCommand::Baseline(args) => packets::baseline(args, context),
        EvidenceCommand::Security(args) => packets::security(args, context),
        EvidenceCommand::Prove { seq, run } => prove_record(context, run, *seq),
        EvidenceCommand::Export { run, out, sealed } => export(context, run, out, *sealed),
        EvidenceCommand::Erase {
            seq: Some(seq),
            run,
            reason,
            ..
        } => erase(context, run, *seq, reason),
        EvidenceCommand::Erase {
            seq: None,
            run,
            reason,
            ..
        } => erase_key(context, run, reason),
    }
}

fn prove_record(context: &Context, run: &str, seq: u64) -> Result<Exit, Failure> {
    let files = context.state.files_of_run(&context.ambient, run)?;
    let run = &files.run;
    let proof = prove_in(&*files.source, &files.dir, seq).map_err(|error| {
        Failure::new(
            Exit::Internal,
            format!("record {seq} of run {run} has no proof"),
        )
        .caused_by(&error)
    })?;
    if context.output.json {
        let document = serde_json::json!({ "run_id": run, "seq": seq, "proof": proof });
        context.output.document(&document);
    } else {
        context.output.result(&proof);
    }
    Ok(Exit::Ok)
}

/// One file that needs nothing of this host to be verified, except the key that one believes.
fn export(context: &Context, run: &str, out: &Path, sealed: bool) -> Result<Exit, Failure> {
    let (state, ambient) = (&context.state, &context.ambient);
    let files = state.files_of_run(ambient, run)?;
    let run = &files.run;
    warn_of_cut(run, &*files.source, &files.dir, context);
    // Streamed: payloads of a run may be larger than memory.
    let bytes = ambient.write_with(out, |file| {
        Bundle::write(&*files.source, &files.dir, sealed, &[], file)
    })?;
    let keys: Vec<String> = own_keys(ambient, state)?
        .iter()
        .map(ToString::to_string)
        .collect();
    let file = out.display().to_string();
    if context.output.json {
        let document = serde_json::json!({
            "run_id": run, "file": file, "bytes": bytes, "keys": keys,
        });
        context.output.document(&document);
    } else {
        let mut text = format!("{file}: run {run}, {bytes} bytes\n");
        if let Some(key) = keys.first() {
            let file = shell_word(&file);
            text.push_str(&format!(
                "check it anywhere with: flowhost verify {file} --key '{key}'\n"
            ));
        }
        context.output.result(&neutral(&text));
    }
    Ok(Exit::Ok)
}

/// The record, which must be one that committed to a payload.
fn with_payload(dir: &Path, seq: u64) -> Result<StoredRecord, Failure> {
    let mut records = read_run(dir).map_err(|error| unreadable(&error))?;
    let is_it = |record: &Result<StoredRecord, ReadError>| match record {
        Ok(record) => record.seq == seq,
        // Nothing behind a record that cannot be read is believed.
        Err(_) => true,
    };
    let record = records.find(is_it).transpose();
    let Some(record) = record.map_err(|error| unreadable(&error))? else {
        let failure = Failure::new(Exit::Internal, format!("the run has no record {seq}"));
        return Err(failure.hint("`flowhost runs show RUN` lists the records"));
    };
    if record.commit.is_none() {
        let message = format!(
            "record {seq} (`{}`) has no payload to erase",
            record.kind_text
        );
        let hint = "`flowhost runs show RUN --json` shows a `commit` on every record that has one";
        return Err(Failure::new(Exit::Internal, message).hint(hint));
    }
    Ok(record)
}

fn unreadable(error: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::Internal, "the ledger cannot be read")
        .caused_by(error)
        .hint("`flowhost verify RUN` says where the first fault is")
}

/// The record and all others whose payloads are stored as one with its own; empty where it is gone.
fn that_share(dir: &Path, record: &StoredRecord) -> Result<BTreeSet<u64>, Failure> {
    let commit = record.commit.as_deref().unwrap_or_default();
    let payloads = Payloads::open(&RealDisk, dir).map_err(|error| unreadable(&error))?;
    let found = payloads.get(record.seq, commit);
    let found = found.map_err(|error| unreadable(&error))?;
    let mut all = payloads.same_as(record.seq);
    all.insert(record.seq);
    Ok(found.map_or_else(BTreeSet::new, |_| all))
}

fn erase(context: &Context, run: &str, seq: u64, reason: &str) -> Result<Exit, Failure> {
    let state = &context.state;
    let run = state.resolve_run(&context.ambient, run)?;
    let failed = |error: &dyn std::error::Error| {
        let what = format!("the payload of record {seq} of run {run} was not erased");
        Failure::new(Exit::Internal, what).caused_by(error)
    };
    let key = in_use(&context.ambient, state).map_err(|error| failed(&error))?;
    let dir = state.run_dir(&run);
    // Whoever asks for bytes to go means the bytes, wherever else the run has met them.
    let all = with_payload(&dir, seq).and_then(|record| that_share(&dir, &record));
    let all = all.map_err(|failure| failure.named("RUN", &run))?;
    if all.is_empty() {
        return Ok(gone_before(context, &run, seq));
    }
    let options = LedgerOptions::new(&dir, state.tenant(), &run, Arc::new(key));
    // Before the mark: one of an erasure that is refused here would have later commands finish what never began.
    let ledger = Ledger::reopen(&options).map_err(|error| failed(&error))?;
    // Before anything goes: a process that is killed while it erases leaves the mark, and the next command makes the page
    // anew without what is gone.
    let mark = page::Mark::set(state, &run, &context.ambient)?;
    let erased = ledger.erase_blocking(all.clone(), reason);
    let anew = match erased {
        Ok(1..) => page::rewrite(&ledger, state, &run, &context.ambient),
        _ => Ok(false),
    };
    // Closed whatever became of the erasure: one that stays open looks as if its process had been killed.
    let sealed = ledger.close_blocking().map_err(|error| failed(&error))?;
    let erased = match erased {
        Ok(erased) => erased,
        Err(error) => {
            // Nothing of it is on record. After any other error it may be, and whoever opens the ledger ends it.
            if matches!(error, LedgerError::Refused(_)) {
                mark.clear();
            }
            return Err(failed(&error));
        }
    };
    let anew = anew?;
    mark.clear();
    if context.output.json {
        let document = serde_json::json!({
            "run_id": run, "seq": seq, "seqs": all, "erased": erased, "records": sealed.size, "root": sealed.root,
            "report_rewritten": anew,
        });
        context.output.document(&document);
    } else {
        let others: Vec<String> = all
            .iter()
            .filter(|it| **it != seq)
            .map(u64::to_string)
            .collect();
        let others = match others.as_slice() {
            [] => String::new(),
            [one] => format!(", and of record {one}, which had the same bytes"),
            more => format!(
                ", and of records {}, which had the same bytes",
                more.join(", ")
            ),
        };
        context
            .output
            .message(&format!("erased the payload of record {seq}{others}\n"));
        if anew {
            context
                .output
                .message("wrote report.html anew without it\n");
        }
        if context.ambient.is_file(&dir.join("report.json")) {
            context.output.message(
                "hint: report.json beside the ledger holds the run's outputs; remove it if they must go, too\n",
            );
        }
    }
    Ok(Exit::Ok)
}

/// Erases the key of all that a run has sealed: what was redacted stays so for good.
fn erase_key(context: &Context, run: &str, reason: &str) -> Result<Exit, Failure> {
    let state = &context.state;
    let run = state.resolve_run(&context.ambient, run)?;
    let failed = |error: &dyn std::error::Error| {
        let what = format!("what run {run} has sealed was not erased");
        Failure::new(Exit::Internal, what).caused_by(error)
    };
    let dir = state.run_dir(&run);
    if !context.ambient.is_file(&dir.join(SEALED_KEY)) {
        let what = format!("run {run} has no key of sealed payloads");
        let why = "it sealed nothing, or the key was erased before; nothing was recorded";
        return Err(Failure::new(Exit::Internal, what).because(why));
    }
    let key = in_use(&context.ambient, state).map_err(|error| failed(&error))?;
    let options = LedgerOptions::new(&dir, state.tenant(), &run, Arc::new(key));
    let ledger = Ledger::reopen(&options).map_err(|error| failed(&error))?;
    let erasure = Erasure {
        reason: reason.to_owned(),
        seqs: Vec::new(),
        key: Some(true),
    };
    // The record first: a key that is gone without one could not be told from one that was stolen.
    ledger
        .append(erasure.by(format!("{}/host", state.tenant())))
        .map_err(|error| failed(&error))?;
    let sealed = ledger.close_blocking().map_err(|error| failed(&error))?;
    erase_sealed_key(&dir).map_err(|error| failed(&error))?;
    if context.output.json {
        let document = serde_json::json!({
            "run_id": run, "key_erased": true, "records": sealed.size, "root": sealed.root,
        });
        context.output.document(&document);
    } else {
        let text = format!("erased the key of what run {run} had sealed\n");
        context.output.message(&text);
    }
    Ok(Exit::Ok)
}

/// Nothing is left to do, and so nothing is recorded.
fn gone_before(context: &Context, run: &str, seq: u64) -> Exit {
    if context.output.json {
        let document = serde_json::json!({ "run_id": run, "seq": seq, "erased": 0 });
        context.output.document(&document);
    } else {
        let text = format!("the payload of record {seq} is gone already; nothing was recorded\n");
        context.output.message(&text);
    }
    Exit::Ok
}
