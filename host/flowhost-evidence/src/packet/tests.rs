//! Packets from evidence files that are made by hand.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::stage::{Form, Judged, judge};

mod gone;

fn put(files: &mut Files, path: &str, value: &Value) {
    files.insert(path.to_owned(), format!("{value}\n").into_bytes());
}

/// The latest run of two stages, and an older one of the first.
fn evidence(conflicts: &Value) -> Files {
    let mut files = Files::new();
    for (stage, at, status) in [
        ("plan", "20261126T07", "missing"),
        ("plan", "20261126T09", "conflict"),
        ("tasks", "20261126T10", "ok"),
    ] {
        let stem = format!("consensus/S/spec-{stage}_{at}Z");
        let line = json!({
            "schemaVersion": "2.0", "command": "spec", "specId": "S", "stage": stage, "sessionId": "R",
            "runId": format!("RUN-{at}"), "timestamp": format!("2026-11-26T{}:00:00Z", &at[9..]),
            "consensusStatus": status, "models_used": ["house/large"],
            "quality_metrics": { "automated_checks_passed": 2, "automated_checks_failed": 0 },
            "consensus": { "status": status, "agreements": [], "conflicts": [], "agents": [],
                           "agreement_ratio": 0.5, "total_cost_usd": 0.25 },
        });
        put(&mut files, &format!("{stem}_telemetry.jsonl"), &line);
        let open = if stage == "plan" {
            conflicts.clone()
        } else {
            json!([])
        };
        let output = json!({ "stage": stage, "tasks": [
            { "id": "T1", "title": "Write | it down", "owner_role": "engineer", "security_review": true },
            { "id": "T2", "title": "Switch it on", "owner_role": "manager", "security_review": false },
        ] });
        let synthesis = json!({
            "spec_id": "S", "stage": stage, "timestamp": "t", "agents": [], "missing_agents": [],
            "status": status, "output": output,
            "consensus": { "agreements": [], "conflicts": open, "conflicts_resolved": [] },
        });
        put(&mut files, &format!("{stem}_synthesis.json"), &synthesis);
    }
    let lines = json!([
        { "stage": "plan", "agent": "a", "cost_usd": 0.25 }, { "stage": "tasks", "agent": "a", "cost_usd": 0.25 },
    ]);
    let costs = json!({
        "schemaVersion": 1, "spec_id": "S", "total_cost_usd": 0.5,
        "per_stage": { "plan": 0.25, "tasks": 0.25 }, "breakdown": lines, "budget_usd": 3.0,
    });
    put(&mut files, "costs/S_cost_summary.json", &costs);
    files
}

fn read(files: &Files) -> Spec<'_> {
    read_with(files, &Recorded::new())
}

fn read_with<'f>(files: &'f Files, recorded: &Recorded) -> Spec<'f> {
    Spec::read("S", files, recorded, &|_, _| Proof::Recorded, &|_, _, _| {
        Proof::Recorded
    })
}

/// A run that began at noon of 2026-11-26, and `hours` later.
fn run(hours: u64) -> String {
    flowhost_flow::hash::run_id(1_795_694_400_000 + hours * 3_600_000, [7; 10])
}

fn page(files: &Files, name: &str) -> String {
    String::from_utf8(files[name].clone()).unwrap()
}

#[test]
fn the_latest_run_of_each_stage_counts_and_stages_stand_in_the_order_of_work() {
    let files = evidence(&json!([]));
    let spec = read(&files);
    let told: Vec<_> = spec
        .stages
        .iter()
        .map(|it| (it.stage.as_str(), it.status.as_str(), it.run_id.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            ("plan", "conflict", "RUN-20261126T09"),
            ("tasks", "ok", "RUN-20261126T10")
        ]
    );
}

#[test]
fn the_table_of_conflicts_is_there_when_there_is_none() {
    let files = evidence(&json!([]));
    let audit = read(&files).audit();
    assert_eq!((audit.open_conflicts, audit.not_ok), (0, 1));
    assert_eq!(
        page(&audit.files, "conflicts.md"),
        "# S: conflicts\n\n| stage | issue | positions | state | resolution | why |\n\
         | --- | --- | --- | --- | --- | --- |\n\nNo stage has a conflict, open or settled.\n"
    );
}

