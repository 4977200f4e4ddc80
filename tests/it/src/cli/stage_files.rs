//! A process that is killed between the end of a stage on record and the last of its files: whoever takes the run up
//! leaves what the killed one would have left, byte for byte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::stopped::cut_in;
use crate::support::{Home, Ran};

const PLAN: &str = r#"flowhost: v1
kind: workflow
name: two-stages
evidence: { spec_id: SPEC-1 }
plugins:
  a: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: researcher, model: mock/a } }
  b: { kind: agent, source: "builtin:llm-agent", profile: agent-model, config: { role: critic, model: mock/b } }
steps:
  plan: { stage: plan, remember: {}, CONSENSUS }
  review: { needs: [plan], wait_for: approval, timeout: 4h }
  tasks: { needs: [review], stage: tasks, CONSENSUS }
"#;
const CONSENSUS: &str = "with: { question: how many }, consensus: { agents: [a, b], mode: parallel, arbiter: b, compare: \
                         [{ at: /n, by: equal }] }, output: { schema: { type: object, required: [n] } }";

/// Files by their paths.
type Files = BTreeMap<String, Vec<u8>>;

/// A folder with the plan, in which a run of it has left files before.
fn home() -> Home {
    let home = Home::new();
    home.warm();
    home.file("plan.yaml", PLAN.replace("CONSENSUS", CONSENSUS));
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    let output = json!({ "n": 4 });
    let synthesis = json!({ "agreements": ["the number"], "conflicts": [], "output": output });
    home.file("scripts/a.json", json!([{ "json": output }]).to_string());
    let arbiter = "You are the arbiter.";
    let script =
        json!([{ "when": { "mentions": arbiter }, "json": synthesis }, { "json": output }]);
    home.file("scripts/b.json", script.to_string());
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    go_on(&home);
    home
}

/// A person lets the run in, which then comes to its end.
fn go_on(home: &Home) {
    home.flowhost(&["runs", "approve", "latest", "review", "--by", "ann"])
        .expect(0);
    resume(home).expect(0);
}

fn resume(home: &Home) -> Ran {
    home.flowhost(&["runs", "resume", "latest", "--json"])
}

/// All files below a folder, but for hidden ones.
fn files(home: &Home, folder: &str) -> Files {
    fn gather(root: &Path, at: &Path, found: &mut Files) {
        for entry in std::fs::read_dir(at).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root).unwrap();
            let name = name.to_str().unwrap().to_owned();
            if name.starts_with('.') {
                continue;
            }
            match path.is_dir() {
                true => gather(root, &path, found),
                false => drop(found.insert(name, std::fs::read(&path).unwrap())),
            }
        }
    }
    let (root, mut found) = (home.path().join(folder), Files::new());
    gather(&root, &root, &mut found);
    found
}

/// Puts a folder back to where it was.
fn put_back(home: &Home, folder: &str, files: &Files) {
    let _was_not_there = std::fs::remove_dir_all(home.path().join(folder));
    for (name, bytes) in files {
        home.file(&format!("{folder}/{name}"), bytes);
    }
}

const EVIDENCE: &str = "evidence";
const MEMORY: &str = ".flowhost/default/memory";

/// A run as its folder has it.
struct Ledger {
    dir: PathBuf,
    lines: Vec<String>,
    payloads: Vec<u8>,
}

impl Ledger {
    fn of(home: &Home, run: &str) -> Self {
        let dir = home.path().join(".flowhost/default/runs").join(run);
        let text = std::fs::read_to_string(dir.join("seg-00000000.jsonl")).unwrap();
        Self {
            lines: text.lines().map(str::to_owned).collect(),
            payloads: std::fs::read(dir.join("payloads-00000000.jsonl")).unwrap(),
            dir,
        }
    }

    /// Takes away what is behind the first `keep` records.
    fn stop_at(&self, keep: usize) {
        cut_in(&self.dir, &self.lines, keep);
        std::fs::write(self.dir.join("payloads-00000000.jsonl"), &self.payloads).unwrap();
    }

    fn record(&self, at: usize) -> Value {
        serde_json::from_str(&self.lines[at]).unwrap()
    }

    /// Where the end of a step is on record.
    fn end_of(&self, step: &str) -> usize {
        let is_end = |at: &usize| {
            let record = self.record(*at);
            record["kind"] == "step.end" && record["path"] == step
        };
        (0..self.lines.len()).find(is_end).unwrap()
    }

    /// The records of this kind behind that one, as long as they follow each other.
    fn behind(&self, at: usize, kind: &str) -> Vec<Value> {
        let records = (at..self.lines.len()).map(|at| self.record(at));
        records.take_while(|it| it["kind"] == kind).collect()
    }

