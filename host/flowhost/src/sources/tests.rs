//! Where components and profiles are found, and where they must not be.

use std::collections::BTreeMap;

use flowhost_ledger::HostKey;

use super::*;

fn with<T>(files: &[(&str, &str)], test: impl Fn(&Sources<'_>, &Path) -> T) -> T {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let env = BTreeMap::from([("FLOWHOST_PLUGINS".to_owned(), "more".to_owned())]);
    let ambient = Ambient::with(env, root.to_owned(), Some(root.join("t/debug/flowhost")));
    for (name, text) in files {
        ambient
            .create_dir(root.join(name).parent().unwrap())
            .unwrap();
        ambient.write(Path::new(name), text.as_bytes()).unwrap();
    }
    let config = Config::default();
    test(&Sources::new(&ambient, &config, None), root)
}

fn find(sources: &Sources<'_>, source: &str, dir: &Path) -> Result<(), Finding> {
    sources.component(source, dir, Pin::Unsaid).map(|_| ())
}

#[test]
fn refuses_remote_sources_and_names_that_climb() {
    with(&[], |sources, dir| {
        assert!(find(sources, "https://x.example/a.wasm", dir).is_err());
        assert!(find(sources, "builtin:../x", dir).is_err());
        let missing = find(sources, "./a.wasm", dir).unwrap_err();
        assert!(missing.message.contains("was not found"), "{missing}");
    });
}

#[test]
fn a_path_is_told_whole_where_everything_is_below_the_working_directory() {
    let config = Config::default();
    for (here, expected) in [
        ("/", "/work/plans/plan.yaml"),
        ("/work", "plans/plan.yaml"),
        ("/other", "/work/plans/plan.yaml"),
    ] {
        let ambient = Ambient::with(BTreeMap::new(), here.into(), None);
        let shown = Sources::new(&ambient, &config, None).shown(Path::new("/work/plans/plan.yaml"));
        assert_eq!(shown, expected, "from {here}");
    }
}

#[test]
fn a_run_that_an_earlier_host_began_at_the_root_has_its_files_still() {
    let files = [("work/plan.yaml", "early"), ("/more/plan.yaml", "late")];
    let files = files.map(|(name, text)| (name.to_owned(), text.to_owned()));
    let kept = KeptRun {
        bundle: flowhost_run::bundle::Bundle {
            plan: "work/plan.yaml".to_owned(),
            cwd: "/".into(),
            folders: BTreeMap::new(),
            files: BTreeMap::from(files),
            plugins: BTreeMap::new(),
        },
        state: flowhost_run::State::new("/state".into(), "default"),
        stand_ins: BTreeMap::new(),
    };
    assert_eq!(kept.text("/work/plan.yaml").unwrap(), "early");
    assert_eq!(kept.text("work/plan.yaml").unwrap(), "early");
    assert_eq!(kept.text("/more/plan.yaml").unwrap(), "late");
    assert!(kept.text("more/plan.yaml").is_err());
}

#[test]
fn where_signatures_are_asked_for_only_what_is_part_of_the_build_needs_none() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let ambient = Ambient::with(BTreeMap::new(), root.to_owned(), None);
    let own = root.join("op");
    let config = Config::parse("", &own.join("flowhost.toml")).unwrap();
    let key = HostKey::from_seed("author.example", [1; 32]).unwrap();
    let trust = format!("keys = [\"{}\"]\n[plugins]\nsigned = true\n", key.vkey());
    ambient.create_dir(&own).unwrap();
    ambient
        .write(&own.join("trust.toml"), trust.as_bytes())
        .unwrap();
    let sources = Sources::new(&ambient, &config, None);
    let admitted = |source| sources.admits(source, &root.join("a.wasm"), "sha256:0", None, None);
    assert!(admitted("builtin:a").is_ok());
    let refused = admitted("./a.wasm").unwrap_err();
    assert!(refused.message.contains("no signature"), "{refused}");
}

