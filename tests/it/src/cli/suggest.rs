//! `policy suggest`: what is printed can be applied as it stands, and then the run goes through.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::seen;
use crate::support::Home;

const SUGGEST: [&str; 3] = ["policy", "suggest", "latest"];

/// Applies what was printed, as a user would.
#[track_caller]
fn applied(home: &Home) {
    let patch = home.flowhost(&SUGGEST).expect(0).stdout;
    let mut git = Command::new("git");
    git.args(["apply", "-p0", "-"]).current_dir(home.path());
    let mut child = git.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(patch.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success(), "{patch}");
}

#[test]
fn a_method_that_is_missing_is_added_where_it_belongs() {
    let home = Home::new();
    let profile = "\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"HEAD\"] # only asks\n\n[random]\nsource = \"seeded\"\n";
    let input = "{ url: \"https://api.example.com/\", propagate: true }";
    home.run_tool("ok_http", profile, input).expect(6);
    insta::assert_snapshot!(seen(&home, &SUGGEST), @r#"
    $ flowhost policy suggest latest
    ----- stdout
    --- policies/under-test.toml
    +++ policies/under-test.toml
    @@ -3,7 +3,7 @@
     
     [[http]]
     url = "https://api.example.com/"
    -methods = ["HEAD"] # only asks
    +methods = ["HEAD", "GET"] # only asks
     
     [random]
     source = "seeded"
    ----- stderr
    1 refusal; judge each line before you add it
    `patch -p0` applies what is printed, here
    ----- exit 0
    "#);
    applied(&home);
    let profile = home.read("policies/under-test.toml");
    assert!(
        profile.contains("[\"HEAD\", \"GET\"] # only asks"),
        "{profile}"
    );
}

#[test]
fn a_private_address_is_two_keys_and_then_it_is_reached() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let home = Home::new();
    let input = format!("{{ url: \"http://{address}/\", propagate: true }}");
    let profile = "\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"HEAD\"]\n";
    home.run_tool("ok_http", profile, &input).expect(6);
    // Both keys at once, or there are two more refusals.
    let denied = home.flowhost(&["run", "plan.yaml"]).expect(6);
    let keys = "private_network = true   # and the option --allow-private-network";
    assert!(denied.stderr.contains(keys), "{}", denied.all());
    let ran = home.flowhost(&SUGGEST).expect(0);
    assert!(!ran.stderr.contains("no profile allows"), "{}", ran.all());
    assert!(
        ran.stderr.contains("--allow-private-network"),
        "{}",
        ran.all()
    );
    applied(&home);
    let denied = home.flowhost(&["run", "plan.yaml"]).expect(6);
    assert!(
        denied
            .stderr
            .contains("this option of the command would allow it:\n    --allow-private-network"),
        "{}",
        denied.all()
    );
    let again = home.flowhost(&SUGGEST).expect(0);
    assert_eq!(again.stdout, "", "{}", again.all());
    std::thread::spawn(move || {
        use std::io::Read as _;
        let (mut stream, _) = listener.accept().unwrap();
        let _request = stream.read(&mut [0; 4096]).unwrap();
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        stream.write_all(answer).unwrap();
    });
    home.flowhost(&["run", "plan.yaml", "--allow-private-network"])
        .expect(0);
}

