//! The tables of `policy test`.

use flowhost_policy::{
    Effective, Profile,
    cases::{Cases, run},
};

fn effective(profile: &str) -> Effective {
    let profile = Profile::parse(profile, "x.toml").expect("the test's own profile");
    Effective {
        grants: profile.grants,
        ..Effective::default()
    }
}

const PROFILE: &str = r#"
version = 1
name = "x"
[[http]]
url = "https://api.example.com/v1/"
methods = ["GET"]
[[files]]
guest = "/docs"
host = "docs"
access = "read"
[model]
allow = ["mock/*"]
tokens = 1
usd = 1
[tools]
call = ["fetch"]
[messages]
publish = ["a.*"]
subscribe = ["b.>"]
[state]
namespaces = ["notes"]
[secrets]
names = ["KEY"]
"#;

const TABLE: &str = r#"
version = 1
profile = "x"
case = [
  { name = "1", expect = "allow", http = "GET https://api.example.com/v1/x", rule = "http[0]" },
  { name = "2", expect = "deny", http = "POST https://api.example.com/v1/x", rule = "http[0].methods" },
  { name = "3", expect = "deny", http = "GET https://api.example.com/v1/x", addresses = ["93.184.215.14", "10.0.0.1"], rule = "egress.private" },
  { name = "4", expect = "allow", http = "GET https://api.example.com/v1/x", addresses = ["93.184.215.14"] },
  { name = "5", expect = "deny", http = "GET https://api.example.com/v1/../x", rule = "url.path" },
  { name = "6", expect = "allow", read = "/docs/a" },
  { name = "7", expect = "deny", write = "/docs/a", rule = "files[0].access" },
  { name = "8", expect = "allow", tool = "fetch/get" },
  { name = "9", expect = "allow", publish = "a.b" },
  { name = "10", expect = "deny", subscribe = "a.b", rule = "messages.subscribe#none" },
  { name = "11", expect = "allow", state = "notes" },
  { name = "12", expect = "allow", secret = "KEY" },
  { name = "13", expect = "deny", reveal = "KEY" },
  { name = "14", expect = "allow", model = "mock/echo" },
]
"#;

#[test]
fn passes_when_every_case_is_decided_as_the_table_says() {
    let cases = Cases::parse(TABLE, "x.cases.toml").unwrap();
    assert_eq!(cases.profile.as_deref(), Some("x"));
    let results = run(&cases, &effective(PROFILE));
    let failed: Vec<_> = results.iter().filter(|result| !result.passed).collect();
    assert_eq!(failed, Vec::<&_>::new());
    assert_eq!(results.len(), 14);
}

#[test]
fn fails_when_a_case_is_decided_otherwise_or_by_another_rule() {
    let results = run(&Cases::parse(TABLE, "x").unwrap(), &Effective::default());
    let passed: Vec<&str> = results
        .iter()
        .filter(|r| r.passed)
        .map(|r| r.name.as_str())
        .collect();
    assert_eq!(
        passed,
        ["5", "10", "13"],
        "under deny-all only these denials have the same rule"
    );
}

#[test]
fn refuses_tables_that_do_not_say_what_they_test() {
    let text = r#"
version = 1
[[case]]
name = "no question"
expect = "deny"
[[case]]
name = "two questions"
expect = "deny"
read = "/a"
tool = "a/b"
[[case]]
expect = "maybe"
http = "https://example.com/"
addresses = ["localhost"]
[[case]]
name = "typo"
expect = "allow"
tol = "a/b"
"#;
    let problems = Cases::parse(text, "t.toml").unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    t.toml:3:1: a case has exactly one of: http, read, write, model, tool, publish, subscribe, state, secret, reveal
    t.toml:6:1: a case has exactly one of: http, read, write, model, tool, publish, subscribe, state, secret, reveal
    t.toml:11:1: `name` is missing in `case[2]`
      hint: add `name = "what it shows"`
    t.toml:11:1: `case[2].http` is not `METHOD URL`
      hint: write `GET https://…`
    t.toml:12:10: `case[2].expect` is not one of: allow, deny
    t.toml:14:14: `localhost` in `case[2].addresses[0]`: not an IP address
    t.toml:15:1: a case has exactly one of: http, read, write, model, tool, publish, subscribe, state, secret, reveal
    t.toml:18:1: unknown key `tol` in `case[3]`
      hint: did you mean `tool`?
    "#);
}
