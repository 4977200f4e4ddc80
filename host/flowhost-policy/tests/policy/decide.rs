//! Decisions about tools, models, topics, state and secrets.

use flowhost_policy::{
    Denied, Direction, MessagesGrant, ModelGrant, SecretsGrant, StateGrant, ToolsGrant,
    decide_model, decide_reveal, decide_secret, decide_state, decide_tool, decide_topic,
};

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

fn tool(call: &[&str], wanted: &str) -> Result<usize, String> {
    let grant = ToolsGrant { call: texts(call) };
    decide_tool(&grant, wanted)
        .map(|allowed| allowed.index)
        .map_err(|denied| denied.rule)
}

fn model(allow: &[&str], wanted: &str) -> Result<usize, String> {
    let grant = ModelGrant {
        allow: texts(allow),
        tokens: 1,
        micro_usd: 1,
    };
    decide_model(&grant, wanted)
        .map(|allowed| allowed.index)
        .map_err(|denied| denied.rule)
}

fn publish(topics: &[&str], wanted: &str) -> Result<usize, String> {
    let grant = MessagesGrant {
        publish: texts(topics),
        subscribe: Vec::new(),
    };
    decide_topic(&grant, Direction::Publish, wanted)
        .map(|allowed| allowed.index)
        .map_err(|denied| denied.rule)
}

fn secrets() -> SecretsGrant {
    SecretsGrant {
        names: texts(&["API_KEY", "OTHER"]),
        reveal: texts(&["OTHER"]),
    }
}

#[test]
fn denies_a_tool_that_no_pattern_names() {
    assert_eq!(tool(&[], "fetch/get"), Err("tools.call#none".to_owned()));
    assert_eq!(
        tool(&["fetch"], "fetching/get"),
        Err("tools.call#none".to_owned())
    );
    assert_eq!(
        tool(&["fetch/get"], "fetch/get_all"),
        Err("tools.call#none".to_owned())
    );
    assert_eq!(
        tool(&["fetch/get"], "fetch"),
        Err("tools.call#none".to_owned())
    );
    assert_eq!(
        tool(&["fetch/get"], "other/get"),
        Err("tools.call#none".to_owned())
    );
    assert_eq!(
        tool(&["fetch/get"], "Fetch/get"),
        Err("tools.call#none".to_owned())
    );
}

#[test]
fn denies_a_tool_name_that_is_a_pattern_or_a_path() {
    for wanted in [
        "*",
        "fetch/*",
        "fetch//get",
        "/get",
        "fetch/",
        "",
        "fetch/ge t",
        "fetch/\u{200b}get",
        "f\u{435}tch/get",
    ] {
        assert_eq!(
            tool(&["fetch"], wanted),
            Err("tools.call.name".to_owned()),
            "{wanted:?}"
        );
    }
}

#[test]
fn allows_a_tool_by_plugin_by_name_and_by_stem() {
    assert_eq!(tool(&["fetch"], "fetch/get"), Ok(0));
    assert_eq!(tool(&["fetch"], "fetch"), Ok(0));
    assert_eq!(tool(&["a/b", "fetch/*"], "fetch/get"), Ok(1));
    assert_eq!(tool(&["fetch/get_*"], "fetch/get_all"), Ok(0));
}

#[test]
fn denies_a_tool_with_the_whole_line_that_would_allow() {
    let grant = ToolsGrant {
        call: texts(&["files/*"]),
    };
    let denied = decide_tool(&grant, "fetch/get").unwrap_err();
    assert_eq!(
        denied,
        Denied {
            right: "tools.call",
            wanted: "fetch/get".to_owned(),
            rule: "tools.call#none".to_owned(),
            cure: Some("[tools]\ncall = [\"files/*\", \"fetch/get\"]".to_owned()),
        }
    );
}

#[test]
fn denies_a_model_that_no_pattern_names() {
    let none = Err("model.allow#none".to_owned());
    assert_eq!(model(&[], "mock/echo"), none);
    assert_eq!(model(&["mock/*"], "mocker/echo"), none);
    assert_eq!(model(&["openai/gpt-*"], "openai/o1"), none);
    assert_eq!(
        model(&["openai/gpt-*"], "openai/gpt-4/x"),
        none,
        "a star stays in its segment"
    );
    assert_eq!(model(&["openai/gpt"], "openai/gpt-4"), none);
    assert_eq!(
        model(&["mock/*"], "mock"),
        Err("model.allow.name".to_owned())
    );
    assert_eq!(
        model(&["mock/*"], "mock/*"),
        Err("model.allow.name".to_owned())
    );
    assert_eq!(
        model(&["mock/*"], "mock/"),
        Err("model.allow.name".to_owned())
    );
}

#[test]
fn allows_a_model_by_name_and_by_stem() {
    assert_eq!(
        model(&["openai/o1", "openai/gpt-*"], "openai/gpt-4.1:latest"),
        Ok(1)
    );
    assert_eq!(model(&["router/*/llama-*"], "router/meta/llama-3"), Ok(0));
}

