//! Live progress: on a terminal, and nowhere else.

use std::process::Command;

use crate::support::{Home, executable};

/// A folder whose run lasts long enough for the progress line to be drawn.
fn slow() -> Home {
    let home = Home::new();
    home.guest("limit_sleep");
    let plugins = super::tool("limit_sleep", "tool-pure");
    let steps = "  nap: { uses: limit_sleep/run, with: { milliseconds: 700 } }";
    home.file("plan.yaml", super::plan(&plugins, steps));
    home
}

/// Runs the plan on a terminal of its own, and gives everything that appeared on it.
fn on_a_terminal(home: &Home, term: &str) -> String {
    let line = format!("'{}' run plan.yaml", executable().display());
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.current_dir(home.path()).env_clear();
    script.env("PATH", "/usr/bin:/bin").env("TERM", term);
    script.stdin(std::process::Stdio::null());
    let output = script.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

#[test]
fn progress_shows_on_a_terminal_and_is_gone_before_the_report() {
    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("SKIPPED: `script` (util-linux) makes the terminal for this test; install it");
        return;
    }
    let shown = on_a_terminal(&slow(), "xterm-256color");
    let at = |part: &str| {
        shown
            .find(part)
            .unwrap_or_else(|| panic!("no {part:?} in {shown:?}"))
    };
    assert!(at("0/1 steps") < at("evidence:"), "{shown:?}");
    assert!(shown.contains("nap"), "what is at work: {shown:?}");
    let (_, report) = shown.rsplit_once("steps").unwrap();
    assert!(
        report.contains("\u{1b}[2K"),
        "the line is not taken away: {shown:?}"
    );
    let dumb = on_a_terminal(&slow(), "dumb");
    assert!(
        !dumb.contains('\u{1b}') && !dumb.contains("/1 steps"),
        "{dumb:?}"
    );
}

#[test]
fn nothing_of_the_progress_is_in_a_pipe() {
    let home = slow();
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(0);
    for stream in [&ran.stdout, &ran.stderr] {
        assert!(!stream.contains("/1 steps"), "{stream:?}");
        assert!(!stream.contains(['\u{1b}', '\r']), "{stream:?}");
    }
}
