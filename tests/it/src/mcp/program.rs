//! A native program that is a tool (`source: process:NAME`): a line of JSON in, a line of JSON out, in its sandbox. The
//! program is a script of Perl's base, which this machine's system has anyway.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::support::{Home, Ran, confines, repository};

const MANIFEST: &str = r#"version = 1
name = "count"
kind = "tool"
release = "0.1.0"
description = "Counts words."

[needs]
process = "granted"
files = "granted"

[[tools]]
name = "words"
description = "Counts the words of a text."
effects = "none"
input = { type = "object", required = ["text"], properties = { text = { type = "string" } } }
output = { type = "object", required = ["words"], properties = { words = { type = "integer" } } }
"#;

const STEP: &str = "  a: { uses: count/words, with: { text: one two } }";

/// A folder with a plan whose tool is the program in `mode`.
fn plan(mode: &str, steps: &str) -> Home {
    let home = Home::new();
    home.warm();
    let script = std::fs::read_to_string(repository().join("tests/mcp/tool.pl")).unwrap();
    home.file("tool/tool.pl", script);
    home.file("count.toml", MANIFEST);
    home.file(
        "policies/count.toml",
        format!(
            "version = 1\nname = \"count\"\n[limits]\ndeadline = \"5s\"\n\
             [[process]]\ncommand = [\"perl\", \"/tool/tool.pl\", \"{mode}\"]\n\
             [[files]]\nguest = \"/tool\"\nhost = \"tool\"\naccess = \"read\"\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  count: {{ kind: tool, source: \
             \"process:count\", profile: count }}\nsteps:\n{steps}\noutputs: {{ said: \
             \"${{{{ steps.a.output }}}}\" }}\n"
        ),
    );
    home
}

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--allow-process", "--json"])
}

/// The records of a kind.
fn of_kind(home: &Home, kind: &str) -> Vec<Value> {
    let mut records = home.records();
    records.retain(|record| record["kind"] == kind);
    records
}

#[test]
fn a_program_needs_the_second_key() {
    let home = plan("counts", STEP);
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(6);
    assert!(ran.all().contains("process.option"), "{}", ran.all());
    let [decided] = of_kind(&home, "process.start").try_into().unwrap();
    assert_eq!(decided["decision"], "deny", "{decided}");
}

#[test]
fn one_program_answers_all_calls_of_a_run_and_a_replay_starts_none() {
    if !confines() {
        return;
    }
    let steps =
        format!("{STEP}\n  b: {{ needs: [a], uses: count/words, with: {{ text: three }} }}");
    let home = plan("counts", &steps);
    let ran = run(&home).expect(0);
    assert_eq!(
        ran.json()["outputs"]["said"],
        json!({ "words": 2, "calls": 1 })
    );
    let [started] = of_kind(&home, "process.start").try_into().unwrap();
    assert_eq!(started["decision"], "allow", "{started}");
    let wanted = started["said"]["wanted"].as_str().unwrap();
    assert!(wanted.contains("/tool/tool.pl"), "{wanted}");
    let [ended] = of_kind(&home, "process.end").try_into().unwrap();
    assert_eq!(
        ended["how"], "code",
        "its input was closed, and it went: {ended}"
    );
    std::fs::remove_dir_all(home.path().join("tool")).unwrap();
    home.flowhost(&["runs", "replay", "latest", "--json"])
        .expect(0);
}

#[test]
fn a_program_that_goes_after_each_answer_is_started_again_for_the_next() {
    if !confines() {
        return;
    }
    // It may take the second question with it: that it has gone is known a moment after it has.
    let steps = format!(
        "{STEP}\n  b: {{ needs: [a], uses: count/words, with: {{ text: three }}, retry: {{ max_attempts: 3 }} }}"
    );
    let home = plan("leaves", &steps);
    run(&home).expect(0);
    assert_eq!(of_kind(&home, "process.start").len(), 2);
    assert_eq!(of_kind(&home, "process.end").len(), 2);
}