#[test]
fn denies_a_topic_that_no_pattern_names() {
    let none = Err("messages.publish#none".to_owned());
    assert_eq!(publish(&[], "a.b"), none);
    assert_eq!(publish(&["a.*"], "a"), none);
    assert_eq!(publish(&["a.*"], "a.b.c"), none);
    assert_eq!(publish(&["a.>"], "a"), none, "`>` is one token or more");
    assert_eq!(publish(&["a.b"], "a.bc"), none);
    assert_eq!(publish(&["a.b"], "A.b"), none);
}

#[test]
fn msg_014_denies_a_topic_that_would_inject_tokens_or_wildcards() {
    for wanted in [
        "*",
        ">",
        "a.*",
        "a.>",
        "a..b",
        ".a",
        "a.",
        "",
        "a b",
        "a\n.b",
        "a.\u{430}",
        "a/b",
    ] {
        assert_eq!(
            publish(&["a.>", "*"], wanted),
            Err("messages.publish.name".to_owned()),
            "{wanted:?}"
        );
    }
    assert_eq!(
        publish(&[">"], &"a".repeat(257)),
        Err("messages.publish.name".to_owned())
    );
}

#[test]
fn allows_a_topic_by_token_and_by_tail() {
    assert_eq!(publish(&["a.b"], "a.b"), Ok(0));
    assert_eq!(publish(&["x", "a.*.c"], "a.b.c"), Ok(1));
    assert_eq!(publish(&["a.>"], "a.b.c"), Ok(0));
    assert_eq!(publish(&[">"], "a"), Ok(0));
}

#[test]
fn denies_receiving_what_may_only_be_sent() {
    let grant = MessagesGrant {
        publish: texts(&["a.b"]),
        subscribe: Vec::new(),
    };
    let denied = decide_topic(&grant, Direction::Subscribe, "a.b").unwrap_err();
    assert_eq!(denied.right, "messages.subscribe");
    assert_eq!(
        denied.cure.as_deref(),
        Some("[messages]\nsubscribe = [\"a.b\"]")
    );
}

#[test]
fn denies_a_namespace_that_is_not_written_out() {
    let grant = StateGrant {
        namespaces: texts(&["notes"]),
        bytes: 1,
    };
    assert!(decide_state(&grant, "notes").is_ok());
    for wanted in ["note", "notes2", "NOTES", "other"] {
        assert_eq!(
            decide_state(&grant, wanted).unwrap_err().rule,
            "state.namespaces#none"
        );
    }
    for wanted in ["", "*", "../notes", "notes/x", ".", "..", "a\0b"] {
        assert_eq!(
            decide_state(&grant, wanted).unwrap_err().rule,
            "state.namespaces.name",
            "{wanted:?}"
        );
    }
}

#[test]
fn cap_010_denies_a_secret_that_is_not_granted_by_name() {
    assert!(decide_secret(&secrets(), "API_KEY").is_ok());
    for wanted in ["API_KE", "API_KEY2", "api_key", "ADMIN"] {
        assert_eq!(
            decide_secret(&secrets(), wanted).unwrap_err().rule,
            "secrets.names#none"
        );
    }
    for wanted in [
        "*",
        "API_*",
        "../API_KEY",
        "tenant/API_KEY",
        "",
        "API_KEY\0",
        "API KEY",
    ] {
        assert_eq!(
            decide_secret(&secrets(), wanted).unwrap_err().rule,
            "secrets.names.name",
            "{wanted:?}"
        );
    }
}

#[test]
fn cap_010_denies_the_value_of_a_secret_that_is_known_by_name_only() {
    let denied = decide_reveal(&secrets(), "API_KEY").unwrap_err();
    assert_eq!(denied.rule, "secrets.reveal#none");
    assert_eq!(
        denied.cure.as_deref(),
        Some("[secrets]\nreveal = [\"OTHER\", \"API_KEY\"]")
    );
    assert!(decide_reveal(&secrets(), "OTHER").is_ok());
}

#[test]
fn cap_006_denies_everything_under_empty_lists() {
    assert!(decide_tool(&ToolsGrant::default(), "a/b").is_err());
    assert!(decide_model(&ModelGrant::default(), "a/b").is_err());
    assert!(decide_topic(&MessagesGrant::default(), Direction::Publish, "a").is_err());
    assert!(decide_topic(&MessagesGrant::default(), Direction::Subscribe, "a").is_err());
    assert!(decide_state(&StateGrant::default(), "a").is_err());
    assert!(decide_secret(&SecretsGrant::default(), "A").is_err());
    assert!(decide_reveal(&SecretsGrant::default(), "A").is_err());
}

#[test]
fn repeats_a_long_name_only_in_part() {
    let denied = decide_tool(&ToolsGrant::default(), &"x".repeat(1 << 20)).unwrap_err();
    assert_eq!(denied.wanted.chars().count(), 257);
}

#[test]
fn denies_a_tool_name_of_more_than_one_segment_under_a_wildcard() {
    assert!(tool(&["files/*"], "files/../x/y").is_err());
    assert!(tool(&["files/*"], "files/a/b").is_err());
    assert_eq!(tool(&["files/*"], "files/read"), Ok(0));
}
