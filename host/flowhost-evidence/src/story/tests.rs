//! Stories told from facts that are made by hand, without a disk; other tests render them.

use std::collections::HashMap;

use flowhost_ledger::{Fact, Kind, StoredRecord, timestamp};

use super::gather::Gather;
use super::*;

/// 2026-11-21T09:00:00Z in microseconds.
const START_US: u64 = 1_795_251_600_000_000;

/// Records as a ledger would hold them, and their payloads.
pub(crate) struct Tape {
    records: Vec<StoredRecord>,
    payloads: HashMap<u64, Vec<u8>>,
    now_us: u64,
}

impl Tape {
    pub(crate) fn new() -> Self {
        Self {
            records: Vec::new(),
            payloads: HashMap::new(),
            now_us: START_US,
        }
    }

    /// Time passes.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        self.now_us += ms * 1_000;
    }

    /// Takes a fact; gives its number.
    pub(crate) fn add(&mut self, fact: Fact) -> u64 {
        let seq = self.records.len() as u64;
        let commit = fact.payload.as_ref().map(|_| format!("commit {seq}"));
        if let Some(payload) = fact.payload {
            self.payloads.insert(seq, payload);
        }
        self.records.push(StoredRecord {
            seq,
            ts: timestamp(self.now_us),
            tenant: "default".to_owned(),
            run: "01KBGHJKMNPQRSTVWXYZ012345".to_owned(),
            actor: fact.actor,
            kind_text: fact.kind.as_str().to_owned(),
            commit,
            fields: fact.fields,
            leaf: [0; 32],
            line: Vec::new(),
        });
        seq
    }

    /// The payload goes, with the record that says so.
    pub(crate) fn erase(&mut self, seq: u64) {
        self.payloads.remove(&seq);
        self.add(host(Kind::Erasure).with("seqs", vec![seq.to_string()]));
    }

    /// The payload goes, and nobody says so.
    pub(crate) fn lose(&mut self, seq: u64) {
        self.payloads.remove(&seq);
    }

    pub(crate) fn story(&self) -> Story {
        let mut gather = Gather::default();
        for record in &self.records {
            gather.record(record);
        }
        let seal = Seal {
            origin: "host.example/evidence/default/01KBGHJKMNPQRSTVWXYZ012345".to_owned(),
            keys: vec!["host.example/evidence+1a2b3c4d+AAAA".to_owned()],
            checkpoint: Some(Sealed {
                size: self.records.len() as u64,
                root: "ab".repeat(32),
            }),
            ..Seal::default()
        };
        gather.finish(self, seal)
    }
}

impl PayloadSource for Tape {
    fn payload(&self, seq: u64, commit: &str) -> Result<Option<Vec<u8>>, String> {
        assert_eq!(commit, format!("commit {seq}"));
        Ok(self.payloads.get(&seq).cloned())
    }
}

/// A fact by the host.
pub(crate) fn host(kind: Kind) -> Fact {
    Fact::new(kind, "default/host")
}

/// A fact by a plugin.
pub(crate) fn by(plugin: &str, kind: Kind) -> Fact {
    Fact::new(kind, format!("default/{plugin}"))
}

