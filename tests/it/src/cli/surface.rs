//! What the program says about itself, and how it behaves in a pipe.

use std::process::Stdio;

use super::{home, seen};
use crate::support::Home;

#[test]
fn help_names_every_command() {
    insta::assert_snapshot!(seen(&Home::new(), &["--help"]), @r#"
    $ flowhost --help
    ----- stdout
    Runs plans of sandboxed WebAssembly components and leaves evidence that anyone can check

    Usage: flowhost [OPTIONS] <COMMAND>

    Commands:
      new         Make a new plan that runs, to begin with
      run         Run a plan
      dev         Run a plan again and again while its files and plugins change
      validate    Report everything that is wrong with a plan, its profiles and its components, and run
                  nothing
      inspect     Show what a component is, what it asks for and which tools it has
      verify      Check the evidence of a run
      runs        List runs, or show one
      policy      Explain, show, test and suggest rights
      plan        The plan format
      plugin      Write a plugin: a new project, its component, what it is
      keys        The host's signing key
      evidence    Prove, export or erase what a ledger holds; list and archive what stages leave
      mcp         Serve MCP clients, and log in at MCP servers
      telemetry   Evidence files of stages
      memory      What agents said of stages, kept beyond their runs
      guardrail   Hold guardrails against outputs that a person has judged
      experiment  Run the variants of a plan, have outputs read blind, and hold them beside each other
      doctor      Check this installation, or whether a plan could run
      completion  Print a completion script
      help        Print this message or the help of the given subcommand(s)

    Options:
          --state <DIR>  Root of all state [default: FLOWHOST_STATE, else .flowhost beside flowhost.toml
                         or here]
          --json         Print one JSON document on standard output
      -v, --verbose...   Log more to standard error (-v info, -vv debug); FLOWHOST_LOG takes a filter
      -h, --help         Print help
      -V, --version      Print version
    ----- exit 0
    "#);
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error_with_a_suggestion() {
    insta::assert_snapshot!(seen(&Home::new(), &["rum"]), @r#"
    $ flowhost rum
    ----- stderr
    error: unrecognized subcommand 'rum'

      tip: some similar subcommands exist: 'runs', 'run'

    Usage: flowhost [OPTIONS] <COMMAND>

    For more information, try '--help'.
    ----- exit 64
    "#);
    Home::new().flowhost(&["run"]).expect(64);
}

#[test]
fn a_usage_error_for_a_program_names_what_is_missing_and_what_is_possible() {
    let home = Home::new();
    for (arguments, message) in [
        (
            &["runs", "fork", "x", "--json"][..],
            "the following required arguments were not provided: --at <STEP>",
        ),
        (
            &["runs", "approve", "x", "--json"],
            "the following required arguments were not provided: --by <NAME>, <GATE>",
        ),
        (
            &["runs", "prune", "--json"],
            "the following required arguments were not provided: <--keep <N>|--older-than <TIME>>",
        ),
        (
            &["plan", "graph", "x", "--format", "pdf", "--json"],
            "invalid value 'pdf' for '--format <FORMAT>' [possible values: text, svg, dot, mermaid, json]",
        ),
    ] {
        let told = home.flowhost(arguments).expect(64).json();
        assert_eq!(told["message"], message, "{told:#}");
    }
    let told = home.flowhost(&["runs", "fork", "x", "--json"]).json();
    let usage = "usage: flowhost runs fork --at <STEP> --json <RUN>";
    assert_eq!(told["hints"], serde_json::json!([usage]), "{told:#}");
    let told = home.flowhost(&["rum", "--json"]).expect(64).json();
    let hints = told["hints"].to_string();
    assert!(hints.contains("'runs', 'run'"), "{told:#}");
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "run",
        "validate",
        "inspect",
        "verify",
        "runs",
        "policy",
        "plan",
        "keys",
        "evidence",
        "doctor",
        "completion",
    ] {
        let ran = Home::new().flowhost(&[command, "--help"]).expect(0);
        assert!(ran.stdout.contains("Usage: flowhost"), "{command}");
    }
}

#[test]
fn no_colour_and_no_progress_reach_a_pipe() {
    let home = home(
        &["ok_echo", "fault_panic"],
        "  only: { uses: fault_panic/run, with: {} }",
    );
    for variable in [None, Some("NO_COLOR"), Some("CLICOLOR_FORCE")] {
        let mut command = home.command(&["run", "plan.yaml"]);
        if let Some(name) = variable {
            command.env(name, "1");
        }
        let output = command.output().unwrap();
        for stream in [output.stdout, output.stderr] {
            assert!(
                !stream.contains(&0x1b) && !stream.contains(&b'\r'),
                "{variable:?}"
            );
        }
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    for arguments in [
        &["--help"][..],
        &["plan", "schema"],
        &["validate", "plan.yaml", "--json"],
    ] {
        let mut command = home.command(arguments);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!text.contains("panicked"), "{arguments:?}: {text}");
    }
}

#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    for arguments in [
        &["--help"][..],
        &["plan", "schema"],
        &["validate", "plan.yaml"],
        &["run", "plan.yaml", "--json"],
    ] {
        let full = std::fs::File::options().write(true).open("/dev/full");
        let output = home.command(arguments).stdout(full.unwrap()).output();
        let ran = home.ran(&output.unwrap(), arguments).expect(1);
        assert!(
            ran.stderr.contains("cannot be written to standard output"),
            "{}",
            ran.all()
        );
    }
}

