//! A run keeps to the second keys that it was started with: whoever goes on without one is refused before anything
//! happens, and every command that is printed repeats them.

use super::interrupted::{ended, signal};
use super::resumed::{REVIEW, RUN, THREE, begun, home, killed_in, resume};
use crate::counting::Counting;

const KEY: &str = "--allow-private-network";

#[test]
fn a_run_that_is_resumed_without_its_second_key_is_refused_and_can_still_go_on() {
    let server = Counting::new();
    let steps = "  a: { POST:/a, compensate: { POST:/undo-a } }\n  b: { needs: [a], POST:/b }\noutputs: { last: \"${{ \
                 steps.b.output.ok.body }}\" }";
    let home = home(&server, steps);
    killed_in(&home, &server, "/b");
    server.silence("/b", false);
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let run = list[0]["run_id"].as_str().unwrap().to_owned();
    let command = format!("`flowhost runs resume {run} {KEY}`");
    let before = home.records().len();
    // Each says what the run had, in the words to be typed.
    for line in [
        &["runs", "resume", "latest"][..],
        &["run", "plan.yaml", "--resume"],
    ] {
        let refused = home.flowhost(line).expect(6);
        let all = refused.all();
        assert!(all.contains(&format!("its rights need `{KEY}`")), "{all}");
        assert!(all.contains(&command), "{all}");
        assert_eq!(home.records().len(), before, "{all}");
        assert_eq!(server.paths(), ["/a", "/b"], "{all}");
    }
    let not_cancelled = home.flowhost(&["runs", "cancel", "latest"]).expect(1);
    assert!(
        not_cancelled.all().contains(&command),
        "{}",
        not_cancelled.all()
    );
    assert_eq!(resume(&home).expect(0).json()["outputs"]["last"], "b");
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_process_that_is_told_to_end_says_the_whole_command_that_goes_on() {
    let server = Counting::new();
    let home = home(&server, THREE);
    server.silence("/b", true);
    let run = ["run", "plan.yaml", KEY];
    let mut command = home.command(&run);
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut told = child.stderr.take().unwrap();
    server.wait("/b", 1);
    signal(&child, "TERM");
    assert_eq!(ended(child).code(), Some(143));
    let mut text = String::new();
    std::io::Read::read_to_string(&mut told, &mut text).unwrap();
    assert!(text.contains(&format!(" {KEY}` goes on with it")), "{text}");
}

#[test]
fn what_is_printed_at_a_gate_repeats_the_second_key() {
    let server = Counting::new();
    let home = home(&server, REVIEW);
    let waits = home.flowhost(RUN).expect(9).json();
    let hint = waits["error"]["hint"].as_str().unwrap();
    assert!(hint.ends_with(&format!(" {KEY}`")), "{hint}");
    let run = waits["run_id"].as_str().unwrap();
    let command = format!("flowhost runs resume {run} {KEY}");
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0);
    assert!(shown.stdout.contains(&command), "{}", shown.all());
    let page = waits["evidence"]["report_html"].as_str().unwrap();
    let page = std::fs::read_to_string(home.path().join(page)).unwrap();
    assert!(page.contains(&command), "the page repeats it");
    let approve = ["runs", "approve", "latest", "review", "--by", "ann"];
    let approved = home.flowhost(&approve).expect(0);
    assert!(approved.all().contains(&command), "{}", approved.all());
    // Another word is refused, and its hint is a command to type, too.
    let twice = home.flowhost(&approve).expect(1);
    assert!(twice.all().contains(&command), "{}", twice.all());
    assert_eq!(resume(&home).expect(0).json()["outputs"]["by"], "ann");
}

#[test]
fn who_cancels_a_run_that_waits_needs_its_second_key_to_take_back_what_it_did() {
    let server = Counting::new();
    let steps = REVIEW.replace("POST:/a }", "POST:/a, compensate: { POST:/undo-a } }");
    let home = home(&server, &steps);
    let waits = home.flowhost(RUN).expect(9).json();
    let run = waits["run_id"].as_str().unwrap();
    let cancel = ["runs", "cancel", "latest"];
    let refused = home.flowhost(&cancel).expect(6);
    let whole = format!("flowhost runs cancel {run} {KEY}");
    assert!(refused.all().contains(&whole), "{}", refused.all());
    let said = refused.all().matches("cannot be cancelled").count();
    assert_eq!(said, 1, "{}", refused.all());
    assert_eq!(server.paths(), ["/a"]);
    home.flowhost(&[&cancel[..], &[KEY]].concat()).expect(0);
    assert_eq!(server.paths(), ["/a", "/undo-a"]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn a_fork_without_the_second_key_of_its_run_is_refused_before_anything_happens() {
    let server = Counting::new();
    let home = home(&server, THREE);
    let run = home.flowhost(RUN).expect(0).json();
    let run = run["run_id"].as_str().unwrap();
    let fork = ["runs", "fork", "latest", "--at", "c"];
    let plan = ["--plan", "plan.yaml"];
    for more in [&[][..], &plan] {
        let refused = home.flowhost(&[&fork[..], more].concat()).expect(6);
        let all = refused.all();
        assert!(all.contains(&format!("its rights need `{KEY}`")), "{all}");
        let given: String = more.iter().map(|word| format!(" {word}")).collect();
        let command = format!("`flowhost runs fork {run} --at c{given} {KEY}`");
        assert!(all.contains(&command), "{all}");
    }
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list.as_array().unwrap().len(), 1, "{list:#}");
    assert_eq!(server.paths(), ["/a", "/b", "/c"]);
    home.flowhost(&[&fork[..], &[KEY]].concat()).expect(0);
    assert_eq!(server.paths(), ["/a", "/b", "/c", "/c"]);
}

#[test]
fn a_run_that_began_without_a_second_key_goes_on_without_it_and_is_told_what_it_lacks() {
    let server = Counting::new();
    let steps = "  review: { wait_for: approval, timeout: 4h }\n  b: { needs: [review], uses: ok_echo/run, with: {} }\n  \
                 c: { needs: [b], when: \"inputs.more\", POST:/c }";
    let home = home(&server, steps);
    let inputs = "inputs: { more: { type: bool, default: false } }\nplugins:";
    let text = home.read("plan.yaml").replacen("plugins:", inputs, 1);
    home.file("plan.yaml", text);
    let waits = home.flowhost(&["run", "plan.yaml"]).expect(9);
    let repeats = waits.all().contains(&format!(" {KEY}`"));
    assert!(!repeats, "{}", waits.all());
    home.flowhost(&["runs", "approve", "latest", "review", "--by", "ann"])
        .expect(0);
    let resumed = home.flowhost(&["runs", "resume", "latest"]).expect(0);
    assert!(
        resumed
            .stderr
            .contains("opens private addresses only together with"),
        "{}",
        resumed.all()
    );
    let start = &home.records()[0];
    assert_eq!(start["second_keys"], serde_json::json!([]), "{start:#}");
}

#[test]
fn a_run_whose_rights_ask_for_no_second_key_says_nothing_of_them() {
    let server = Counting::new();
    let home = home(&server, THREE);
    let child = begun(&home);
    assert!(ended(child).success());
    let start = home.records().remove(0);
    assert_eq!(start["second_keys"], serde_json::json!([KEY]), "{start:#}");
    let plain = super::home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    plain.flowhost(&["run", "plan.yaml", KEY]).expect(0);
    let start = plain.records().remove(0);
    assert_eq!(start.get("second_keys"), None, "{start:#}");
}
