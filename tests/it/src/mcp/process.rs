//! The adapter `mcp-client` with servers that are started: native processes in their sandbox, honest and not.
//! The server is a script of Perl's base, which this machine's system has anyway.

use std::net::TcpListener;

use serde_json::{Value, json};

use crate::support::{Home, Ran, confines, repository};

/// A folder with a plan whose adapter starts the server in `mode`; `more` is added to the profile.
fn plan(mode: &str, more: &str, steps: &str) -> Home {
    let home = Home::new();
    home.warm();
    let script = std::fs::read_to_string(repository().join("tests/mcp/server.pl")).unwrap();
    home.file("server/server.pl", script);
    home.file("docs/read-me", "what is granted");
    home.file(
        "policies/peer.toml",
        format!(
            "version = 1\nname = \"peer\"\n[limits]\ndeadline = \"20s\"\nevidence = \"256MiB\"\n\
             [[process]]\ncommand = [\"perl\", \"/server/server.pl\", \"{mode}\"]\n{more}\n\
             [[files]]\nguest = \"/server\"\nhost = \"server\"\naccess = \"read\"\n\
             [[files]]\nguest = \"/docs\"\nhost = \"docs\"\naccess = \"read\"\n"
        ),
    );
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  peer: {{ kind: mcp_adapter, source: \
             \"builtin:mcp-client\", profile: peer }}\nsteps:\n{steps}\noutputs: {{ said: \
             \"${{{{ steps.a.output }}}}\" }}\n"
        ),
    );
    home
}

const STEP: &str = "  a: { uses: peer/shout, with: { text: hello } }";

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--allow-process", "--json"])
}

/// The same folder, where a call may take three seconds.
fn hurried(home: Home) -> Home {
    let profile = home.read("policies/peer.toml");
    home.file(
        "policies/peer.toml",
        profile.replace("deadline = \"20s\"", "deadline = \"3s\""),
    );
    home
}

/// The records of a kind.
fn of_kind(home: &Home, kind: &str) -> Vec<Value> {
    let mut records = home.records();
    records.retain(|record| record["kind"] == kind);
    records
}

#[test]
fn a_process_needs_the_second_key_and_the_refusal_names_it() {
    let home = plan("legacy", "", STEP);
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(6);
    let told = ran.json();
    assert!(told.to_string().contains("process.option"), "{}", ran.all());
    let hint = told["problems"][0]["hint"].as_str().unwrap();
    assert!(hint.contains("`--allow-process`"), "{}", ran.all());
    // Whoever looks at the list of runs finds one there: it is named, and stands as the exit code says.
    let run = told["run"].as_str().unwrap();
    assert_eq!(told["status"], "denied", "{}", ran.all());
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.stdout.contains(run), "{}", listed.all());
    assert!(listed.stdout.contains("denied"), "{}", listed.all());
    let [decided] = of_kind(&home, "process.start").try_into().unwrap();
    assert_eq!(decided["decision"], "deny", "{decided}");
    assert_eq!(decided["said"]["cure"], "--allow-process", "{decided}");
}

#[test]
fn a_server_that_is_started_is_found_out_and_its_tool_called_in_either_era() {
    if !confines() {
        return;
    }
    for (mode, protocol) in [("legacy", "2025-06-18"), ("modern", "2026-07-28")] {
        let home = plan(mode, "", STEP);
        let ran = run(&home).expect(0);
        assert_eq!(ran.json()["outputs"]["said"], json!({ "text": "HELLO" }));
        let [handshake] = of_kind(&home, "mcp.handshake").try_into().unwrap();
        assert_eq!(handshake["protocol"], protocol, "{handshake}");
        let [decided] = of_kind(&home, "process.start").try_into().unwrap();
        assert_eq!(decided["decision"], "allow");
        let wanted = decided["said"]["wanted"].as_str().unwrap();
        assert!(wanted.contains("/server/server.pl"), "{wanted}");
        let called = of_kind(&home, "tool.call");
        let called = called.iter().find(|it| it["tool"] == "shout").unwrap();
        assert_eq!(called["source"], "mcp", "{called}");
        let [ended] = of_kind(&home, "process.end").try_into().unwrap();
        assert_eq!(
            ended["how"], "code",
            "its input was closed, and it went: {ended}"
        );
    }
}

