//! The examples do their work, and find exactly what was planted.

use std::path::Path;

use crate::counting::Counting;
use crate::support::{Home, confines, repository};

/// Copies a folder, without what a run in it has left there.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name())
        };
        let target = to.join(&name);
        if path.is_file() {
            std::fs::copy(&path, &target).unwrap();
        } else if !["out", "evidence", ".flowhost"]
            .iter()
            .any(|left| name == *left)
        {
            copy(&path, &target);
        }
    }
}

/// A folder that is a copy of an example.
pub(crate) fn example(name: &str) -> Home {
    let home = Home::new();
    home.warm();
    copy(&repository().join("examples").join(name), home.path());
    home
}

#[test]
fn what_an_example_leaves_where_it_is_run_is_ignored_by_git() {
    let mut with_evidence = 0;
    for entry in std::fs::read_dir(repository().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        let plan = std::fs::read_to_string(folder.join("plan.yaml")).unwrap_or_default();
        if !plan.lines().any(|line| line.starts_with("evidence:")) {
            continue;
        }
        with_evidence += 1;
        // The copy of an example that a person makes has no other `.gitignore` above it.
        let ignored = std::fs::read_to_string(folder.join(".gitignore")).unwrap_or_default();
        for left in [".flowhost/", "evidence/", "report.html", "dashboard.html"] {
            assert!(
                ignored.lines().any(|line| line == left),
                "{left}: {}",
                folder.display()
            );
        }
    }
    assert!(with_evidence >= 2, "{with_evidence}");
}