#[test]
fn a_program_that_is_the_one_that_the_profile_names_begins() {
    if !confines() {
        return;
    }
    let home = plan("counts", STEP);
    let perl = std::fs::read("/usr/bin/perl").unwrap();
    let files = "[[files]]\n";
    let hash: String = Sha256::digest(perl)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let profile = home.read("policies/count.toml");
    let profile = profile.replace(files, &format!("sha256 = \"{hash}\"\n{files}"));
    home.file("policies/count.toml", profile);
    let ran = run(&home).expect(0);
    assert_eq!(ran.json()["outputs"]["said"]["words"], 2);
}

#[test]
fn processor_time_in_children_that_nobody_waits_for_counts() {
    if !confines() {
        return;
    }
    let home = plan("breeds", STEP);
    let profile = home.read("policies/count.toml");
    let profile = profile.replace("[[files]]\n", "cpu = \"1s\"\n[[files]]\n");
    let profile = profile.replace("\"5s\"", "\"30s\"");
    home.file("policies/count.toml", profile);
    let ran = run(&home);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let [ended] = of_kind(&home, "process.end").try_into().unwrap();
    assert_eq!(ended["how"], "limit", "{ended}");
    assert_eq!(ended["bound"], "cpu", "{ended}");
}

#[test]
fn a_program_that_will_not_go_is_gone_when_its_run_ends() {
    if !confines() {
        return;
    }
    let mode = format!("stays-{}", std::process::id());
    let home = plan(&mode, STEP);
    run(&home).expect(0);
    let [ended] = of_kind(&home, "process.end").try_into().unwrap();
    assert_eq!(ended["how"], "stopped", "{ended}");
    let processes = std::fs::read_dir("/proc").unwrap();
    let lines = processes.filter_map(|it| std::fs::read(it.unwrap().path().join("cmdline")).ok());
    let left: Vec<String> = lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(&mode))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn a_program_that_reads_half_of_a_line_is_another_one_for_the_next_call() {
    if !confines() {
        return;
    }
    // More than a pipe holds: what was to be written when the call was over is not written before the next line.
    let step = "  a: { uses: count/words, with: { text: \"${{ inputs.text }}\" }, retry: { max_attempts: 3, retry_on: \
                [transient, timeout, limit], backoff: { initial: 10ms } } }";
    let home = plan("deaf", step);
    home.file("big.txt", "word ".repeat(20_000));
    let text = home.read("plan.yaml");
    let inputs = "inputs: { text: { type: file, path: big.txt } }\nplugins:";
    home.file("plan.yaml", text.replacen("plugins:", inputs, 1));
    let profile = home.read("policies/count.toml");
    let work = "[[files]]\nguest = \"/work\"\nhost = \"work\"\naccess = \"write\"\nquota = \"1MiB\"\nentries = 10\n";
    home.file("policies/count.toml", profile + work);
    home.file("work/here", "");
    let ran = run(&home).expect(0);
    let said = &ran.json()["outputs"]["said"];
    assert_eq!(
        *said,
        json!({ "words": 20_000, "calls": 1 }),
        "{}",
        ran.all()
    );
    assert_eq!(of_kind(&home, "process.start").len(), 2);
    assert_eq!(of_kind(&home, "process.end").len(), 2);
}

#[test]
fn what_a_program_does_wrong_costs_its_call_and_says_what_it_was() {
    if !confines() {
        return;
    }
    for (mode, says) in [
        ("refuses", "no text of mine"),
        ("fails", "the dictionary is gone"),
        ("dies", "ended by itself with code 7"),
        ("logs", "what is not a frame"),
        ("silent", "did not answer in time"),
        ("lies", "words"),
    ] {
        let home = plan(mode, STEP);
        let ran = run(&home);
        let told = format!("{mode}: {}", ran.all());
        assert!(ran.code != 0 && told.contains(says), "{told}");
        assert_eq!(
            of_kind(&home, "process.end").len(),
            of_kind(&home, "process.start").len(),
            "{told}"
        );
    }
}

