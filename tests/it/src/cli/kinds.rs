//! Every kind of record and every exit code is one that something leaves: a word in the book that nobody
//! writes is a promise that nothing keeps.

use std::collections::BTreeSet;
use std::path::Path;

use flowhost_flow::Exit;
use flowhost_ledger::Kind;
use serde_json::Value;

use super::{plan, tool};
use crate::support::{Home, repository};

/// A test of this program, by its file and name.
type Test = (&'static str, &'static str);

/// Kinds that need a server, a kill or an agent: who looks for each.
const ELSEWHERE: &[(Kind, Test)] = &[
    (Kind::RunSettle, SETTLED),
    (Kind::Reload, SWAPPED),
    (Kind::SecretUse, TOLD),
    (Kind::McpHandshake, SERVED),
    (Kind::McpToolRegister, SERVED),
    (Kind::ProcessStart, STARTED),
    (Kind::ProcessEnd, STARTED),
];
const SETTLED: Test = (
    "cli/by_word.rs",
    "a_step_that_is_settled_as_failed_fails_by_the_persons_word",
);
const SWAPPED: Test = (
    "held.rs",
    "a_call_ends_on_the_build_that_it_began_with_and_the_next_takes_the_new_one",
);
const TOLD: Test = (
    "cli/stranger.rs",
    "a_secret_that_a_guest_was_told_is_in_nothing_that_a_run_leaves",
);
const SERVED: Test = (
    "mcp/client.rs",
    "a_server_of_either_era_is_found_out_and_its_tool_called",
);
const STARTED: Test = (
    "mcp/process.rs",
    "a_server_that_is_started_is_found_out_and_its_tool_called_in_either_era",
);

/// Who ends with each exit code.
const ENDS: &[(Exit, Test)] = &[
    (Exit::Ok, ("cli/endings.rs", "a_run_that_works_ends_with_0")),
    (
        Exit::Internal,
        ("cli/report.rs", "a_run_that_is_not_there_has_no_page"),
    ),
    (
        Exit::Conflict,
        (
            "cli/consensus.rs",
            "a_conflict_ends_with_2_and_an_absence_with_3",
        ),
    ),
    (
        Exit::Degraded,
        (
            "cli/consensus.rs",
            "a_conflict_ends_with_2_and_an_absence_with_3",
        ),
    ),
    (
        Exit::Guardrail,
        ("cli/endings.rs", "a_check_that_is_false_ends_with_4"),
    ),
    (
        Exit::Budget,
        (
            "cli/endings.rs",
            "a_budget_of_calls_that_is_used_up_ends_with_5",
        ),
    ),
    (
        Exit::Denied,
        (
            "cli/endings.rs",
            "a_denied_run_ends_with_6_a_record_and_lines_to_judge",
        ),
    ),
    (
        Exit::Limit,
        (
            "cli/endings.rs",
            "dos_001_a_loop_ends_with_7_and_names_the_limit",
        ),
    ),
    (
        Exit::Plugin,
        (
            "cli/endings.rs",
            "a_plugin_that_panics_ends_with_8_and_its_step_is_named",
        ),
    ),
    (
        Exit::Waiting,
        (
            "cli/by_word.rs",
            "a_run_that_waits_for_a_person_needs_no_process_and_goes_on_by_their_word",
        ),
    ),
    (
        Exit::Usage,
        (
            "cli/retained.rs",
            "runs_are_listed_by_status_plan_label_and_time",
        ),
    ),
    (
        Exit::HungUp,
        (
            "cli/resumed.rs",
            "a_signal_to_the_process_lets_what_is_at_work_end_and_the_run_go_on_later",
        ),
    ),
    (
        Exit::Interrupted,
        (
            "cli/interrupted.rs",
            "an_interrupt_closes_the_ledger_with_a_checkpoint_and_ends_with_130",
        ),
    ),
    (
        Exit::Terminated,
        (
            "cli/resumed.rs",
            "a_signal_to_the_process_lets_what_is_at_work_end_and_the_run_go_on_later",
        ),
    ),
];

/// The source of a test.
#[track_caller]
fn source((file, name): Test) -> String {
    let path = repository().join("tests/it/src").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text
        .find(&format!("fn {name}("))
        .unwrap_or_else(|| panic!("{file}: {name} is gone"));
    let rest = &text[begin..];
    rest[..rest.find("\n}\n").unwrap()].to_owned()
}

