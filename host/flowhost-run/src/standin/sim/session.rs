//! Sessions: a run that is open to requests, and a client that asks at chosen times, several at once.
//!
//! The client takes some requests back, asks for the same again, hangs up on some, and closes the run, at once or when it
//! has been answered. Meanwhile everything goes wrong that goes wrong with other runs. Whoever takes the run up
//! afterwards, or signs what was left of it, has no client: it makes nothing again and comes to the end.
//!
//! What a request has for an id among the frames of a client is not here: a second one under the id of one that is at
//! work is refused before a run hears of it (`flowhost-serve/src/peer.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use flowhost_ledger::{Durability, Kind, Ledger, StoredRecord};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::check;
use super::disk::Rng;
use super::guest::output;
use super::random::Mood;
use super::run::{Fault, Simulated, parsed};
use super::world::{Answered, World};
use super::{Figures, Named, campaign, interrupted, mood_of, number, twice};
use crate::base::tasks;
use crate::before::estimate::Estimate;
use crate::calls::driver::Outcome;
use crate::host::handle::Run;
use crate::host::requests::{Requested, Unheard};
use crate::kept::finished::{Evidence, Finished};

/// Seeds of the test command, each of which takes as long as one of the other kind.
const SEEDS: u64 = 50;
/// Requests of a session.
const REQUESTS_MAX: u64 = 24;
/// What a client waits for the answers that are still to come when its run has ended: none of them waits for anything.
const PARTING: Duration = Duration::from_secs(60);

/// What is offered; the last is not.
const STEPS: [&str; 4] = ["once", "keyed", "free", "none"];

/// What a client does with a request of its own.
enum Patience {
    /// Waits for the answer.
    Waits,
    /// Takes it back after so many milliseconds, and waits.
    TakesBack(u64),
    /// Does not wait.
    HangsUp,
}

impl Patience {
    fn of(chance: &mut Rng) -> Self {
        match chance.below(8) {
            0 => Self::HangsUp,
            1 => Self::TakesBack(0),
            2 => Self::TakesBack(chance.below(30)),
            _ => Self::Waits,
        }
    }
}

/// A plan whose steps can be asked for.
fn body(seed: u64, mood: Mood) -> String {
    let mut chance = Rng::new(seed ^ 0x5e55);
    let budget = match mood == Mood::Wild && chance.below(3) == 0 {
        true => format!("budget: {{tokens: {}}}\n", 40 + chance.below(400)),
        false => String::new(),
    };
    format!(
        "{budget}steps:\n  once: {{uses: t, effects: once}}\n  keyed: {{uses: t/fn, effects: keyed, retry: {{max_attempts: 3, \
         backoff: {{initial: 1ms}}}}}}\n  free: {{uses: t, effects: idempotent, timeout: 200ms}}\n"
    )
}

/// What a tool gives as the work of a step: a value, parts beside it, or parts alone.
pub(super) fn content(world: &World, step: &str) -> Value {
    let parts = json!([{ "type": "text", "text": step }]);
    match world.fate(&["content", step]) {
        0..30 => json!({ "value": null, "parts": parts }),
        30..60 => json!({ "value": output(step), "parts": parts }),
        _ => json!({ "value": output(step), "parts": [] }),
    }
}

/// A quarter of all seeds is relaxed.
fn durability_of(seed: u64) -> Durability {
    match seed % 4 < 3 {
        true => Durability::Durable,
        false => Durability::Relaxed,
    }
}

fn simulate(seed: u64) -> (Figures, Simulated) {
    // Each mood with both of the ledger's.
    let mood = mood_of(seed / 4);
    let plan = parsed(&body(seed, mood));
    let mut simulated = Simulated::of(plan, (BTreeMap::new(), 0), seed, mood);
    simulated.on_request = true;
    simulated.world.seen().gives_parts = true;
    simulated.durability = durability_of(seed);
    let (figures, _) = interrupted(&simulated);
    (figures, simulated)
}

/// The client of a run, for as long as the process lives that began it.
pub(super) fn client(world: Arc<World>, run: Run) -> JoinHandle<()> {
    tasks::spawn(converse(world, run))
}

async fn converse(world: Arc<World>, run: Run) {
    let mut chance = Rng::new(world.seed ^ 0xc11e);
    let mut waits = Vec::new();
    for number in 0..chance.below(REQUESTS_MAX) {
        if chance.below(2) == 0 {
            tokio::time::sleep(Duration::from_millis(chance.below(40))).await;
        }
        let step = STEPS[chance.index(STEPS.len())];
        // Now and then it asks for the very same again.
        let Ok(requested) = run.request(step, json!({ "n": number / 2 })) else {
            break; // the process was told to go
        };
        let patience = Patience::of(&mut chance);
        waits.push(tasks::spawn(hear(world.clone(), requested, patience)));
        if chance.below(4) == 0
            && let Some(last) = waits.pop()
        {
            let _heard = last.await;
        }
    }
    match chance.below(3) {
        0 => run.close(Some("the client is gone")),
        1 => {
            for wait in waits.drain(..) {
                let _heard = wait.await;
            }
            run.close(None);
        }
        _ => run.close(None),
    }
    for wait in waits {
        let _heard = wait.await;
    }
}

