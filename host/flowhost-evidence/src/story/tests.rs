//! Stories told from facts that are made by hand, without a disk; other tests render them.

use flowhost_ledger::Fact;
use flowhost_ledger::records::{
    Asked, AttemptEnd, AttemptStart, Decision, ModelIntent, OfCall, RunStart, ToolCall as Call,
    ToolResult, UsedPart,
};

use super::*;

mod listened;
mod odd;
mod tape;

pub(crate) use tape::{Tape, audit, by, host, of};
use tape::{at, files, heard, json, numbered, some, step_end, step_start};

/// A call of `a/t`, the only one of its step.
fn call(step: &str) -> Fact {
    let call = Call {
        tool: "t".to_owned(),
        ..Call::default()
    };
    by("a", call.of(numbered(step, step)))
}

#[test]
fn a_run_without_an_end_is_told_as_far_as_it_went() {
    let mut tape = Tape::new();
    tape.add(host(RunStart {
        plan_name: some("p"),
        ..RunStart::default()
    }));
    step_start(&mut tape, "s", "s");
    tape.wait_ms(40);
    tape.add(call("s"));
    let story = tape.story();
    assert_eq!(story.head.status, None);
    assert_eq!(story.head.took_us, 40_000);
    assert_eq!(story.steps.listed.items[0].status, "unfinished");
    assert_eq!(story.tools.listed.items[0].status, "unfinished");
    assert_eq!(story.spend.lines[0].used, None);
}

#[test]
fn an_erased_payload_is_told_apart_from_one_that_is_missing() {
    let mut tape = Tape::new();
    let fact = || call("s").payload(b"personal".to_vec());
    let (erased, lost) = (tape.add(fact()), tape.add(fact()));
    tape.erase(erased);
    tape.lose(lost);
    let story = tape.story();
    let inputs: Vec<&Stored> = story
        .tools
        .listed
        .items
        .iter()
        .map(|it| &it.input)
        .collect();
    assert_eq!(inputs, [&Stored::Erased, &Stored::Missing]);
    assert_eq!(story.seal.erased, 1);
}

#[test]
fn a_payload_is_cut_and_says_how_much_is_missing() {
    let mut tape = Tape::new();
    let text = "ä".repeat(PAYLOAD_CHARS_MAX + 7);
    tape.add(call("s").payload(text.into_bytes()));
    let Stored::Text { text, left_out } = &tape.story().tools.listed.items[0].input else {
        panic!("it is text");
    };
    assert_eq!((text.chars().count(), *left_out), (PAYLOAD_CHARS_MAX, 7));
}

/// Plain steps, of which the last but a hundredth fails.
pub(crate) fn many_steps(count: u64) -> Tape {
    let mut tape = Tape::new();
    for at in 0..count {
        let (id, path) = (format!("s{at}"), format!("step-{at}"));
        step_start(&mut tape, &id, &path);
        tape.add(call(&id).payload(vec![b'x'; 60]));
        let status = if at == count - count / 100 {
            "failed"
        } else {
            "ok"
        };
        let result = ToolResult {
            tool: "t".to_owned(),
            status: status.to_owned(),
            used: UsedPart {
                fuel: Some(10_000 + at),
                memory_bytes: Some(1_500_000),
                duration_ms: Some(3),
                ..UsedPart::default()
            },
            ..ToolResult::default()
        };
        let result = by("a", result.of(numbered(&id, &id)));
        tape.add(result.payload(vec![b'y'; 60]));
        step_end(&mut tape, &id, &path, status, [1, 1, 1, 0, 0]);
    }
    tape
}

#[test]
fn thousands_of_steps_and_calls_are_bounded_and_the_failed_ones_are_kept() {
    let tape = many_steps(3_000);
    let story = tape.story();
    let steps = &story.steps.listed;
    assert_eq!((steps.items.len(), steps.total), (STEPS_MAX, 3_000));
    assert_eq!(steps.left_out(), 3_000 - STEPS_MAX as u64);
    assert!(steps.items.iter().any(|step| step.path == "step-2970"));
    let calls = &story.tools.listed;
    assert_eq!((calls.items.len(), calls.total), (CALLS_MAX + 1, 3_000));
    assert!(calls.items.iter().any(|call| call.status == "failed"));
    assert_eq!(story.tools.by_tool.items, [("a/t".to_owned(), 3_000, 1)]);
}

