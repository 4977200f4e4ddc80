//! What the journal keeps, takes out and passes on.

use flowhost_flow::planner::{Note, StepSummary};
use flowhost_flow::{Amounts, StepStatus};
use flowhost_ledger::MemoryRecorder;

use super::*;
use crate::earlier::resume::rebuild::Written;
use crate::standin::free::Free as _;

#[test]
fn takes_keys_and_personal_data_out_of_payloads_and_of_what_was_asked() {
    let recorder = Arc::new(MemoryRecorder::default());
    let journal = Journal::new(recorder.clone(), "default", true);
    let fact = Fact::new(Kind::FsOp, "default/a")
        .with("wanted", "read /docs/ann@example.org.md")
        .with("step", "4111111111111111")
        .payload(br#"{"to":"ann@example.org"}"#.to_vec());
    journal.append(fact).unwrap();
    let kept = recorder.facts().remove(0);
    let mut cut = "read /x ghp_abcdefghijklmnop…".to_owned();
    super::clean(&mut cut);
    assert_eq!(cut, "read /x …");
    let text = |name: &str| kept.fields.get(name).unwrap().as_text().unwrap().to_owned();
    assert!(!text("wanted").contains("ann@"), "{}", text("wanted"));
    assert_eq!(text("step"), "4111111111111111", "an id is the host's own");
    assert_eq!(kept.payload.unwrap(), br#"{"to":"[redacted:email]"}"#);
}

#[test]
fn a_budget_that_the_plan_leaves_open_is_the_default_one() {
    let budget = budget(&[Some(5), None, None, Some(7)], 9);
    let wanted = [
        ("calls", "5"),
        ("evidence", "9"),
        ("fuel", "1000000000000000"),
        ("micro_usd", "7"),
        ("tokens", "2000000"),
    ];
    let found = budget.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    assert_eq!(found.collect::<Vec<_>>(), wanted);
}

#[test]
fn counts_a_denial_with_the_number_of_its_record() {
    let journal = Journal::new(Arc::new(MemoryRecorder::default()), "default", false);
    let fact = || Fact::new(Kind::FsOp, "default/a");
    journal.append(fact().with("decision", "allow")).unwrap();
    journal
        .append(fact().with("decision", "deny").with("rule", "files#none"))
        .unwrap();
    let denials = journal.denials();
    assert_eq!(denials.len(), 1);
    assert_eq!(
        (denials[0].seq, denials[0].rule.as_str()),
        (1, "files#none")
    );
}

#[test]
fn a_note_is_told_from_others_as_its_record_is() {
    let journal = Journal::new(Arc::new(MemoryRecorder::default()), "default", false);
    let started = |attempt| Note::StepStarted {
        step_id: "s1".to_owned(),
        path: "a[0]".to_owned(),
        stage: Some("one".to_owned()),
        attempt,
    };
    let ended = |status, failure: Option<flowhost_flow::Failure>| {
        Note::StepEnded(StepSummary {
            step_id: "s1".to_owned(),
            path: "a[0]".to_owned(),
            stage: None,
            status,
            attempts: 2,
            duration_ms: 3,
            used: Amounts::default(),
            failure,
        })
    };
    let failure =
        flowhost_flow::Failure::new(flowhost_flow::FailureClass::Timeout, "it took too long");
    for note in [
        started(1),
        ended(StepStatus::Ok, None),
        ended(StepStatus::Failed, Some(failure)),
    ] {
        let fact = journal.fact_of(&note).unwrap();
        assert_eq!(Written::of_note(&note), Some(Written::of_fact(&fact)));
    }
    // Another attempt has a record of its own, which is made to be compared.
    assert_eq!(Written::of_note(&started(2)), None);
}