#[test]
fn what_a_program_says_of_its_progress_is_told_on_where_manifest_and_profile_let_it_speak() {
    if !confines() {
        return;
    }
    let told = |home: &Home| -> Vec<Value> {
        let calls = of_kind(home, "host.call").into_iter();
        let told = calls.filter(|it| it["interface"] == "flowhost:progress/progress@0.1.0");
        told.map(|it| json!([it["done"], it["total"]])).collect()
    };
    let all = vec![json!(["1", "2"]), json!(["2", "2"])];
    for (asks, grants, wanted) in [
        (false, false, vec![]),
        (true, false, vec![]),
        (false, true, vec![]),
        (true, true, all),
    ] {
        let home = plan("tells", STEP);
        if asks {
            home.file(
                "count.toml",
                MANIFEST.replace("[needs]", "[needs]\nlog = true"),
            );
        }
        if grants {
            let profile = home.read("policies/count.toml");
            let profile = profile.replace("[limits]", "log = true\n[limits]");
            home.file("policies/count.toml", profile);
        }
        let ran = run(&home).expect(0);
        assert_eq!(ran.json()["outputs"]["said"]["words"], 2);
        assert_eq!(told(&home), wanted, "asked: {asks}, granted: {grants}");
    }
}

#[test]
fn input_is_held_against_the_manifest_before_anything_is_started() {
    let home = plan("counts", "  a: { uses: count/words, with: { text: 7 } }");
    let told = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    assert!(
        told.all().contains("does not take this `with`"),
        "{}",
        told.all()
    );
}

#[test]
fn what_is_wrong_with_the_declaration_of_a_program_is_told_with_its_cure() {
    let told = |home: &Home| {
        let told = home
            .flowhost(&["validate", "plan.yaml", "--json"])
            .expect(1);
        told.json()["problems"].to_string()
    };
    let home = plan("counts", STEP);
    std::fs::remove_file(home.path().join("count.toml")).unwrap();
    let said = told(&home);
    assert!(
        said.contains("`count.toml` was not found") && said.contains("[[tools]]"),
        "{said}"
    );
    let tools = MANIFEST.find("[[tools]]").unwrap();
    home.file("count.toml", &MANIFEST[..tools]);
    assert!(told(&home).contains("it names no tool"), "{}", told(&home));
    home.file(
        "count.toml",
        MANIFEST.replace("process = \"granted\"\n", ""),
    );
    assert!(
        told(&home).contains("does not ask for its program"),
        "{}",
        told(&home)
    );
    home.file("count.toml", MANIFEST);
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    for (from, to, says) in [
        (
            "kind: tool",
            "kind: mcp_adapter",
            "is a tool, and nothing else",
        ),
        (
            "process:count",
            "process:../count",
            "not the name of a program's manifest",
        ),
    ] {
        let text = home.read("plan.yaml");
        home.file("plan.yaml", text.replace(from, to));
        assert!(told(&home).contains(says), "{}", told(&home));
        home.file("plan.yaml", text);
    }
}

#[test]
fn a_lock_has_the_programs_files_and_inspect_shows_its_tools() {
    let home = plan("counts", STEP);
    home.flowhost(&["plugin", "lock", "plan.yaml"]).expect(0);
    let lock = home.read("flowhost.lock");
    assert!(lock.contains("\"/tool/tool.pl\" = \"sha256:"), "{lock}");
    assert!(lock.contains("source = \"process:count\""), "{lock}");
    home.flowhost(&["validate", "plan.yaml", "--locked"])
        .expect(0);
    home.file("tool/tool.pl", "print 1;\n");
    let told = home
        .flowhost(&["validate", "plan.yaml", "--locked"])
        .expect(1);
    assert!(told.all().contains("starts another"), "{}", told.all());
    let shown = home.flowhost(&["inspect", "process:count"]).expect(0);
    assert!(shown.stdout.contains("words"), "{}", shown.all());
}
