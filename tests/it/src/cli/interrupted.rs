//! Runs that do not get to their end by themselves: signals, a killed process, a full disk, a second
//! run beside the first.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::home;
use crate::support::Home;

/// A plan whose one step sleeps for up to a minute.
pub(super) fn sleeping() -> Home {
    let home = Home::new();
    home.guest("limit_sleep");
    home.file(
        "policies/slow.toml",
        "version = 1\nname = \"slow\"\n[limits]\ndeadline = \"60s\"\n",
    );
    let plugins = super::tool("limit_sleep", "slow");
    home.file(
        "plan.yaml",
        super::plan(&plugins, "  only: { uses: limit_sleep/run, with: {} }"),
    );
    home
}

/// Starts the run and waits until its step has begun.
pub(super) fn started(home: &Home) -> Child {
    let mut command = home.command(&["run", "plan.yaml"]);
    let child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = || {
        let runs = home.path().join(".flowhost/default/runs");
        let Ok(mut runs) = std::fs::read_dir(runs) else {
            return false;
        };
        runs.any(|run| {
            let segment = run.unwrap().path().join("seg-00000000.jsonl");
            std::fs::read_to_string(segment).is_ok_and(|text| text.contains("step.start"))
        })
    };
    let since = Instant::now();
    while !begun() {
        assert!(
            since.elapsed() < Duration::from_secs(30),
            "the step never began"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

pub(super) fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap()
            .success()
    );
}

/// Waits for the end, at most half a minute: a hanging child would hang the tests.
pub(super) fn ended(mut child: Child) -> std::process::ExitStatus {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if since.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
            panic!("the process did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_run_whose_guardrails_were_stopped_is_replayed_as_it_was() {
    let home = Home::new();
    home.warm();
    // More than a guardrail reads in the moment between the beginning of a step and the interrupt.
    let text = serde_json::json!("# Write to jane.doe@example.com\n".repeat(3_000));
    let items: Vec<u32> = (0..64).collect();
    let plan = format!(
        "flowhost: v1\nkind: workflow\nname: guarded\nplugins:\n  \
         markdown: {{ kind: tool, source: 'builtin:markdown', profile: deny-all }}\n  \
         redact: {{ kind: guardrail, source: 'builtin:redact', profile: deny-all }}\nsteps:\n  \
         headings:\n    foreach: {{ items: {items:?}, max_parallel: 64 }}\n    uses: markdown/headings\n    \
         with: {{ text: {text} }}\n    guardrails: {{ before: [{{ uses: redact, on_fail: halt }}] }}\n"
    );
    home.file("plan.yaml", plan);
    let child = started(&home);
    signal(&child, "INT");
    assert_eq!(ended(child).code(), Some(130));
    let replayed = super::again::replays(&home);
    let taken = replayed["taken"].as_object().unwrap();
    let stopped =
        |why: &serde_json::Value| why == "this guardrail was stopped before it had answered";
    assert!(taken.values().any(stopped), "{taken:?}");
}

#[test]
fn an_interrupt_closes_the_ledger_with_a_checkpoint_and_ends_with_130() {
    let home = sleeping();
    let child = started(&home);
    signal(&child, "INT");
    assert_eq!(ended(child).code(), Some(130));
    let records = home.records();
    let end = records
        .iter()
        .rfind(|record| record["kind"] == "run.end")
        .unwrap();
    assert_eq!(end["status"], "cancelled");
    let ran = home.flowhost(&["verify", "latest"]).expect(0);
    assert!(
        ran.stdout
            .contains(&format!("{} records signed, 0 not", records.len())),
        "{}",
        ran.stdout
    );
}

/// The compile child of a process, if it has one.
fn compile_child(parent: u32) -> Option<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let name = entry.ok()?.file_name();
        name.to_str()?.parse::<u32>().ok()
    });
    let is_child = |pid: &u32| {
        let about = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = about.rsplit(')').next().unwrap_or_default();
        let mut fields = fields.split_whitespace();
        fields.nth(1) == Some(parent.to_string().as_str())
    };
    processes.into_iter().find(is_child)
}

