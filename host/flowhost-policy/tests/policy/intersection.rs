//! Manifest ∩ profile ∩ plan ∩ caller, by example. The laws are in `properties`.

use flowhost_policy::{
    Effective, Grants, Inject, Manifest, Narrowing, Outcome, Own, Position, Profile, TraceEntry,
    effective,
};
use serde_json::json;

const PROFILE: &str = r#"version = 1
name = "p"
log = true
config = true

[limits]
memory = "32MiB"

[[http]]
url = "https://api.example.com/v1/"
methods = ["GET", "POST"]
inject = { header = "authorization", value = "Bearer ${secret:KEY}" }
response = "2MiB"

[[files]]
guest = "/docs"
host = "docs"
access = "read"

[[files]]
guest = "/out"
host = "out"
access = "write"
quota = "10MiB"
entries = 100

[env]
LANG = "C.UTF-8"
HOME_TOWN = { from = "TOWN" }

[model]
allow = ["mock/*", "openai/gpt-*"]
tokens = 20_000
usd = 0.50

[tools]
call = ["fetch", "files/*"]

[messages]
publish = ["agents.*.in"]
subscribe = ["agents.self.in"]

[state]
namespaces = ["notes", "cache"]

[clock]
wall = "real"

[random]
source = "seeded"

[secrets]
names = ["KEY"]
"#;

fn profile() -> Profile {
    Profile::parse(PROFILE, "policies/p.toml").expect("the test's own profile")
}

/// A component that imports everything and has no manifest.
fn anything() -> Manifest {
    let packages = [
        "log",
        "config",
        "http",
        "files",
        "model",
        "tools",
        "messaging",
        "state",
        "clock",
        "random",
        "secrets",
    ];
    let imports: Vec<String> = packages
        .iter()
        .map(|p| format!("flowhost:{p}/{p}@0.1.0"))
        .collect();
    let environment = "wasi:cli/environment@0.2.3";
    Manifest::from_imports("a", imports.iter().map(String::as_str).chain([environment]))
}

/// Keys other than `limits` are grants.
fn narrowing(mut grants: serde_json::Value) -> Narrowing {
    let limits = grants
        .as_object_mut()
        .and_then(|map| map.remove("limits"))
        .unwrap_or(json!({}));
    let json = json!({ "limits": limits, "grants": grants });
    Narrowing::from_json(
        "reviewer",
        &json,
        "plan.yaml",
        Position { line: 7, column: 5 },
    )
    .expect("a narrowing")
}