#[test]
fn a_json_document_holds_no_character_that_a_terminal_obeys() {
    let hostile = "a\u{9b}31mb\u{202e}c\u{7f}d\u{200b}";
    let escaped: String = hostile
        .chars()
        .map(|c| format!("\\u{:04x}", u32::from(c)))
        .collect();
    let step = format!("  only: {{ uses: ok_echo/run, with: {{ text: \"{escaped}\" }} }}");
    let home = home(&["ok_echo"], &step);
    let plan = home.read("plan.yaml");
    let outputs = "outputs: { said: \"${{ steps.only.output }}\" }\n";
    home.file("plan.yaml", format!("{plan}{outputs}"));
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let obeyed = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert!(!ran.stdout.contains(obeyed), "{:?}", ran.stdout);
    let said = ran.json()["outputs"]["said"].to_string();
    assert!(
        said.contains("\u{202e}") && said.contains('\u{9b}'),
        "{said:?}"
    );
}

#[test]
fn policy_show_prints_a_profile_and_begins_a_new_one() {
    let home = home(&["deny_log"], "  only: { uses: deny_log/run, with: {} }");
    let shown = home.flowhost(&["policy", "show", "deny-all"]).expect(0);
    let shipped = crate::support::repository().join("policies/deny-all.toml");
    assert_eq!(shown.stdout, std::fs::read_to_string(shipped).unwrap());
    for arguments in [
        &["policy", "show", "deny-al"][..],
        &["policy", "show", "deny-all", "--name", "tool-pure"],
        &["policy", "show", "deny-all", "--name", "a \" b"],
    ] {
        assert_ne!(home.flowhost(arguments).code, 0, "{arguments:?}");
    }
    // What the message of a missing right says, done word by word.
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1).stderr;
    let command = "policy show deny-all --name deny_log --out policies/deny_log.toml";
    assert!(refused.contains(command), "{refused}");
    let arguments: Vec<&str> = command.split(' ').collect();
    home.flowhost(&arguments).expect(0);
    let mine = home.read("policies/deny_log.toml");
    assert!(refused.contains("below the line `name = …`"), "{refused}");
    home.file(
        "policies/deny_log.toml",
        mine.replacen("\ndescription", "\nlog = true\ndescription", 1),
    );
    // A second time it would take away what was written.
    let again = home.flowhost(&arguments).expect(64);
    assert!(again.stderr.contains("is there already"), "{}", again.all());
    assert!(home.read("policies/deny_log.toml").contains("log = true"));
    let plan = home.read("plan.yaml");
    home.file(
        "plan.yaml",
        plan.replace("profile: deny-all", "profile: deny_log"),
    );
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn policy_show_writes_over_nothing_whatever_it_is() {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
    let home = Home::new();
    let arguments = |out| ["policy", "show", "deny-all", "--name", "mine", "--out", out];
    home.flowhost(&arguments("new/mine.toml")).expect(0);
    let mode = |path| std::fs::metadata(path).unwrap().permissions().mode();
    let (written, plain) = (home.path().join("new/mine.toml"), home.file("plain", ""));
    assert_eq!(mode(written), mode(plain), "it is no secret");
    std::fs::create_dir(home.path().join("old")).unwrap();
    let pipe = home.path().join("old/mine.toml");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    assert!(made.unwrap().success(), "mkfifo failed");
    // To nothing: through it a file would be made elsewhere.
    let link = home.path().join("mine.toml");
    symlink(home.path().join("elsewhere.toml"), &link).unwrap();
    for out in ["new/mine.toml", "old/mine.toml", "mine.toml"] {
        let refused = home.flowhost(&arguments(out)).expect(64);
        let told = refused.all();
        assert!(refused.stderr.contains("is there already"), "{told}");
    }
    let about = std::fs::symlink_metadata(&pipe).unwrap();
    assert!(about.file_type().is_fifo());
    assert!(link.is_symlink());
    assert!(!home.path().join("elsewhere.toml").exists());
}

