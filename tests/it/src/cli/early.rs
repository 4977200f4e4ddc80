//! What a run would meet later is told before it, and what is wrong in one place hides nothing of
//! what is wrong in another.

use super::{home, plan, seen, tool};
use crate::support::{Home, repository};

fn validated(home: &Home) -> String {
    seen(home, &["validate", "plan.yaml"])
}

#[test]
fn constants_that_a_tool_does_not_take_are_told_with_the_step() {
    let home = Home::new();
    let plugin = "  md: { kind: tool, source: \"builtin:markdown\", profile: tool-pure }\n";
    let steps = "  fixed: { uses: md/links, with: { txt: 1 } }\n  computed: { needs: [fixed], uses: md/links, with: { txt: \"${{ steps.fixed.output }}\" } }";
    home.file("plan.yaml", plan(plugin, steps));
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 2 problems

      × step `fixed`: `md/links` does not take this `with`: at `/`: `txt` is not taken; at `/`: `text`
      │ is required
       ╭─[plan.yaml:8:41]
     7 │ steps:
     8 │   fixed: { uses: md/links, with: { txt: 1 } }
       ·                                         ─
     9 │   computed: { needs: [fixed], uses: md/links, with: { txt: "${{ steps.fixed.output }}" } }
       ╰────
      help: it takes `text` (required)

      × step `computed`: `md/links` does not take this `with`: at `/`: `text` is required; at `/`:
      │ `txt` is not taken
       ╭─[plan.yaml:9:60]
     8 │   fixed: { uses: md/links, with: { txt: 1 } }
     9 │   computed: { needs: [fixed], uses: md/links, with: { txt: "${{ steps.fixed.output }}" } }
       ·                                                            ────
       ╰────
      help: it takes `text` (required)
    ----- exit 1
    "#);
}

#[test]
fn a_foreach_of_what_is_no_list_is_told() {
    let steps = |items: &str| {
        format!(
            "  only: {{ foreach: {{ items: {items}, as: it }}, uses: ok_echo/run, with: {{}} }}"
        )
    };
    insta::assert_snapshot!(validated(&home(&["ok_echo"], &steps("3"))), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × `items` of `foreach` is not a list
       ╭─[plan.yaml:8:29]
     7 │ steps:
     8 │   only: { foreach: { items: 3, as: it }, uses: ok_echo/run, with: {} }
       ·                             ─
       ╰────
      help: write a list, or one expression that gives a list
    ----- exit 1
    "#);
    for items in ["\"a text\"", "{ a: 1 }", "\"${{ inputs }} and more\""] {
        let ran = home(&["ok_echo"], &steps(items)).flowhost(&["validate", "plan.yaml"]);
        assert!(ran.expect(1).stderr.contains("is not a list"), "{items}");
    }
    home(&["ok_echo"], &steps("[1, \"${{ 1 + 1 }}\"]"))
        .flowhost(&["validate", "plan.yaml"])
        .expect(0);
}

#[test]
fn a_granted_folder_that_is_not_there_is_told_as_the_run_would() {
    let home = Home::new();
    home.guest("ok_files");
    let files = |guest: &str, access: &str| {
        format!("[[files]]\nguest = \"/{guest}\"\nhost = \"{guest}\"\naccess = {access}\n")
    };
    let read = files("docs", "\"read\"");
    let write = files("out", "\"write\"\nquota = \"1MiB\"\nentries = 10");
    home.file(
        "policies/reads.toml",
        format!("version = 1\nname = \"reads\"\n{read}{write}"),
    );
    let steps = "  only: { uses: ok_files/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_files", "reads"), steps));
    insta::assert_snapshot!(validated(&home), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × plugin `ok_files`: files[0]: cannot grant `docs` as `/docs`: No such file or directory (os
      │ error 2) (policies/reads.toml:5)
       ╭─[plan.yaml:5:61]
     4 │ plugins:
     5 │   ok_files: { kind: tool, source: ./ok_files.wasm, profile: reads }
       ·                                                             ─────
     6 │ 
       ╰────
      help: make the folder: `mkdir -p docs`; or name another
    ----- exit 1
    "#);
    assert!(!home.path().join(".flowhost").exists(), "nothing is made");
    assert!(!home.path().join("out").exists(), "nothing is made");
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(1);
    assert!(
        ran.stderr.contains("policies/reads.toml:5"),
        "{}",
        ran.all()
    );
    std::fs::create_dir(home.path().join("docs")).unwrap();
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn problems_of_the_plan_the_profiles_and_the_rights_come_together() {
    let home = Home::new();
    home.guest("ok_echo");
    home.guest("ok_http");
    let plugins = [
        tool("ok_echo", "nowhere"),
        tool("ok_http", "deny-all"),
        "  gone: { kind: tool, source: ./gone.wasm, profile: deny-all }\n".to_owned(),
    ];
    let steps = "  a: { uses: ok_echo/run, wiht: {} }\n  b: { uses: ok_http/run, with: {} }";
    home.file("plan.yaml", plan(&plugins.concat(), steps));
    let ran = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    let mut last = 0;
    for words in [
        "has 4 problems",
        "the profile `nowhere` was not found",
        "plugin `ok_http` imports `flowhost:http/",
        "the component `gone.wasm` was not found",
        "unknown key `wiht` in step",
    ] {
        let at = ran.stderr.find(words);
        let at = at.unwrap_or_else(|| panic!("{words}: {}", ran.all()));
        assert!(at >= last, "in the order of the file: {}", ran.all());
        last = at;
    }
    home.file(
        "plan.yaml",
        plan(&plugins.concat(), &steps.replace("wiht", "with")),
    );
    let ran = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    for words in ["has 3 problems", "nowhere", "gone.wasm", "does not grant"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.all());
    }
}

