//! Documents that are refused, and what a person reads then.

use flowhost_policy::Profile;

/// All problems of a profile, as they are printed.
fn problems(body: &str) -> String {
    let text = format!("version = 1\nname = \"x\"\n{body}");
    match Profile::parse(&text, "x.toml") {
        Ok(profile) => panic!("accepted: {}", profile.canonical()),
        Err(problems) => {
            let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
            shown.join("\n")
        }
    }
}

macro_rules! invalid {
    ($($test:ident: $body:expr;)*) => {
        $(
            #[test]
            fn $test() {
                insta::assert_snapshot!(stringify!($test), problems($body));
            }
        )*
    };
}

invalid! {
    cap_004_refuses_an_unknown_key_with_a_suggestion: "netwrok = true\n";
    cap_004_refuses_an_unknown_key_in_every_table: r#"
[limits]
memroy = "1MiB"
[[http]]
url = "https://api.example.com/"
methods = ["GET"]
privat_network = true
[model]
allow = ["mock/*"]
tokens = 1
usd = 1
temperature = 1
[zebra]
"#;
    cap_008_refuses_bad_variables: "[env]\n\"A=B\" = \"x\"\nNUL = \"a\\u0000b\"\n\"\" = \"x\"\n\"1A\" = \"x\"\nN = 1\nF = { from = \"A B\" }\nG = { form = \"A\" }\n";
    cap_008_refuses_a_variable_twice: "[env]\nA = \"1\"\nA = \"2\"\n";
    cap_010_refuses_patterns_and_paths_as_secrets: "[secrets]\nnames = [\"*\", \"../key\", \"A B\", \"\", \"OK\"]\nreveal = [\"OTHER\"]\n";
    refuses_what_is_not_toml: "log = \n[http\n";
    refuses_limits_that_are_switched_off: r#"
[limits]
memory = "0B"
fuel = 0
deadline = "0s"
output = -1
log = "unlimited"
host_calls = "none"
handles = true
queue = 1.5
"#;
    refuses_limits_over_their_ceilings: r#"
[limits]
memory = "64GiB"
fuel = 18_000_000_000_000_000_000
deadline = "25h"
output = "1GiB"
log = "1GiB"
host_calls = 1_000_000_000
handles = 99999999999999999999999999999999999999999
queue = 70_000
instances = 5_000
"#;
    refuses_units_that_nobody_can_be_sure_of: r#"
[limits]
memory = "64MB"
deadline = "30"
output = "1.5MiB"
log = 65536
"#;
    net_020_refuses_rules_that_name_too_much: r#"
[[http]]
url = "*"
methods = ["GET"]
[[http]]
url = "https://*.com"
methods = ["GET"]
[[http]]
url = "https://a*b.com"
methods = ["GET"]
[[http]]
url = ""
methods = ["GET"]
[[http]]
url = "https://"
methods = ["GET"]
[[http]]
url = "https://user@api.example.com/"
methods = ["GET"]
"#;
    net_021_refuses_paths_that_climb: r#"
[[http]]
url = "https://api.example.com/a/../b"
methods = ["GET"]
[[http]]
url = "https://api.example.com/a%2fb"
methods = ["GET"]
"#;
    net_026_refuses_connect_and_lower_case_methods: r#"
[[http]]
url = "https://api.example.com/"
methods = ["CONNECT", "get", "TRACE", "GET", "GET"]
[[http]]
url = "https://api.example.com/"
"#;
    refuses_injection_that_could_leak_or_break_framing: r#"
[[http]]
url = "http://api.example.com/"
methods = ["GET"]
inject = { header = "authorization", value = "Bearer ${secret:KEY}" }
[[http]]
url = "https://api.example.com/"
methods = ["GET"]
inject = { header = "Host", value = "x\r\ny: ${secret:KEY}" }
[[http]]
url = "https://api.example.com/"
methods = ["GET"]
inject = { header = "content-length", value = "no placeholder" }
[[http]]
url = "https://api.example.com/"
methods = ["GET"]
inject = { header = "x-key", value = "${secret:../KEY} ${env:HOME}" }
"#;
    fs_026_refuses_host_folders_that_nobody_should_grant: r#"
[[files]]
guest = "/a"
host = "/"
access = "read"
[[files]]
guest = "/b"
host = "/proc/self"
access = "read"
[[files]]
guest = "/c"
host = "../secrets"
access = "read"
[[files]]
guest = "/d"
host = "$HOME"
access = "read"
[[files]]
guest = "/e"
host = "~/notes"
access = "read"
[[files]]
guest = "/f"
host = "//./sys"
access = "read"
[[files]]
guest = "/g"
host = "/dev/shm"
access = "read"
[[files]]
guest = "/h"
host = "/etc"
access = "read"
"#;
    refuses_file_grants_that_do_not_say_what_they_mean: r#"
[[files]]
guest = "docs/"
host = "docs"
access = "read"
[[files]]
guest = "/out"
host = "out"
access = "write"
[[files]]
guest = "/docs"
host = "docs"
access = "read"
quota = "1MiB"
[[files]]
guest = "/docs"
host = "other"
access = "reed"
"#;
    refuses_two_grants_at_one_guest_path: r#"
[[files]]
guest = "/docs"
host = "a"
access = "read"
[[files]]
guest = "/docs"
host = "b"
access = "read"
"#;
    refuses_guest_paths_that_lie_in_one_another: r#"
[[files]]
guest = "/"
host = "a"
access = "read"
[[files]]
guest = "/out"
host = "b"
access = "read"
"#;
    refuses_models_without_a_budget: "[model]\nallow = [\"gpt\", \"open*ai/x\", \"mock/*\"]\n";
    refuses_money_that_is_not_exact: "[model]\nallow = [\"mock/*\"]\ntokens = 1\nusd = 0.0000001\n";
    refuses_patterns_that_are_no_patterns: r#"
[tools]
call = ["*", "*/read", "files/*x", "", "files/", "a b"]
[messages]
publish = ["a..b", "a.>.b", "a b", "", "a.**"]
[state]
namespaces = ["a/b", "..", "*"]
"#;
    refuses_words_that_are_no_modes: "[clock]\nwall = \"reel\"\n[random]\nsource = true\n";
    refuses_tables_of_the_wrong_shape: "log = 1\nhttp = \"granted\"\nfiles = {}\ntools = []\nenv = 3\n[limits]\nmemory = 1\n";
}