fn shown(trace: &[TraceEntry]) -> String {
    let lines: Vec<String> = trace.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn gives_no_right_to_a_manifest_that_asks_for_none() {
    let head = "version = 1\nname = \"x\"\nkind = \"tool\"\nrelease = \"1\"\n";
    let manifest = Manifest::parse(head, "plugin.toml").unwrap();
    let (rights, _) = effective(&manifest, &profile(), &Narrowing::none("x"), None);
    assert_eq!(rights.grants, Grants::default());
    assert_eq!(rights.limits.memory_bytes, 32 << 20);
}

#[test]
fn gives_no_right_under_a_profile_that_grants_none() {
    let empty = Profile::parse("version = 1\nname = \"deny\"\n", "deny.toml").unwrap();
    let (rights, trace) = effective(&anything(), &empty, &Narrowing::none("x"), None);
    assert_eq!(rights.grants, Grants::default());
    let missing = trace
        .iter()
        .filter(|entry| matches!(entry.outcome, Outcome::Missing { .. }));
    assert!(missing.count() >= 11, "{}", shown(&trace));
}

#[test]
fn gives_the_whole_profile_to_a_component_that_imports_it_all() {
    let (rights, trace) = effective(&anything(), &profile(), &Narrowing::none("reviewer"), None);
    let mut expected = profile().grants;
    expected.messages.subscribe = vec!["agents.reviewer.in".to_owned()];
    expected.model.allow.sort();
    expected.tools.call.sort();
    expected.state.namespaces.sort();
    assert_eq!(rights.grants, expected);
    assert!(
        trace.iter().all(|entry| entry.outcome == Outcome::Kept),
        "{}",
        shown(&trace)
    );
}

#[test]
fn explains_what_came_from_where_and_what_took_it_away() {
    let manifest = Manifest::parse(
        r#"version = 1
name = "a"
kind = "agent"
release = "1"
[needs]
log = true
budget = true
http = [
  { url = "https://api.example.com/v1/users", methods = ["GET", "DELETE"] },
  { url = "https://other.example.com/", methods = ["GET"] },
]
files = [{ guest = "/docs/en", access = "write" }, { guest = "/data", access = "read" }]
env = ["LANG", "TZ"]
model = { allow = ["openai/gpt-4*", "local/x"], tokens = 5_000 }
tools = { call = ["files/read", "fetch"] }
messages = { publish = ["agents.writer.in"] }
clock = { wall = "virtual" }
random = "granted"
[limits]
memory = "16MiB"
fuel = 9_000_000_000
"#,
        "plugin.toml",
    )
    .unwrap();
    let plan =
        narrowing(json!({ "limits": { "deadline": "5s" }, "tools": { "call": ["files/*"] } }));
    let (rights, trace) = effective(&manifest, &profile(), &plan, None);
    insta::assert_snapshot!("explains", shown(&trace));
    assert_eq!(
        rights.grants.http[0].url,
        "https://api.example.com:443/v1/users"
    );
    assert_eq!(rights.grants.http[0].methods, ["GET"]);
    assert!(
        rights.grants.http[0].inject.is_some(),
        "what is injected is the operator's"
    );
    assert_eq!(
        (
            rights.grants.files[0].guest.as_str(),
            rights.grants.files[0].host.as_str()
        ),
        ("/docs/en", "docs/en")
    );
    assert_eq!(rights.grants.tools.call, ["files/read"]);
    assert_eq!(rights.grants.model.tokens, 5_000);
    assert_eq!(rights.limits.memory_bytes, 16 << 20);
    assert_eq!(rights.limits.deadline_ms, 5_000);
}

#[test]
fn a_plan_takes_a_right_away_with_an_empty_list() {
    let plan = narrowing(
        json!({ "http": [], "tools": { "call": [] }, "log": false, "env": [], "clock": { "wall": "denied" } }),
    );
    let (rights, _) = effective(&anything(), &profile(), &plan, None);
    assert!(rights.grants.http.is_empty() && rights.grants.tools.call.is_empty());
    assert!(!rights.grants.log && rights.grants.config);
    assert!(rights.grants.env.is_empty());
    assert_eq!(rights.grants.clock, flowhost_policy::ClockMode::Denied);
    assert_eq!(
        rights.grants.files.len(),
        2,
        "what the plan does not name stays"
    );
}

#[test]
fn a_plan_points_a_folder_deeper_and_never_elsewhere() {
    let at = |host: &str| {
        let plan = narrowing(json!({ "files": [{ "guest": "/docs", "host": host }] }));
        let (rights, _) = effective(&anything(), &profile(), &plan, None);
        rights.grants.files.first().map(|grant| grant.host.clone())
    };
    assert_eq!(at("docs/en"), Some("docs/en".to_owned()));
    assert_eq!(at("docs"), Some("docs".to_owned()));
    assert_eq!(
        at("."),
        Some("docs".to_owned()),
        "a folder above does not widen"
    );
    assert_eq!(at("src"), None);
    assert_eq!(at("docs2"), None);
    assert_eq!(at("/docs"), None);
}

#[test]
fn a_plan_that_raises_is_a_problem_that_names_the_profile_line() {
    let plan = narrowing(json!({
        "limits": { "memory": "64MiB", "fuel": 1 },
        "http": [{ "url": "https://api.example.com/", "methods": ["GET"] }],
        "files": [{ "guest": "/src" }],
        "env": ["PATH"],
        "model": { "allow": ["openai/*"], "tokens": 50_000, "usd": 0.75 },
        "tools": { "call": ["shell"] },
        "messages": { "publish": ["agents.>"] },
        "state": { "namespaces": ["other"], "bytes": "2MiB" },
        "random": { "source": "os" },
        "secrets": { "names": ["KEY", "ROOT"], "reveal": ["KEY"] },
    }));
    let problems: Vec<String> = plan
        .check(&profile())
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!("raises", problems.join("\n"));
}

#[test]
fn a_plan_that_only_lowers_is_no_problem() {
    let plan = narrowing(json!({
        "limits": { "memory": "32MiB" },
        "http": [{ "url": "https://api.example.com/v1/users", "methods": ["GET"] }],
        "files": [{ "guest": "/docs/en" }],
        "model": { "allow": ["mock/echo"] },
        "tools": { "call": ["fetch/get", "files/read"] },
        "messages": { "publish": ["agents.writer.in"], "subscribe": ["agents.self.in"] },
        "clock": { "wall": "virtual" },
        "secrets": "granted",
    }));
    assert_eq!(plan.check(&profile()), []);
    assert_eq!(Narrowing::none("x").check(&profile()), []);
}

#[test]
fn refuses_a_narrowing_with_unknown_keys_at_its_place() {
    let json = json!({ "limit": {}, "grants": { "http": [{ "url": "https://a.example/", "methods": ["GET"], "inject": {} }] } });
    let problems =
        Narrowing::from_json("r", &json, "plan.yaml", Position { line: 7, column: 5 }).unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    plan.yaml:7:5: unknown key `limit`
      hint: did you mean `limits`?
    plan.yaml:7:5: unknown key `inject` in `grants.http[0]`
      hint: known keys: url, methods, response, request
    "#);
}

#[test]
fn cap_014_passes_on_no_more_than_the_caller_has() {
    let parent_plan = narrowing(json!({
        "limits": { "memory": "8MiB" },
        "http": [{ "url": "https://api.example.com/v1/users", "methods": ["GET"] }],
        "files": [{ "guest": "/docs/en" }],
        "tools": { "call": ["files/read"] },
        "secrets": { "names": [] },
        "clock": { "wall": "virtual" },
    }));
    let (parent, _) = effective(&anything(), &profile(), &parent_plan, None);
    let (child, trace) = effective(
        &anything(),
        &profile(),
        &Narrowing::none("child"),
        Some(&parent),
    );
    assert_eq!(child.limits.memory_bytes, 8 << 20);
    assert_eq!(child.grants.http, parent.grants.http);
    assert_eq!(child.grants.files, parent.grants.files);
    assert_eq!(child.grants.tools, parent.grants.tools);
    assert_eq!(child.grants.secrets.names, Vec::<String>::new());
    assert_eq!(child.grants.clock, parent.grants.clock);
    assert!(shown(&trace).contains("by the caller (plugin reviewer)"));
}

#[test]
fn cap_014_does_not_lend_an_injected_header_to_a_caller_without_it() {
    let mut parent = Effective {
        grants: profile().grants,
        ..Effective::default()
    };
    parent.grants.http[0].inject = None;
    let (child, _) = effective(
        &anything(),
        &profile(),
        &Narrowing::none("child"),
        Some(&parent),
    );
    assert_eq!(child.grants.http.len(), 1);
    assert_eq!(child.grants.http[0].inject, None);
}

/// A profile whose rule shows an identity.
fn showing() -> Profile {
    let text = "version = 1\nname = \"p\"\n[[http]]\nurl = \"https://api.example.com/\"\n\
                methods = [\"POST\"]\nidentity = \"BILLING\"\n";
    Profile::parse(text, "policies/p.toml").expect("the test's own profile")
}

#[test]
fn cap_014_does_not_lend_an_identity_to_a_caller_without_it() {
    let none = Narrowing::none("child");
    let (own, _) = effective(&anything(), &showing(), &none, None);
    assert_eq!(own.grants.http[0].identity.as_deref(), Some("BILLING"));
    let (passed, _) = effective(&anything(), &showing(), &none, Some(&own));
    assert_eq!(passed.grants.http[0].identity.as_deref(), Some("BILLING"));
    let mut caller = own.clone();
    for identity in [None, Some("OTHER".to_owned())] {
        caller.grants.http[0].identity = identity;
        let (child, _) = effective(&anything(), &showing(), &none, Some(&caller));
        assert_eq!(child.grants.http.len(), 1);
        assert_eq!(child.grants.http[0].identity, None);
    }
    assert_ne!(own.hash, caller_without(&own).hash);
}

/// The same rights under a profile that shows nothing.
fn caller_without(own: &Effective) -> Effective {
    let mut profile = showing();
    profile.grants.http[0].identity = None;
    let (without, _) = effective(&anything(), &profile, &Narrowing::none("child"), None);
    assert_eq!(own.grants.http.len(), without.grants.http.len());
    without
}

#[test]
fn a_profile_that_came_with_a_plan_shows_nobodys_identity() {
    let lent = showing().lent();
    assert_eq!(lent.profile.grants.http[0].identity, None);
    let [taken] = lent.taken.as_slice() else {
        panic!("{:?}", lent.taken);
    };
    assert_eq!((taken.own, &*taken.name), (Own::Identity, "BILLING"));
    assert_eq!(taken.entry.right, "http[0].identity");
    assert_eq!(taken.entry.value, "BILLING");
    assert_eq!(taken.entry.source, "policies/p.toml:6");
}

#[test]
fn an_identity_has_a_name_and_needs_tls() {
    let wrong = "version = 1\nname = \"p\"\n[[http]]\nurl = \"http://127.0.0.1:80/\"\nmethods = [\"GET\"]\n\
                 identity = \"A\"\n[[http]]\nurl = \"https://a.example/\"\nmethods = [\"GET\"]\nidentity = \"../key\"\n";
    let problems = Profile::parse(wrong, "p.toml").unwrap_err();
    let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("p.toml:6:12: `http[0].identity` would never be shown"),
        "{told:?}"
    );
    assert!(
        told[1].starts_with("p.toml:10:12: `http[1].identity`: an identity is named"),
        "{told:?}"
    );
}