fn json(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn plugin(tape: &mut Tape, name: &str, role: &str, profile: &str) {
    tape.add(
        host(Kind::ComponentLoad)
            .with("plugin", name)
            .with("component", format!("sha256:{}", "c0".repeat(32)))
            .with("size", 210_576)
            .with("role", role)
            .with("imports", vec!["flowhost:types/types@0.1.0".to_owned()]),
    );
    let files = match profile {
        "deny-all" => Vec::new(),
        _ => vec!["/docs = docs".to_owned()],
    };
    let limits = map(&[
        ("memory", "67108864"),
        ("fuel", "500000000"),
        ("deadline", "30000"),
        ("host_calls", "1000"),
        ("output", "1048576"),
        ("log", "65536"),
    ]);
    tape.add(
        host(Kind::PolicyLoad)
            .with("plugin", name)
            .with("name", profile)
            .with("profile", format!("sha256:{}", "d1".repeat(32)))
            .with("files", files)
            .with("limits", limits),
    );
}

fn step_start(tape: &mut Tape, id: &str, path: &str) {
    let of = |kind| host(kind).with("step", id).with("path", path);
    tape.add(of(Kind::StepStart).with("stage", ""));
    tape.add(of(Kind::AttemptStart).with("attempt", 1));
}

fn step_end(tape: &mut Tape, id: &str, path: &str, status: &str, used: [u64; 5]) {
    let of = |kind| host(kind).with("step", id).with("path", path);
    tape.add(
        of(Kind::AttemptEnd)
            .with("attempt", 1)
            .with("status", status),
    );
    let [duration_ms, calls, fuel, tokens, micro_usd] = used;
    tape.add(
        of(Kind::StepEnd)
            .with("status", status)
            .with("attempts", 1)
            .with("duration_ms", duration_ms)
            .with("calls", calls)
            .with("fuel", fuel)
            .with("tokens", tokens)
            .with("micro_usd", micro_usd),
    );
}

/// A try of a model call; `answer` is what the result adds.
fn model(
    tape: &mut Tape,
    number: [&str; 2],
    model: &str,
    answer: impl FnOnce(Fact) -> Fact,
) -> u64 {
    let [call, attempt] = number;
    let of = |kind| {
        by("auditor", kind)
            .with("step", "s-audit")
            .with("attempt", 1)
            .with("call", call)
            .with("try", attempt)
            .with("asked", "openai/gpt-5.1")
            .with("model", model)
            .with("operation", "complete")
    };
    let request = serde_json::json!({ "turns": [
        { "speaker": "system", "content": "You audit documentation.", "tool_calls": [], "answers": "" },
        { "speaker": "user", "content": "Check guide.md. Ask [redacted:email] if in doubt.", "tool_calls": [], "answers": "" },
    ], "tools": [] });
    let seq = tape.add(
        of(Kind::ModelIntent)
            .with("turns", 2)
            .payload(json(&request)),
    );
    tape.wait_ms(420);
    tape.add(answer(of(Kind::ModelResult).with("intent", seq)));
    seq
}

/// A run in which a bit of everything happened: an agent that asks a model (with a fail-over), calls
/// a tool, is refused a file; a guardrail that rewrites; a step that failed after a retry.
pub(crate) fn audit() -> Tape {
    let mut tape = Tape::new();
    let start = serde_json::json!({ "inputs": { "docs": "docs", "strict": true } });
    let budget = map(&[
        ("calls", "100"),
        ("fuel", "1000000000000000"),
        ("tokens", "20000"),
        ("micro_usd", "500000"),
    ]);
    tape.add(
        host(Kind::RunStart)
            .with(
                "plan",
                "928e61856e360b7c73d9f019d05422f1bed7570e902a9e02193522657f842331",
            )
            .with("plan_name", "docs-audit")
            .with("seed", "42")
            .with("durability", "durable")
            .with("flowhost", "0.1.0")
            .with("budget", budget)
            .payload(json(&start)),
    );
    plugin(&mut tape, "auditor", "agent", "auditor");
    plugin(&mut tape, "reader", "tool", "reads-docs");
    plugin(&mut tape, "redact", "guardrail", "deny-all");
    tape.wait_ms(8);
    list_step(&mut tape);
    audit_step(&mut tape);
    publish_step(&mut tape);
    let end = serde_json::json!({ "status": "failed", "outputs": {}, "failure": {
        "class": "denied", "message": "the tool was refused `write /docs/report.md`",
        "hint": "grant the folder for writing, or write somewhere else", "step": "publish",
    } });
    tape.add(
        host(Kind::RunEnd)
            .with("status", "denied")
            .with("exit_code", "6")
            .with("calls", 6)
            .with("fuel", 4_210_332)
            .with("tokens", 1_912)
            .with("micro_usd", 12_345)
            .payload(json(&end)),
    );
    tape.add(
        host(Kind::ViewWrite)
            .with("path", "report.json")
            .with("sha256", "ee".repeat(32))
            .with("size", 900),
    );
    tape
}

fn message(tape: &mut Tape, from: &str, kind: &str) {
    tape.add(by(from, Kind::Message).with("id", "m").with("type", kind));
}

fn list_step(tape: &mut Tape) {
    step_start(tape, "s-list", "list");
    message(tape, "host", "step.start");
    let call = by("reader", Kind::ToolCall)
        .with("step", "s-list")
        .with("tool", "list");
    tape.add(call.payload(b"{\"path\":\"/docs\"}".to_vec()));
    for _ in 0..2 {
        tape.add(
            by("reader", Kind::FsOp)
                .with("step", "s-list")
                .with("interface", "flowhost:files/files@0.1.0")
                .with("decision", "allow")
                .with("rule", "files[0]")
                .with("wanted", "read /docs"),
        );
    }
    tape.wait_ms(12);
    tape.add(
        by("reader", Kind::ToolResult)
            .with("step", "s-list")
            .with("tool", "list")
            .with("status", "ok")
            .with("fuel", 21_774)
            .with("memory_bytes", 1_180_168)
            .with("host_calls", 2)
            .with("duration_ms", 12)
            .payload(b"[\"guide.md\"]".to_vec()),
    );
    message(tape, "reader", "step.end");
    step_end(tape, "s-list", "list", "ok", [13, 1, 21_774, 0, 0]);
}

fn audit_step(tape: &mut Tape) {
    step_start(tape, "s-audit", "audit[guide.md]");
    message(tape, "host", "step.start");
    model(tape, ["1", "1"], "openai/gpt-5.1", |fact| {
        fact.with("status", "error")
            .with("class", "rate_limited")
            .with("duration_ms", 420)
            .payload(b"429: try again later".to_vec())
    });
    model(tape, ["1", "2"], "anthropic/claude-sonnet", |fact| {
        let answer = serde_json::json!({ "content": "", "tool_calls": [
            { "id": "t1", "name": "reader/read", "arguments": "{\"path\":\"/docs/guide.md\"}" } ] });
        fact.with("status", "ok")
            .with("answered_by", "claude-sonnet-4-5")
            .with("finish", "tool_calls")
            .with("prompt_tokens", 812)
            .with("cached_tokens", 512)
            .with("completion_tokens", 64)
            .with("micro_usd", 3_345)
            .with("duration_ms", 420)
            .with("first_token_ms", 120)
            .payload(json(&answer))
    });
    let called = |kind| {
        by("reader", kind)
            .with("step", "s-audit")
            .with("tool", "read")
            .with("caller", "auditor")
    };
    tape.add(called(Kind::ToolCall).payload(b"{\"path\":\"/docs/guide.md\"}".to_vec()));
    tape.wait_ms(5);
    tape.add(
        called(Kind::ToolResult)
            .with("status", "ok")
            .with("fuel", 188_558)
            .with("memory_bytes", 2_360_336)
            .payload(b"# Guide\n\nSee [missing](gone.md).".to_vec()),
    );
    model(tape, ["2", "1"], "openai/gpt-5.1", |fact| {
        let answer = serde_json::json!({
            "content": "guide.md:3 links to gone.md, which does not exist.", "tool_calls": [] });
        fact.with("status", "ok")
            .with("finish", "stop")
            .with("prompt_tokens", 980)
            .with("completion_tokens", 56)
            .with("reasoning_tokens", 32)
            .with("micro_usd", 9_000)
            .with("duration_ms", 420)
            .with("estimated", "true")
            .payload(json(&answer))
    });
    tape.add(
        by("auditor", Kind::ModelIntent)
            .with("step", "s-audit")
            .with("decision", "deny")
            .with("asked", "openai/o9")
            .with("model", "openai/o9")
            .with("right", "model")
            .with("rule", "model.allow#none")
            .with("wanted", "openai/o9")
            .with("cure", "[model]\nallow = [\"openai/o9\"]"),
    );
    message(tape, "auditor", "step.end");
    tape.add(
        host(Kind::GuardVerdict)
            .with("step", "s-audit")
            .with("path", "audit[guide.md]")
            .with("guard", "redact")
            .with("part", "after-0")
            .with("verdict", "rewrite")
            .with("findings", 1)
            .with("warned", "false")
            .payload(b"[{\"code\":\"email\",\"pointer\":\"/text\"}]".to_vec()),
    );
    message(tape, "redact", "step.end");
    tape.add(by("redact", Kind::Message).with("sender", "default/auditor"));
    step_end(
        tape,
        "s-audit",
        "audit[guide.md]",
        "ok",
        [1_280, 4, 3_900_000, 1_912, 12_345],
    );
    tape.add(
        host(Kind::Budget)
            .with("path", "audit[guide.md]")
            .with("warning", "budget")
            .payload(b"80 % of the tokens are used".to_vec()),
    );
}

fn publish_step(tape: &mut Tape) {
    let of = |kind| host(kind).with("step", "s-publish").with("path", "publish");
    step_start(tape, "s-publish", "publish");
    tape.wait_ms(20);
    tape.add(
        of(Kind::AttemptEnd)
            .with("attempt", 1)
            .with("status", "failed")
            .with("class", "transient")
            .payload(b"the reader was not ready".to_vec()),
    );
    tape.wait_ms(200);
    tape.add(of(Kind::AttemptStart).with("attempt", 2));
    tape.add(
        by("reader", Kind::FsOp)
            .with("step", "s-publish")
            .with("interface", "flowhost:files/files@0.1.0")
            .with("decision", "deny")
            .with("right", "files")
            .with("rule", "files[0].access")
            .with("wanted", "write /docs/report.md")
            .with("cure", "[[files]]\nguest = \"/docs\"\naccess = \"write\""),
    );
    tape.wait_ms(9);
    tape.add(
        of(Kind::AttemptEnd)
            .with("attempt", 2)
            .with("status", "failed")
            .with("class", "denied")
            .payload(b"the tool was refused `write /docs/report.md`".to_vec()),
    );
    tape.add(
        of(Kind::StepEnd)
            .with("status", "failed")
            .with("attempts", 2)
            .with("duration_ms", 229)
            .with("calls", 1)
            .with("fuel", 100_000),
    );
    tape.add(
        host(Kind::StepEnd)
            .with("step", "s-notify")
            .with("path", "notify")
            .with("status", "skipped")
            .with("attempts", 0),
    );
}

#[test]
fn a_run_without_an_end_is_told_as_far_as_it_went() {
    let mut tape = Tape::new();
    tape.add(host(Kind::RunStart).with("plan_name", "p"));
    step_start(&mut tape, "s", "s");
    tape.wait_ms(40);
    tape.add(by("a", Kind::ToolCall).with("step", "s").with("tool", "t"));
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
    let fact = || {
        by("a", Kind::ToolCall)
            .with("tool", "t")
            .payload(b"personal".to_vec())
    };
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
    tape.add(by("a", Kind::ToolCall).payload(text.into_bytes()));
    let Stored::Text { text, left_out } = &tape.story().tools.listed.items[0].input else {
        panic!("it is text");
    };
    assert_eq!((text.chars().count(), *left_out), (PAYLOAD_CHARS_MAX, 7));
}

#[test]
fn thousands_of_steps_and_calls_are_bounded_and_the_failed_ones_are_kept() {
    let mut tape = Tape::new();
    for at in 0..3_000_u64 {
        let (id, path) = (format!("s{at}"), format!("each[{at}]"));
        step_start(&mut tape, &id, &path);
        let call = |kind| by("a", kind).with("step", id.as_str()).with("tool", "t");
        tape.add(call(Kind::ToolCall).payload(vec![b'x'; 2_000]));
        let status = if at == 2_900 { "failed" } else { "ok" };
        tape.add(call(Kind::ToolResult).with("status", status));
        step_end(&mut tape, &id, &path, status, [1, 1, 1, 0, 0]);
    }
    let story = tape.story();
    let steps = &story.steps.listed;
    assert_eq!((steps.items.len(), steps.total), (STEPS_MAX, 3_000));
    assert_eq!(steps.left_out(), 3_000 - STEPS_MAX as u64);
    assert!(steps.items.iter().any(|step| step.path == "each[2900]"));
    let calls = &story.tools.listed;
    assert_eq!((calls.items.len(), calls.total), (CALLS_MAX + 1, 3_000));
    assert!(calls.items.iter().any(|call| call.status == "failed"));
    assert_eq!(story.tools.by_tool.items, [("a/t".to_owned(), 3_000, 1)]);
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

#[test]
fn a_prompt_of_many_turns_shows_its_ends() {
    let mut tape = Tape::new();
    let turns: Vec<_> = (0..100)
        .map(|at| serde_json::json!({ "speaker": "user", "content": format!("turn {at}") }))
        .collect();
    let payload = json(&serde_json::json!({ "turns": turns }));
    tape.add(
        by("a", Kind::ModelIntent)
            .with("call", "1")
            .payload(payload),
    );
    let story = tape.story();
    let Request::Turns(turns, left_out) = &story.models.listed.items[0].request else {
        panic!("they are turns");
    };
    assert_eq!((turns.len(), *left_out), (40, 60));
    let text = |text: &str| Stored::Text {
        text: text.to_owned(),
        left_out: 0,
    };
    assert_eq!(turns[0].content, text("turn 0"));
    assert_eq!(turns[39].content, text("turn 99"));
}
