//! CAP: capabilities that preflight must find missing.

use flowhost_policy::{Effective, Grants, Profile, RIGHTS, Right, missing_rights};

#[test]
fn cap_001_names_every_import_without_its_right() {
    let imports = [
        "flowhost:log/log@0.1.0",
        "flowhost:http/http@0.1.0",
        "wasi:http/outgoing-handler@0.2.3",
        "flowhost:messaging/messaging@0.1.0",
    ];
    let effective = Effective {
        grants: Grants {
            log: true,
            ..Grants::default()
        },
        ..Effective::default()
    };
    let missing = missing_rights(imports, &effective);
    let shown: Vec<(&str, &str)> = missing
        .iter()
        .map(|m| (m.import.as_str(), m.right))
        .collect();
    assert_eq!(
        shown,
        [
            ("flowhost:http/http@0.1.0", "http"),
            ("wasi:http/outgoing-handler@0.2.3", "http"),
            ("flowhost:messaging/messaging@0.1.0", "messages"),
        ]
    );
    assert!(missing[0].lines.starts_with("[[http]]"));
}

#[test]
fn cap_001_does_not_judge_what_language_runtimes_drag_in() {
    let imports = [
        "wasi:cli/environment@0.2.3",
        "wasi:cli/stdout@0.2.3",
        "wasi:clocks/monotonic-clock@0.2.3",
        "wasi:filesystem/preopens@0.2.3",
        "wasi:filesystem/types@0.2.3",
        "wasi:random/random@0.2.3",
        "wasi:http/types@0.2.3",
        "flowhost:types/types@0.1.0",
    ];
    assert_eq!(missing_rights(imports, &Effective::default()), []);
}

#[test]
fn cap_001_takes_no_look_alike_for_an_interface() {
    for import in [
        "flowhost:httpx/http",
        "evil:http/http",
        "wasi:http/outgoing-handlerx@0.2.0",
        "http",
        "",
    ] {
        assert_eq!(Right::behind(import), None, "{import}");
    }
}

#[test]
fn cap_006_an_empty_list_is_no_right() {
    let text = "version = 1\nname = \"x\"\nhttp = []\nfiles = []\n[tools]\ncall = []\n[messages]\n[state]\nnamespaces = []\n[secrets]\nnames = []\n[env]\n";
    let grants = Profile::parse(text, "x.toml").unwrap().grants;
    let effective = Effective {
        grants,
        ..Effective::default()
    };
    for right in &RIGHTS {
        assert!(!right.is_in(&effective), "{}", right.key);
    }
}