#[test]
fn a_folder_that_is_not_there_is_one_problem() {
    let home = Home::new();
    home.guest("ok_files");
    home.guest("ok_config");
    home.file(
        "policies/reads.toml",
        "version = 1\nname = \"reads\"\n[[files]]\nguest = \"/docs\"\nhost = \"${inputs.folder}\"\naccess = \"read\"\n",
    );
    home.file(
        "policies/told.toml",
        "version = 1\nname = \"told\"\nconfig = true\n",
    );
    let plugins = "  files: { kind: tool, source: ./ok_files.wasm, profile: reads }\n  \
                   told: { kind: tool, source: ./ok_config.wasm, profile: told, config: { of: \"${{ inputs.folder }}\" } }\n";
    let steps = "  only: { uses: files/run, with: {} }";
    let text = plan(plugins, steps) + "inputs: { folder: { type: dir } }\n";
    home.file("plan.yaml", text);
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml", "--input", "folder=nowhere"]), @r#"
    $ flowhost run plan.yaml --input folder=nowhere
    ----- stderr
    error: `plan.yaml` has 1 problem

      × input `folder`: `nowhere`: No such file or directory (os error 2)
      help: name a folder that exists, relative to where you are
    ----- exit 1
    "#);
}

#[test]
fn a_shipped_plugin_under_another_name_is_told_with_the_near_one() {
    let home = Home::new();
    home.file(
        "plan.yaml",
        plan(
            "  files: { kind: tool, source: 'builtin:filez', profile: tool-readonly }\n",
            "  only: { uses: files/read, with: { path: /docs/a.md } }",
        ),
    );
    let ran = home.flowhost(&["validate", "plan.yaml"]).expect(1);
    let told = ran.stderr;
    assert!(told.contains("did you mean `builtin:files`?"), "{told}");
    // The folder of FLOWHOST_PLUGINS is also the one above the executable, and told once.
    let whole: String = told
        .chars()
        .filter(|letter| !letter.is_whitespace() && *letter != '│')
        .collect();
    let folder = format!("`{}`", repository().join("target/plugins").display());
    assert_eq!(whole.matches(&folder).count(), 1, "{told}");
}

#[test]
fn a_path_that_no_file_has_is_named_and_one_that_is_none_is_told_how_paths_begin() {
    let home = Home::new();
    home.warm();
    home.file("notes/a.md", "# A\n");
    home.file(
        "policies/reads.toml",
        "version = 1\nname = \"reads\"\n[[files]]\nguest = \"/notes\"\nhost = \"notes\"\naccess = \"read\"\n",
    );
    let plugin = "  files: { kind: tool, source: 'builtin:files', profile: reads }\n";
    let read = |path: &str| {
        let step = format!("  only: {{ uses: files/read, with: {{ path: {path} }} }}");
        home.file("plan.yaml", plan(plugin, &step));
        home.flowhost(&["run", "plan.yaml"])
    };
    let missing = read("/notes/b.md");
    let told = "`/notes/b.md`: no such file or folder";
    assert!(missing.stderr.contains(told), "{}", missing.all());
    let relative = read("notes/a.md").expect(6);
    let told = "a path begins with `/` and the name of a folder";
    assert!(relative.stderr.contains(told), "{}", relative.all());
    assert!(relative.stdout.contains(told), "{}", relative.all());
    read("/notes/a.md").expect(0);
}

