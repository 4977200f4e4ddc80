//! Agents of one run that message each other: a thousand of them twice, and a few with everything going
//! wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use flowhost_engine::{Message, Outgoing};
use flowhost_flow::{Plan, RunStatus};
use flowhost_policy::MessagesGrant;
use serde_json::{Value, json};

use super::random::Mood;
use super::run::Simulated;
use super::world::World;
use super::{Named, check, interrupted};

/// What an agent does with a message: it is remembered that it read it, and it hands it on to another
/// agent, as often as the message asks for.
pub(super) fn answer(world: &World, agent: &str, message: &Message) -> Vec<Outgoing> {
    let told: Value = serde_json::from_str(&message.payload).unwrap();
    let (hops, agents) = (
        told["hops"].as_u64().unwrap(),
        told["agents"].as_u64().unwrap(),
    );
    world.seen().reads.insert((agent.to_owned(), hops));
    let number: u64 = agent.trim_start_matches('a').parse().unwrap();
    if hops == 0 {
        return Vec::new();
    }
    // No two hand on to the same agent, and none to itself: nobody hears itself.
    let next = (number + 3) % agents;
    vec![Outgoing {
        topic: format!("to.a{next}"),
        correlation: String::new(),
        payload: json!({ "hops": hops - 1, "agents": agents }).to_string(),
    }]
}

/// A run that greets all agents, and works while they talk.
fn simulated(seed: u64, mood: Mood, agents: u64, hops: u64, queue: u64) -> Simulated {
    let mut text = "flowhost: v1\nkind: workflow\nname: many\nplugins:\n".to_owned();
    for number in 0..agents {
        writeln!(
            text,
            "  a{number}: {{kind: agent, source: ./a.wasm, profile: p}}"
        )
        .unwrap();
    }
    writeln!(
        text,
        "steps:\n  greet: {{emit: {{subject: hello, payload: {{hops: {hops}, agents: {agents}}}}}}}\n  work: \
         {{uses: a0, with: {{}}}}"
    )
    .unwrap();
    let plan = Plan::parse(&text, "p.yaml").unwrap_or_else(|problems| panic!("{problems:#?}"));
    let grant = |number: u64| MessagesGrant {
        publish: vec!["to.*".to_owned()],
        subscribe: vec!["hello".to_owned(), format!("to.a{number}")],
    };
    let granted: BTreeMap<_, _> = (0..agents)
        .map(|number| (format!("a{number}"), grant(number)))
        .collect();
    Simulated::of(plan, (granted, queue), seed, mood)
}

/// Everything that is to be read: each agent reads the greeting, and one message of each hop.
fn all_reads(agents: u64, hops: u64) -> BTreeSet<(String, u64)> {
    let of = |agent: u64| (0..=hops).map(move |left| (format!("a{agent}"), left));
    (0..agents).flat_map(of).collect()
}

#[test]
fn what_was_sent_is_read_whatever_goes_wrong() {
    const AGENTS: u64 = 5;
    const HOPS: u64 = 20;
    // Fewer than an agent reads in a run: what was read must not take the room of what was not.
    const QUEUE: u64 = 8;
    for seed in 0..40 {
        let _named = Named::of("sim::agents::what_was_sent", seed);
        let simulated = simulated(seed, Mood::Calm, AGENTS, HOPS, QUEUE);
        let (_, end) = interrupted(&simulated);
        assert_eq!(end.status, RunStatus::Ok, "{end:?}");
        let reads = simulated.world.seen().reads.clone();
        let missing: Vec<_> = all_reads(AGENTS, HOPS)
            .difference(&reads)
            .cloned()
            .collect();
        assert_eq!(missing, [], "messages were lost");
    }
}

#[test]
fn a_thousand_agents_that_message_each_other_leave_the_same_records_twice() {
    const AGENTS: u64 = 1_000;
    const HOPS: u64 = 2;
    let records = || {
        let simulated = simulated(0, Mood::Wild, AGENTS, HOPS, 256);
        let end = simulated.undisturbed();
        assert_eq!(end.status, RunStatus::Ok, "{end:?}");
        check::lines(&simulated.world.disk, &simulated.dir())
    };
    let (first, second) = (records(), records());
    let read = |line: &&String| line.contains(r#""tool":"on-message""#);
    // An intent and a result for each message: the greetings, and what follows each.
    let messages = usize::try_from(AGENTS * (1 + HOPS)).unwrap();
    assert_eq!(first.iter().filter(read).count(), 2 * messages);
    let differs = first.iter().zip(&second).position(|(one, two)| one != two);
    if let Some(at) = differs {
        panic!("record {at}:\n{}\n{}", first[at], second[at]);
    }
    assert_eq!(first.len(), second.len());
}