#[test]
fn doctor_is_one_json_document_of_checks() {
    let ran = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }")
        .flowhost(&["doctor", "--json"]);
    let document = ran.json();
    let checks = document["checks"].as_array().unwrap();
    assert!(checks.len() >= 6, "{document:#}");
    for check in checks {
        let level = check["level"].as_str().unwrap();
        assert!(["ok", "warning", "error"].contains(&level), "{check}");
        assert!(
            level == "ok" || !check["hint"].as_str().unwrap().is_empty(),
            "{check}"
        );
    }
}

#[test]
fn doctor_tells_how_long_the_first_green_run_took_once_there_was_one() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    home.file("home-of-user/.profile", "");
    home.flowhost(&["validate", "missing.yaml"]).expect(1);
    let before = home.flowhost(&["doctor", "--json"]).json();
    assert!(before["dx_ttfd_seconds"].is_null(), "{before:#}");
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let after = home.flowhost(&["doctor", "--json"]).json();
    assert!(
        after["dx_ttfd_seconds"].as_f64().unwrap() > 0.0,
        "{after:#}"
    );
}

#[test]
fn completion_scripts_are_printed_for_each_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let ran = Home::new().flowhost(&["completion", shell]).expect(0);
        assert!(ran.stdout.contains("flowhost"), "{shell}");
        assert!(
            !ran.stdout.contains("__compile"),
            "{shell} offers what nobody types"
        );
    }
}

#[test]
fn the_schema_is_the_one_of_the_parser() {
    let ran = Home::new().flowhost(&["plan", "schema"]).expect(0);
    assert_eq!(ran.json(), flowhost_flow::plan_schema());
}

#[test]
fn inspect_tells_role_imports_and_digest_without_running() {
    let home = home(
        &["deny_files"],
        "  only: { uses: deny_files/run, with: {} }",
    );
    let shown = seen(&home, &["inspect", "deny_files.wasm"]);
    assert!(
        shown.contains("tool") && shown.contains("flowhost:files/files@0.1.0"),
        "{shown}"
    );
    assert!(shown.contains("and its tool is `run`"), "{shown}");
    home.flowhost(&["inspect", "plan.yaml"]).expect(1);
}

#[test]
fn policy_explain_tells_where_each_right_comes_from() {
    let home = Home::new();
    home.run_tool(
        "ok_log",
        "log = true\nconfig = true\n",
        "{ message: hello }",
    )
    .expect(0);
    let shown = home.flowhost(&["policy", "explain", "plan.yaml"]).expect(0);
    assert!(
        shown.stdout.contains("log") && shown.stdout.contains("under-test"),
        "{}",
        shown.stdout
    );
}

#[test]
fn policy_explain_tells_which_rule_opens_the_private_network() {
    let home = Home::new();
    home.file(
        "policies/own.toml",
        "version = 1\nname = \"own\"\n[[http]]\nurl = \"http://127.0.0.1:9/\"\nmethods = [\"GET\"]\nprivate_network = true\n",
    );
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  \
         fetch: { kind: tool, source: \"builtin:http-fetch\", profile: own }\nsteps:\n  \
         f: { uses: fetch/fetch, with: { url: \"http://127.0.0.1:9/\" } }\n",
    );
    let shown = home.flowhost(&["policy", "explain", "plan.yaml"]).expect(0);
    let rule = "http[0] = GET http://127.0.0.1:9/, private_network = true (";
    assert!(shown.stdout.contains(rule), "{}", shown.all());
}

#[test]
fn policy_test_runs_a_table_of_cases() {
    let home = Home::new();
    home.file("policies/p.toml", "version = 1\nname = \"p\"\nlog = true\n");
    home.flowhost(&["policy", "test", "missing.toml"]).expect(1);
}
