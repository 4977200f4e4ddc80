//! What a run's records add to what is known of its past.

use std::sync::Arc;

use flowhost_ledger::records::{
    GuardVerdict, PlannerEvent, RecordKind as _, RunEnd, RunResume, RunSettle, StepEnd, StepStart,
    ViewWrite,
};
use flowhost_ledger::{Fact, HostKey, Ledger, LedgerOptions, Recorder as _};

use super::*;
use crate::earlier::resume::past::read_to;

/// A run of which this is on record.
fn past(facts: Vec<Fact>) -> Result<Past, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(HostKey::from_seed("host.example", [7; 32]).unwrap());
    let run = "01KBGHJKMNPQRSTVWXYZ012345";
    let options = LedgerOptions::new(dir.path(), "default", run, key);
    let ledger = Ledger::open(&options).unwrap();
    for fact in facts {
        ledger.append(fact).unwrap();
    }
    ledger.close_blocking().unwrap();
    read_to(dir.path(), None, u64::MAX)
}

fn by_host(record: impl flowhost_ledger::records::RecordKind) -> Fact {
    record.by("default/host")
}

/// A run in which a person has said that call 7 was done, and came to this.
fn settled(output: &str) -> Result<Past, Failure> {
    let word = RunSettle {
        call: 7,
        step: "s1".to_owned(),
        path: "pay".to_owned(),
        r#as: "done".to_owned(),
        by: None,
    };
    past(vec![by_host(word).payload(output.as_bytes().to_vec())])
}

fn event(event: &str) -> Fact {
    by_host(PlannerEvent {
        event: event.to_owned(),
        ..PlannerEvent::default()
    })
}

#[test]
fn a_stage_has_left_its_files_once_the_run_has_gone_on_and_nobody_knows_where_its_host_has_failed()
{
    let end = || by_host(StepEnd::default());
    let begin = || by_host(StepStart::default());
    let resume = || by_host(RunResume::default());
    let view = || {
        by_host(ViewWrite {
            path: "commands/S/a.json".to_owned(),
            root: Some("evidence".to_owned()),
            sha256: "0".repeat(64),
            ..ViewWrite::default()
        })
    };
    let whole = |behind: Vec<Fact>| {
        let facts = [end(), view()].into_iter().chain(behind);
        let past = past(facts.collect()).unwrap();
        (past.ends_whole, past.viewed.len())
    };
    assert_eq!(whole(vec![]), (0, 1), "killed before the second file");
    assert_eq!(whole(vec![begin()]), (1, 0));
    assert_eq!(whole(vec![event("timer_fired")]), (1, 0));
    // What the turn said besides is recorded all the same.
    let failed = vec![event("host_failed"), begin(), end()];
    assert_eq!(whole(failed), (0, 1));
    // Whoever takes it up records what a kill kept from being recorded, and leaves the files then.
    assert_eq!(whole(vec![resume(), begin()]), (0, 1));
    let gone_on = vec![event("host_failed"), resume(), event("timer_fired")];
    assert_eq!(whole(gone_on), (1, 0));
}

#[test]
fn what_plugins_have_recorded_counts_with_its_payloads() {
    let said = |actor: &str| {
        let verdict = GuardVerdict::default().by(actor);
        past(vec![verdict.payload(vec![b'x'; 5_000])])
            .unwrap()
            .bytes
    };
    let (of_plugin, of_host) = (said("default/guard"), said("default/host"));
    assert!(of_plugin > 5_000, "{of_plugin}");
    assert!(of_host < 5_000, "{of_host}");
}

#[test]
fn what_a_person_said_and_nobody_can_read_is_not_handed_on_as_null() {
    let past = settled(r#"{"n":1}"#).unwrap();
    let said = past.calls[&7].settled.as_ref();
    assert!(
        matches!(said, Some(Settled::Done(value)) if value["n"] == 1),
        "{said:?}"
    );
    let unreadable = settled(r#"{"n":"#).unwrap_err();
    assert_eq!(unreadable.message, "the run cannot be resumed");
}

#[test]
fn a_word_behind_the_end_is_about_no_call_that_goes_on_and_may_have_lost_its_note() {
    let end = by_host(RunEnd::default());
    let word = by_host(RunSettle {
        call: 7,
        r#as: "done".to_owned(),
        ..RunSettle::default()
    });
    // Without its payload, as where the note was erased.
    let past = past(vec![end, word]).unwrap();
    assert!(past.ended.is_some() && past.calls.is_empty());
}