#[test]
fn a_step_of_its_own_is_listed_however_many_items_failed() {
    let mut tape = Tape::new();
    let mut add = |id: &str, path: &str, status: &str| {
        step_start(&mut tape, id, path);
        step_end(&mut tape, id, path, status, [1, 1, 1, 0, 0]);
    };
    add("first", "first", "ok");
    for at in 0..400 {
        add(&format!("i{at}"), &format!("each[{at}]"), "failed");
    }
    add("each", "each", "failed");
    let steps = tape.story().steps;
    let listed: Vec<&str> = steps
        .listed
        .items
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    assert_eq!(
        (listed.len(), listed.first(), listed.last()),
        (STEPS_MAX, Some(&"first"), Some(&"each"))
    );
    assert_eq!(steps.items["each"]["failed"], 400);
    // The step that joins 400 items that failed is not one more that failed.
    assert_eq!((steps.by_status["failed"], steps.total()), (400, 401));
}

#[test]
fn a_foreach_that_failed_of_no_item_is_counted_beside_them() {
    let mut tape = Tape::new();
    let mut add = |path: &str, status: &str| {
        step_start(&mut tape, path, path);
        step_end(&mut tape, path, path, status, [1, 1, 1, 0, 0]);
    };
    add("each[0]", "ok");
    add("each[1]", "ok");
    add("each", "failed");
    let steps = tape.story().steps;
    assert_eq!((steps.by_status["failed"], steps.by_status["ok"]), (1, 2));
}

#[test]
fn tokens_and_money_are_summed_over_every_try_by_step_agent_and_model() {
    let story = audit().story();
    let all = &story.models.all;
    assert_eq!((all.tries, all.failed, all.estimated), (3, 1, 1));
    assert_eq!((all.prompt, all.cached, all.completion), (1_792, 512, 120));
    assert_eq!(all.micro_usd, 12_345);
    for list in [
        &story.models.by_step,
        &story.models.by_agent,
        &story.models.by_model,
    ] {
        let sum: u64 = list.items.iter().map(|(_, sums)| sums.micro_usd).sum();
        assert_eq!(sum, all.micro_usd);
    }
    assert_eq!(story.models.by_step.items[0].0, "audit[guide.md]");
    assert_eq!(story.models.by_model.items[0].0, "openai/gpt-5.1");
    assert_eq!(story.models.listed.total, 2);
    let call = &story.models.listed.items[0];
    assert_eq!(call.tries.len(), 2);
    assert_eq!(call.tries[0].class, "rate_limited");
    assert_eq!(call.tries[1].tool_calls.len(), 1);
}

#[test]
fn decisions_are_grouped_by_plugin_right_and_rule() {
    let decisions = audit().story().decisions;
    assert_eq!((decisions.denials, decisions.allowances), (2, 2));
    let denied: Vec<(&str, &str, u64)> = decisions
        .denied
        .items
        .iter()
        .map(|group| (group.plugin.as_str(), group.rule.as_str(), group.count))
        .collect();
    assert_eq!(
        denied,
        [
            ("auditor", "model.allow#none", 1),
            ("reader", "files[0].access", 1)
        ]
    );
    let allowed = &decisions.allowed.items[0];
    assert_eq!((allowed.right.as_str(), allowed.count), ("files", 2));
    assert_eq!(allowed.wanted.items.len(), 1);
    assert_eq!(allowed.wanted.items[0].count, 2);
}

#[test]
fn the_graph_joins_host_agents_tools_and_models_and_no_refused_model() {
    let talk = audit().story().talk;
    let edge = |from: &str, to: &str| {
        let mut edges = talk.edges.items.iter();
        edges
            .find(|edge| edge.from == from && edge.to == to)
            .map(|edge| (edge.kind, edge.count))
    };
    assert_eq!(edge("host", "reader"), Some((EdgeKind::Step, 1)));
    assert_eq!(edge("auditor", "reader"), Some((EdgeKind::Tool, 1)));
    assert_eq!(
        edge("auditor", "openai/gpt-5.1"),
        Some((EdgeKind::Model, 2))
    );
    assert_eq!(edge("auditor", "redact"), Some((EdgeKind::Message, 1)));
    assert!(talk.nodes.items.iter().all(|node| node.name != "openai/o9"));
}

#[test]
fn the_heaviest_call_of_a_step_stands_against_its_limits() {
    let story = audit().story();
    let step = &story.steps.listed.items[0];
    let memory = step.peaks["memory"];
    assert_eq!((memory.used, memory.allowed), (1_180_168, Some(67_108_864)));
    assert_eq!(step.marks.len(), 1);
}