#[test]
fn one_process_serves_a_whole_run_and_calls_that_overlap() {
    if !confines() {
        return;
    }
    let steps = "  a: { uses: peer/shout, with: { text: one } }\n  b: { uses: peer/shout, with: { text: two } }\n  \
                 c: { uses: peer/shout, with: { text: three }, needs: [a, b] }";
    let home = plan("legacy", "", steps);
    run(&home).expect(0);
    assert_eq!(of_kind(&home, "process.start").len(), 1);
}

#[test]
fn a_list_of_tools_is_read_page_by_page() {
    if !confines() {
        return;
    }
    let steps = "  a: { uses: peer/whisper, with: { text: hello } }";
    run(&plan("pages", "", steps)).expect(0);
}

#[test]
fn a_server_that_tries_to_leave_its_sandbox_finds_nothing_but_what_is_granted() {
    if !confines() {
        return;
    }
    // What listens here is on the machine's loopback, which is not the sandbox's.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let step = format!("  a: {{ uses: peer/shout, with: {{ text: \"port {port}\" }} }}");
    let home = plan("escapes", "", &step);
    let ran = run(&home).expect(0);
    let found = &ran.json()["outputs"]["said"]["text"];
    assert_eq!(found, "granted", "{}", ran.all());
    assert!(!home.path().join("docs/new").exists());
}

#[test]
fn a_server_that_goes_over_a_bound_is_ended_and_the_record_says_which() {
    if !confines() {
        return;
    }
    let home = plan("hoards", "memory = \"96MiB\"", STEP);
    let ran = run(&home);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let [ended] = of_kind(&home, "process.end").try_into().unwrap();
    // Its own allocation fails first, or the warden sees it first: both bounds are the same number.
    let how = ended["how"].as_str().unwrap();
    assert!(matches!(how, "limit" | "code" | "signal"), "{ended}");
}

#[test]
fn a_server_that_makes_a_forbidden_system_call_is_ended_and_the_record_says_so() {
    if !confines() {
        return;
    }
    let home = plan("traces", "", STEP);
    let ran = run(&home);
    assert_ne!(ran.code, 0, "{}", ran.all());
    let [ended] = of_kind(&home, "process.end").try_into().unwrap();
    assert_eq!(ended["how"], "syscall", "{ended}");
    assert!(ran.all().contains("forbidden system call"), "{}", ran.all());
}

#[test]
fn a_server_that_misbehaves_ends_with_an_error_that_says_what_it_did() {
    if !confines() {
        return;
    }
    // MCP-022, MCP-026, MCP-027
    for (mode, code, says) in [
        ("exits", 1, "ended by itself with code 3"),
        ("log-on-stdout", 1, "what is not a frame"),
        ("no-end", 1, "does not end"),
        ("too-many", 1, "cannot be used"),
        ("huge", 3, "more than 4 MiB"),
        ("utf-16", 3, "not a frame"),
        ("nan", 3, "not a frame"),
        ("dies", 3, "ended by itself with code 7"),
    ] {
        let home = plan(mode, "", STEP);
        let ran = run(&home);
        let told = format!("{mode}: {}", ran.all());
        assert!(told.contains(says), "{told}");
        assert!(ran.code != 0 && (code != 1 || ran.code == 1), "{told}");
        // What there is to do about one that cannot even be connected to.
        let cure = match mode {
            "exits" => "start the command of the profile's [[process]] by hand",
            "too-many" => "raise `output` in [limits] of the profile",
            _ => "",
        };
        assert!(told.contains(cure), "{told}");
        assert_eq!(
            of_kind(&home, "process.end").len(),
            of_kind(&home, "process.start").len()
        );
    }
}