#[test]
fn an_open_conflict_is_in_the_table_in_the_retry_and_unticked() {
    let conflict = json!([{ "issue": "the | date", "positions": { "a": "May", "b": "June" } }]);
    let files = evidence(&conflict);
    let spec = read(&files);
    let audit = spec.audit();
    assert_eq!(audit.open_conflicts, 1);
    let row = "| plan | the \\| date | a: May; b: June | open |  |  |";
    assert!(page(&audit.files, "conflicts.md").contains(row));
    let kit = spec.kit();
    let retry = page(&kit, "retry.md");
    assert!(
        retry.contains("--from plan") && retry.contains("  - b: June"),
        "{retry}"
    );
    assert!(
        !retry.contains("--from tasks"),
        "what is ok is not tried again: {retry}"
    );
    let checklist = page(&kit, "checklist.md");
    assert!(
        checklist.contains("- [ ] plan: no conflict is open"),
        "{checklist}"
    );
    assert!(
        checklist.contains("- [x] tasks: no conflict is open"),
        "{checklist}"
    );
    assert!(
        checklist.contains("- [ ] security review of T1"),
        "{checklist}"
    );
    assert!(!checklist.contains("T2"), "{checklist}");
}

#[test]
fn costs_that_differ_are_said_and_unknown_ones_are_not_called_the_same() {
    let mut files = evidence(&json!([]));
    let of = |files: &Files| read(files).audit().reconciled;
    assert_eq!(of(&files), Reconciled::Yes);
    let path = "costs/S_cost_summary.json";
    let costs: Value = serde_json::from_slice(&files[path]).unwrap();
    let mut other = costs.clone();
    other["total_cost_usd"] = json!(0.75);
    put(&mut files, path, &other);
    assert_eq!(of(&files), Reconciled::No);
    let mut other_total = costs.clone();
    let mut other = costs;
    other["breakdown"][0]["cost_usd"] = Value::Null;
    put(&mut files, path, &other);
    assert_eq!(of(&files), Reconciled::Unknown);

    // Small stages cost a cent: a part of it is not what rounding makes, as a binary fraction is.
    for (total, same) in [
        (0.500_04, Reconciled::No),
        (0.500_001, Reconciled::No),
        (0.1 + 0.4 + 1e-12, Reconciled::Yes),
    ] {
        other_total["total_cost_usd"] = json!(total);
        put(&mut files, path, &other_total);
        assert_eq!(of(&files), same, "{total}");
    }
}

#[test]
fn a_sum_of_no_costs_has_no_sign() {
    let mut files = Files::new();
    let costs = json!({
        "schemaVersion": 1, "spec_id": "S", "total_cost_usd": 0.0, "per_stage": {}, "breakdown": [], "budget_usd": 3.0,
    });
    put(&mut files, "costs/S_cost_summary.json", &costs);
    let costs = page(&read(&files).audit().files, "costs.md");
    let row = "| all | 0.000000 | 0.000000 | 0.000000 | yes |";
    assert!(costs.contains(row), "{costs}");
}

#[test]
fn a_command_of_a_packet_does_what_it_says_whatever_evidence_calls_its_parts() {
    let mut files = evidence(&json!([]));
    let plan = page(&files, "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl");
    let mut line: Value = serde_json::from_str(&plan).unwrap();
    line["stage"] = json!("x; reboot\n## y: ok");
    line["runId"] = json!("R $(reboot)");
    put(
        &mut files,
        "consensus/S/spec-x_20261126T11Z_telemetry.jsonl",
        &line,
    );
    let tasks = "consensus/S/spec-tasks_20261126T10Z_synthesis.json";
    let text = page(&files, tasks).replace("\"T1\"", "\"T1; reboot\"");
    files.insert(tasks.to_owned(), text.into_bytes());
    let spec = read(&files);
    let kit = spec.kit();
    let retry = page(&kit, "retry.md");
    for command in [
        "$ flowhost runs show 'R $(reboot)'\n",
        "$ flowhost run PLAN --from 'x; reboot ## y: ok' --note",
    ] {
        assert!(retry.contains(command), "{command}: {retry}");
    }
    for page in [retry, page(&kit, "synopsis.md"), page(&kit, "checklist.md")] {
        assert!(!page.lines().any(|it| it.starts_with("## y")), "{page}");
    }
    let review = page(&spec.audit().files, "security-review.md");
    assert!(review.contains("--task 'T1; reboot' --says"), "{review}");
}

