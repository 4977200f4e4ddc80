//! What a profile that came with a plan names and does not give: secrets and variables of the operator's, folders
//! elsewhere. It is told before a run, and what a run leaves is rid of it.

use super::{plan, seen, tool};
use crate::support::Home;

const TOLD: &str = "version = 1\nname = \"told\"\n[secrets]\nnames = [\"TOKEN\"]\nreveal = [\"TOKEN\"]\n[env]\nHOME = { from = \"HOME\" }\n";

fn told() -> Home {
    let home = Home::new();
    home.guest("ok_secrets");
    home.file("policies/told.toml", TOLD);
    let steps = "  told: { uses: ok_secrets/run, with: { op: reveal, name: TOKEN } }\noutputs: { said: \"${{ steps.told.output }}\" }";
    home.file("plan.yaml", plan(&tool("ok_secrets", "told"), steps));
    home
}

#[test]
fn a_profile_that_came_with_the_plan_gives_no_secret_of_the_operators() {
    let home = told();
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        command.env("FLOWHOST_SECRET_TOKEN", "s3cr3t-canary-value");
        home.ran(&command.output().unwrap(), arguments)
    };
    let refused = with(&["run", "plan.yaml"]);
    assert!(
        refused
            .stderr
            .contains("note: plugin `ok_secrets`: `TOKEN` (policies/told.toml:4) is not given"),
        "{}",
        refused.all()
    );
    assert!(
        refused.stderr.contains("`HOME` (policies/told.toml:7)"),
        "{}",
        refused.all()
    );
    assert!(
        !refused.all().contains("[redacted]"),
        "the guest was told nothing: {}",
        refused.all()
    );
    let explained = with(&["policy", "explain", "plan.yaml"]).expect(0);
    assert!(
        explained.stdout.contains("removed by the operator"),
        "{}",
        explained.all()
    );
    let adopted = with(&["run", "plan.yaml", "--policies", "policies"]).expect(0);
    assert!(adopted.stdout.contains("[redacted]"), "{}", adopted.all());
    assert!(!adopted.stderr.contains("note:"), "{}", adopted.all());
}

#[test]
fn a_secret_that_was_withheld_is_kept_out_of_what_a_run_leaves() {
    const VALUE: &str = "s3cr3t-canary-value";
    let home = told();
    home.guest("ok_echo");
    let plugins = tool("ok_secrets", "told") + &tool("ok_echo", "deny-all");
    let steps = "  half: { uses: ok_echo/run, with: { it: nary-value } }\n  \
                 whole: { needs: [half], uses: ok_echo/run, with: { it: \"s3cr3t-ca${{ steps.half.output.it }}\" } }\n  \
                 told: { needs: [whole], continue_on_error: true, uses: ok_secrets/run, with: { op: reveal, name: TOKEN } }\n\
                 outputs: { said: \"${{ steps.whole.output }}\" }";
    home.file("plan.yaml", plan(&plugins, steps));
    let arguments = ["run", "plan.yaml", "--json"];
    let mut command = home.command(&arguments);
    command.env("FLOWHOST_SECRET_TOKEN", VALUE);
    let ran = home.ran(&command.output().unwrap(), &arguments);
    assert!(!ran.all().contains(VALUE), "{}", ran.all());
    assert!(ran.all().contains("[redacted]"), "{}", ran.all());
    for record in home.records() {
        assert!(!record.to_string().contains(VALUE), "{record:#}");
    }
}

#[test]
fn a_secret_without_a_value_is_named_before_the_run() {
    let home = told();
    let said = home
        .flowhost(&["validate", "plan.yaml", "--policies", "policies"])
        .expect(0);
    assert!(
        said.stdout
            .contains("the secret `TOKEN` has no value; export FLOWHOST_SECRET_TOKEN"),
        "{}",
        said.all()
    );
}

#[test]
fn a_profile_that_came_with_the_plan_grants_no_folder_elsewhere() {
    let home = Home::new();
    home.guest("ok_files");
    home.file("policies/wide.toml", "version = 1\nname = \"wide\"\n[[files]]\nguest = \"/srv\"\nhost = \"/srv\"\naccess = \"read\"\n");
    let steps = "  only: { uses: ok_files/run, with: {} }";
    home.file("plan.yaml", plan(&tool("ok_files", "wide"), steps));
    insta::assert_snapshot!(seen(&home, &["validate", "plan.yaml"]), @r#"
    $ flowhost validate plan.yaml
    ----- stderr
    error: `plan.yaml` has 1 problem

      × `wide` came with the plan, and grants `/srv`, which is not the plan's
       ╭─[policies/wide.toml:5:1]
     4 │ guest = "/srv"
     5 │ host = "/srv"
       · ────
     6 │ access = "read"
       ╰────
      help: let an input name the folder (`host = "${inputs.NAME}"`); or, if you have read the
            profiles and stand behind them, name their folder with `--policies`
    ----- exit 1
    "#);
}

#[test]
fn a_secret_that_the_plugin_does_not_ask_for_is_told_as_that() {
    let home = Home::new();
    home.file(
        "policies/told.toml",
        "version = 1\nname = \"told\"\n[secrets]\nnames = [\"TOKEN\"]\n",
    );
    let plugin = "  md: { kind: tool, source: \"builtin:markdown\", profile: told }\n";
    let steps = "  only: { uses: md/headings, with: { text: x } }";
    home.file("plan.yaml", plan(plugin, steps));
    let said = home.flowhost(&["validate", "plan.yaml"]).expect(0).all();
    let note = "note: plugin `md`: `TOKEN` (policies/told.toml:4) changes nothing here, whoever gives the profile";
    assert!(said.contains(note), "{said}");
    assert!(!said.contains("--policies"), "{said}");
}