/// Remembers what a request is answered; what it should be is looked at when the process is gone.
async fn hear(world: Arc<World>, requested: Requested, patience: Patience) {
    let (path, back) = (requested.path().to_owned(), requested.withdrawal());
    let mut reply = pin!(requested.reply());
    let replied = match patience {
        Patience::HangsUp => return,
        Patience::Waits => reply.await,
        Patience::TakesBack(ms) => tokio::select! {
            biased;
            replied = &mut reply => replied,
            () = tokio::time::sleep(Duration::from_millis(ms)) => {
                back.withdraw();
                back.withdraw();
                reply.await
            }
        },
    };
    // What was answered stays as it is.
    back.withdraw();
    world.alive().await;
    let mut seen = world.seen();
    match replied {
        Ok(replied) => seen.answers.push(Answered {
            path,
            told: replied.path,
            result: replied.result.map_err(|it| it.class.word()),
        }),
        Err(Unheard::Closed) => {
            seen.unheard.insert(path);
        }
        // Nobody knows what it came to.
        Err(Unheard::Failed(_)) => {}
    }
}

/// The run has left its process, and says so to its client, who has heard of each request then.
pub(super) async fn over(run: &Run, outcome: Outcome, client: JoinHandle<()>) {
    let nowhere = std::path::PathBuf::new();
    run.ended(Ok(Finished {
        run: run.id().to_owned(),
        plan_hash: String::new(),
        seed: 0,
        labels: BTreeMap::new(),
        outcome,
        estimate: Estimate::default(),
        evidence: Evidence {
            run_dir: nowhere.clone(),
            report: nowhere,
            report_html: None,
            sealed: None,
        },
    }));
    let heard = tokio::time::timeout(PARTING, client).await;
    heard
        .expect("a client that asked a run waits for ever")
        .unwrap();
}

/// What goes wrong with a process of a session. A relaxed run does not promise what a loss of power leaves of it.
pub(super) fn fault(simulated: &Simulated, fault: Fault) -> Fault {
    match (simulated.durability, fault) {
        (Durability::Relaxed, Fault::Power(after) | Fault::Unsynced(after)) => Fault::Killed(after),
        (_, fault) => fault,
    }
}

/// Looks at what a process left, and signs it now and then, as a command does that comes along. Gives how many answers
/// the client has got.
pub(super) fn left(simulated: &Simulated, chance: &mut Rng) -> u64 {
    let (world, dir) = (&simulated.world, simulated.dir());
    on_record(world, &dir);
    if chance.below(3) == 0
        && let Ok(ledger) = Ledger::reopen(&simulated.options())
        && ledger.size() > 0
    {
        ledger.close_blocking().unwrap();
        check::verified(simulated);
        on_record(world, &dir);
    }
    world.seen().answers.len() as u64
}

/// What a client was answered is on record, of its own request and nobody else's; of what it was told that nothing is on
/// record, nothing is.
fn on_record(world: &World, dir: &Path) {
    let records = check::records(&world.disk, dir);
    let text = |record: &StoredRecord, name: &str| record.text(name).unwrap_or_default().to_owned();
    let of_kind = |kind: Kind| records.iter().filter(move |it| it.kind() == Some(kind));
    let asked: BTreeSet<String> = of_kind(Kind::PlannerEvent)
        .filter(|it| it.text("event") == Some("requested"))
        .map(|it| format!("{}[{}]", text(it, "of"), text(it, "request")))
        .collect();
    let ended: BTreeMap<String, &StoredRecord> = of_kind(Kind::StepEnd)
        .map(|it| (text(it, "path"), it))
        .collect();
    let seen = world.seen();
    for Answered { path, told, result } in &seen.answers {
        assert_eq!(path, told, "the answer is another request's");
        assert!(asked.contains(path), "{path} was answered and not recorded");
        match (result, ended.get(path)) {
            (Ok(given), Some(end)) => {
                assert_eq!(end.text("status"), Some("ok"), "{path}");
                let expected = content(world, end.text("step").unwrap_or_default());
                assert_eq!(*given, expected, "{path}");
            }
            (Err(class), Some(end)) => assert_eq!(end.text("class"), Some(*class), "{path}"),
            // It was refused, and nothing began.
            (Err("invalid" | "cancelled"), None) => {}
            (result, None) => {
                panic!("{path} was answered {result:?}, and its end is not on record")
            }
        }
    }
    let heard = seen.unheard.iter().find(|path| asked.contains(*path));
    assert_eq!(heard, None, "it is on record, and was said not to be");
}

#[test]
fn what_a_client_was_answered_is_on_record_whatever_goes_wrong() {
    if let Some(seed) = number("FLOWHOST_SIM_SEED") {
        eprintln!("{}", body(seed, mood_of(seed / 4)));
    }
    campaign(SEEDS, Named::session, |seed| simulate(seed).0);
}

#[test]
fn the_same_seed_of_a_session_gives_the_same_records() {
    for seed in 0..8 {
        let _named = Named::session(seed);
        twice(|| simulate(seed).1);
    }
}