#[test]
fn cap_014_passes_on_nothing_from_a_caller_without_rights() {
    let (child, _) = effective(
        &anything(),
        &profile(),
        &Narrowing::none("c"),
        Some(&Effective::default()),
    );
    assert_eq!(child.grants, Grants::default());
}

#[test]
fn cap_015_a_child_under_a_wider_profile_stays_within_its_parent() {
    let (parent, _) = effective(
        &anything(),
        &profile(),
        &narrowing(json!({ "http": [] })),
        None,
    );
    let wide = "version = 1\nname = \"wide\"\n[[http]]\nurl = \"https://*.example.com/\"\nmethods = [\"GET\"]\n[tools]\ncall = [\"shell\", \"files\"]\n";
    let wide = Profile::parse(wide, "wide.toml").unwrap();
    let (child, _) = effective(&anything(), &wide, &Narrowing::none("c"), Some(&parent));
    assert!(child.grants.http.is_empty());
    assert_eq!(child.grants.tools.call, ["files/*"]);
}

#[test]
fn cap_016_hashes_what_is_effective_and_not_how_it_is_written() {
    let hash = |text: &str, plan: &Narrowing| {
        let profile = Profile::parse(text, "x.toml").unwrap();
        effective(&anything(), &profile, plan, None).0.hash
    };
    let none = Narrowing::none("a");
    let base = hash(PROFILE, &none);
    assert_eq!(base, hash(&format!("# a comment\n{PROFILE}"), &none));
    assert_ne!(base, hash(&PROFILE.replace("32MiB", "31MiB"), &none));
    assert_ne!(base, hash(&PROFILE.replace("\"GET\", ", ""), &none));
    assert_ne!(base, hash(PROFILE, &narrowing(json!({ "http": [] }))));
}