#[test]
fn what_a_server_says_unasked_disturbs_no_answer() {
    if !confines() {
        return;
    }
    // MCP-022, MCP-026: answers to nobody, a flood, a question in return.
    for (mode, said) in [
        ("invents", "HELLO"),
        ("floods", "HELLO"),
        ("asks", "refused"),
        ("twice", "once"),
    ] {
        let ran = run(&plan(mode, "", STEP)).expect(0);
        assert_eq!(
            ran.json()["outputs"]["said"]["text"],
            said,
            "{mode}: {}",
            ran.all()
        );
    }
}

#[test]
fn a_server_that_never_answers_costs_its_call_and_nothing_else() {
    if !confines() {
        return;
    }
    let home = hurried(plan("never", "", STEP));
    let ran = run(&home);
    assert!(
        ran.all().contains("did not answer in time"),
        "{}",
        ran.all()
    );
}

#[test]
fn a_call_that_a_server_took_and_did_not_answer_is_in_doubt_and_not_made_twice() {
    if !confines() {
        return;
    }
    let once = "  a: { uses: peer/shout, with: { text: hello }, effects: once, retry: { max_attempts: 3, \
                backoff: { initial: 10ms } } }";
    for mode in ["never", "dies"] {
        let home = hurried(plan(mode, "", once));
        let ran = run(&home);
        let told = ran.json();
        assert!(ran.code != 0, "{}", ran.all());
        assert_eq!(of_kind(&home, "tool.call").len(), 1, "{}", ran.all());
        assert!(
            told["warnings"].to_string().contains("nobody knows"),
            "{}",
            ran.all()
        );
        let hint = told["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("is not tried again"), "{hint}");
    }
    let told = run(&plan("legacy", "", once)).expect(0).json();
    assert_eq!(told["warnings"], json!([]), "{told:#}");
}

#[test]
fn a_server_that_died_is_started_again_for_the_next_try() {
    if !confines() {
        return;
    }
    let home = plan(
        "dies-once",
        "[[files]]\nguest = \"/work\"\nhost = \"work\"\naccess = \"write\"\nquota = \"1MiB\"\nentries = 10",
        "  a: { uses: peer/shout, with: { text: hello }, effects: idempotent, retry: { max_attempts: 3, backoff: { initial: 10ms } } }",
    );
    let ran = run(&home).expect(0);
    assert_eq!(
        ran.json()["outputs"]["said"]["text"],
        "HELLO",
        "{}",
        ran.all()
    );
    assert_eq!(of_kind(&home, "process.start").len(), 2);
}

#[test]
fn tools_that_are_exchanged_are_refused_over_a_process_too() {
    if !confines() {
        return;
    }
    // MCP-002
    let ran = run(&plan("exchanges", "", STEP)).expect(6);
    assert!(ran.all().contains("`shout` changed"), "{}", ran.all());
}

#[test]
fn a_program_that_is_missing_is_told_with_where_it_was_looked_for() {
    if !confines() {
        return;
    }
    let home = plan("legacy", "", STEP);
    let profile = home.path().join("policies/peer.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, text.replace("[\"perl\"", "[\"no-such-program\"")).unwrap();
    let ran = run(&home).expect(1);
    assert!(
        ran.all().contains("/usr/local/bin:/usr/bin:/bin"),
        "{}",
        ran.all()
    );
}

#[test]
fn another_program_than_the_profile_names_does_not_begin() {
    if !confines() {
        return;
    }
    let home = plan("legacy", &format!("sha256 = \"{}\"", "0".repeat(64)), STEP);
    let ran = run(&home).expect(1);
    assert!(ran.all().contains("another program"), "{}", ran.all());
}

#[test]
fn what_a_server_offers_is_shown_and_called_by_nobody() {
    if !confines() {
        return;
    }
    let home = plan("legacy", "", STEP);
    let shown = home
        .flowhost(&["mcp", "inspect", "plan.yaml", "--allow-process", "--json"])
        .expect(0)
        .json();
    let server = &shown["servers"][0];
    assert_eq!(server["server"]["name"], "perl", "{shown:#}");
    assert_eq!(server["tools"][0]["name"], "shout");
    assert_eq!(server["tools"][0]["standing"], "not pinned");
    assert!(server["suggested"].as_str().unwrap().contains("peer/shout"));
    let text = home
        .flowhost(&["mcp", "inspect", "plan.yaml", "peer", "--allow-process"])
        .expect(0);
    assert!(
        text.stdout.contains("shout (not pinned, sha256:"),
        "{}",
        text.all()
    );
    home.flowhost(&["mcp", "inspect", "plan.yaml", "nobody"])
        .expect(1);
}

#[test]
fn tools_that_were_accepted_are_held_to_until_somebody_accepts_others() {
    if !confines() {
        return;
    }
    // MCP-002, over runs: the server is another one by the next.
    let home = plan("legacy", "", STEP);
    let pin = ["mcp", "inspect", "plan.yaml", "--allow-process", "--pin"];
    home.flowhost(&pin).expect(0);
    assert!(home.read("flowhost.lock").contains("shout"));
    run(&home).expect(0);
    let script = home.read("server/server.pl");
    home.file(
        "server/server.pl",
        script.replace("Says it louder.", "Says it louder, to all."),
    );
    let refused = run(&home).expect(6);
    assert!(
        refused.all().contains("`shout` changed: sha256:"),
        "{}",
        refused.all()
    );
    assert!(refused.all().contains("--pin"), "{}", refused.all());
    let told = refused.json()["problems"][0]["detail"].clone();
    let told = told.as_str().unwrap();
    let differs = "description:\n  - Says it louder.\n  + Says it louder, to all.";
    assert!(told.contains(differs), "{told}");
    // With the option without which it could not be looked at.
    let look = "`flowhost mcp inspect plan.yaml peer --allow-process`";
    assert!(refused.all().contains(look), "{}", refused.all());
    let shown = home
        .flowhost(&["mcp", "inspect", "plan.yaml", "--allow-process", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["servers"][0]["tools"][0]["standing"], "changed");
    home.flowhost(&pin).expect(0);
    run(&home).expect(0);
    // What else is locked knows of no tools of a server, and forgets none.
    home.flowhost(&["plugin", "update", "plan.yaml", "--yes"])
        .expect(0);
    assert!(home.read("flowhost.lock").contains("shout"));
}

#[test]
fn an_operator_who_wants_no_servers_has_none() {
    let home = plan("legacy", "", STEP);
    home.file("flowhost.toml", "[mcp_adapter]\nenabled = false\n");
    let refused = home
        .flowhost(&["run", "plan.yaml", "--allow-process"])
        .expect(1);
    assert!(refused.stderr.contains("switched off"), "{}", refused.all());
    home.file("flowhost.toml", "[mcp_adapter]\nenabled = true\n");
    let refused = home
        .flowhost(&["run", "plan.yaml", "--allow-process"])
        .expect(1);
    assert!(
        refused.stderr.contains("the operator's to say"),
        "{}",
        refused.all()
    );
}

#[test]
fn what_a_server_says_of_its_progress_is_told_on_where_the_profile_lets_it_speak() {
    if !confines() {
        return;
    }
    let told = |home: &Home| -> Vec<Value> {
        let calls = of_kind(home, "host.call").into_iter();
        let told = calls.filter(|it| it["interface"] == "flowhost:progress/progress@0.1.0");
        told.map(|it| json!([it["done"], it["total"]])).collect()
    };
    let silent = plan("tells", "", STEP);
    assert_eq!(
        run(&silent).expect(0).json()["outputs"]["said"],
        json!({ "text": "HELLO" })
    );
    assert_eq!(told(&silent), Vec::<Value>::new());
    let home = plan("tells", "", STEP);
    let profile = home
        .read("policies/peer.toml")
        .replace("[limits]", "log = true\n[limits]");
    home.file("policies/peer.toml", profile);
    run(&home).expect(0);
    let told = told(&home);
    assert_eq!(told.first(), Some(&json!(["1", "2"])), "{told:?}");
    assert!(!told.contains(&json!(["7", "2"])), "{told:?}");
}

#[test]
fn a_server_that_says_that_its_tools_have_changed_is_looked_at_before_the_next_call() {
    if !confines() {
        return;
    }
    // MCP-002: it says nothing of how long its list holds, which is then ten seconds.
    let steps = format!("{STEP}\n  b: {{ needs: [a], uses: peer/shout, with: {{ text: again }} }}");
    run(&plan("legacy", "", &steps)).expect(0);
    // In the modern era it says so where it was asked to.
    for mode in ["announces", "modern-announces"] {
        let refused = run(&plan(mode, "", &steps)).expect(6);
        let told = refused.all();
        assert!(told.contains("`shout` changed: sha256:"), "{mode}: {told}");
    }
}

#[test]
fn a_look_at_a_server_that_may_not_be_started_says_what_lets_it() {
    let home = plan("legacy", "", STEP);
    let looked = home.flowhost(&["mcp", "inspect", "plan.yaml"]).expect(1);
    assert!(looked.stderr.contains("note: "), "{}", looked.all());
    assert!(
        looked.stderr.contains("--allow-process"),
        "{}",
        looked.all()
    );
    assert!(
        looked
            .stdout
            .contains("hint: give the command `--allow-process`"),
        "{}",
        looked.all()
    );
}

#[test]
fn of_a_server_that_cannot_be_reached_nobody_says_that_its_tools_are_gone() {
    if !confines() {
        return;
    }
    let home = plan("legacy", "", STEP);
    let pin = ["mcp", "inspect", "plan.yaml", "--allow-process", "--pin"];
    home.flowhost(&pin).expect(0);
    let profile = home.read("policies/peer.toml");
    home.file(
        "policies/peer.toml",
        profile.replace("\"legacy\"", "\"exits\""),
    );
    // As without a pin: it is a failure of the server, and nobody has refused it.
    let ran = run(&home).expect(1);
    let told = ran.json();
    assert_eq!(told["problems"].as_array().unwrap().len(), 1, "{told:#}");
    let message = told["problems"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("ended by itself with code 3"),
        "{}",
        ran.all()
    );
    assert_eq!(told["status"], "failed", "{told:#}");
    assert!(!ran.all().contains("--pin"), "{}", ran.all());
}

#[test]
fn a_step_that_gives_a_server_nothing_gives_it_no_arguments() {
    if !confines() {
        return;
    }
    let home = plan("asks-nothing", "", "  a: { uses: peer/shout }");
    let ran = run(&home).expect(0);
    let said = &ran.json()["outputs"]["said"]["text"];
    assert_eq!(said, "nothing", "{}", ran.all());
}

#[test]
fn a_run_that_is_taken_up_is_not_gone_on_with_by_other_tools() {
    if !confines() {
        return;
    }
    // MCP-002, over the processes of one run.
    let steps = format!(
        "{STEP}\n  ask: {{ needs: [a], wait_for: approval, timeout: 4h }}\n  \
         b: {{ needs: [ask], uses: peer/shout, with: {{ text: again }} }}"
    );
    let home = plan("legacy", "", &steps);
    run(&home).expect(9);
    home.flowhost(&["runs", "approve", "latest", "ask", "--by", "ann"])
        .expect(0);
    let script = home.read("server/server.pl");
    home.file(
        "server/server.pl",
        script.replace("Says it louder.", "Says it louder, to all."),
    );
    let resume = || home.flowhost(&["runs", "resume", "latest", "--allow-process", "--json"]);
    // The second time as well: what was refused is not what the run was shown.
    for _ in 0..2 {
        let refused = resume().expect(6);
        let told = refused.json();
        let message = told["problems"][0]["message"].as_str().unwrap();
        assert!(
            message.contains("this run was shown: `shout` changed"),
            "{}",
            refused.all()
        );
        assert_eq!(told["status"], "interrupted", "{}", refused.all());
        let id = told["run"].as_str().unwrap();
        let command = format!("`flowhost runs resume {id} --allow-process` goes on with it");
        assert!(refused.all().contains(&command), "{}", refused.all());
    }
    home.file("server/server.pl", script);
    resume().expect(0);
}
