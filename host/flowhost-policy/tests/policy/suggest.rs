//! What `policy suggest` makes of a run's refusals.

use flowhost_policy::{
    Access, Denied, Direction, Effective, Grants, HttpRule, Profile, decide_file, decide_model,
    decide_secret, decide_tool, decide_topic,
    egress::{Target, check_addresses, decide_http},
    suggest::{Refusal, Suggestion, suggest},
};

fn from(denials: &[Denied]) -> Suggestion {
    let refusals: Vec<Refusal<'_>> = denials
        .iter()
        .map(|denied| Refusal {
            right: denied.right,
            wanted: &denied.wanted,
            rule: &denied.rule,
        })
        .collect();
    suggest(&refusals)
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
    insta::assert_snapshot!("suggests", suggestion.lines);
    assert!(suggestion.never.is_empty());

    let text = format!("version = 1\nname = \"x\"\n{}", suggestion.lines);
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
    assert_eq!(suggestion.lines, "");
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