#[test]
fn a_configuration_tells_all_that_is_wrong_with_it() {
    let home = Home::new();
    home.file(
        "home-of-user/.config/flowhost/flowhost.toml",
        "policy = \"policies\"\ndurability = \"fast\"\ntenant = \"../x\"\n\n[models]\nresidency = \"strikt\"\ntimeout = 3\n\n[models.providers.local]\nkind = \"openai\"\nurls = [\n  \"http://127.0.0.1:1/v1\",\n]\n\n[secrets]\nA = {}\n",
    );
    insta::assert_snapshot!(seen(&home, &["runs", "list"]), @r#"
    $ flowhost runs list
    ----- stderr
    error: the configuration has 7 problems

      × [home]/home-of-user/.config/flowhost/flowhost.toml:1:1: unknown key `policy`
      help: expected one of `policies`, `plugins`, `durability`, `tenant`, `host`, `secrets`,
            `identities`, `tls`, `models`, `telemetry`, `sources`, `mcp_adapter`

      × [home]/home-of-user/.config/flowhost/flowhost.toml:2:14: `fast` is not a choice
      help: expected `durable` or `relaxed`

      × [home]/home-of-user/.config/flowhost/flowhost.toml:3:11: `tenant = "../x"` is not a
      │ name: it stands in paths and subjects
      help: use up to 64 of a-z, 0-9, `-`, `_`, and for `host` also `.`

      × [home]/home-of-user/.config/flowhost/flowhost.toml:6:13: `strikt` is not a choice
      help: did you mean `strict`? expected `any` or `strict`

      × [home]/home-of-user/.config/flowhost/flowhost.toml:7:11: this is a whole number
      help: expected a text in quotes

      × [home]/home-of-user/.config/flowhost/flowhost.toml:11:1: unknown key `urls`
      help: did you mean `url`? expected one of `kind`, `url`, `key`, `on_prem`, `unpriced`,
            `requests_per_minute`, `parallel`, `breaker`, `connect_timeout`, `idle_timeout`,
            `output_limit`, `api`, `answer_format`, `leave_out`, `fallback`, `thinking`, `cache`,
            `ca`, `system_roots`, `proxy`, `proxy_key`, `scripts`, `latency`

      × [home]/home-of-user/.config/flowhost/flowhost.toml:16:1: the secret `A` needs one
      │ source
      help: A = { env = "NAME" } or { file = "path" }
    ----- exit 1
    "#);
}

#[test]
fn a_key_with_a_wrong_value_is_not_told_as_missing_too() {
    let home = Home::new();
    home.file(
        "home-of-user/.config/flowhost/flowhost.toml",
        "[models.providers.local]\nkind = \"opnai\"\nurl = \"http://127.0.0.1:1/v1\"\n\n\
         [models.providers.other]\nurl = \"http://127.0.0.1:1/v1\"\n",
    );
    let told = home.flowhost(&["runs", "list"]).stderr;
    assert!(told.contains("has 2 problems"), "{told}");
    assert!(told.contains("did you mean `openai`?"), "{told}");
    assert_eq!(
        told.matches("the key `kind` is missing").count(),
        1,
        "{told}"
    );
}

#[test]
fn the_cure_of_a_limit_is_where_its_smallest_value_stands() {
    let home = Home::new();
    home.guest("limit_loop");
    let narrow = "narrow: { limits: { fuel: 1000000 } }";
    let plugin = |narrow: &str| {
        format!(
            "  loops: {{ kind: tool, source: ./limit_loop.wasm, profile: deny-all, {narrow} }}\n"
        )
    };
    let steps = "  only: { uses: loops/run, with: {} }";
    home.file("plan.yaml", plan(&plugin(narrow), steps));
    insta::assert_snapshot!(home.flowhost(&["run", "plan.yaml"]).expect(7).stderr, @r#"
    error: step `only` reached a limit
      Caused by: the limit `fuel` was reached: used 1000000, allowed 1000000

    hint: raise `fuel` in the plan's `narrow` (plan.yaml:5): the profile allows more
    "#);
    let budget = plan(&plugin("config: {}"), steps) + "budget: { fuel: 2000000 }\n";
    home.file("plan.yaml", budget);
    let ran = home.flowhost(&["run", "plan.yaml"]);
    assert!(ran.stderr.contains("`fuel` in `budget:`"), "{}", ran.all());
    home.file("plan.yaml", plan(&plugin("config: {}"), steps));
    let ran = home.flowhost(&["run", "plan.yaml"]).expect(7);
    assert!(
        ran.stderr.contains("[limits] of the profile"),
        "{}",
        ran.all()
    );
}