#[test]
fn a_shipped_profile_becomes_ones_own_first() {
    let home = Home::new();
    home.guest("ok_http");
    let step =
        "  only: { uses: ok_http/run, with: { url: \"https://evil.test/\", propagate: true } }";
    let plan = super::plan(&super::tool("ok_http", "networked-tool"), step);
    home.file("plan.yaml", &plan);
    let denied = home.flowhost(&["run", "plan.yaml"]).expect(6);
    let told = "`networked-tool` is shipped and stays as it is";
    assert!(denied.stdout.contains(told), "{}", denied.all());
    assert!(denied.stderr.contains(told), "{}", denied.all());
    // This run, whatever runs come after it.
    let this = format!(
        "flowhost policy suggest {}",
        home.records()[0]["run"].as_str().unwrap()
    );
    assert!(denied.stdout.contains(&this), "{}", denied.all());
    insta::assert_snapshot!(seen(&home, &SUGGEST), @r#"
    $ flowhost policy suggest latest
    ----- stdout
    --- policies/my-networked-tool.toml
    +++ policies/my-networked-tool.toml
    @@ -28,6 +28,10 @@
     request = "64KiB"
     private_network = false   # true would also need --allow-private-network on the command line
     
    +[[http]]
    +url = "https://evil.test/"
    +methods = ["GET"]
    +
     [clock]
     wall = "virtual"
    ----- stderr
    1 refusal; judge each line before you add it
    `networked-tool` is shipped and stays as it is; make your own first, and write `profile: my-networked-tool` for `ok_http` in the plan:
      flowhost policy show networked-tool --name my-networked-tool --out policies/my-networked-tool.toml
    `patch -p0` applies what is printed, here
    ----- exit 0
    "#);
    let show = [
        "policy",
        "show",
        "networked-tool",
        "--name",
        "my-networked-tool",
        "--out",
        "policies/my-networked-tool.toml",
    ];
    home.flowhost(&show).expect(0);
    let again = home.flowhost(&SUGGEST).expect(0);
    let told = "stays as it is; write `profile: my-networked-tool` for `ok_http` in the plan";
    assert!(again.stderr.contains(told), "{}", again.all());
    applied(&home);
    home.file(
        "plan.yaml",
        plan.replace("networked-tool", "my-networked-tool"),
    );
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn the_copy_that_was_just_made_is_the_one_to_patch_whatever_its_name() {
    let home = Home::new();
    home.guest("ok_http");
    let step =
        "  only: { uses: ok_http/run, with: { url: \"https://evil.test/\", propagate: true } }";
    let plan = super::plan(&super::tool("ok_http", "networked-tool"), step);
    home.file("plan.yaml", &plan);
    // Somebody's own, of other days.
    let other = "version = 1\nname = \"my-networked-tool\"\n";
    home.file("policies/my-networked-tool.toml", other);
    home.flowhost(&["run", "plan.yaml"]).expect(6);
    let name = "my-networked-tool-2";
    let file = format!("policies/{name}.toml");
    let show = [
        "policy",
        "show",
        "networked-tool",
        "--name",
        name,
        "--out",
        &file,
    ];
    let told = home.flowhost(&SUGGEST).expect(0).stderr;
    assert!(told.contains(&show.join(" ")), "{told}");
    home.flowhost(&show).expect(0);
    applied(&home);
    let mine = home.read(&file);
    assert!(mine.contains("https://evil.test/"), "{mine}");
    assert_eq!(home.read("policies/my-networked-tool.toml"), other);
}

#[test]
fn what_the_plan_took_away_is_not_the_profiles_to_give() {
    let home = Home::new();
    home.guest("ok_http");
    home.file(
        "policies/under-test.toml",
        "version = 1\nname = \"under-test\"\n[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"GET\"]\n",
    );
    let plugin = "  guest: { kind: tool, source: ./ok_http.wasm, profile: under-test, narrow: { grants: { http: [{ url: \"https://api.example.com/v1/\", methods: [GET] }] } } }\n";
    let step = "  only: { uses: guest/run, with: { url: \"https://api.example.com/v2/\", propagate: true } }";
    home.file("plan.yaml", super::plan(plugin, step));
    home.flowhost(&["run", "plan.yaml"]).expect(6);
    insta::assert_snapshot!(seen(&home, &SUGGEST), @r#"
    $ flowhost policy suggest latest
    ----- stderr
    1 refusal; judge each line before you add it
    the profile `under-test` grants it: http GET https://api.example.com/v2/ (http#none); the plan's `narrow` or the plugin's manifest took it away, or the profile has changed since: `flowhost policy explain PLAN PLUGIN`
    ----- exit 0
    "#);
}

#[test]
fn without_the_profile_its_tables_are_printed() {
    let home = Home::new();
    home.run_tool(
        "ok_http",
        "log = true\n[[http]]\nurl = \"https://a.test/\"\nmethods = [\"GET\"]\n",
        "{ url: \"https://evil.test/\", propagate: true }",
    )
    .expect(6);
    std::fs::remove_file(home.path().join("policies/under-test.toml")).unwrap();
    insta::assert_snapshot!(seen(&home, &SUGGEST), @r#"
    $ flowhost policy suggest latest
    ----- stdout
    [[http]]
    url = "https://evil.test/"
    methods = ["GET"]
    ----- stderr
    1 refusal; judge each line before you add it
    the profile `under-test` of `guest` is not found from here; these are its new tables
    ----- exit 0
    "#);
}
