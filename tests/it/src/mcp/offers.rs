//! What can be offered, and what is refused before a client sees it.

use serde_json::{Value, json};

use super::stdio::Peer;
use super::{call, home, initialize, request};
use crate::support::{Home, repository, stable};

const PLAN: &str = "flowhost: v1\nkind: workflow\nname: shout\ndescription: Counts the headings of a text\n\
    inputs:\n  text: { type: string }\n  folder: { type: dir, path: docs, description: Where to look }\n  note: { type: file, path: note.md }\n\
    plugins:\n  markdown: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n\
    steps:\n  headings: { uses: markdown/headings, with: { text: \"${{ inputs.text + inputs.note }}\" } }\n\
    outputs: { headings: \"${{ steps.headings.output.headings.map(h, h.text) }}\", folder: \"${{ inputs.folder }}\" }\n";

fn with_plan() -> Home {
    let home = Home::new();
    home.warm();
    home.file("plan.yaml", PLAN);
    home.file("docs/a.md", "# A");
    home.file("note.md", "\n# From the file\n");
    home
}

#[test]
fn refuses_two_tools_of_one_name_in_whatever_case() {
    // MCP-003
    let home = home();
    let serve = [
        "mcp",
        "serve",
        "--profile",
        "tool-pure",
        "--plugin",
        "tools.wasm",
        "--plugin",
        "tools.wasm",
    ];
    let refused = home.flowhost(&serve).expect(1);
    assert!(
        refused.stderr.contains("two tools would be called `echo`"),
        "{}",
        refused.all()
    );
    assert!(
        refused.stderr.contains("--plugin NAME=FILE"),
        "{}",
        refused.all()
    );
    assert_eq!(refused.stdout, "");
}

#[test]
fn refuses_two_plans_of_one_name_with_a_cure_for_plans() {
    let home = with_plan();
    home.file("again.yaml", PLAN);
    for (other, cure) in [
        ("plan.yaml", "give `--plan plan.yaml` once"),
        (
            "again.yaml",
            "change `name:` in `plan.yaml` or in `again.yaml`",
        ),
    ] {
        let serve = ["mcp", "serve", "--plan", "plan.yaml", "--plan", other];
        let refused = home.flowhost(&serve).expect(1);
        assert!(refused.stderr.contains(cure), "{other}: {}", refused.all());
        assert!(!refused.stderr.contains("--plugin"), "{}", refused.all());
    }
}

#[test]
fn refuses_a_plan_whose_descriptions_no_client_should_be_shown_and_says_where_they_stand() {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    let long = "y".repeat(4_097);
    for (own, of_input, parts) in [
        (
            "\"Reads \\u202e a file.\"",
            "plain",
            ["plan.yaml:4:14", "`description` holds U+202E", "remove it"],
        ),
        (
            "plain",
            "\"what to\\u200b say\"",
            [
                "plan.yaml:8:9",
                "`description` of `inputs.text` holds U+200B",
                "remove it",
            ],
        ),
        (
            long.as_str(),
            "plain",
            [
                "plan.yaml:4:14",
                "`description` is longer than 4096 bytes",
                "shorten it",
            ],
        ),
    ] {
        home.file(
            "plan.yaml",
            format!(
                "flowhost: v1\nkind: workflow\nname: p\ndescription: {own}\nplugins:\n  ok_echo: {{ kind: tool, source: \
                 ./ok_echo.wasm, profile: deny-all }}\ninputs:\n  text: {{ type: string, description: {of_input} }}\n\
                 steps:\n  only: {{ uses: ok_echo/run, with: {{ text: \"${{{{ inputs.text }}}}\" }} }}\n"
            ),
        );
        // A run shows no model what the plan says of itself.
        home.flowhost(&["validate", "plan.yaml", "--input", "text=x"])
            .expect(0);
        let refused = home
            .flowhost(&["mcp", "serve", "--plan", "plan.yaml"])
            .expect(1);
        for part in parts {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.all());
        }
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn refuses_what_cannot_be_served_with_its_cure() {
    let home = home();
    home.guest("ok_echo");
    home.guest("ok_guardrail");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["mcp", "serve"], 64, "--plan FILE"),
        (
            &["mcp", "serve", "--plugin", "none.wasm"],
            1,
            "was not found",
        ),
        (
            &["mcp", "serve", "--plugin", "ok_echo.wasm"],
            1,
            "it has no manifest",
        ),
        (
            &["mcp", "serve", "--plugin", "ok_guardrail.wasm"],
            1,
            "a guardrail and not a tool",
        ),
        (
            &[
                "mcp",
                "serve",
                "--plugin",
                "tools.wasm",
                "--profile",
                "missing",
            ],
            1,
            "the profile `missing` was not found",
        ),
        (
            &[
                "mcp",
                "serve",
                "--plugin",
                "tools.wasm",
                "--profile",
                "tool-pure",
                "--input",
                "a=b",
            ],
            1,
            "has an input `a`",
        ),
    ];
    for (arguments, code, says) in cases {
        let refused = home.flowhost(arguments).expect(code);
        assert!(refused.stderr.contains(says), "{}", refused.all());
        assert_eq!(refused.stdout, "");
    }
    // No plan names it: it was typed here.
    for command in [&["mcp", "serve", "--plugin"][..], &["inspect"]] {
        let missing = home.flowhost(&[command, &["none.wasm"]].concat()).expect(1);
        let here = home.path().canonicalize().unwrap();
        let from = format!("a relative one is looked for from `{}`", here.display());
        assert!(missing.stderr.contains(&from), "{}", missing.all());
    }
    let listen = home.flowhost(&[
        "mcp",
        "serve",
        "--listen",
        "0.0.0.0:0",
        "--plugin",
        "tools.wasm",
    ]);
    assert_eq!(listen.code, 64, "{}", listen.all());
    assert!(listen.stderr.contains("in the clear"), "{}", listen.all());
}