    /// The files that the stage whose end is at `end` has left: they are written in the order of their records.
    fn written(&self, end: usize) -> Vec<String> {
        let views = self.behind(end + 1, "view.write");
        views
            .iter()
            .map(|it| it["path"].as_str().unwrap().to_owned())
            .collect()
    }
}

/// Whether a file takes the place of another stage's.
fn is_shared(path: &str) -> bool {
    let ends = [
        "plan_synthesis.json",
        "tasks_synthesis.json",
        "_cost_summary.json",
    ];
    ends.iter().any(|end| path.ends_with(end))
}

/// What records say of the files that are there, once for each; the memory's, too.
fn recorded_once(home: &Home, run: &str) {
    let ledger = Ledger::of(home, run);
    let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for at in 0..ledger.lines.len() {
        let record = ledger.record(at);
        let name = match (record["kind"].as_str(), &record["root"]) {
            (Some("view.write"), Value::String(root)) => {
                format!("{root}/{}", record["path"].as_str().unwrap())
            }
            (Some("memory.write"), _) => {
                format!("{MEMORY}/{}.json", record["entry"].as_str().unwrap())
            }
            _ => continue,
        };
        told.entry(name).or_default().push(record["sha256"].clone());
    }
    for (name, hashes) in &told {
        let bytes = std::fs::read(home.path().join(name)).unwrap();
        assert_eq!(
            hashes.last().unwrap(),
            &super::pipeline::sha256_of(&bytes),
            "{name}"
        );
        // The cost summary is of both stages.
        assert!(
            hashes.len() == 1 || name.contains("cost_summary"),
            "{name}: {hashes:?}"
        );
    }
    assert!(told.len() > 10, "{told:#?}");
}

/// Takes away what is behind the record `keep`, and of the files of the stage whose end is at `end` all but the first
/// `left`: `before` is what was there without them. Then the run is taken up, and ends with `exit`.
struct Kill<'a> {
    ledger: &'a Ledger,
    end: usize,
    before: (&'a Files, &'a Files),
    after: (&'a Files, &'a Files),
    exit: i32,
}

impl Kill<'_> {
    fn at(&self, home: &Home, keep: usize, left: usize, remembered: usize) {
        let (mut evidence, mut memory) = (self.before.0.clone(), self.before.1.clone());
        for path in self.ledger.written(self.end).iter().take(left) {
            evidence.insert(path.clone(), self.after.0[path].clone());
        }
        let new = self.after.1.iter();
        let new = new.filter(|(name, _)| !self.before.1.contains_key(*name));
        let new = new.take(remembered);
        memory.extend(new.map(|(name, bytes)| (name.clone(), bytes.clone())));
        put_back(home, EVIDENCE, &evidence);
        put_back(home, MEMORY, &memory);
        self.ledger.stop_at(keep);
        resume(home).expect(self.exit);
        let at = format!("{keep} records, {left} files, {remembered} entries");
        same(&files(home, EVIDENCE), self.after.0, &at);
        same(&files(home, MEMORY), self.after.1, &at);
        recorded_once(home, self.ledger.dir.file_name().unwrap().to_str().unwrap());
    }
}

#[track_caller]
fn same(there: &Files, wanted: &Files, at: &str) {
    let names: Vec<&String> = there.keys().collect();
    assert_eq!(names, wanted.keys().collect::<Vec<_>>(), "{at}");
    for (name, bytes) in there {
        let (there, wanted) = (
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&wanted[name]),
        );
        assert_eq!(there, wanted, "{at}: {name}");
    }
}