#[test]
fn resolves_self_to_the_plugins_name_as_one_token() {
    let at = |name: &str| {
        let (rights, _) = effective(&anything(), &profile(), &Narrowing::none(name), None);
        rights.grants.messages.subscribe
    };
    assert_eq!(at("reviewer"), ["agents.reviewer.in"]);
    assert_eq!(
        at("a.b>*"),
        ["agents.a-b--.in"],
        "a name cannot become tokens or wildcards"
    );
}

/// A profile with one rule that injects this.
fn injecting(inject: &str) -> Result<Profile, String> {
    let text = format!(
        "version = 1\nname = \"p\"\n[[http]]\nurl = \"https://a.example/\"\nmethods = [\"GET\"]\ninject = {inject}\n"
    );
    Profile::parse(&text, "p.toml").map_err(|problems| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        shown.join("\n")
    })
}

#[test]
fn refuses_a_login_without_a_name_and_one_beside_a_header() {
    for (inject, why) in [
        ("{ login = \"\" }", "1 to 32 letters"),
        ("{ login = \"../x\" }", "1 to 32 letters"),
        (
            "{ login = \"a\", header = \"x\" }",
            "leave out `header` and `value`",
        ),
        ("{ login = 1 }", "`http[0].inject.login`"),
        ("{}", "header"),
    ] {
        let problems = injecting(inject).unwrap_err();
        assert!(problems.contains(why), "{inject}: {problems}");
    }
    let clear = "version = 1\nname = \"p\"\n[[http]]\nurl = \"http://a.example/\"\nmethods = [\"GET\"]\ninject = { login = \"a\" }\n";
    let problems = Profile::parse(clear, "p.toml").unwrap_err();
    assert!(problems[0].to_string().contains("clear text"));
    let here = clear.replace("a.example", "localhost:8080");
    assert!(Profile::parse(&here, "p.toml").is_ok());
}

