//! The profiles we ship: what each comes to, to the last default.

use flowhost_policy::{Effective, Grants, Profile, RIGHTS};

macro_rules! shipped {
    ($($test:ident: $name:literal,)*) => {
        /// Every shipped profile with its text.
        const SHIPPED: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../../policies/", $name, ".toml"))),)*
        ];

        $(
            #[test]
            fn $test() {
                insta::assert_snapshot!($name, profile($name).canonical());
            }
        )*
    };
}

shipped! {
    resolves_deny_all: "deny-all",
    resolves_guardrail_pure: "guardrail-pure",
    resolves_tool_pure: "tool-pure",
    resolves_tool_readonly: "tool-readonly",
    resolves_tool_workspace: "tool-workspace",
    resolves_networked_tool: "networked-tool",
    resolves_agent_model: "agent-model",
    resolves_agent_any_model: "agent-any-model",
    resolves_mcp_local: "mcp-local",
}

fn profile(name: &str) -> Profile {
    let (_, text) = SHIPPED
        .iter()
        .find(|(shipped, _)| *shipped == name)
        .expect(name);
    match Profile::parse(text, &format!("policies/{name}.toml")) {
        Ok(profile) => profile,
        Err(problems) => {
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", shown.join("\n"));
        }
    }
}

#[test]
fn deny_all_grants_nothing() {
    assert_eq!(profile("deny-all").grants, Grants::default());
}

#[test]
fn every_profile_is_called_as_its_file() {
    for (name, _) in SHIPPED {
        assert_eq!(profile(name).name, *name);
    }
}

#[test]
fn every_profile_is_explained() {
    for (name, text) in SHIPPED {
        assert!(
            text.starts_with(&format!("# {name}: ")),
            "{name} opens with what it is for"
        );
        assert!(text.matches('#').count() >= 6, "{name} explains its lines");
        assert!(!profile(name).description.is_empty(), "{name}");
    }
}

#[test]
fn no_two_profiles_hash_alike() {
    let mut hashes: Vec<String> = SHIPPED
        .iter()
        .map(|(name, _)| profile(name).hash())
        .collect();
    hashes.sort();
    hashes.dedup();
    assert_eq!(hashes.len(), SHIPPED.len());
    assert!(
        hashes
            .iter()
            .all(|hash| hash.len() == 71 && hash.starts_with("sha256:"))
    );
}

#[test]
fn only_the_networked_profiles_hold_the_right_to_send() {
    let senders: Vec<&str> = SHIPPED
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !profile(name).grants.http.is_empty())
        .collect();
    assert_eq!(senders, ["networked-tool", "mcp-local"]);
}

#[test]
fn no_shipped_profile_reveals_a_secret() {
    for (name, _) in SHIPPED {
        assert!(profile(name).grants.secrets.reveal.is_empty(), "{name}");
    }
}

/// The lines that messages tell people to add must themselves be a profile that grants the right.
#[test]
fn every_right_is_granted_by_the_lines_that_messages_print() {
    for right in &RIGHTS {
        let text = format!("version = 1\nname = \"x\"\n{}\n", right.lines);
        let profile = Profile::parse(&text, "x.toml").expect(right.key);
        let effective = Effective {
            grants: profile.grants,
            ..Effective::default()
        };
        assert!(right.is_in(&effective), "{}", right.key);
        assert!(!right.is_in(&Effective::default()), "{}", right.key);
    }
}