#[test]
fn a_file_beside_the_plan_cannot_take_a_shipped_name() {
    let wide = "version = 1\nname = \"deny-all\"\nlog = true\n";
    with(&[("policies/deny-all.toml", wide)], |sources, dir| {
        let refused = sources
            .profile("deny-all", dir, &mut Texts::default())
            .unwrap_err();
        assert!(refused[0].message.contains("shipped"), "{refused:?}");
    });
    // A copy is the same profile.
    let (_, copy) = SHIPPED
        .iter()
        .find(|(name, _)| *name == "deny-all")
        .unwrap();
    with(&[("policies/deny-all.toml", *copy)], |sources, dir| {
        let profile = sources
            .profile("deny-all", dir, &mut Texts::default())
            .unwrap();
        assert!(!profile.0.grants.log);
        assert_eq!(profile.1, Whose::Builds);
    });
}

#[test]
fn a_profile_cannot_call_itself_otherwise_than_its_file_or_as_a_shipped_one() {
    let profile = |file: &str, name: &str| {
        let text = format!("version = 1\nname = \"{name}\"\nlog = true\n");
        with(&[(file, &text)], |sources, dir| {
            let wanted = match file.strip_prefix("policies/") {
                Some(name) => name.trim_end_matches(".toml").to_owned(),
                None => format!("./{file}"),
            };
            sources.profile(&wanted, dir, &mut Texts::default())
        })
    };
    for (file, name, said) in [
        ("policies/p.toml", "deny-all", "shipped"),
        ("deny-all.toml", "deny-all", "shipped"),
        ("policies/p.toml", "q", "not `q`"),
        ("sub/p.toml", "q", "not `q`"),
    ] {
        let refused = profile(file, name).unwrap_err();
        assert!(
            refused[0].message.contains(said),
            "{file} {name}: {refused:?}"
        );
        assert_eq!(refused[0].line, 2);
    }
    assert!(profile("policies/p.toml", "p").is_ok());
    assert!(profile("sub/p.toml", "p").is_ok());
}

#[test]
fn a_link_beside_a_plan_leads_to_nothing_that_is_read_or_quoted() {
    use std::os::unix::fs::symlink;
    let files = [
        ("elsewhere", "token = s3cret\n"),
        ("plan/policies/own.toml", ""),
        ("plan/a.wasm", ""),
    ];
    with(&files, |sources, dir| {
        let plan = dir.join("plan");
        symlink("../../elsewhere", plan.join("policies/leak.toml")).unwrap();
        symlink("../elsewhere", plan.join("a.toml")).unwrap();
        let found = sources
            .profile("leak", &plan, &mut Texts::default())
            .unwrap_err();
        assert!(
            found[0].message.contains("leaves the plan's folder"),
            "{found:?}"
        );
        let found = sources.manifest(&plan.join("a.wasm"), None).unwrap_err();
        assert!(found.message.contains("leaves its folder"), "{found:?}");
        symlink("../elsewhere", plan.join("plugin.toml")).unwrap();
        let found = sources.manifest(&plan.join("b.wasm"), None).unwrap_err();
        assert!(found.message.contains("leaves its folder"), "{found:?}");
    });
}

#[test]
fn a_profile_that_everybody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let text = "version = 1\nname = \"mine\"\n";
    with(&[("policies/mine.toml", text)], |sources, dir| {
        let open = std::fs::Permissions::from_mode(0o666);
        std::fs::set_permissions(dir.join("policies/mine.toml"), open).unwrap();
        let found = sources
            .profile("mine", dir, &mut Texts::default())
            .unwrap_err();
        assert!(found[0].message.contains("chmod o-w on it"), "{found:?}");
    });
}

#[test]
fn a_profile_that_everybody_may_replace_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let text = "version = 1\nname = \"mine\"\n";
    with(&[("policies/mine.toml", text)], |sources, dir| {
        let read = |mode: u32| {
            let open = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(dir.join("policies"), open).unwrap();
            sources.profile("mine", dir, &mut Texts::default())
        };
        let found = read(0o777).unwrap_err();
        assert!(
            found[0].message.contains("chmod o-w on its folder"),
            "{found:?}"
        );
        read(0o1777).unwrap();
        read(0o755).unwrap();
    });
}

#[test]
fn a_path_leads_neither_out_of_the_plans_folder_nor_around_the_operators() {
    let text = "version = 1\nname = \"mine\"\nlog = true\n";
    with(&[("mine.toml", text), ("a/b", "")], |sources, dir| {
        let texts = &mut Texts::default();
        assert!(sources.profile("./mine.toml", dir, texts).is_ok());
        assert!(
            sources
                .profile("../mine.toml", &dir.join("a"), texts)
                .is_err()
        );
        assert!(sources.profile("/etc/passwd", dir, texts).is_err());
        let strict = Sources {
            only: Some(dir),
            ..sources.clone()
        };
        assert!(strict.profile("./mine.toml", dir, texts).is_err());
    });
}

