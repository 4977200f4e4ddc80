//! Events a second of a planner: 1,000 and 10,000 steps, one after the other and all at once.
//!
//! The time per event must not depend on the number of steps: a planner is asked once per event, under
//! the lock of its run. A bench reports elements (events) a second, so the two sizes compare directly.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a bench stops when its own input is wrong"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flowhost_flow::{
    Action, Amounts, CallResult, Event, Plan, Planner, RunSetup, Time, planner_for,
};
use serde_json::{Map, Value};

fn plan(steps: usize, chained: bool) -> Arc<Plan> {
    let mut text = "flowhost: v1\nkind: workflow\nname: t\ntimeout: 2h\n\
        budget: {calls: 1000000}\n\
        plugins: {t: {kind: tool, source: ./t.wasm, profile: p}}\nsteps:\n"
        .to_owned();
    for step in 0..steps {
        let _ = match step.checked_sub(1).filter(|_| chained) {
            Some(before) => writeln!(text, "  s{step}: {{uses: t, needs: [s{before}]}}"),
            None => writeln!(text, "  s{step}: {{uses: t}}"),
        };
    }
    Arc::new(Plan::parse(&text, "bench.yaml").expect("the bench's own plan"))
}

fn planner(plan: &Arc<Plan>) -> Box<dyn Planner> {
    let setup = RunSetup {
        run_id: "01JD00000000000000000000AA".to_owned(),
        plan_hash: "bench".to_owned(),
        seed: 1,
        inputs: Map::new(),
        estimates: BTreeMap::new(),
        components: BTreeMap::new(),
    };
    planner_for(Arc::clone(plan), setup).expect("the bench's own plan")
}

/// Answers every call in the order in which it was asked; returns the number of events.
fn drive(mut planner: Box<dyn Planner>) -> u64 {
    let mut events = 1;
    let mut actions = planner.on(Event::Started, Time(0));
    let mut open = std::collections::VecDeque::new();
    loop {
        for action in actions.drain(..) {
            match action {
                Action::Call(call) => open.push_back(call.id),
                Action::Finish(_) => return events,
                _ => {}
            }
        }
        let Some(call) = open.pop_front() else {
            panic!("a run that waits for nothing");
        };
        events += 1;
        let event = Event::CallFinished {
            call,
            result: CallResult::Output(Value::Null),
            used: Amounts {
                calls: 1,
                ..Amounts::default()
            },
        };
        actions = planner.on(event, Time(events));
    }
}

fn events(c: &mut Criterion) {
    let mut group = c.benchmark_group("planner events");
    group.sample_size(10);
    for steps in [1_000, 10_000] {
        for (shape, chained) in [("in a row", true), ("at once", false)] {
            let plan = plan(steps, chained);
            group.throughput(Throughput::Elements(steps as u64 + 1));
            group.bench_function(BenchmarkId::new(shape, steps), |b| {
                b.iter_batched(
                    || planner(&plan),
                    |planner| black_box(drive(planner)),
                    BatchSize::LargeInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, events);
criterion_main!(benches);