#[test]
fn refuses_a_profile_without_version_and_name() {
    let problems = Profile::parse("", "x.toml").unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    x.toml:1:1: `version` is missing
      hint: add `version = 1`
    x.toml:1:1: `name` is missing
      hint: add `name = "my-name"`
    "#);
}

#[test]
fn refuses_another_version_and_a_name_that_is_no_name() {
    let problems = Profile::parse("version = 2\nname = \"My Profile\"\n", "x.toml").unwrap_err();
    let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"), @r#"
    x.toml:1:11: `version` is not 1, the only one
    x.toml:2:8: `name` is lower-case letters, digits, `-` and `_`, at most 64, and not `self`
    "#);
}

#[test]
fn refuses_a_document_that_is_too_large_to_be_a_profile() {
    let text = format!(
        "version = 1\nname = \"x\"\ndescription = \"{}\"\n",
        "x".repeat(300 << 10)
    );
    let problems = Profile::parse(&text, "x.toml").unwrap_err();
    assert_eq!(problems[0].message, "the document is larger than 256 KiB");
}

#[test]
fn counts_columns_in_characters() {
    let problems = Profile::parse(
        "version = 1\nname = \"x\"\nenv = { \"é\" = \"\", x = 1 }\n",
        "x.toml",
    );
    let places: Vec<(u32, u32)> = problems
        .unwrap_err()
        .iter()
        .map(|p| (p.line, p.column))
        .collect();
    assert_eq!(places, [(3, 9), (3, 23)]);
}
