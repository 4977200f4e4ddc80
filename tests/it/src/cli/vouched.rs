//! LED: whose ledger it is, and who vouches for its key: on its host, on another one and in a bundle.

use super::evidence::{finished, key, run_dir, segment, verify};
use crate::support::Home;

#[test]
fn led_006_and_007_another_hosts_run_fails_under_the_known_key() {
    let (home, other) = (finished(), finished());
    let known = key(&home);
    home.flowhost(&["verify", "latest", "--key", &known])
        .expect(0);
    let foreign = run_dir(&other);
    let foreign = foreign.to_str().unwrap();
    home.flowhost(&["verify", foreign]).expect(1);
    home.flowhost(&["verify", foreign, "--any-key"]).expect(0);
    let ran = home.flowhost(&["verify", foreign, "--key", &known]);
    assert_eq!(ran.code, 1, "{}", ran.all());
    std::fs::copy(segment(&other), segment(&home)).unwrap();
    verify(&home).expect(1);
}

#[test]
fn led_007_another_hosts_ledger_in_a_folder_of_this_host_fails_by_its_folder_too() {
    let (home, other) = (finished(), finished());
    let folder = run_dir(&home);
    for entry in std::fs::read_dir(run_dir(&other)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
    }
    home.flowhost(&["verify", folder.to_str().unwrap()])
        .expect(1);
}

#[test]
fn led_027_runs_before_and_after_a_key_rotation_verify() {
    let home = finished();
    let before = key(&home);
    home.flowhost(&["keys", "rotate"]).expect(0);
    let after = key(&home);
    assert_ne!(before, after);
    verify(&home).expect(0);
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    home.flowhost(&["verify", "latest", "--key", &after])
        .expect(0);
}

#[test]
fn a_folder_of_this_host_is_trusted_as_its_run_is() {
    let home = finished();
    let folder = run_dir(&home);
    let folder = folder.to_str().unwrap();
    let tenant = home.path().join(".flowhost/default");
    for target in [folder, tenant.to_str().unwrap(), "latest"] {
        let ran = home.flowhost(&["verify", target]).expect(0);
        assert!(!ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
        assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    }
    // Where no host is at work, a state folder that was made here vouches for what lies in it; a copy of it does not.
    let nowhere = Home::new();
    let state = home.path().join(".flowhost");
    for target in [state.to_str().unwrap(), folder] {
        nowhere.flowhost(&["verify", target]).expect(0);
    }
    let came = nowhere.path().join("came");
    let copied = std::process::Command::new("cp")
        .args(["-a", state.to_str().unwrap(), came.to_str().unwrap()])
        .status();
    assert!(copied.unwrap().success());
    let ran = nowhere.flowhost(&["verify", "came"]).expect(1);
    assert!(
        ran.stdout.contains("nobody vouches for the key"),
        "{}",
        ran.stdout
    );
    // Copied elsewhere on this host; then on a host that never saw the key.
    let copy = home.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    let ran = home.flowhost(&["verify", "copy"]).expect(0);
    assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    let elsewhere = finished();
    let copy = copy.to_str().unwrap();
    let ran = elsewhere.flowhost(&["verify", copy]).expect(1);
    assert!(ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("nobody vouches for the key"),
        "{}",
        ran.stdout
    );
    assert!(
        ran.stdout.contains("flowhost keys show --state DIR"),
        "{}",
        ran.stdout
    );
    let ran = elsewhere.flowhost(&["verify", copy, "--any-key"]).expect(0);
    assert!(ran.stdout.contains("UNTRUSTED"), "{}", ran.stdout);
    elsewhere
        .flowhost(&["verify", copy, "--key", &key(&home)])
        .expect(0);
}

#[test]
fn an_exported_run_is_verified_elsewhere_and_no_bit_of_it_may_change() {
    let home = finished();
    let known = key(&home);
    let ran = home
        .flowhost(&["evidence", "export", "latest", "--out", "run.tar"])
        .expect(0);
    assert!(ran.stdout.contains(&known), "{}", ran.stdout);
    // Another machine: another folder, another state, nothing but the file and the key.
    let elsewhere = Home::new();
    let bytes = std::fs::read(home.path().join("run.tar")).unwrap();
    elsewhere.file("run.tar", &bytes);
    let arguments = ["verify", "run.tar", "--key", &known];
    let ran = elsewhere.flowhost(&arguments).expect(0);
    assert!(ran.stdout.contains("trusted:"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("views        3 of 3 match"),
        "{}",
        ran.stdout
    );
    let foreign = key(&finished());
    elsewhere
        .flowhost(&["verify", "run.tar", "--key", &foreign])
        .expect(1);
    // A record, and a number of report.json.
    for text in ["\"kind\":\"run.end\"", "\"exit_code\":0"] {
        let mut forged = bytes.clone();
        let found = bytes
            .windows(text.len())
            .position(|at| at == text.as_bytes());
        forged[found.unwrap() + 2] ^= 1;
        elsewhere.file("run.tar", &forged);
        elsewhere.flowhost(&arguments).expect(1);
    }
    home.flowhost(&["evidence", "export", "latest", "--out", "none/run.tar"])
        .expect(1);
}

#[test]
fn what_a_bundle_lacks_elsewhere_is_told_with_its_name_and_a_cure_that_works() {
    let (home, elsewhere) = (finished(), finished());
    let bundle = elsewhere.path().join("run.fhb").display().to_string();
    home.flowhost(&["evidence", "export", "latest", "--out", &bundle])
        .expect(0);
    let ran = elsewhere.flowhost(&["verify", &bundle]).expect(1);
    let first = ran.stdout.lines().next().unwrap();
    assert_eq!(first, "UNTRUSTED  the ledger of the bundle");
    let told = format!("FAILED  {bundle}: nobody vouches for the key");
    assert!(ran.stdout.contains(&told), "{}", ran.stdout);
    // The command that the message names, with the state folder of the run.
    let state = home.path().join(".flowhost").display().to_string();
    let shown = elsewhere
        .flowhost(&["keys", "show", "--state", &state])
        .expect(0);
    elsewhere
        .flowhost(&["verify", &bundle, "--key", shown.stdout.trim()])
        .expect(0);
}
