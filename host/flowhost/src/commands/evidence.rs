//! `flowhost evidence prove` and `flowhost evidence erase`.

use std::collections::BTreeSet;
use std::sync::Arc;

use flowhost::failure::Failure;
use flowhost::run::rewrite_page;
use flowhost_flow::Exit;
use flowhost_ledger::{HostKey, Ledger, LedgerOptions, prove};

use crate::cli::EvidenceCommand;
use crate::commands::Context;

pub(crate) fn perform(command: &EvidenceCommand, context: &Context) -> Result<Exit, Failure> {
    match command {
        EvidenceCommand::Prove { seq, run } => prove_record(context, run, *seq),
        EvidenceCommand::Erase { seq, run, reason } => erase(context, run, *seq, reason),
    }
}

fn prove_record(context: &Context, run: &str, seq: u64) -> Result<Exit, Failure> {
    let run = context.state.resolve_run(&context.ambient, run)?;
    let proof = prove(&context.state.run_dir(&run), seq).map_err(|error| {
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

fn erase(context: &Context, run: &str, seq: u64, reason: &str) -> Result<Exit, Failure> {
    let state = &context.state;
    let run = state.resolve_run(&context.ambient, run)?;
    let failed = |error: &dyn std::error::Error| {
        let what = format!("the payload of record {seq} of run {run} was not erased");
        Failure::new(Exit::Internal, what).caused_by(error)
    };
    let key = HostKey::load(&state.signing_key()).map_err(|error| failed(&error))?;
    let dir = state.run_dir(&run);
    let options = LedgerOptions::new(&dir, state.tenant(), &run, Arc::new(key));
    let ledger = Ledger::open(&options).map_err(|error| failed(&error))?;
    let erased = ledger.erase_blocking(BTreeSet::from([seq]), reason);
    let anew = match erased {
        Ok(1..) => rewrite_page(&ledger, state, &run, &context.ambient),
        _ => Ok(false),
    };
    let sealed = ledger.close_blocking().map_err(|error| failed(&error))?;
    let erased = erased.map_err(|error| failed(&error))?;
    let anew = anew?;
    if context.output.json {
        let document = serde_json::json!({
            "run_id": run, "seq": seq, "erased": erased, "records": sealed.size, "root": sealed.root,
            "report_rewritten": anew,
        });
        context.output.document(&document);
    } else if erased == 0 {
        context
            .output
            .message(&format!("record {seq} had no payload any more\n"));
    } else {
        context
            .output
            .message(&format!("erased the payload of record {seq}\n"));
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
