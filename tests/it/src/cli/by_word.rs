//! A run that waits for somebody's word, of what must not happen twice or at a gate, and goes on by it.

use std::time::Duration;

use super::resumed::{REVIEW, RUN, THREE, begun, home, kill, killed_in, plan, resume};
use crate::counting::Counting;

#[test]
fn what_must_not_happen_twice_waits_for_a_word_and_goes_on_by_it() {
    for (word, answers, times) in [("done", "told", 1), ("retry", "b", 2)] {
        let server = Counting::new();
        let steps = THREE.replace("POST:/b }", "POST:/b, effects: once }");
        let steps = steps.replace("steps.c.output.ok.body", "string(steps.b.output.ok.body)");
        let home = home(&server, &steps);
        server.silence("/b", true);
        let child = begun(&home);
        server.wait("/b", 1);
        kill(child);
        server.silence("/b", false);
        let waits = resume(&home).expect(9);
        assert_eq!(waits.json()["status"], "waiting");
        let hint = waits.json()["error"]["hint"].as_str().unwrap().to_owned();
        assert!(hint.contains("runs settle"), "{hint}");
        assert_eq!(server.paths(), ["/a", "/b"]);
        // Nobody has said a word: it waits on, and nothing is done.
        resume(&home).expect(9);
        let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
        assert_eq!(list[0]["status"], "waiting");
        let settle = |step: &str, more: &[&str]| {
            let all = ["runs", "settle", "latest", step, "--as", word];
            home.flowhost(&[&all[..], more].concat())
        };
        for verb in ["approve", "reject", "signal"] {
            let more: &[&str] = match verb {
                "signal" => &["--payload", "1"],
                _ => &["--by", "ann"],
            };
            let none = home.flowhost(&[&["runs", verb, "latest", "b"], more].concat());
            let told = none.expect(1).all();
            assert!(told.contains(" b --as done`"), "{verb}: {told}");
            assert!(told.contains("flowhost runs settle"), "{verb}: {told}");
        }
        let other = settle("a", &[]).expect(1);
        assert!(other.all().contains("`a` does not"), "{}", other.all());
        let output: &[&str] = match word {
            "done" => &["--output", r#"{"ok":{"body":"told"}}"#, "--by", "ann"],
            _ => &["--by", "ann"],
        };
        settle("b", output).expect(0);
        // Until the run goes on by it, a word may be said anew.
        settle("b", output).expect(0);
        let report = resume(&home).expect(0).json();
        let late = settle("b", output).expect(1);
        assert!(late.all().contains("has ended"), "{}", late.all());
        assert_eq!(report["outputs"]["last"], answers);
        assert_eq!(server.counts()["/b"].0, times);
        home.flowhost(&["verify", ".flowhost"]).expect(0);
    }
}

#[test]
fn a_word_that_the_plan_could_not_go_on_by_is_refused_and_a_wrong_one_is_corrected() {
    let server = Counting::new();
    let steps = THREE.replace("POST:/b }", "POST:/b, effects: once }");
    let steps = steps.replace("steps.c.output.ok.body", "string(steps.b.output.ok.body)");
    let home = home(&server, &steps);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    resume(&home).expect(9);
    let settle = |more: &[&str]| {
        let all = ["runs", "settle", "latest", "b", "--as"];
        home.flowhost(&[&all[..], more].concat())
    };
    let before = home.records().len();
    for (output, why) in [
        ("", "it says nothing of what it handed on"),
        ("\"text\"", "reads `ok.body` of it"),
        (r#"{"ok":{}}"#, "reads `ok.body` of it"),
    ] {
        let said: &[&str] = match output {
            "" => &["done"],
            output => &["done", "--output", output],
        };
        let refused = settle(said).expect(1).all();
        assert!(
            refused.contains(why) && refused.contains("`--output JSON`"),
            "{refused}"
        );
        assert_eq!(home.records().len(), before, "{refused}");
    }
    // Whoever looked again says so; the last word counts.
    settle(&["failed"]).expect(0);
    settle(&["done", "--output", r#"{"ok":{"body":"told"}}"#]).expect(0);
    let report = resume(&home).expect(0).json();
    assert_eq!(report["outputs"]["last"], "told");
    assert_eq!(server.counts()["/b"].0, 1);
    super::again::replays(&home);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_word_to_try_again_is_good_for_one_try() {
    let server = Counting::new();
    let once = THREE.replace("POST:/b }", "POST:/b, effects: once }");
    let home = home(&server, &once);
    killed_in(&home, &server, "/b");
    let settle = ["runs", "settle", "latest", "b", "--as", "retry"];
    home.flowhost(&settle).expect(0);
    let again = ["runs", "resume", "latest", "--allow-private-network"];
    let child = home.command(&again).spawn().unwrap();
    server.wait("/b", 2);
    kill(child);
    // Whether the second try had its effect, nobody has said.
    server.silence("/b", false);
    resume(&home).expect(9);
    assert_eq!(server.paths(), ["/a", "/b", "/b"]);
}

#[test]
fn a_step_that_is_settled_as_failed_fails_by_the_persons_word() {
    let server = Counting::new();
    let home = home(
        &server,
        &THREE.replace("POST:/b }", "POST:/b, effects: once }"),
    );
    killed_in(&home, &server, "/b");
    let all = [
        "runs",
        "settle",
        "latest",
        "b",
        "--as",
        "failed",
        "--note",
        "no money came",
        "--by",
        "ann",
    ];
    home.flowhost(&all).expect(0);
    let report = resume(&home).expect(8).json();
    assert_eq!(report["error"]["message"], "no money came");
    assert_eq!(server.paths(), ["/a", "/b"]);
    let records = home.records();
    let settled = records.iter().filter(|it| it["kind"] == "run.settle");
    assert_eq!(settled.count(), 1, "{records:#?}");
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let line = "step `b`: settled as failed by ann: no money came";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn who_spoke_at_a_gate_and_what_they_noted_is_shown_and_nobody_is_refused() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let say = |by: &str| {
        let word = ["runs", "approve", "latest", "review", "--note", "two sets"];
        home.flowhost(&[&word[..], &["--by", by]].concat())
    };
    for nobody in ["", "  "] {
        let refused = say(nobody).expect(64).all();
        assert!(refused.contains("say who"), "{refused}");
    }
    say("ann").expect(0);
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    let line = "gate `review`: approved by ann: two sets";
    assert!(shown.contains(line), "{shown}");
}

#[test]
fn a_run_that_waits_for_a_person_needs_no_process_and_goes_on_by_their_word() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    let text = home.read("plan.yaml");
    let labelled = text.replacen("plugins:", "labels: { team: docs }\nplugins:", 1);
    home.file("plan.yaml", labelled);
    let waits = home.flowhost(RUN).expect(9);
    assert_eq!(waits.json()["status"], "waiting");
    assert_eq!(server.paths(), ["/a"]);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["status"], "waiting");
    // Nobody has said a word.
    resume(&home).expect(9);
    let say =
        |verb: &str, gate: &str| home.flowhost(&["runs", verb, "latest", gate, "--by", "ann"]);
    let other = say("approve", "a").expect(1);
    assert!(
        other.all().contains("the run waits at `review`"),
        "{}",
        other.all()
    );
    say("approve", "review").expect(0);
    let twice = say("reject", "review").expect(1);
    assert!(
        twice.all().contains("it was approved by ann before")
            && twice.all().contains("the gate `review` has had its word"),
        "{}",
        twice.all()
    );
    assert_eq!(server.paths(), ["/a"]);
    let report = resume(&home).expect(0).json();
    assert_eq!(report["outputs"]["by"], "ann");
    assert_eq!(report["labels"]["team"], "docs", "its record has them");
    assert_eq!(server.paths(), ["/a", "/b"]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_no_ends_the_run_and_a_gate_whose_time_is_up_does_what_the_plan_says() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let said = ["runs", "reject", "latest", "review", "--by", "ann"];
    home.flowhost(&[&said[..], &["--note", "too dear"]].concat())
        .expect(0);
    let report = resume(&home).expect(4).json();
    assert_eq!(report["error"]["message"], "`ann` said no: too dear");
    assert_eq!(server.paths(), ["/a"]);

    let steps = REVIEW.replace("4h }", "1s, on_timeout: continue }");
    let steps = steps.replace("steps.review.output.by", "steps.review.status");
    home.file("plan.yaml", plan(&server, &steps));
    home.flowhost(RUN).expect(9);
    std::thread::sleep(Duration::from_millis(1_100));
    let late = home.flowhost(&said).expect(1);
    assert!(late.all().contains("its time was up at"), "{}", late.all());
    resume(&home).expect(0);
    assert_eq!(server.paths(), ["/a", "/a", "/b"]);
}

#[test]
fn a_run_that_waits_for_another_program_does_not_say_that_it_waits_for_a_person() {
    let steps = "  paid: { wait_for: signal, timeout: 4h }\n  only: { needs: [paid], uses: ok_echo/run, with: {} }";
    let home = super::home(&["ok_echo"], steps);
    let waits = home.flowhost(&["run", "plan.yaml"]).expect(9);
    assert!(
        waits.stderr.contains("step `paid` waits for a word")
            && waits.stderr.contains("waits for signal at `paid`"),
        "{}",
        waits.all()
    );
    assert!(!waits.stderr.contains("a person"), "{}", waits.all());
}

#[test]
fn a_word_that_nobody_waits_for_is_refused_and_says_what_is_waited_for() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    home.flowhost(RUN).expect(9);
    let signal = |gate: &str| {
        home.flowhost(&["runs", "signal", "latest", gate, "--payload", "{}"])
            .expect(1)
            .all()
    };
    assert!(signal("review").contains("waits for a person's word"));
    assert!(signal("nowhere").contains("the run waits at `review`, and not there"));
    let said = ["runs", "approve", "latest", "review", "--by", "ann"];
    home.flowhost(&said).expect(0);
    resume(&home).expect(0);
    let over = home.flowhost(&said).expect(1);
    assert!(
        over.all().contains("the run has ended: ok"),
        "{}",
        over.all()
    );
}