#[test]
fn the_latest_that_was_said_of_a_task_counts() {
    let mut files = evidence(&json!([]));
    let item = read(&files).security[0].clone();
    assert_eq!((item.task.as_str(), item.says), ("T1", Says::Open));
    for (says, hours, at) in [
        (Says::Passed, 1, "2026-11-26T13:00:00.000000Z"),
        (Says::Failed, 0, "2026-11-26T12:00:00.000000Z"),
    ] {
        let found = finding("S", &item, says, "jane", "looked at it", at);
        let file = found.file(&run(hours));
        assert_eq!(judge(&found.path, &file), Judged::Valid(Form::Security));
        files.insert(found.path.clone(), file);
    }
    let spec = read(&files);
    assert_eq!(
        (spec.security[0].says, spec.security[0].by.as_str()),
        (Says::Passed, "jane")
    );
    let audit = spec.audit();
    let review = page(&audit.files, "security-review.md");
    assert!(
        review.contains("| T1 | Write \\| it down | engineer | passed | jane |"),
        "{review}"
    );
    assert!(page(&audit.files, "sign-off.md").contains("security reviews that are open: 0"));
}

#[test]
fn a_word_on_security_counts_as_far_as_its_run_stands_behind_it() {
    let files = evidence(&json!([]));
    let item = read(&files).security[0].clone();
    let noon = "2026-11-26T12:00:00.000000Z";
    let said = |says, by, at| finding("S", &item, says, by, "", at);
    let mut real = files.clone();
    let failed = said(Says::Failed, "jane", noon);
    real.insert(failed.path.clone(), failed.file(&run(0)));

    // A time to come, a run that is none, a run of another time, another name than the one inside.
    let late = said(Says::Passed, "jane", "2099-01-01T00:00:00.000000Z");
    let named = format!("commands/S/{}_x_mallory_security.json", item.task);
    let later = said(Says::Passed, "jane", "2026-11-26T13:00:00.000000Z");
    for (path, file, why) in [
        (&late.path, late.file(&run(1)), "is not the time of the run"),
        (&later.path, later.file("R1"), "is not the id of a run"),
        (
            &later.path,
            later.file(&run(0)),
            "is not the time of the run",
        ),
        (&named, later.file(&run(1)), "its name is not that"),
    ] {
        let mut forged = real.clone();
        forged.insert(path.clone(), file);
        let spec = read(&forged);
        assert_eq!(spec.security[0].says, Says::Failed, "{why}");
        assert!(spec.invalid[path].contains(why), "{:?}", spec.invalid);
    }

    // What the run has not on record does not count, and what nobody here can check stands back and is said to be so.
    let mut both = real.clone();
    both.insert(later.path.clone(), later.file(&run(1)));
    let of = |proof: Proof| {
        let first = run(0);
        let witness = move |run: &str, _: &Value| match run == first {
            true => Proof::Recorded,
            false => proof.clone(),
        };
        let spec = Spec::read("S", &both, &Recorded::new(), &witness, &|_, _, _| {
            Proof::Recorded
        });
        (
            spec.security[0].says,
            spec.invalid.contains_key(&later.path),
        )
    };
    assert_eq!(of(Proof::Recorded), (Says::Passed, false));
    assert_eq!(of(Proof::Unverified), (Says::Failed, true));
    assert_eq!(of(Proof::Refused("no".to_owned())), (Says::Failed, true));
    let spec = Spec::read(
        "S",
        &both,
        &Recorded::new(),
        &|_, _| Proof::Unverified,
        &|_, _, _| Proof::Recorded,
    );
    assert_eq!(spec.security[0].shown(), "passed (unverified)");
    let checklist = page(&spec.kit(), "checklist.md");
    assert!(
        checklist.contains("- [ ] security review of T1"),
        "{checklist}"
    );
    let sign = page(&spec.audit().files, "sign-off.md");
    assert!(
        sign.contains("security reviews that are unverified: 1"),
        "{sign}"
    );
}

