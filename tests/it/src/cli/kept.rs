//! What a process leaves for the next one in the cache: code, and what inspection found.

use std::path::PathBuf;
use std::time::Duration;

use super::home;
use crate::support::Home;

fn entries(home: &Home, suffix: &str) -> Vec<PathBuf> {
    let cache = home.path().join(".flowhost/cache");
    let all = std::fs::read_dir(cache).unwrap();
    let paths = all.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|it| it == suffix))
        .collect()
}

#[test]
fn a_second_process_does_not_inspect_a_component_again() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    // Whoever only looks at a plan leaves nothing.
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    assert!(!home.path().join(".flowhost/cache").exists());
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let [kept] = entries(&home, "inspected").try_into().unwrap();
    assert_eq!(entries(&home, "cwasm").len(), 1);
    // Whoever uses an entry gives it a new time.
    let file = std::fs::File::options().write(true).open(&kept).unwrap();
    let time = || file.metadata().unwrap().modified().unwrap();
    let written = time();
    let before = written - Duration::from_secs(100_000);
    file.set_modified(before).unwrap();
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    assert!(time() >= written, "it was not used");
    // One that was touched counts for nothing, and the plan is as good as before.
    let mut bytes = std::fs::read(&kept).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&kept, bytes).unwrap();
    home.flowhost(&["validate", "plan.yaml"]).expect(0);
    let told = home.flowhost(&["doctor", "--json"]);
    assert!(told.all().contains("compiled code"), "{}", told.all());
}