#[test]
fn a_login_is_kept_by_name_and_is_no_secret_that_could_be_told() {
    let profile = injecting("{ login = \"notes\" }").unwrap();
    assert!(
        profile
            .canonical()
            .contains("http[0].inject.login = \"notes\"")
    );
    let manifest = Manifest::from_imports("a", ["flowhost:http/http@0.1.0"]);
    let (rights, _) = effective(&manifest, &profile, &Narrowing::none("a"), None);
    assert_eq!(
        rights.grants.http[0].inject,
        Some(Inject::Login("notes".to_owned()))
    );
    assert!(rights.grants.secrets.names.is_empty());
}

#[test]
fn a_profile_that_came_with_a_plan_says_what_it_took_by_its_kind() {
    for (inject, own, name, value) in [
        (
            "{ login = \"notes\" }",
            Own::InjectedLogin,
            "notes",
            "login notes",
        ),
        (
            "{ header = \"x-key\", value = \"${secret:A} ${secret:B}\" }",
            Own::InjectedSecrets,
            "A, B",
            "A, B",
        ),
    ] {
        let lent = injecting(inject).unwrap().lent();
        let [taken] = lent.taken.as_slice() else {
            panic!("{:?}", lent.taken);
        };
        assert_eq!((taken.own, &*taken.name), (own, name));
        assert_eq!(taken.entry.value, value);
    }
}

#[test]
fn cap_014_does_not_lend_a_login_to_a_caller_without_it() {
    let profile = injecting("{ login = \"notes\" }").unwrap();
    for theirs in [
        "{ login = \"other\" }",
        "{ header = \"x-a\", value = \"${secret:KEY}\" }",
    ] {
        let caller = Effective {
            grants: injecting(theirs).unwrap().grants,
            ..Effective::default()
        };
        let manifest = Manifest::from_imports("a", ["flowhost:http/http@0.1.0"]);
        let (rights, _) = effective(&manifest, &profile, &Narrowing::none("a"), Some(&caller));
        let kept = rights
            .grants
            .http
            .first()
            .and_then(|rule| rule.inject.clone());
        assert_eq!(kept, None, "{theirs}");
    }
}

#[test]
fn names_the_secret_that_a_rule_injects_though_the_manifest_asks_for_none() {
    let manifest = Manifest::from_imports("a", ["flowhost:http/http@0.1.0"]);
    let (rights, _) = effective(&manifest, &profile(), &Narrowing::none("a"), None);
    assert!(rights.grants.http[0].inject.is_some());
    assert_eq!(rights.grants.secrets.names, ["KEY"]);
    assert!(rights.grants.secrets.reveal.is_empty());
}

