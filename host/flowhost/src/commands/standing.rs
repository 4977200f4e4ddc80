//! How a run that stopped before its end stands: for what it waits, and the commands that bring it on. Read from
//! its records alone, so that it holds for a run of another process and of another day.

use std::collections::{BTreeMap, BTreeSet};

use flowhost::state::State;
use flowhost_evidence::runs::{RecordEntry, WAITING};
use flowhost_ledger::records::{Record, RunPause};
use flowhost_ledger::{Kind, read_run};
use flowhost_words::{shell_word, with_keys};

/// A run that can go on.
pub(super) struct Standing {
    pub(super) pause: RunPause,
    /// The record that says why, in its payload.
    pub(super) said: RecordEntry,
    /// What each open gate wants, by the gate's path.
    gates: BTreeMap<String, String>,
    /// Steps of which nobody has said yet whether their effect happened.
    doubtful: Vec<String>,
    /// The second keys that its run had.
    keys: BTreeSet<String>,
    /// Where its run is.
    state: State,
}

impl Standing {
    /// How a run of this state with these records stands; none where it ended, is at work or was killed.
    pub(super) fn of(records: &[RecordEntry], state: &State) -> Option<Self> {
        let mut paused = None;
        let mut open: BTreeMap<u64, (&str, &str)> = BTreeMap::new();
        let (mut gates, mut settled) = (BTreeSet::new(), BTreeSet::new());
        let keys = keys_of(records.iter().filter_map(|it| it.said.as_ref()));
        for record in records {
            match &record.said {
                Some(Record::RunPause(pause)) => {
                    paused = Some((pause, record));
                    // A word counts for the pause that it was said in: a step that is in doubt again needs another.
                    settled.clear();
                }
                // The last of them says how it stands now.
                Some(Record::RunResume(_) | Record::RunEnd(_)) => paused = None,
                Some(Record::Gate(gate)) if gate.event == "opened" => {
                    open.insert(gate.gate, (gate.at.path.as_str(), gate.wants.as_str()));
                    // All that ever opened, and not only the open ones: a step of the pause that was never a gate is
                    // one in doubt.
                    gates.insert(gate.at.path.as_str());
                }
                Some(Record::Gate(gate)) => {
                    open.remove(&gate.gate);
                }
                Some(Record::RunSettle(word)) => {
                    settled.insert(word.path.as_str());
                }
                _ => {}
            }
        }
        let (pause, said) = paused?;
        let steps = pause.steps.as_deref().unwrap_or_default();
        // A gate whose time ran out before the pause has no record that says so, and is not among its steps.
        let open = open.into_values();
        let open = open.filter(|(path, _)| steps.iter().any(|step| step == path));
        let doubtful = steps.iter().filter(|step| {
            let step = step.as_str();
            // The other status that a pause has is `interrupted`: nobody has to speak before such a run goes on.
            pause.status == WAITING && !gates.contains(step) && !settled.contains(step)
        });
        Some(Self {
            pause: pause.clone(),
            said: said.clone(),
            gates: open
                .map(|(path, wants)| (path.to_owned(), wants.to_owned()))
                .collect(),
            doubtful: doubtful.cloned().collect(),
            keys,
            state: state.clone(),
        })
    }

    /// `waiting (exit 9)`.
    pub(super) fn words(&self) -> String {
        match self.pause.exit_code {
            Some(code) => format!("{} (exit {code})", self.pause.status),
            None => self.pause.status.clone(),
        }
    }

    /// What to type, in this order.
    pub(super) fn commands(&self, run: &str) -> Vec<String> {
        let speak = |(path, wants): (&String, &String)| {
            let path = shell_word(path);
            match wants.as_str() {
                "signal" => format!("flowhost runs signal {run} {path} --payload JSON"),
                _ => format!("flowhost runs approve {run} {path} --by NAME (or reject)"),
            }
        };
        let settle = |step: &String| {
            let step = shell_word(step);
            format!("flowhost runs settle {run} {step} --as done (or failed, or retry)")
        };
        let gates = self.gates.iter().map(speak);
        let doubtful = self.doubtful.iter().map(settle);
        let keys: Vec<&String> = self.keys.iter().collect();
        let resume = with_keys(&format!("flowhost runs resume {run}"), &keys);
        let all = gates.chain(doubtful).chain([resume]);
        all.map(|command| self.state.told(&command)).collect()
    }

    /// Whether `step` is a gate that waits for a word.
    pub(super) fn is_open(&self, step: &str) -> bool {
        self.gates.contains_key(step)
    }
}

/// The second keys that a run had, as its records say.
fn keys_of<'r>(records: impl Iterator<Item = &'r Record>) -> BTreeSet<String> {
    let said = records.filter_map(|record| match record {
        Record::RunStart(start) => start.second_keys.as_ref(),
        Record::RunResume(resume) => resume.second_keys.as_ref(),
        _ => None,
    });
    said.flatten().cloned().collect()
}

/// What to type so that a run goes on, with the second keys that it had. Its whole ledger is read for it, which its
/// resumption does anyway; of one that cannot be read the command without them is told, and says itself what it lacks.
pub(super) fn resume_command(run: &str, state: &State) -> String {
    let mut keys = BTreeSet::new();
    match read_run(&state.run_dir(run)) {
        Ok(records) => {
            let told = records
                .map_while(Result::ok)
                .filter(|record| matches!(record.kind(), Some(Kind::RunStart | Kind::RunResume)));
            for record in told {
                keys.extend(keys_of(record.read().ok().flatten().iter()));
            }
        }
        Err(error) => tracing::debug!(%error, run, "its second keys are not known"),
    }
    let keys: Vec<&String> = keys.iter().collect();
    with_keys(&format!("flowhost runs resume {run}"), &keys)
}
