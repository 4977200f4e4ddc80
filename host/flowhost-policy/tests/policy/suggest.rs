//! What `policy suggest` makes of a run's refusals.

use flowhost_policy::{
    Access, Denied, Direction, Effective, Grants, HttpRule, Profile, decide_file, decide_model,
    decide_secret, decide_tool, decide_topic,
    egress::{Target, check_addresses, decide_http},
    suggest::{Refusal, Suggestion, amend, suggest},
};

fn from(denials: &[Denied]) -> Suggestion {
    suggest(&refusals(denials))
}

fn refusals(denials: &[Denied]) -> Vec<Refusal<'_>> {
    denials.iter().map(refusal).collect()
}

fn refusal(denied: &Denied) -> Refusal<'_> {
    Refusal {
        right: denied.right,
        wanted: &denied.wanted,
        rule: &denied.rule,
        cure: denied.cure.as_deref().unwrap_or_default(),
    }
}

/// What a profile gains by it; the profile is read again, so that it is one.
#[track_caller]
fn gained(profile: &str, denials: &[Denied]) -> String {
    let profile = format!("version = 1\nname = \"x\"\n{profile}");
    let amended = amend(&profile, "plugin", &refusals(denials)).expect("it is a profile");
    assert_eq!(amended.never, Vec::<String>::new());
    let again = Profile::parse(&amended.text, "x.toml").expect("what is suggested is a profile");
    let held = amend(&amended.text, "plugin", &refusals(denials)).unwrap();
    assert_eq!(held.text, amended.text, "once is enough");
    assert!(again.hash() != Profile::parse(&profile, "x.toml").unwrap().hash());
    amended
        .text
        .split_once("name = \"x\"\n")
        .unwrap()
        .1
        .to_owned()
}

fn http(url: &str, method: &str) -> Denied {
    let target = match Target::parse(url, method) {
        Ok(target) => target,
        Err(denied) => return denied,
    };
    decide_http(&[], &target).unwrap_err()
}

#[test]
fn suggests_lines_that_allow_what_was_refused_and_no_more() {
    let none = Grants::default();
    let denials = [
        http("https://api.example.com/v1/users?q=1", "GET"),
        http("https://api.example.com/v1/users", "POST"),
        decide_file(&none.files, "/docs/a/b.md", Access::Read).unwrap_err(),
        decide_file(&none.files, "/out/x", Access::Write).unwrap_err(),
        decide_file(&none.files, "/out/x", Access::Read).unwrap_err(),
        decide_tool(&none.tools, "fetch/get").unwrap_err(),
        decide_tool(&none.tools, "fetch/get").unwrap_err(),
        decide_topic(&none.messages, Direction::Publish, "a.b").unwrap_err(),
        decide_secret(&none.secrets, "KEY").unwrap_err(),
    ];
    let suggestion = from(&denials);
    insta::assert_snapshot!("suggests", suggestion.text);
    assert!(suggestion.never.is_empty());

    let text = format!("version = 1\nname = \"x\"\n{}", suggestion.text);
    let grants = Profile::parse(&text, "x.toml")
        .expect("what is suggested is a profile")
        .grants;
    let effective = Effective {
        grants,
        ..Effective::default()
    };
    let allowed = Target::parse("https://api.example.com/v1/users", "POST").unwrap();
    assert!(decide_http(&effective.grants.http, &allowed).is_ok());
    let other = Target::parse("https://api.example.com/v2/users", "POST").unwrap();
    assert!(decide_http(&effective.grants.http, &other).is_err());
    assert!(decide_file(&effective.grants.files, "/out/x", Access::Write).is_ok());
    assert!(decide_tool(&effective.grants.tools, "fetch/get").is_ok());
    assert!(decide_tool(&effective.grants.tools, "fetch/post").is_err());
}