#[test]
fn cap_014_takes_the_injection_away_where_the_secret_is_not_passed_on() {
    let plan = narrowing(json!({ "secrets": { "names": [] } }));
    let (rights, trace) = effective(&anything(), &profile(), &plan, None);
    assert_eq!(rights.grants.http[0].inject, None);
    assert!(rights.grants.secrets.names.is_empty());
    assert!(
        shown(&trace).contains("http[0].inject = KEY (policies/p.toml:9): removed by the plan")
    );
}

/// A plan with many lines of `narrow` is not told its first one.
#[test]
fn a_trace_names_the_plans_own_line_of_each_right() {
    let profile = "version = 1\nname = \"p\"\n[model]\nallow = [\"mock/*\"]\ntokens = 100\nusd = 0.5\n[tools]\ncall = [\"a/x\", \"a/y\"]\n";
    let profile = Profile::parse(profile, "p.toml").unwrap();
    let json = serde_json::json!({ "grants": {
        "model": { "allow": ["mock/*"], "tokens": 10, "usd": 0.1 }, "tools": { "call": ["a/x"] },
    } });
    let line = |pointer: &str| Position {
        line: match pointer {
            "/grants/model/tokens" => 21,
            pointer if pointer.starts_with("/grants/tools") => 30,
            _ => 10,
        },
        column: 1,
    };
    let narrowing = Narrowing::from_placed_json("a", &json, "plan.yaml", &line).unwrap();
    let manifest = Manifest::from_imports(
        "a",
        ["flowhost:model/model@0.1.0", "flowhost:tools/tools@0.1.0"],
    );
    let (_, trace) = effective(&manifest, &profile, &narrowing, None);
    let told = |right: &str| {
        let entry = trace.iter().find(|entry| entry.right == right).unwrap();
        entry.to_string()
    };
    assert!(
        told("model.tokens").ends_with("by the plan (plan.yaml:21)"),
        "{}",
        told("model.tokens")
    );
    assert!(
        told("tools.call[1]").ends_with("by the plan (plan.yaml:30)"),
        "{}",
        told("tools.call[1]")
    );
}

#[test]
fn what_is_missing_of_two_lists_is_told_of_each() {
    let manifest = Manifest::from_imports("a", ["flowhost:messaging/messaging@0.1.0"]);
    let profile = Profile::parse("version = 1\nname = \"p\"\n", "p.toml").unwrap();
    let (_, trace) = effective(&manifest, &profile, &Narrowing::none("a"), None);
    let told = shown(&trace);
    for key in ["publish", "subscribe"] {
        let line = format!(
            "needs.messages.{key} = granted (the imports of a): asked for, not in the profile; set under [messages]: \
             {key} = [\"topic\"]"
        );
        assert!(told.contains(&line), "{told}");
    }
}

#[test]
fn what_a_component_without_a_manifest_does_not_import_is_not_taken_away_by_a_manifest() {
    let manifest = Manifest::from_imports("a", []);
    let profile = Profile::parse("version = 1\nname = \"p\"\nlog = true\n", "p.toml").unwrap();
    let (_, trace) = effective(&manifest, &profile, &Narrowing::none("a"), None);
    let told = shown(&trace);
    assert!(
        told.contains("log = true (p.toml:3): removed by the component (the imports of a)"),
        "{told}"
    );
}

#[test]
fn a_model_that_is_missing_comes_with_the_amounts_that_a_profile_must_name() {
    let text = "version = 1\nname = \"a\"\nkind = \"agent\"\nrelease = \"1.0.0\"\n[needs]\nmodel = { allow = [\"local/x\"] }\n";
    let manifest = Manifest::parse(text, "plugin.toml").unwrap();
    let head = "version = 1\nname = \"p\"\n";
    let profile = Profile::parse(head, "p.toml").unwrap();
    let (_, trace) = effective(&manifest, &profile, &Narrowing::none("a"), None);
    let cures = trace.iter().filter_map(|entry| match &entry.outcome {
        Outcome::Missing { cure } => Some(cure.as_str()),
        _ => None,
    });
    let cures: Vec<&str> = cures.collect();
    let mended = Profile::parse(&format!("{head}{}\n", cures.join("\n")), "p.toml");
    assert_eq!(mended.unwrap().grants.model.allow, ["local/x"]);
}