#[test]
fn what_a_kill_kept_a_stage_from_leaving_is_left_by_whoever_takes_the_run_up() {
    let home = home();
    let before = (files(&home, EVIDENCE), files(&home, MEMORY));
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).expect(9);
    let run = report.json()["run_id"].as_str().unwrap().to_owned();
    let mid = (files(&home, EVIDENCE), files(&home, MEMORY));
    let ledger = Ledger::of(&home, &run);
    let end = ledger.end_of("plan");
    let all = ledger.written(end).len();
    assert!(all > 14, "{:#?}", ledger.written(end));
    let kill = Kill {
        ledger: &ledger,
        end,
        before: (&before.0, &before.1),
        after: (&mid.0, &mid.1),
        exit: 9,
    };
    // Between the record and the first file, between two files, before and behind those that stages share, behind all.
    for left in [0, 1, 7, all - 2, all - 1, all] {
        kill.at(&home, end + 1, left, 0);
    }
    // Between two records of files, before the first of the memory, and between two of them.
    kill.at(&home, end + 5, all, 0);
    kill.at(&home, end + 1 + all, all, 1);
    kill.at(&home, end + 2 + all, all, 1);
    kill.at(&home, end + 3 + all, all, 2);
    // The same of the last stage of a run, whose end the planner had said.
    go_on(&home);
    let after = (files(&home, EVIDENCE), files(&home, MEMORY));
    let ledger = Ledger::of(&home, &run);
    let end = ledger.end_of("tasks");
    let kill = Kill {
        ledger: &ledger,
        end,
        before: (&mid.0, &mid.1),
        after: (&after.0, &after.1),
        exit: 0,
    };
    for left in [0, 5, all] {
        kill.at(&home, end + 1, left, 0);
    }
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn a_stage_whose_end_was_not_recorded_leaves_its_files_when_it_is() {
    let home = home();
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).expect(9);
    let run = report.json()["run_id"].as_str().unwrap().to_owned();
    let whole = files(&home, EVIDENCE);
    let ledger = Ledger::of(&home, &run);
    let end = ledger.end_of("plan");
    let mut without = whole.clone();
    for path in ledger.written(end) {
        without.remove(&path);
    }
    put_back(&home, EVIDENCE, &without);
    ledger.stop_at(end);
    resume(&home).expect(9);
    let left = files(&home, EVIDENCE);
    assert!(left.keys().eq(whole.keys()), "{:#?}", left.keys());
    let again = Ledger::of(&home, &run);
    let ended = again.record(again.end_of("plan"));
    let texts = left
        .iter()
        .filter(|(name, _)| name.contains("plan_lifecycle"));
    let mut texts = texts.map(|(_, bytes)| String::from_utf8_lossy(bytes));
    let text = texts.find(|text| text.contains(&run)).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(last["timestamp"], ended["ts"], "{last:#}");
    home.flowhost(&["telemetry", "validate", "evidence"])
        .expect(0);
}

/// A dead process holds no lock, so that another run may have gone on meanwhile; and a file that cannot be written keeps
/// the run as it is.
#[test]
fn files_that_come_late_do_not_take_the_place_of_newer_ones_and_wait_for_room() {
    let home = home();
    let report = home.flowhost(&["run", "plan.yaml", "--json"]).expect(9);
    let killed = report.json()["run_id"].as_str().unwrap().to_owned();
    let ledger = Ledger::of(&home, &killed);
    let end = ledger.end_of("plan");
    let own: Vec<String> = ledger.written(end);
    let (first, latest) = (
        own.first().unwrap(),
        "consensus/SPEC-1/spec-plan_synthesis.json",
    );
    let whole = files(&home, EVIDENCE);
    for path in own.iter().filter(|path| !is_shared(path)) {
        std::fs::remove_file(home.path().join(EVIDENCE).join(path)).unwrap();
    }
    ledger.stop_at(end + 1);
    // Files are named by the second in which their stage began, and these are not there to be seen.
    std::thread::sleep(std::time::Duration::from_millis(1_050));
    home.flowhost(&["run", "plan.yaml"]).expect(9);
    let newer = files(&home, EVIDENCE);
    assert_ne!(newer[latest], whole[latest]);
    let in_the_way = home.path().join(EVIDENCE).join(first);
    std::fs::create_dir(&in_the_way).unwrap();
    let refused = home.flowhost(&["runs", "resume", &killed]).expect(1);
    let said = format!("`evidence/{first}` cannot be written");
    assert!(refused.all().contains(&said), "{}", refused.all());
    std::fs::remove_dir(&in_the_way).unwrap();
    home.flowhost(&["runs", "resume", &killed]).expect(9);
    let left = files(&home, EVIDENCE);
    assert_eq!(left[first], whole[first]);
    assert_eq!(left[latest], newer[latest]);
}

/// The planner has ended in the turn in which the host fails, and never hears of it.
#[test]
fn a_run_whose_last_stage_could_not_leave_its_files_is_replayed_and_gives_what_it_has() {
    let home = home();
    let plan = home.read("plan.yaml").replace("SPEC-1", "SPEC-2");
    let lines = plan.lines().filter(|line| !line.contains("review"));
    let plan: Vec<&str> = lines.collect();
    home.file("one.yaml", plan.join("\n"));
    let in_the_way = home.path().join("evidence/costs/SPEC-2_cost_summary.json");
    std::fs::create_dir(&in_the_way).unwrap();
    let ran = home.flowhost(&["run", "one.yaml"]).expect(1);
    assert!(ran.all().contains("cannot be written"), "{}", ran.all());
    super::again::replays(&home);
    std::fs::remove_dir(&in_the_way).unwrap();
    home.flowhost(&["run", "one.yaml", "--reuse", "latest"])
        .expect(0);
}