#[test]
fn an_operators_folder_hides_what_stands_beside_the_plan() {
    let text = "version = 1\nname = \"mine\"\nlog = true\n";
    with(&[("policies/mine.toml", text)], |sources, dir| {
        let only = dir.join("elsewhere");
        let strict = Sources {
            only: Some(&only),
            ..sources.clone()
        };
        assert!(strict.profile("mine", dir, &mut Texts::default()).is_err());
        let mine = sources.profile("mine", dir, &mut Texts::default());
        assert_eq!(mine.unwrap().1, Whose::Plans);
    });
}

#[test]
fn finds_shipped_plugins_in_the_variable_and_in_the_builds_own_output() {
    with(
        &[("more/a.wasm", ""), ("t/plugins/b.wasm", "")],
        |sources, dir| {
            assert!(find(sources, "builtin:a", dir).is_ok());
            assert!(find(sources, "builtin:b", dir).is_ok());
        },
    );
}

#[test]
fn a_plugin_of_this_project_that_is_not_there_is_told_with_what_builds_it() {
    // Where others are, one whose name is like it is not what was meant.
    with(&[("more/coda.wasm", "")], |sources, dir| {
        let cure = |source: &str| find(sources, source, dir).unwrap_err().hint;
        for (source, told) in [
            ("builtin:code", "build-guests` builds it, with npm"),
            ("builtin:markdown", "build-guests` builds it; or name"),
            ("builtin:cod", "did you mean `builtin:coda`?"),
        ] {
            assert!(cure(source).contains(told), "{source}: {}", cure(source));
        }
    });
}

fn manifest(
    sources: &Sources<'_>,
    component: &Path,
    embedded: Option<&str>,
) -> Result<Option<String>, Finding> {
    let found = sources.manifest(component, embedded.map(str::as_bytes))?;
    Ok(found.map(|(_, text)| text))
}

#[test]
fn refuses_a_manifest_beside_that_differs_from_the_one_inside() {
    for beside in ["a.toml", "plugin.toml"] {
        with(&[("a.wasm", ""), (beside, "name = 1\n")], |sources, dir| {
            let component = dir.join("a.wasm");
            let other = manifest(sources, &component, Some("name = 2\n")).unwrap_err();
            assert!(other.message.contains("carries inside"), "{other}");
            let same = manifest(sources, &component, Some("name = 1\r\n\r\n"));
            assert!(same.is_ok(), "{same:?}");
        });
    }
}

#[test]
fn refuses_a_plugin_toml_that_could_be_anybodys() {
    let files = [
        ("a.wasm", ""),
        ("b.wasm", ""),
        ("plugin.toml", "x"),
        ("b.toml", "y"),
    ];
    with(&files, |sources, dir| {
        let whose = manifest(sources, &dir.join("a.wasm"), None).unwrap_err();
        assert!(whose.hint.contains("a.toml"), "{whose:?}");
        let own = manifest(sources, &dir.join("b.wasm"), None);
        assert_eq!(own.unwrap().as_deref(), Some("y"));
        let inside = manifest(sources, &dir.join("a.wasm"), Some("z"));
        assert_eq!(inside.unwrap().as_deref(), Some("z"));
    });
}

#[test]
fn finds_a_manifest_inside_by_the_components_name_and_as_plugin_toml() {
    with(&[("a.wasm", "")], |sources, dir| {
        let component = dir.join("a.wasm");
        assert_eq!(manifest(sources, &component, None).unwrap(), None);
        let inside = manifest(sources, &component, Some("x")).unwrap();
        assert_eq!(inside.as_deref(), Some("x"));
    });
    for beside in ["a.toml", "plugin.toml"] {
        with(&[("a.wasm", ""), (beside, "x")], |sources, dir| {
            let found = manifest(sources, &dir.join("a.wasm"), None).unwrap();
            assert_eq!(found.as_deref(), Some("x"));
        });
    }
}

#[test]
fn every_shipped_profile_is_valid_and_has_the_name_it_is_found_by() {
    for (name, text) in SHIPPED {
        assert_eq!(Profile::parse(text, name).unwrap().name, *name);
    }
}