/// What is found of the latest run's files where its run has something else on record of one of them.
#[test]
fn a_file_counts_as_far_as_its_run_stands_behind_it() {
    let files = evidence(&json!([{ "issue": "the date", "positions": {} }]));
    let verdict = "consensus/S/spec-plan_20261126T09Z_verdict.json";
    let costs = "costs/S_cost_summary.json";
    let said = |proof: Proof, of: &'static str| {
        Spec::read(
            "S",
            &files,
            &Recorded::new(),
            &|_, _| Proof::Recorded,
            &move |run, path, sha256| {
                assert!(!run.is_empty() && sha256.len() == 64, "{run} {sha256}");
                assert_ne!(path, verdict, "it is not there");
                match path.ends_with(of) {
                    true => proof.clone(),
                    false => Proof::Recorded,
                }
            },
        )
    };
    let no = || Proof::Refused("it was changed".to_owned());
    for end in [
        "20261126T09Z_synthesis.json",
        "20261126T09Z_telemetry.jsonl",
    ] {
        let spec = said(no(), end);
        let plan = &spec.stages[0];
        assert_eq!((plan.status.as_str(), plan.unverified), ("invalid", false));
        assert_eq!(plan.output.is_none(), end.contains("synthesis"));
        assert_eq!(plan.cost_usd.is_none(), end.contains("telemetry"));
        let audit = spec.audit();
        let sign = page(&audit.files, "sign-off.md");
        let named = format!("files that do not count: consensus/S/spec-plan_{end}");
        assert!(sign.contains(&named), "{sign}");
        let kit = spec.kit();
        assert_eq!(
            kit.contains_key("outputs/plan.json"),
            end.contains("telemetry")
        );
        assert!(page(&kit, "retry.md").contains("it was changed"));
        assert!(page(&kit, "checklist.md").contains("- [ ] plan: no conflict is open"));
    }
    // Which tasks are flagged stood in what was changed.
    let audit = said(no(), "20261126T10Z_synthesis.json").audit();
    let review = page(&audit.files, "security-review.md");
    assert!(
        review.contains("nobody knows which tasks are flagged"),
        "{review}"
    );
    let spec = said(no(), costs);
    assert!(spec.invalid[costs].contains("no run that it or a stage names"));
    assert_eq!(spec.audit().reconciled, Reconciled::Unknown);

    let spec = said(Proof::Unverified, "T10Z_telemetry.jsonl");
    let told: Vec<_> = spec.stages.iter().map(|it| it.unverified).collect();
    assert_eq!((told, spec.invalid.len()), (vec![false, true], 0));
    let sign = page(&spec.audit().files, "sign-off.md");
    assert!(sign.contains("stages that are unverified: tasks"), "{sign}");
    let checklist = page(&spec.kit(), "checklist.md");
    let open = "- [ ] tasks: the consensus is ok: what its files say is unverified";
    assert!(checklist.contains(open), "{checklist}");
}