#[test]
fn never_suggests_what_no_profile_should_allow() {
    let rule = HttpRule::new("https://api.example.com/", &["GET"]).unwrap();
    let metadata = ["169.254.169.254".parse().unwrap()];
    let denials = [
        http("https://a@b.example/", "GET"),
        http("http://2852039166/", "GET"),
        check_addresses(&rule, &metadata, &[], false).unwrap_err(),
        decide_file(&[], "/docs/../x", Access::Read).unwrap_err(),
        decide_model(&Grants::default().model, "a/*").unwrap_err(),
    ];
    let suggestion = from(&denials);
    assert_eq!(suggestion.text, "");
    insta::assert_snapshot!(suggestion.never.join("\n"), @r#"
    files read /docs/../x (files.path)
    http GET http://2852039166/ (egress.metadata)
    http GET …@b.example/ (url.userinfo)
    http https://api.example.com:443/ at 169.254.169.254 (egress.metadata)
    model.allow a/* (model.allow.name)
    "#);
}

#[test]
fn suggests_nothing_for_a_run_without_refusals() {
    assert_eq!(suggest(&[]), Suggestion::default());
}

#[test]
fn a_table_that_is_there_gets_a_line_and_keeps_its_comments() {
    let none = Grants::default();
    let profile = "\n[messages]  # who hears\npublish = [\"a.c\"] # one\n\n[tools]\ncall = [\n    \"x/a\", # first\n    \"x/b\",\n]\n";
    let denials = [
        decide_topic(&none.messages, Direction::Publish, "a.b").unwrap_err(),
        decide_topic(&none.messages, Direction::Subscribe, "a.d").unwrap_err(),
        decide_tool(&none.tools, "x/c").unwrap_err(),
    ];
    insta::assert_snapshot!(gained(profile, &denials), @r#"
    [messages]  # who hears
    publish = ["a.c", "a.b"] # one
    subscribe = ["a.d"]

    [tools]
    call = [
        "x/a", # first
        "x/b",
        "x/c",
    ]
    "#);
}

#[test]
fn tables_in_every_way_that_toml_has_are_amended_where_they_are() {
    let none = Grants::default();
    let denials = [
        http("https://api.example.com/v1", "POST"),
        decide_tool(&none.tools, "x/c").unwrap_err(),
        decide_model(&none.model, "openai/a").unwrap_err(),
    ];
    let profile = "tools = { call = [\"x/a\"] }\nmodel.allow = [\"mock/*\"]\nmodel.tokens = 1\nmodel.usd = 0\nhttp = [{ url = \"https://api.example.com/v1\", methods = [\"GET\"] }]\n";
    insta::assert_snapshot!(gained(profile, &denials), @r#"
    tools = { call = ["x/a", "x/c"] }
    model.allow = ["mock/*", "openai/a"]
    model.tokens = 1
    model.usd = 0
    http = [{ url = "https://api.example.com/v1", methods = ["GET", "POST"] }]
    "#);
}

#[test]
fn a_wider_rule_is_left_alone_and_a_narrow_one_stands_beside_it() {
    let profile = "\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]\n";
    let gained = gained(profile, &[http("https://api.example.com/v1", "POST")]);
    insta::assert_snapshot!(gained, @r#"
    [[http]]
    url = "https://api.example.com/"
    methods = ["GET"]

    [[http]]
    url = "https://api.example.com/v1"
    methods = ["POST"]
    "#);
}

#[test]
fn a_folder_that_is_there_is_raised_and_a_new_one_never_holds_another() {
    let none = Grants::default();
    let denials = [
        decide_file(&none.files, "/out/a/x", Access::Write).unwrap_err(),
        decide_file(&none.files, "/docs/more/b.md", Access::Read).unwrap_err(),
    ];
    let profile = "\n[[files]]\nguest = \"/out\"\nhost = \"out\"\naccess = \"read\" # for now\n\n[[files]]\nguest = \"/docs/one\"\nhost = \"one\"\naccess = \"read\"\n";
    insta::assert_snapshot!(gained(profile, &denials), @r#"
    [[files]]
    guest = "/out"
    host = "out"
    access = "write" # for now
    quota = "10MiB"
    entries = 1_000

    [[files]]
    guest = "/docs/one"
    host = "one"
    access = "read"

    [[files]]
    guest = "/docs/more"
    host = "docs/more"
    access = "read"
    "#);
}

#[test]
fn a_private_network_is_a_key_of_the_rule_and_an_option() {
    let rule = HttpRule::new("https://api.example.com/", &["GET"]).unwrap();
    let private = ["10.0.0.7".parse().unwrap()];
    let denied = check_addresses(&rule, &private, &[], false).unwrap_err();
    let profile = "version = 1\nname = \"x\"\n\n[[http]]\nurl = \"https://api.example.com\"\nmethods = [\"GET\"]\n";
    let amended = amend(profile, "plugin", &[refusal(&denied)]).unwrap();
    assert!(
        amended
            .text
            .ends_with("methods = [\"GET\"]\nprivate_network = true\n"),
        "{}",
        amended.text
    );
    assert_eq!(Vec::from_iter(amended.options), ["--allow-private-network"]);

    let rule = HttpRule {
        private_network: true,
        ..rule
    };
    let denied = check_addresses(&rule, &private, &[], false).unwrap_err();
    let amended = amend(&amended.text, "plugin", &[refusal(&denied)]).unwrap();
    assert!(amended.never.is_empty());
    assert_eq!(Vec::from_iter(amended.options), ["--allow-private-network"]);

    for url in [
        "http://127.0.0.1:8080/a",
        "http://localhost:8080/a",
        "http://[fd00::1]/a",
    ] {
        let amended = suggest(&[refusal(&http(url, "GET"))]);
        assert!(
            amended.text.ends_with("private_network = true\n"),
            "{}",
            amended.text
        );
        assert_eq!(amended.options.len(), 1, "{url}");
    }
}

#[test]
fn what_the_profile_grants_is_told_apart_from_what_it_lacks() {
    let none = Grants::default();
    let denials = [
        decide_topic(&none.messages, Direction::Subscribe, "agents.ann.in").unwrap_err(),
        decide_tool(&none.tools, "files/read").unwrap_err(),
    ];
    let profile = "version = 1\nname = \"x\"\n[messages]\nsubscribe = [\"agents.self.in\"]\n[tools]\ncall = [\"files/*\"]\n";
    let amended = amend(profile, "ann", &refusals(&denials)).unwrap();
    assert_eq!((amended.text.as_str(), amended.held.len()), (profile, 2));
    let other = amend(profile, "bob", &refusals(&denials)).unwrap();
    assert_eq!(other.held.len(), 1);
}