#[test]
fn refuses_at_the_start_what_a_run_of_a_plan_would_be_refused_for() {
    let home = Home::new();
    home.warm();
    home.guest("ok_echo");
    home.guest("fault_start");
    let plan = |plugins: &str, uses: &str| {
        format!(
            "flowhost: v1\nkind: workflow\nname: p\ninputs: {{ text: {{ type: string }} }}\nplugins:\n{plugins}steps:\n  \
             only: {{ uses: {uses}, with: {{ text: \"${{{{ inputs.text }}}}\" }} }}\n"
        )
    };
    let echo = "  ok_echo: { kind: tool, source: ./ok_echo.wasm, profile: deny-all }\n";
    let start = "  start: { kind: tool, source: ./fault_start.wasm, profile: deny-all }\n";
    let agent = "  a: { kind: agent, source: \"builtin:llm-agent\", profile: agent-any-model, config: { role: r, model: \
                 mock/any, tools: [ok_echo/run], peers: [b] } }\n";
    for (plugins, uses, parts) in [
        (
            echo.to_owned(),
            "ok_echo/rum",
            &["did you mean `ok_echo/run`?"][..],
        ),
        (
            start.to_owned(),
            "start/run",
            &["it does not say which tools it has"],
        ),
        (
            format!("{agent}{echo}"),
            "a",
            &[
                "what is to be served has 2 problems",
                "`peers` names `b`",
                "`agent-any-model` is shipped and stays as it is",
                "call = [\"ok_echo/run\"]",
            ],
        ),
    ] {
        home.file("plan.yaml", plan(&plugins, uses));
        let refused = home
            .flowhost(&["mcp", "serve", "--plan", "plan.yaml"])
            .expect(1);
        for part in parts {
            assert!(refused.stderr.contains(part), "{part}: {}", refused.all());
        }
        assert_eq!(refused.stdout, "");
    }
}

#[test]
fn a_plan_is_a_tool_whose_arguments_are_its_inputs() {
    let home = with_plan();
    let mut peer = Peer::start(&home, &["mcp", "serve", "--plan", "plan.yaml"]);
    peer.ask(&initialize(1));
    let listed = peer.ask(&request(2, "tools/list", json!({})));
    let tool = &listed["result"]["tools"][0];
    assert_eq!(tool["name"], "shout");
    assert_eq!(tool["description"], "Counts the headings of a text");
    assert_eq!(tool["inputSchema"]["required"], json!(["text"]));
    assert_eq!(
        tool["outputSchema"]["required"],
        json!(["outputs", "run", "cost"])
    );

    let answer = peer.ask(&call(
        3,
        "shout",
        json!({ "text": "# One", "note": "\n# Given", "folder": "docs" }),
    ));
    let result = &answer["result"];
    assert_eq!(
        result["structuredContent"]["outputs"]["headings"],
        json!(["One", "Given"]),
        "{answer}"
    );
    assert_eq!(result["structuredContent"]["run"]["status"], "ok");
    assert_eq!(
        result["structuredContent"]["cost"],
        json!({ "usd": 0.0, "tokens": 0 })
    );
    let from_file = peer.ask(&call(4, "shout", json!({ "text": "# One" })));
    let headings = &from_file["result"]["structuredContent"]["outputs"]["headings"];
    assert_eq!(headings, &json!(["One", "From the file"]));
    assert_eq!(peer.end().0, 0);
}