#[test]
fn the_first_plan_lists_headings_and_stops_at_a_key() {
    let home = example("first-plan");
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert!(
        !report["outputs"]["headings"].as_array().unwrap().is_empty(),
        "{report:#}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
    home.file("hello.md", "# Write to jane.doe@example.com\n");
    let report = home.flowhost(&["run", "plan.yaml", "--json"]);
    assert!(
        !report.stdout.contains("jane.doe@example.com"),
        "{}",
        report.all()
    );
}

#[test]
fn support_triage_walks_by_what_it_reads() {
    let home = example("support-triage");
    let run = |arguments: &[&str]| {
        let all = [&["run", "plan.yaml", "--json"], arguments].concat();
        home.flowhost(&all).expect(0).json()
    };
    home.file("empty.md", "No front matter.\n");
    let asked = run(&["--input", "request=empty.md"]);
    assert_eq!(asked["steps"]["search"]["status"], "skipped", "{asked:#}");
    assert_eq!(asked["steps"]["ask_back"]["status"], "ok", "{asked:#}");
    // Which file it was is the asker's to know: what is answered names none that was not read.
    let reply = asked["outputs"]["reply"].as_str().unwrap();
    assert!(
        reply.contains("the request") && !reply.contains("request.md"),
        "{reply}"
    );
    home.file(
        "fire.md",
        "---\ntopic: fire\nurgency: high\n---\n# It burns\n",
    );
    let urgent = run(&["--input", "request=fire.md"]);
    assert_eq!(urgent["steps"]["hand_over"]["status"], "ok", "{urgent:#}");
    let answered = run(&[]);
    assert_eq!(answered["outputs"]["answered"], true, "{answered:#}");
    assert_eq!(
        answered["steps"]["hand_over"]["status"], "skipped",
        "{answered:#}"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn support_triage_waits_for_a_person_where_that_is_asked_for() {
    for (word, step) in [("approve", "answer"), ("reject", "hand_over")] {
        let home = example("support-triage");
        let waits = ["run", "plan.yaml", "--json", "--input", "review=true"];
        let waits = home.flowhost(&waits).expect(9).json();
        assert_eq!(waits["status"], "waiting", "{waits:#}");
        let said = ["runs", word, "latest", "review", "--by", "ann"];
        home.flowhost(&said).expect(0);
        let resume = ["runs", "resume", "latest", "--json"];
        let report = home.flowhost(&resume).expect(0).json();
        assert_eq!(report["steps"][step]["status"], "ok", "{report:#}");
        assert_eq!(
            report["outputs"]["answered"],
            word == "approve",
            "{report:#}"
        );
        super::again::replays(&home);
        home.flowhost(&["verify", "latest"]).expect(0);
    }
}

#[test]
fn order_saga_takes_back_what_was_done_when_the_last_service_refuses() {
    let services = [47_811, 47_812, 47_813].map(|port| (port, Counting::new()));
    let home = example("order-saga");
    for file in ["plan.yaml", "policies/services.toml"] {
        let mut text = home.read(file);
        for (port, service) in &services {
            let port = format!("127.0.0.1:{port}");
            text = text.replace(&port, &service.address.to_string());
        }
        home.file(file, text);
    }
    let [(_, stock), (_, payment), (_, shipping)] = &services;
    shipping.fail("/shipments/A-1001", true);
    let run = ["run", "plan.yaml", "--allow-private-network", "--json"];
    let report = home.flowhost(&run).expect(8).json();
    assert_eq!(report["error"]["step"], "ship", "{report:#}");
    // Once done and once taken back, each by a call with a key of its own.
    assert_eq!(stock.counts()["/reservations/A-1001"], (2, 2));
    assert_eq!(payment.counts()["/charges/A-1001"], (2, 2));
    assert_eq!(shipping.paths().len(), 1);
    shipping.fail("/shipments/A-1001", false);
    let well = home.flowhost(&run).expect(0).json();
    assert_eq!(well["outputs"]["shipped"], true, "{well:#}");
    assert_eq!(stock.paths().len(), 3);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}

#[test]
fn urgent_message_replies_falls_back_or_refuses() {
    let home = example("urgent-message");
    home.file("calm.md", "---\nsubject: x\nurgency: low\n---\n# X\n");
    let calm = ["run", "plan.yaml", "--json", "--input", "message=calm.md"];
    home.flowhost(&calm).expect(4);
    home.file(
        "broken.md",
        "---\nsubject: x\nurgency: high\n---\n# X\n\n[gone](gone.md)\n",
    );
    let broken = ["run", "plan.yaml", "--json", "--input", "message=broken.md"];
    let broken = home.flowhost(&broken).expect(0).json();
    assert_eq!(broken["outputs"]["replied"], false, "{broken:#}");
    assert_eq!(broken["steps"]["fallback"]["status"], "ok", "{broken:#}");
    let replied = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(replied["outputs"]["replied"], true, "{replied:#}");
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn docs_check_finds_the_planted_faults_and_nothing_else() {
    let home = example("docs-check");
    home.file(
        "made/good.md",
        "# Good\n\nSee [the other](sub/other.md) and [a heading](sub/other.md#part).\n",
    );
    home.file(
        "made/sub/other.md",
        "# Other\n\n## Part\n\n[back](../good.md) [outside](https://example.com/)\n",
    );
    let clean = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"])
        .expect(0)
        .json();
    assert_eq!(clean["outputs"]["findings"], 0, "{clean:#}");
    assert_eq!(clean["outputs"]["complete"], true, "{clean:#}");
    home.file("made/broken.md", "# Broken\n\n[gone](missing.md)\n");
    home.file("made/anchor.md", "# Anchor\n\n[gone](#nowhere)\n");
    home.file("made/bare.md", "No heading at all.\n");
    home.file(
        "made/cross.md",
        "# Cross\n\n[part](sub/other.md#part) [no](sub/other.md#no-part)\n",
    );
    let report = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"])
        .expect(0)
        .json();
    assert_eq!(
        (
            &report["outputs"]["documents"],
            &report["outputs"]["findings"]
        ),
        (&6.into(), &4.into()),
        "{report:#}"
    );
    let written = home.read("out/report.md");
    for planted in ["missing.md", "nowhere", "bare.md", "no-part"] {
        assert!(written.contains(planted), "{planted}: {written}");
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn docs_check_of_the_project_itself_never_sees_the_state_folder() {
    let home = example("docs-check");
    home.file(
        "README.md",
        "# Project\n\n[state](.flowhost/) [docs](sample/index.md)\n",
    );
    home.file(".flowhost/planted.md", "# Planted\n\n[gone](gone.md)\n");
    home.file("plan-input.md", "# Other\n");
    let run = || {
        let ran = home.flowhost(&["run", "plan.yaml", "--input", "folder=.", "--json"]);
        ran.expect(0).json()
    };
    // The second run finds the evidence of the first one there.
    for _ in 0..2 {
        let report = run();
        let found = report["outputs"]["found"].as_str().unwrap().to_owned();
        assert!(
            !found.contains("planted") && !found.contains(".flowhost/default"),
            "{found}"
        );
        assert!(
            found.contains("README.md:3: broken-link: links to `.flowhost/`"),
            "{found}"
        );
    }
}

#[test]
fn docs_check_tells_what_it_could_not_read_and_reports_the_rest() {
    let home = example("docs-check");
    home.file(
        "made/index.md",
        "# Index\n\n[gone](gone.md) [old](OLD.MD#grün)\n",
    );
    std::fs::write(home.path().join("made/OLD.MD"), b"# Gr\xfcn\n").unwrap();
    home.file("made/large.markdown", "x".repeat(5 << 20));
    std::os::unix::fs::symlink("../../secret", home.path().join("made/out.md")).unwrap();
    let report = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"])
        .expect(0)
        .json();
    let found = report["outputs"]["found"].as_str().unwrap();
    for wanted in [
        "made/index.md:3: broken-link: links to `gone.md`, which is not there",
        "made/OLD.MD:1: not-utf8: is not UTF-8; it was read as latin-1",
        "made/large.markdown:1: unreadable: cannot be read",
    ] {
        assert!(found.contains(wanted), "{wanted}: {found}");
    }
    assert_eq!(report["outputs"]["findings"], 3, "{found}");
    let written = home.read("out/report.md");
    assert!(
        written.contains("incomplete") && written.contains("made/out.md was left out"),
        "{written}"
    );
    assert_eq!(report["outputs"]["complete"], false);
}

#[test]
fn docs_check_ends_with_4_on_a_finding_where_that_is_asked_for() {
    let home = example("docs-check");
    let arguments = ["run", "plan.yaml", "--input", "strict=true", "--input"];
    let run = |folder: &str| home.flowhost(&[&arguments[..], &[folder]].concat());
    let ran = run("folder=sample");
    assert_eq!(ran.code, 4, "{}", ran.all());
    home.file("sound/a.md", "# A\n");
    run("folder=sound").expect(0);
}

#[test]
fn docs_check_does_not_write_a_leaked_key() {
    let home = example("docs-check");
    let key = format!("AKIA{}", "IOSFODNN7EXAMPLQ");
    home.file("made/leak.md", format!("# Leak\n\nkey: {key}\n"));
    let ran = home.flowhost(&["run", "plan.yaml", "--input", "folder=made", "--json"]);
    let written = std::fs::read_to_string(home.path().join("out/report.md")).unwrap_or_default();
    assert!(!written.contains(&key), "{written}");
    assert!(
        ran.code == 4 || written.contains("leak.md"),
        "{}\n{written}",
        ran.all()
    );
}

#[test]
fn docs_check_reads_the_manual_of_this_repository() {
    let home = example("docs-check");
    copy(&repository().join("docs"), &home.path().join("manual"));
    let report = home
        .flowhost(&["run", "plan.yaml", "--input", "folder=manual", "--json"])
        .expect(0)
        .json();
    assert!(
        report["outputs"]["documents"].as_u64().unwrap() > 15,
        "{report:#}"
    );
}

#[test]
fn a_foreign_file_server_reads_its_folder_and_reaches_nothing_else() {
    if !confines() {
        return;
    }
    let home = example("mcp-files");
    // `cargo xtask test` puts what package-lock.json names there, where npm is on the machine.
    let modules = repository().join("target/mcp-files/node_modules");
    if !modules.is_dir() {
        let told = home
            .flowhost(&["run", "plan.yaml", "--allow-process"])
            .expect(1);
        assert!(told.stderr.contains("node_modules"), "{}", told.all());
        return;
    }
    copy(&modules, &home.path().join("node_modules"));
    let report = home
        .flowhost(&["run", "plan.yaml", "--allow-process", "--json"])
        .expect(0)
        .json();
    let outputs = &report["outputs"];
    assert!(
        outputs["today"]
            .as_str()
            .unwrap()
            .contains("water the plants"),
        "{report:#}"
    );
    assert_eq!(outputs["reached"], "failed", "{report:#}");
    assert_eq!(outputs["wrote"], "failed", "{report:#}");
    // By the kernel, each for its own reason: not because the server did not get as far.
    let told = report["warnings"].to_string();
    for refused in ["scandir '/'", "EROFS: read-only file system"] {
        assert!(told.contains(refused), "{told}");
    }
    assert!(home.read("notes/today.md").contains("water the plants"));
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn an_agent_answers_by_the_tools_of_two_servers_one_of_which_is_a_program() {
    if !confines() {
        return;
    }
    use std::io::{BufRead as _, BufReader};
    const TOKEN: &str = "a-token-of-this-test";
    let home = example("mcp-agent");
    let mut serve = home.command(&[
        "--state",
        "served",
        "mcp",
        "serve",
        "--plugin",
        "builtin:markdown",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut server = serve
        .env("FLOWHOST_MCP_TOKEN", TOKEN)
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(server.stderr.take().unwrap()).lines();
    let line = said
        .map(Result::unwrap)
        .find(|line| line.contains("http://"))
        .unwrap();
    let (_, port) = line.split_once("127.0.0.1:").unwrap();
    let port: String = port.chars().take_while(char::is_ascii_digit).collect();
    for file in ["plan.yaml", "policies/texts-server.toml"] {
        let text = home
            .read(file)
            .replace("127.0.0.1:8765", &format!("127.0.0.1:{port}"));
        home.file(file, text);
    }
    let arguments = [
        "run",
        "plan.yaml",
        "--policies",
        "policies",
        "--allow-process",
        "--allow-private-network",
        "--json",
    ];
    let mut run = home.command(&arguments);
    let run = run
        .env("TEXTS_TOKEN", TOKEN)
        .env("FLOWHOST_CONFIG", "operator.toml")
        .output()
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let shown =
        String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{shown}");
    let report: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(
        report["outputs"]["sources"],
        serde_json::json!(["plan.md"]),
        "{report:#}"
    );
    let calls: Vec<String> = home
        .records()
        .into_iter()
        .filter(|record| record["kind"] == "tool.result" && record["caller"] == "assistant")
        .map(|record| format!("{} {}", record["tool"], record["status"]))
        .collect();
    assert_eq!(
        calls,
        ["\"list\" \"ok\"", "\"read\" \"ok\"", "\"headings\" \"ok\""]
    );
    assert!(!shown.contains(TOKEN));
}