/// The kinds of all records in the segments below a folder.
fn kinds_below(dir: &Path, kinds: &mut BTreeSet<Kind>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            kinds_below(&path, kinds);
        } else if name.starts_with("seg-") {
            let text = std::fs::read_to_string(&path).unwrap();
            let records = text
                .lines()
                .filter_map(|line| serde_json::from_str::<Value>(line).ok());
            kinds.extend(records.filter_map(|record| Kind::parse(record["kind"].as_str()?)));
        }
    }
}

/// What a person can do with a run and its ledger on one machine, one thing after another.
fn kinds_of_a_life() -> BTreeSet<Kind> {
    let home = Home::new();
    home.guest("ok_echo");
    home.guest("fault_flaky");
    let tools = tool("ok_echo", "deny-all") + &tool("fault_flaky", "deny-all");
    let steps = "  first: { uses: ok_echo/run, with: { a: 1 }, effects: idempotent }\n  \
                 flaky:\n    uses: fault_flaky/run\n    with: { good_from: 2 }\n    needs: [first]\n    \
                 retry: { max_attempts: 2, backoff: { initial: 1ms, factor: 1.0, max: 1ms, jitter: 0.0 }, \
                 retry_on: [transient] }\n  \
                 review: { needs: [flaky], wait_for: approval, timeout: 4h }";
    home.file("plan.yaml", plan(&tools, steps));
    let waits = home.flowhost(&["run", "plan.yaml", "--json"]).expect(9);
    let run = waits.json()["run_id"].as_str().unwrap().to_owned();
    home.flowhost(&["runs", "approve", &run, "review", "--by", "ann"])
        .expect(0);
    home.flowhost(&["runs", "resume", &run, "--json"]).expect(0);
    let kept = home.records();
    let kept = kept.iter().find(|record| record["commit"].is_string());
    let seq = kept.unwrap()["seq"].as_str().unwrap().to_owned();
    // Before anything of it is erased: nothing can be taken from a run that is not whole.
    home.flowhost(&["run", "plan.yaml", "--reuse", &run, "--json"])
        .expect(9);
    let erase = [
        "evidence", "erase", &seq, "--run", &run, "--reason", "asked",
    ];
    home.flowhost(&erase).expect(0);
    home.flowhost(&["keys", "rotate"]).expect(0);
    let state = home.path().join(".flowhost");
    let mut kinds = BTreeSet::new();
    kinds_below(&state, &mut kinds);
    home.flowhost(&["runs", "prune", "--keep", "1"]).expect(0);
    home.flowhost(&["runs", "restore", &run]).expect(0);
    // What a loss of power leaves of a record.
    let index = state.join("default/runs.index/seg-00000000.jsonl");
    let mut torn = std::fs::read(&index).unwrap();
    torn.extend_from_slice(b"{\"actor\":\"default/ho");
    std::fs::write(&index, torn).unwrap();
    home.flowhost(&["run", "plan.yaml", "--json"]).expect(9);
    kinds_below(&state, &mut kinds);
    kinds
}

#[test]
fn every_kind_of_record_is_left_by_a_run_of_the_tests() {
    let mut left = kinds_of_a_life();
    kinds_below(&repository().join("tests/golden"), &mut left);
    for (kind, test) in ELSEWHERE {
        let word = format!("\"{}\"", kind.as_str());
        assert!(
            source(*test).contains(&word),
            "{test:?} does not look for {word}"
        );
        assert!(
            left.insert(*kind),
            "{word} is left here; take it out of the list"
        );
    }
    let missing: Vec<_> = (Kind::ALL.iter())
        .filter(|(kind, ..)| !left.contains(kind))
        .map(|(_, word, _)| *word)
        .collect();
    assert!(missing.is_empty(), "nothing leaves {missing:?}");
}

#[test]
fn every_exit_code_is_one_that_a_test_ends_with() {
    for exit in Exit::ALL {
        let found = ENDS.iter().find(|(of, _)| of == exit);
        let (_, test) = found.unwrap_or_else(|| panic!("nobody ends with {exit:?}"));
        let text = source(*test);
        let mut words = text.split(|char: char| !char.is_alphanumeric());
        let code = exit.code().to_string();
        assert!(
            words.any(|word| word == code),
            "{test:?} does not end with {code}"
        );
    }
}