#[test]
fn a_client_cannot_reach_beyond_what_the_operator_offers() {
    let home = with_plan();
    let serve = [
        "mcp",
        "serve",
        "--plan",
        "plan.yaml",
        "--input",
        "text=# Fixed",
    ];
    let mut peer = Peer::start(&home, &serve);
    peer.ask(&initialize(1));
    let listed = peer.ask(&request(2, "tools/list", json!({})));
    let properties = &listed["result"]["tools"][0]["inputSchema"]["properties"];
    assert_eq!(properties.get("text"), None, "the operator gave it");
    for (arguments, says) in [
        (json!({ "text": "mine" }), "not yours to give"),
        (json!({ "folder": "/etc" }), "leaves the plan's folder"),
        (json!({ "folder": "../.." }), "leaves the plan's folder"),
        (
            json!({ "profile": "open" }),
            "the plan has no input `profile`",
        ),
        (json!({ "folder": 7 }), "another type"),
    ] {
        let refused = peer.ask(&call(3, "shout", arguments));
        assert_eq!(refused["result"]["isError"], true, "{refused}");
        let text = refused["result"]["content"][0]["text"].as_str().unwrap();
        assert!(text.contains(says), "{text}");
        // A client has neither a command line nor the plan's file.
        assert!(
            !text.contains("--input") && !text.contains("plan.yaml"),
            "{text}"
        );
    }
    assert_eq!(peer.end().0, 0);
}

#[test]
fn what_changed_since_it_was_offered_is_refused_until_it_is_offered_anew() {
    // MCP-002
    let home = with_plan();
    let mut peer = Peer::start(&home, &["mcp", "serve", "--plan", "plan.yaml"]);
    peer.ask(&initialize(1));
    home.file("plan.yaml", PLAN.replace("h.text", "h.anchor"));
    let refused = peer.ask(&call(2, "shout", json!({ "text": "# One" })));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("has changed since it was offered"), "{text}");
    home.file("plan.yaml", PLAN);
    let taken = peer.ask(&call(3, "shout", json!({ "text": "# One" })));
    assert_eq!(taken["result"]["isError"], false, "{taken}");
    assert_eq!(peer.end().0, 0);
}

#[test]
fn names_in_front_tell_two_components_apart() {
    let home = home();
    let serve = [
        "mcp",
        "serve",
        "--profile",
        "tool-pure",
        "--plugin",
        "a=tools.wasm",
        "--plugin",
        "b=tools.wasm",
    ];
    let mut peer = Peer::start(&home, &serve);
    peer.ask(&initialize(1));
    let listed = peer.ask(&request(2, "tools/list", json!({})));
    let names: Vec<&str> = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert!(
        names.contains(&"a.echo") && names.contains(&"b.echo"),
        "{names:?}"
    );
    let echo = peer.ask(&call(3, "b.echo", json!({ "text": "b" })));
    assert_eq!(echo["result"]["structuredContent"]["text"], "b");
    let described = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "a.echo")
        .unwrap();
    assert_eq!(
        described["annotations"],
        json!({ "readOnlyHint": true, "openWorldHint": false })
    );
    let schema = listed["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .find(|tool| tool["name"] == "a.json_schema_2020_12_tool")
        .unwrap();
    assert_eq!(
        schema["inputSchema"]["$defs"]["address"]["properties"]["city"]["type"],
        "string"
    );
    assert_eq!(peer.end().0, 0);
}