/// Whether a process is at work: one that nobody has waited for yet is not.
fn lives(pid: u32) -> bool {
    let about = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = about.rsplit(')').next().unwrap_or_default().trim();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

#[test]
fn an_interrupt_while_components_compile_ends_at_once_and_leaves_no_run_and_no_child() {
    let large = crate::support::repository().join("target/guests/compat_js_spidermonkey.wasm");
    if !large.is_file() {
        eprintln!(
            "SKIPPED: {} takes long enough to compile; build it",
            large.display()
        );
        return;
    }
    for (name, code) in [("INT", 130), ("TERM", 143)] {
        let home = Home::new();
        home.guest("compat_js_spidermonkey");
        let plugins = super::tool("compat_js_spidermonkey", "tool-pure");
        let steps = "  only: { uses: compat_js_spidermonkey/run, with: {} }";
        home.file("plan.yaml", super::plan(&plugins, steps));
        let mut command = home.command(&["run", "plan.yaml", "--json"]);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let since = Instant::now();
        let compiling = loop {
            if let Some(pid) = compile_child(child.id()) {
                break pid;
            }
            assert!(
                since.elapsed() < Duration::from_secs(30),
                "nothing compiles"
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        signal(&child, name);
        let since = Instant::now();
        let output = child.wait_with_output().unwrap();
        let ran = home
            .ran(&output, &["run", "plan.yaml", "--json"])
            .expect(code);
        assert!(
            since.elapsed() < Duration::from_secs(3),
            "{name}: it went on"
        );
        assert_eq!(ran.json()["exit_code"], code, "{name}");
        while lives(compiling) {
            assert!(
                since.elapsed() < Duration::from_secs(5),
                "{name}: still compiling"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        let runs = home.path().join(".flowhost/default/runs");
        assert!(!runs.exists(), "{name}: a run was begun");
        let listed = home.flowhost(&["runs", "list", "--json"]).expect(0);
        assert!(
            !listed.stdout.contains("run_id"),
            "{name}: {}",
            listed.stdout
        );
    }
}

#[test]
fn a_second_interrupt_is_immediate() {
    let home = sleeping();
    let child = started(&home);
    signal(&child, "INT");
    signal(&child, "INT");
    let status = ended(child);
    assert!(!status.success(), "{status}");
    home.flowhost(&["runs", "list"]).expect(0);
}

#[test]
fn led_016_a_killed_run_is_told_honestly_and_the_next_one_works() {
    let home = sleeping();
    let child = started(&home);
    signal(&child, "KILL");
    assert_eq!(ended(child).code(), None);
    let records = home.records();
    let run = records[0]["run"].as_str().unwrap();
    let ran = home.flowhost(&["verify", "latest"]).expect(0);
    let ended = format!("note: run {run} was killed; it is signed now, and entered as ended");
    assert!(ran.all().contains(&ended), "{}", ran.all());
    assert!(
        ran.stdout.contains("the record run.end is missing"),
        "{}",
        ran.stdout
    );
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    let ran = home.flowhost(&["runs", "list"]).expect(0);
    assert!(ran.stdout.contains("killed"), "{}", ran.stdout);
    assert!(records.len() >= 4, "what was acknowledged is there");
    let plan = home
        .read("plan.yaml")
        .replace("with: {}", "with: { milliseconds: 1 }");
    home.file("plan.yaml", plan);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn led_019_a_full_disk_ends_the_run_with_an_error_of_the_ledger() {
    let steps = "  each:\n    foreach: { items: \"${{ [1,2,3,4,5,6,7,8].map(i, [1,2,3,4,5,6,7,8].map(j, i * j)) }}\", as: n }\n    uses: ok_echo/run\n    with: { n: \"${{ n }}\" }";
    let home = home(&["ok_echo"], steps);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let whole = std::fs::read_dir(home.path().join(".flowhost/default/runs")).unwrap();
    let size: u64 = whole
        .map(|run| {
            run.unwrap()
                .path()
                .join("seg-00000000.jsonl")
                .metadata()
                .unwrap()
                .len()
        })
        .max()
        .unwrap();
    assert!(size > 12 << 10, "the limit below would not bite: {size}");
    let exe = crate::support::executable();
    let mut command = home.command(&[]);
    let program = command.get_program().to_owned();
    assert_eq!(program, exe.as_os_str());
    // A file size limit is the full disk that needs no mount: 8 blocks of 1 KiB. The signal that
    // comes with it must not kill the host (SIGXFSZ is at its default here).
    let script = format!("ulimit -f 8; exec '{}' run plan.yaml --json", exe.display());
    command = {
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &script])
            .current_dir(home.path())
            .env_clear();
        shell.env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
        shell
    };
    let output = command.output().unwrap();
    let ran = home.ran(&output, &["run", "plan.yaml", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    assert!(ran.all().contains("ledger"), "{}", ran.all());
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn led_021_two_runs_at_once_share_a_state_directory() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let run = || {
        let mut command = home.command(&["run", "plan.yaml"]);
        let output = command.output().unwrap();
        home.ran(&output, &["run", "plan.yaml"]).expect(0);
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(run);
        }
    });
    let tenant = home.path().join(".flowhost/default");
    home.flowhost(&["verify", tenant.to_str().unwrap()])
        .expect(0);
}
