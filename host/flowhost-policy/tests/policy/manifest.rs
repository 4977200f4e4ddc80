//! Manifests: what a plugin may say about itself.

use flowhost_policy::{
    Access, Ask, Asks, Effects, FileAsk, Manifest, ToolAnnotations, ToolDescriptor,
    descriptor_faults,
};
use flowhost_words::PluginKind;

const HEAD: &str = "version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"0.1.0\"\n";

fn parse(body: &str) -> Result<Manifest, Vec<String>> {
    Manifest::parse(&format!("{HEAD}{body}"), "plugin.toml")
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

fn tool(line: &str) -> String {
    format!("[[tools]]\nname = \"read\"\ninput = {{ type = \"object\" }}\n{line}\n")
}

#[test]
fn asks_for_nothing_unless_it_says_so() {
    let manifest = parse("").unwrap();
    assert_eq!(manifest.needs, Asks::nothing());
    assert!(manifest.imports().is_empty());
    assert_eq!(manifest.kind, Some(PluginKind::Tool));
}

#[test]
fn reads_what_it_asks_for() {
    let manifest = parse(
        r#"
[needs]
log = true
http = "granted"
env = ["LANG"]
clock = { wall = "real" }
random = "granted"
files = [{ guest = "/docs", access = "read" }]
messages = { publish = ["agents.self.out"] }
[limits]
memory = "16MiB"
"#,
    )
    .unwrap();
    assert_eq!(manifest.needs.http, Ask::Granted);
    let Ask::Only(files) = &manifest.needs.files else {
        panic!("files")
    };
    assert_eq!(
        (files[0].guest.as_str(), files[0].host.as_ref()),
        ("/docs", None)
    );
    assert_eq!(
        files[0],
        FileAsk {
            access: Access::Read,
            ..files[0].clone()
        }
    );
    assert_eq!(manifest.limits["memory"], 16 << 20);
    assert_eq!(
        manifest.imports(),
        [
            "log",
            "http",
            "files",
            "env",
            "messaging",
            "clock",
            "random"
        ]
    );
    assert_eq!(manifest.source("needs.log"), "plugin.toml:7");
}

#[test]
fn refuses_to_say_what_only_the_operator_knows() {
    let problems = parse(
        r#"
[needs]
files = [{ guest = "/docs", access = "read", host = "docs" }]
http = [{ url = "https://a.example/", methods = ["GET"], private_network = true, inject = {} }]
env = { LANG = "C" }
tools = "all"
"#,
    )
    .unwrap_err();
    insta::assert_snapshot!(problems.join("\n"), @r#"
    plugin.toml:7:46: unknown key `host` in `needs.files[0]`
      hint: known keys: guest, access
    plugin.toml:8:58: unknown key `private_network` in `needs.http[0]`
      hint: known keys: url, methods, response, request
    plugin.toml:8:82: unknown key `inject` in `needs.http[0]`
      hint: known keys: url, methods, response, request
    plugin.toml:9:7: `needs.env` is a table, not a list
    plugin.toml:10:9: `needs.tools` is a word, and the only word is "granted"
    "#);
}

#[test]
fn refuses_an_unknown_kind_and_missing_keys() {
    let problems = Manifest::parse("version = 1\nkind = \"tol\"\n", "plugin.toml").unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    plugin.toml:1:1: `name` is missing
      hint: add `name = "my-name"`
    plugin.toml:1:1: `release` is missing
      hint: add `release = "0.1.0"`
    plugin.toml:2:8: `kind` is not one of: agent, tool, guardrail, mcp-adapter
      hint: did you mean `tool`?
    "#);
}

#[test]
fn refuses_tools_of_an_agent() {
    let text = HEAD.replace("tool", "agent") + &tool("description = \"Reads.\"");
    assert!(Manifest::parse(&text, "plugin.toml").is_err());
}

#[test]
fn mcp_001_refuses_a_description_with_what_cannot_be_seen() {
    for hidden in [
        "\\u200B",
        "\\u202E",
        "\\u2066",
        "\\U000E0041",
        "\\uFEFF",
        "\\u00AD",
        "\\uFE0F",
        "\\u001B[2J",
        "\\u0007",
        "\\uE000",
    ] {
        let problems = parse(&tool(&format!("description = \"Reads{hidden} it.\""))).unwrap_err();
        assert!(
            problems[0].contains("which a reader cannot see"),
            "{hidden}: {problems:?}"
        );
    }
    assert!(parse(&tool("description = \"Liest Straße,\\n\\tсчёт und 読む.\"")).is_ok());
}

#[test]
fn mcp_001_refuses_hidden_text_in_titles_and_schemas() {
    assert!(parse(&tool("description = \"x\"\ntitle = \"a\\u200Bb\"")).is_err());
    let schema = "[[tools]]\nname = \"read\"\ndescription = \"x\"\ninput = { type = \"object\", description = \"a\\u200Bb\" }\n";
    assert!(parse(schema).is_err());
}

#[test]
fn refuses_a_schema_with_what_json_cannot_say() {
    for (value, kind) in [
        ("2026-11-27", "a date"),
        ("inf", "a decimal number"),
        ("nan", "a decimal number"),
    ] {
        let schema = format!(
            "[[tools]]\nname = \"read\"\ndescription = \"x\"\ninput = {{ type = \"object\", default = [{value}] }}\n"
        );
        let problems = parse(&schema).unwrap_err().join("\n");
        let told = format!("`tools[0].input` holds {kind} that JSON has no form for");
        assert!(problems.contains(&told), "{problems}");
    }
}

#[test]
fn takes_a_number_in_a_schema_in_each_form_that_toml_has() {
    for (written, meant) in [
        ("+1.5", 1.5),
        ("1_0.5", 10.5),
        ("+1e1", 10.0),
        ("-0.5", -0.5),
    ] {
        let schema = format!(
            "[[tools]]\nname = \"read\"\ndescription = \"x\"\ninput = {{ type = \"object\", default = [{written}] }}\n"
        );
        let manifest = parse(&schema).unwrap_or_else(|problems| panic!("{written}: {problems:?}"));
        assert_eq!(manifest.tools[0].input["default"][0], meant, "{written}");
    }
}

#[test]
fn refuses_a_description_over_four_kibibytes() {
    let line = |len: usize| tool(&format!("description = \"{}\"", "x".repeat(len)));
    assert!(parse(&line(4096)).is_ok());
    assert!(parse(&line(4097)).unwrap_err()[0].contains("longer than 4096 bytes"));
}

#[test]
fn mcp_002_changes_the_hash_with_every_word_that_a_model_reads() {
    let hash = |line: &str| parse(&tool(line)).unwrap().tools[0].hash();
    let first = hash("description = \"Reads.\"");
    assert_eq!(first, hash("description = \"Reads.\""));
    for other in [
        "description = \"Reads!\"",
        "description = \"Reads.\"\ntitle = \"Reader\"",
        "description = \"Reads.\"\neffects = \"none\"",
        "description = \"Reads.\"\noutput = { type = \"object\" }",
        "description = \"Reads.\"\nannotations = { read_only = false }",
        "description = \"Reads.\"\nannotations = { read_only = true }",
        "description = \"Reads.\"\nannotations = { idempotent = true }",
    ] {
        assert_ne!(first, hash(other), "{other}");
    }
}

#[test]
fn mcp_002_hashes_a_schema_the_same_as_table_and_as_json() {
    let tool = |input: &str| {
        let text = format!("[[tools]]\nname = \"t\"\ndescription = \"x\"\ninput = {input}\n");
        parse(&text).unwrap().tools[0].hash()
    };
    let table =
        tool("{ type = \"object\", properties = { a = { type = \"string\", maxLength = 3 } } }");
    let json = tool(
        "'{\"properties\":{\"a\":{\"maxLength\":3,\"type\":\"string\"}},\"type\":\"object\"}'",
    );
    assert_eq!(table, json);
}

#[test]
fn mcp_003_refuses_tool_names_that_are_the_same_or_look_the_same() {
    let two = |a: &str, b: &str| {
        let tool = |name: &str| {
            format!(
                "[[tools]]\nname = \"{name}\"\ndescription = \"x\"\ninput = {{ type = \"object\" }}\n"
            )
        };
        parse(&(tool(a) + &tool(b)))
    };
    for (a, b) in [
        ("read", "read"),
        ("read", "READ"),
        ("read_all", "read-all"),
        ("read0", "reado"),
        ("list", "l1st"),
        ("form", "forrn"),
    ] {
        assert!(two(a, b).is_err(), "{a} {b}");
    }
    assert!(two("read", "r\u{435}ad").is_err(), "Cyrillic");
    assert!(two("read", "write").is_ok());
}

#[test]
fn refuses_annotations_that_there_are_not() {
    for line in [
        "annotations = { readonly = true }",
        "annotations = { read_only = \"yes\" }",
        "annotations = true",
    ] {
        assert!(
            parse(&tool(&format!("description = \"x\"\n{line}"))).is_err(),
            "{line}"
        );
    }
    let manifest = parse(&tool(
        "description = \"x\"\nannotations = { open_world = true }",
    ));
    let said = manifest.unwrap().tools[0].annotations;
    assert_eq!((said.open_world, said.read_only), (Some(true), None));
}

#[test]
fn mcp_001_holds_a_list_without_a_manifest_to_the_rules_of_one() {
    let tool = |name: &str| ToolDescriptor {
        name: name.to_owned(),
        title: String::new(),
        description: "Reads.".to_owned(),
        input: serde_json::json!({ "type": "object" }),
        output: None,
        effects: Effects::Once,
        annotations: ToolAnnotations::default(),
    };
    let faults = |change: &dyn Fn(&mut ToolDescriptor)| {
        let mut changed = tool("read");
        change(&mut changed);
        descriptor_faults(&[tool("list"), changed]).len()
    };
    assert_eq!(faults(&|_| {}), 0);
    assert_eq!(faults(&|it| it.name = "a b".to_owned()), 1);
    assert_eq!(faults(&|it| it.name = "r\u{435}ad".to_owned()), 1);
    assert_eq!(faults(&|it| it.name = "L1st".to_owned()), 1);
    assert_eq!(faults(&|it| it.title = "a\u{200b}".to_owned()), 1);
    assert_eq!(faults(&|it| it.title = "x".repeat(257)), 1);
    assert_eq!(faults(&|it| it.description = "x".repeat(4_097)), 1);
    assert_eq!(faults(&|it| it.input = serde_json::json!([])), 1);
    assert_eq!(
        faults(&|it| it.output = Some(serde_json::json!({ "$ref": "http://x" }))),
        1
    );
    let many: Vec<_> = (0..1_025).map(|n| tool(&format!("t{n}"))).collect();
    assert_eq!(descriptor_faults(&many).len(), 1);
}

#[test]
fn mcp_007_refuses_schemas_that_reach_out_or_never_end() {
    let schema = |json: &str| {
        parse(&format!(
            "[[tools]]\nname = \"t\"\ndescription = \"x\"\ninput = '{json}'\n"
        ))
    };
    for json in [
        r#"{"$ref":"https://evil.test/schema.json"}"#,
        r#"{"properties":{"a":{"$ref":"file:///etc/passwd"}}}"#,
        r#"{"allOf":[{"$dynamicRef":"other.json"}]}"#,
        "[]",
        "not json",
        "true",
    ] {
        assert!(schema(json).is_err(), "{json}");
    }
    assert!(schema(r##"{"$ref":"#/$defs/a","$defs":{"a":{"type":"string"}}}"##).is_ok());
    let deep = format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40));
    assert!(schema(&deep).unwrap_err()[0].contains("nested deeper"));
    let bottomless = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(schema(&bottomless).is_err());
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(70_000));
    assert!(schema(&large).unwrap_err()[0].contains("larger than 64 KiB"));
}

#[test]
fn means_once_when_it_says_nothing_about_effects() {
    let manifest = parse(&tool("description = \"Reads.\"")).unwrap();
    assert_eq!(manifest.tools[0].effects, Effects::Once);
    assert_eq!(
        manifest.tool("read").map(|tool| tool.title.as_str()),
        Some("read")
    );
    assert!(manifest.tool("write").is_none());
}

#[test]
fn stands_in_for_a_missing_manifest_with_what_the_imports_need() {
    let imports = [
        "flowhost:types/types@0.1.0",
        "flowhost:messaging/messaging@0.1.0",
        "wasi:http/outgoing-handler@0.2.3",
        "wasi:clocks/wall-clock@0.2.3",
        "wasi:io/streams@0.2.3",
        "evil:thing/x",
    ];
    let manifest = Manifest::from_imports("mine", imports);
    assert_eq!(manifest.imports(), ["http", "messaging", "clock"]);
    assert_eq!(manifest.needs.http, Ask::Granted);
    assert!(!manifest.needs.log);
}

#[test]
fn refuses_to_ask_for_guest_paths_that_lie_in_one_another() {
    let files = "[needs]\nfiles = [{ guest = \"/a\", access = \"read\" }, { guest = \"/a/b\", access = \"write\" }]\n";
    assert!(parse(files).unwrap_err()[0].contains("lie in one another"));
}