#[test]
fn install_prints_what_the_client_has_to_be_told() {
    let home = home();
    let printed = home
        .flowhost(&[
            "mcp",
            "install",
            "vscode",
            "--plugin",
            "tools.wasm",
            "--profile",
            "tool-pure",
            "--json",
        ])
        .expect(0);
    let document: Value = printed.json();
    let args = document["args"].as_array().unwrap();
    assert_eq!(
        args[3],
        home.path()
            .canonicalize()
            .unwrap()
            .join("tools.wasm")
            .display()
            .to_string()
    );
    let shown = home
        .flowhost(&[
            "mcp",
            "install",
            "codex",
            "--plugin",
            "tools.wasm",
            "--profile",
            "tool-pure",
            "--name",
            "docs",
        ])
        .expect(0);
    let shown = stable(&shown.stdout, &home).replace(
        &crate::support::executable().display().to_string(),
        "[flowhost]",
    );
    let plugins = repository().join("target/plugins").display().to_string();
    let shown = shown.replace(&plugins, "[plugins]");
    insta::assert_snapshot!(shown, @r#"
    [mcp_servers.docs]
    command = "[flowhost]"
    args = ["mcp","serve","--plugin","[home]/tools.wasm","--profile","tool-pure","--state","[home]/.flowhost"]
    env = { FLOWHOST_PLUGINS = "[plugins]" }
    "#);
}

#[test]
fn what_install_prints_starts_from_any_folder_as_it_would_from_here() {
    let home = with_plan();
    home.file("own.toml", "durability = \"durable\"\n");
    let install = [
        "mcp",
        "install",
        "codex",
        "--plan",
        "plan.yaml",
        "--input",
        "folder=docs",
        "--input",
        "note=note.md",
        "--input",
        "text=docs",
        "--allow-process",
        "--allow-private-network",
        "--durability",
        "relaxed",
        "--json",
    ];
    let mut command = home.command(&install);
    let output = command.env("FLOWHOST_CONFIG", "own.toml").output().unwrap();
    let told = home.ran(&output, &install).expect(0).json();
    let args: Vec<&str> = told["args"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let here = home.path().canonicalize().unwrap();
    let here = here.display();
    for input in [
        format!("folder={here}/docs"),
        format!("note={here}/note.md"),
        // No path, whatever else is called so.
        "text=docs".to_owned(),
    ] {
        assert!(args.contains(&input.as_str()), "{input}: {args:?}");
    }
    let options = [
        "--allow-private-network",
        "--allow-process",
        "--durability",
        "relaxed",
    ];
    assert!(args.ends_with(&options), "{args:?}");
    let own = format!("{here}/own.toml");
    assert_eq!(told["env"]["FLOWHOST_CONFIG"], own, "{told:#}");
    // Nobody asks anything, and the server ends: what it is made of was found.
    let started = std::process::Command::new(told["command"].as_str().unwrap())
        .args(&args)
        .env_clear()
        .envs(
            told["env"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str().unwrap())),
        )
        .env("HOME", home.path().join("home-of-user"))
        .current_dir("/")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    home.ran(&started, &args).expect(0);
}

#[test]
fn install_prints_no_line_for_a_plan_that_would_not_be_served() {
    let home = with_plan();
    for (plan, input, says) in [
        ("nope.yaml", "text=a", "nope.yaml"),
        ("plan.yaml", "folder=nowhere", "`nowhere`"),
        ("plan.yaml", "folders=docs", "has an input `folders`"),
    ] {
        let refused = home
            .flowhost(&["mcp", "install", "vscode", "--plan", plan, "--input", input])
            .expect(1);
        assert!(refused.stderr.contains(says), "{}", refused.all());
        assert_eq!(refused.stdout, "", "{}", refused.all());
    }
}

#[test]
fn what_is_wrong_with_tools_is_told_by_the_options_that_were_typed() {
    let home = Home::new();
    let serve = ["mcp", "serve", "--plugin", "builtin:http-fetch"];
    let refused = home.flowhost(&serve).expect(1);
    assert!(
        refused.stderr.contains("`--profile http-fetch`"),
        "{}",
        refused.all()
    );
    for inner in ["the plan of the tools", "\"budget\"", "`profile:"] {
        assert!(!refused.stderr.contains(inner), "{}", refused.all());
    }
}

#[test]
fn install_makes_a_path_of_what_is_a_file_and_of_nothing_else() {
    let home = home();
    let install =
        |source: &str| home.flowhost(&["mcp", "install", "vscode", "--plugin", source, "--json"]);
    for source in [
        "builtin:markdown",
        "https://plugins.example/a.wasm",
        "x=oci://plugins.example/a:1.0",
    ] {
        assert_eq!(install(source).expect(0).json()["args"][3], source);
    }
    let refused = install("count=process:count").expect(64);
    assert!(refused.all().contains("--plan FILE"), "{}", refused.all());
    let away = install("https://plugins.example/a.wasm").json();
    let notes = away["notes"].to_string();
    assert!(notes.contains("was not fetched"), "{notes}");
}

#[test]
fn install_holds_components_against_their_profile_and_tells_where_their_secrets_are() {
    let home = Home::new();
    let install = |profile: &str| {
        let source = "builtin:http-fetch";
        home.flowhost(&[
            "mcp",
            "install",
            "codex",
            "--plugin",
            source,
            "--profile",
            profile,
            "--json",
        ])
    };
    let refused = install("deny-all").expect(1);
    assert!(
        refused.all().contains("--profile http-fetch"),
        "{}",
        refused.all()
    );
    assert!(!refused.stdout.contains("args"), "{}", refused.all());

    home.file(
        "policies/own.toml",
        "version = 1\nname = \"own\"\n\
         [[http]]\nurl = \"https://a.example/\"\nmethods = [\"GET\", \"HEAD\"]\n\
         inject = { header = \"authorization\", value = \"Bearer ${secret:HOUSE}\" }\n\
         [[http]]\nurl = \"https://b.example/\"\nmethods = [\"GET\", \"HEAD\"]\n\
         inject = { header = \"authorization\", value = \"Bearer ${secret:DOOR}\" }\n\
         [[http]]\nurl = \"https://c.example/\"\nmethods = [\"GET\", \"HEAD\"]\n\
         inject = { header = \"authorization\", value = \"Bearer ${secret:KEPT}\" }\n",
    );
    home.file("kept.txt", "s3cr3t-in-a-file");
    home.file(
        "operator.toml",
        "[secrets]\nHOUSE = { env = \"OF_THE_HOUSE\" }\nKEPT = { file = \"kept.txt\" }\n",
    );
    let arguments = [
        "mcp",
        "install",
        "codex",
        "--plugin",
        "builtin:http-fetch",
        "--profile",
        "own",
        "--policies",
        "policies",
        "--json",
    ];
    let mut command = home.command(&arguments);
    command
        .env("FLOWHOST_CONFIG", "operator.toml")
        .env("OF_THE_HOUSE", "s3cr3t-of-the-house");
    let printed = home.ran(&command.output().unwrap(), &arguments).expect(0);
    let notes = printed.json()["notes"].to_string();
    for said in ["`OF_THE_HOUSE`", "`FLOWHOST_SECRET_DOOR`"] {
        assert!(notes.contains(said), "{notes}");
    }
    assert!(!notes.contains("KEPT"), "{notes}");
    assert!(!printed.all().contains("s3cr3t"), "{}", printed.all());
}

#[test]
fn in_code_mode_two_tools_stand_for_sixty_and_a_program_calls_what_its_profile_names() {
    if !crate::support::script_plugin("code") {
        return;
    }
    let home = Home::new();
    home.warm();
    home.file(
        "policies/programs.toml",
        "version = 1\nname = \"programs\"\n[tools]\ncall = [\"books/rates_*\"]\n",
    );
    let serve = [
        "mcp",
        "serve",
        "--plugin",
        "books=builtin:books-sample",
        "--code-mode",
        "programs",
    ];
    let mut peer = Peer::start(&home, &serve);
    peer.ask(&initialize(1));
    let listed = peer.ask(&request(2, "tools/list", json!({})));
    let tools = listed["result"]["tools"].as_array().unwrap();
    let mut names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["execute", "search"]);

    let refused = peer.ask(&call(
        3,
        "execute",
        json!({ "source": "await tools.books.customers_count({})" }),
    ));
    assert_eq!(refused["result"]["isError"], true, "{refused}");
    assert!(
        refused["result"]
            .to_string()
            .contains("books/customers_count"),
        "{refused}"
    );
    let found = peer.ask(&call(4, "search", json!({ "query": "rates" })));
    let text = found["result"]["content"][0]["text"].as_str().unwrap();
    assert!(
        text.contains("tools.books.rates_get(args: { id: string })"),
        "{text}"
    );
    let source = "(await tools.books.rates_get({ id: input.of })).eur * 8";
    let answer = peer.ask(&call(
        5,
        "execute",
        json!({ "source": source, "input": { "of": "GBP" } }),
    ));
    let content = &answer["result"]["structuredContent"];
    assert_eq!(
        (&content["result"], &content["calls"]),
        (&json!(10), &json!(1)),
        "{answer}"
    );
    assert_eq!(peer.end().0, 0);
}

#[test]
fn code_mode_needs_components_with_names_of_their_own() {
    let home = home();
    let alone = home.flowhost(&["mcp", "serve", "--code-mode", "programs"]);
    assert_eq!(alone.code, 64, "{}", alone.all());
    if !crate::support::script_plugin("code") {
        return;
    }
    home.file(
        "policies/programs.toml",
        "version = 1\nname = \"programs\"\n",
    );
    let twice = [
        "mcp",
        "serve",
        "--plugin",
        "a=tools.wasm",
        "--plugin",
        "a=tools.wasm",
        "--profile",
        "tool-pure",
        "--code-mode",
        "programs",
    ];
    let refused = home.flowhost(&twice).expect(1);
    assert!(
        refused.stderr.contains("two plugins would be called `a`"),
        "{}",
        refused.all()
    );
}