#[test]
fn scores_of_a_reader_count_as_far_as_the_run_stands_behind_it_that_has_them() {
    let mut files = evidence(&json!([]));
    let path = "consensus/S/spec-tasks_20261126T10Z_jane_review.json";
    let metrics: Value = crate::trials::CRITERIA
        .iter()
        .map(|it| ((*it).to_owned(), json!(1.0)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let scores: Value = crate::trials::CRITERIA
        .iter()
        .map(|it| ((*it).to_owned(), json!(5)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let review = json!({
        "schemaVersion": 1, "spec_id": "S", "stage": "tasks", "run_id": "RUN-20261126T10", "reviewer": "jane",
        "recorded_at": "2026-11-26T12:00:00.000000Z", "label": "tasks-1", "experiment": null, "variant": null,
        "models_used": [], "arbiter_override": null, "override_type": null, "reviewer_assessment": null,
        "quality_metrics": metrics, "scores": scores, "output_sha256": "a".repeat(64),
        "synthesis_path": "p", "synthesis_sha256": "b".repeat(64), "recorded_by": { "run_id": run(0) },
    });
    put(&mut files, path, &review);
    assert_eq!(judge(path, &files[path]), Judged::Valid(Form::Review));
    let of = |proof: Proof| {
        let witness = |of: &str, said: &Value| {
            assert_eq!(of, run(0));
            assert_eq!(said.get("recorded_by"), None);
            proof.clone()
        };
        let spec = Spec::read("S", &files, &Recorded::new(), &witness, &|_, _, _| {
            Proof::Recorded
        });
        let tasks = &spec.stages[1];
        let checklist = page(&spec.kit(), "checklist.md");
        let ticked = checklist.contains("- [x] tasks: somebody has read the output blind");
        (tasks.readings.len(), ticked, tasks.status.clone())
    };
    let is = |readings: usize, status: &str| (readings, readings > 0, status.to_owned());
    assert_eq!(of(Proof::Recorded), is(1, "ok"));
    assert_eq!(of(Proof::Unverified), is(0, "ok"));
    assert_eq!(of(Proof::Refused("no".to_owned())), is(0, "invalid"));
}

#[test]
fn the_manifest_has_the_hash_of_every_file_and_of_what_it_was_made_of() {
    let files = evidence(&json!([]));
    let kit = read(&files).kit();
    let manifest: Value = serde_json::from_slice(&kit["manifest.json"]).unwrap();
    let listed = manifest["files"].as_array().unwrap();
    assert_eq!(listed.len(), kit.len() - 1);
    for file in listed {
        let name = file["name"].as_str().unwrap();
        assert_eq!(file["sha256"], sha256(&kit[name]));
    }
    let from = manifest["made_from"].as_array().unwrap();
    assert!(
        from.iter()
            .any(|it| it["path"] == "costs/S_cost_summary.json"),
        "{from:#?}"
    );
    assert!(
        !from
            .iter()
            .any(|it| it["path"].as_str().unwrap().contains("T07")),
        "an older run"
    );
    assert_eq!(
        read(&files).kit(),
        kit,
        "the same evidence gives the same packet"
    );
}

#[test]
fn a_file_that_is_not_valid_makes_its_stage_not_ok_and_is_named() {
    let telemetry = "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl";
    let synthesis = "consensus/S/spec-plan_20261126T09Z_synthesis.json";
    for (path, bytes) in [
        (
            telemetry,
            &b"{\"schemaVersion\":\"2.0\",\"consensusStatus\":\"ok\"}\n"[..],
        ),
        (telemetry, b""),
        (telemetry, b"\xff"),
        (synthesis, b"{"),
    ] {
        // An older run of it was ok: it must not be shown instead.
        let mut files = evidence(&json!([]));
        let older = "consensus/S/spec-plan_20261126T07Z_telemetry.jsonl";
        let text = page(&files, older).replace("\"missing\"", "\"ok\"");
        files.insert(older.to_owned(), text.into_bytes());
        files.insert(path.to_owned(), bytes.to_vec());
        let spec = read(&files);
        let plan = &spec.stages[0];
        assert_eq!(
            (plan.stage.as_str(), plan.status.as_str()),
            ("plan", "invalid")
        );
        assert!(plan.reason.contains(path), "{}", plan.reason);
        assert!(spec.invalid.contains_key(path), "{:?}", spec.invalid);
        let audit = spec.audit();
        assert_eq!(audit.not_ok, 1);
        let sign = page(&audit.files, "sign-off.md");
        assert!(sign.contains("stages that are not ok: plan"), "{sign}");
        assert!(
            sign.contains(&format!("files that do not count: {path}")),
            "{sign}"
        );
        assert!(page(&spec.kit(), "retry.md").contains("## plan: invalid"));
    }
    // What came before the latest run of a stage is named, and does not undo it.
    let mut files = evidence(&json!([]));
    let older = "consensus/S/spec-tasks_20261126T06Z_telemetry.jsonl";
    files.insert(older.to_owned(), b"{".to_vec());
    let spec = read(&files);
    assert_eq!(spec.stages[1].status, "ok");
    assert!(spec.invalid.contains_key(older));
}

proptest! {
    #[test]
    fn no_text_ends_its_cell_or_its_line(text in "[ -~\n\r\t|]{0,60}") {
        let shown = table(&["a"], &[vec![text]], "");
        prop_assert_eq!(shown.lines().count(), 3);
        let last = shown.lines().last().unwrap();
        prop_assert_eq!(last.matches('|').count() - last.matches("\\|").count(), 2);
    }

    #[test]
    fn evidence_of_strangers_makes_no_packet_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut files = evidence(&json!([]));
        for path in [
            "consensus/S/spec-x_20261126T11Z_telemetry.jsonl", "costs/S_cost_summary.json",
            "consensus/S/spec-plan_20261126T09Z_verdict.json", "commands/S/T1_x_y_security.json",
        ] {
            files.insert(path.to_owned(), bytes.clone());
        }
        let spec = read(&files);
        prop_assert!(!spec.kit().is_empty() && !spec.audit().files.is_empty());
    }
}

/// The evidence with other words in the telemetry of `plan`'s newest run, at a place in its `consensus`.
fn with_plan(files: &mut Files, changes: &[(&str, Value)]) {
    let path = "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl";
    let mut line: Value = serde_json::from_str(&page(files, path)).unwrap();
    for (name, value) in changes {
        line["consensus"][*name] = value.clone();
    }
    put(files, path, &line);
}

#[test]
fn advice_that_was_followed_already_is_not_given_again() {
    let conflict = json!([{ "issue": "the date", "positions": { "a": "May", "b": "June" } }]);
    let mut files = evidence(&conflict);
    let retry = |files: &Files| page(&read(files).kit(), "retry.md");
    let advice = "let an arbiter decide (`on_conflict: [arbiter, halt]`)";
    assert!(retry(&files).contains(advice), "{}", retry(&files));
    let why = json!("the arbiter is to decide: 1 open: the date");
    with_plan(&mut files, &[("escalation_reason", why)]);
    let told = retry(&files);
    assert!(told.contains("left the points open"), "{told}");
    assert!(!told.contains(advice), "{told}");
    let arbiter = json!({
        "agent": "b-arbiter", "role": "arbiter", "rule": "consensus", "status": "error",
        "error": "output: it decides `c1` twice",
    });
    with_plan(&mut files, &[("agents", json!([arbiter]))]);
    let told = retry(&files);
    let part = "its answer does not count: output: it decides `c1` twice.";
    assert!(told.contains(part) && !told.contains(advice), "{told}");
}

#[test]
fn a_run_that_did_not_end_well_is_told_though_every_stage_is_ok() {
    let mut files = evidence(&json!([]));
    let plan = page(&files, "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl");
    let ok = plan.replace("conflict\"", "ok\"");
    files.insert(
        "consensus/S/spec-plan_20261126T09Z_telemetry.jsonl".to_owned(),
        ok.into_bytes(),
    );
    let mut spec = read(&files);
    let unknown = page(&spec.kit(), "checklist.md");
    assert!(
        unknown.contains("- [ ] the newest run ended well: unknown"),
        "{unknown}"
    );
    spec.newest = Some(Newest {
        run_id: "RUN-20261126T10".to_owned(),
        status: "halted".to_owned(),
    });
    let kit = spec.kit();
    let (checklist, retry) = (page(&kit, "checklist.md"), page(&kit, "retry.md"));
    for part in [
        "- [ ] the newest run ended well: RUN-20261126T10, halted",
        "- [ ] every stage is of the newest run: of runs before it are plan",
    ] {
        assert!(checklist.contains(part), "{part}: {checklist}");
    }
    assert!(!retry.contains("nothing has to be tried again"), "{retry}");
    assert!(
        retry.contains("$ flowhost runs show RUN-20261126T10"),
        "{retry}"
    );
    let sign = page(&spec.audit().files, "sign-off.md");
    for part in [
        "- newest run: RUN-20261126T10, halted",
        "- stages of older runs: plan",
    ] {
        assert!(sign.contains(part), "{part}: {sign}");
    }
}

#[test]
fn one_agent_alone_is_no_consensus_and_issues_that_are_left_to_a_person_are_listed() {
    let mut files = evidence(&json!([]));
    let agent =
        |rule: &str| json!([{ "agent": "a", "role": "agent", "rule": rule, "status": "ok" }]);
    with_plan(
        &mut files,
        &[("agents", agent("single")), ("status", json!("ok"))],
    );
    files.remove("consensus/S/spec-plan_20261126T09Z_synthesis.json");
    let kit = read(&files).kit();
    let checklist = page(&kit, "checklist.md");
    assert!(
        checklist.contains("plan: the one agent that was asked has answered"),
        "{checklist}"
    );
    assert!(!checklist.contains("plan: the consensus"), "{checklist}");
    let synopsis = page(&kit, "synopsis.md");
    assert!(synopsis.contains("One agent was asked"), "{synopsis}");

    let mut files = evidence(&json!([]));
    with_plan(&mut files, &[("agents", agent("issues"))]);
    let path = "consensus/S/spec-plan_20261126T09Z_synthesis.json";
    let mut synthesis: Value = serde_json::from_str(&page(&files, path)).unwrap();
    synthesis["output"] = json!({ "applied": [], "open": [{ "id": "shared-devices" }] });
    put(&mut files, path, &synthesis);
    let spec = read(&files);
    let checklist = page(&spec.kit(), "checklist.md");
    let part = "- [ ] plan: no issue is left to a person: shared-devices";
    assert!(checklist.contains(part), "{checklist}");
    let sign = page(&spec.audit().files, "sign-off.md");
    assert!(
        sign.contains("- issues that are left to a person: 1"),
        "{sign}"
    );
}
