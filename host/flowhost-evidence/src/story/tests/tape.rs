//! A run's records as a test makes them: one fact after the other, with the time that passes between them, and the
//! story that is told of them.

use std::collections::HashMap;

use flowhost_ledger::records::{
    Asked, AttemptEnd, AttemptStart, Budget, CallPart, ComponentLoad, Decision, DecisionPart,
    Erasure, FsOp, GuardVerdict, ModelIntent, ModelResult, OfCall, PlacePart, PlannerEvent,
    PolicyLoad, RecordKind, RunEnd, RunStart, SpentPart, StepEnd, StepPart, StepStart,
    ToolCall as Call, ToolResult, TryPart, UsedPart, ViewWrite,
};
use flowhost_ledger::{Fact, StoredRecord, timestamp};

use crate::story::gather::Gather;
use crate::story::*;

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
            kind_text: fact.kind.as_str().into(),
            commit,
            fields: fact.fields,
            leaf: [0; 32],
            line: Vec::new(),
        });
        seq
    }

    /// The facts once more, for a ledger on the disk.
    pub(crate) fn facts(&self) -> impl Iterator<Item = Fact> {
        self.records.iter().map(|record| Fact {
            kind: record.kind().unwrap(),
            actor: record.actor.clone(),
            fields: record.fields.clone(),
            payload: self.payloads.get(&record.seq).cloned(),
            sealed: None,
        })
    }

    /// The payload goes, with the record that says so.
    pub(crate) fn erase(&mut self, seq: u64) {
        self.payloads.remove(&seq);
        self.add(host(Erasure {
            reason: "asked".to_owned(),
            seqs: vec![seq],
            key: None,
        }));
    }

    /// The payload goes, and nobody says so.
    pub(crate) fn lose(&mut self, seq: u64) {
        self.payloads.remove(&seq);
    }

    pub(crate) fn story(&self) -> Story {
        let mut gather = Gather::default();
        for record in &self.records {
            gather.record(&record.lent());
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
pub(crate) fn host(record: impl RecordKind) -> Fact {
    record.by("default/host")
}

/// A fact by a plugin.
pub(crate) fn by(plugin: &str, record: impl RecordKind) -> Fact {
    record.by(format!("default/{plugin}"))
}

/// Of a call for this step.
pub(crate) fn of(step: &str) -> CallPart {
    CallPart {
        step: step.to_owned(),
        attempt: Some(1),
        component: format!("sha256:{}", "c0".repeat(32)),
        profile: format!("sha256:{}", "d1".repeat(32)),
        ..CallPart::default()
    }
}

/// The call of this number for this step.
pub(crate) fn numbered(step: &str, call: &str) -> CallPart {
    CallPart {
        call: some(call),
        ..of(step)
    }
}

pub(super) fn at(step: &str, path: &str) -> StepPart {
    StepPart {
        step: step.to_owned(),
        path: path.to_owned(),
    }
}

pub(super) fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn spent(amounts: [u64; 4]) -> SpentPart {
    let [calls, fuel, tokens, micro_usd] = amounts.map(Some);
    SpentPart {
        calls,
        fuel,
        tokens,
        micro_usd,
    }
}

pub(super) fn json(value: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn map(pairs: &[(&str, &str)]) -> std::collections::BTreeMap<String, String> {
    let pairs = pairs.iter();
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn plugin(tape: &mut Tape, name: &str, role: &str, profile: &str) {
    tape.add(host(ComponentLoad {
        plugin: name.to_owned(),
        component: of("").component,
        size: Some(210_576),
        role: role.to_owned(),
        imports: Some(vec!["flowhost:types/types@0.1.0".to_owned()]),
        ..ComponentLoad::default()
    }));
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
    tape.add(host(PolicyLoad {
        plugin: name.to_owned(),
        component: of("").component,
        name: profile.to_owned(),
        profile: of("").profile,
        files: Some(files),
        limits: Some(limits),
        ..PolicyLoad::default()
    }));
}

pub(super) fn step_start(tape: &mut Tape, id: &str, path: &str) {
    tape.add(host(StepStart {
        at: at(id, path),
        stage: None,
    }));
}

pub(super) fn step_end(tape: &mut Tape, id: &str, path: &str, status: &str, used: [u64; 5]) {
    let [duration_ms, calls, fuel, tokens, micro_usd] = used;
    tape.add(host(StepEnd {
        at: at(id, path),
        status: status.to_owned(),
        attempts: Some(1),
        duration_ms: Some(duration_ms),
        spent: spent([calls, fuel, tokens, micro_usd]),
        ..StepEnd::default()
    }));
}

/// A try of a model call; `answer` is what the result says, `payload` what it holds.
fn model(
    tape: &mut Tape,
    number: [u64; 2],
    model: &str,
    answer: ModelResult,
    payload: Vec<u8>,
) -> u64 {
    let [request, attempt] = number;
    let of_try = TryPart {
        request: Some(request),
        r#try: Some(attempt),
        asked: some("openai/gpt-5.1"),
        model: some(model),
        operation: some("complete"),
        ..TryPart::default()
    };
    let asked = serde_json::json!({ "turns": [
        { "speaker": "system", "content": "You audit documentation.", "tool_calls": [], "answers": "" },
        { "speaker": "user", "content": "Check guide.md. Ask [redacted:email] if in doubt.", "tool_calls": [], "answers": "" },
    ], "tools": [] });
    let intent = ModelIntent {
        call_of: of("s-audit"),
        of_try: of_try.clone(),
        turns: Some(2),
        ..ModelIntent::default()
    };
    let seq = tape.add(by("auditor", intent).payload(json(&asked)));
    tape.wait_ms(420);
    let result = ModelResult {
        call_of: of("s-audit"),
        of_try,
        intent: Some(seq),
        duration_ms: Some(420),
        ..answer
    };
    tape.add(by("auditor", result).payload(payload));
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
    let started = RunStart {
        plan: some("928e61856e360b7c73d9f019d05422f1bed7570e902a9e02193522657f842331"),
        plan_name: some("docs-audit"),
        seed: Some(42),
        durability: some("durable"),
        flowhost: some("0.1.0"),
        budget: Some(budget),
        ..RunStart::default()
    };
    tape.add(host(started).payload(json(&start)));
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
    let ended = RunEnd {
        status: "denied".to_owned(),
        exit_code: Some(6),
        spent: spent([6, 4_210_332, 1_912, 12_345]),
        ..RunEnd::default()
    };
    tape.add(host(ended).payload(json(&end)));
    tape.add(host(ViewWrite {
        path: "report.json".to_owned(),
        sha256: "ee".repeat(32),
        size: Some(900),
        root: None,
    }));
    tape
}

/// The planner hears how a call ended; `plugin` answered it where no result of the call says so.
pub(super) fn heard(tape: &mut Tape, call: u64, plugin: Option<&str>) {
    tape.add(host(PlannerEvent {
        event: "call_finished".to_owned(),
        time_ms: tape.now_us / 1_000,
        call: Some(call),
        plugin: plugin.map(str::to_owned),
        took_us: Some(900),
        ..PlannerEvent::default()
    }));
}

pub(super) fn files(decision: Decision, rule: &str) -> FsOp {
    FsOp {
        call_of: of("s-list"),
        decided: DecisionPart {
            interface: some("flowhost:files/files@0.1.0"),
            decision: Some(decision),
            rule: some(rule),
            ..DecisionPart::default()
        },
        ..FsOp::default()
    }
}

fn list_step(tape: &mut Tape) {
    step_start(tape, "s-list", "list");
    let call = Call {
        tool: "list".to_owned(),
        ..Call::default()
    };
    let call = call.of(numbered("s-list", "1"));
    tape.add(by("reader", call).payload(b"{\"path\":\"/docs\"}".to_vec()));
    for _ in 0..2 {
        let asked = Asked::for_what("read /docs").to_payload();
        tape.add(by("reader", files(Decision::Allow, "files[0]")).payload(asked));
    }
    tape.wait_ms(12);
    let result = ToolResult {
        tool: "list".to_owned(),
        status: "ok".to_owned(),
        used: UsedPart {
            fuel: Some(21_774),
            memory_bytes: Some(1_180_168),
            host_calls: Some(2),
            duration_ms: Some(12),
            ..UsedPart::default()
        },
        ..ToolResult::default()
    };
    let result = result.of(numbered("s-list", "1"));
    tape.add(by("reader", result).payload(b"[\"guide.md\"]".to_vec()));
    heard(tape, 1, None);
    step_end(tape, "s-list", "list", "ok", [13, 1, 21_774, 0, 0]);
}

fn ask_models(tape: &mut Tape) {
    let refused = ModelResult {
        status: "error".to_owned(),
        class: some("rate_limited"),
        ..ModelResult::default()
    };
    let why = b"429: try again later".to_vec();
    model(tape, [1, 1], "openai/gpt-5.1", refused, why);
    let answer = serde_json::json!({ "content": "", "tool_calls": [
        { "id": "t1", "name": "reader/read", "arguments": "{\"path\":\"/docs/guide.md\"}" } ] });
    let answered = ModelResult {
        status: "ok".to_owned(),
        answered_by: some("claude-sonnet-4-5"),
        finish: some("tool_calls"),
        prompt_tokens: Some(812),
        cached_tokens: Some(512),
        completion_tokens: Some(64),
        micro_usd: Some(3_345),
        first_token_ms: Some(120),
        ..ModelResult::default()
    };
    let tried = "anthropic/claude-sonnet";
    model(tape, [1, 2], tried, answered, json(&answer));
}

fn call_reader(tape: &mut Tape) {
    let call = Call {
        tool: "read".to_owned(),
        caller: some("auditor"),
        ..Call::default()
    };
    let call = call.of(numbered("s-audit", "2.1"));
    tape.add(by("reader", call).payload(b"{\"path\":\"/docs/guide.md\"}".to_vec()));
    tape.wait_ms(5);
    let result = ToolResult {
        tool: "read".to_owned(),
        caller: some("auditor"),
        status: "ok".to_owned(),
        used: UsedPart {
            fuel: Some(188_558),
            memory_bytes: Some(2_360_336),
            ..UsedPart::default()
        },
        ..ToolResult::default()
    };
    let result = result.of(numbered("s-audit", "2.1"));
    let text = b"# Guide\n\nSee [missing](gone.md).".to_vec();
    tape.add(by("reader", result).payload(text));
}

fn audit_step(tape: &mut Tape) {
    let path = "audit[guide.md]";
    step_start(tape, "s-audit", path);
    ask_models(tape);
    call_reader(tape);
    let answer = serde_json::json!({
        "content": "guide.md:3 links to gone.md, which does not exist.", "tool_calls": [] });
    let answered = ModelResult {
        status: "ok".to_owned(),
        finish: some("stop"),
        // This provider counts nothing: what there is, the host counted.
        counted_prompt_tokens: Some(980),
        counted_completion_tokens: Some(56),
        reasoning_tokens: Some(32),
        micro_usd: Some(9_000),
        estimated: Some(true),
        ..ModelResult::default()
    };
    model(tape, [2, 1], "openai/gpt-5.1", answered, json(&answer));
    refuse_model(tape);
    heard(tape, 2, Some("auditor"));
    heard(tape, 3, Some("redact"));
    let verdict = GuardVerdict {
        place: PlacePart {
            step: some("s-audit"),
            path: some(path),
            ..PlacePart::default()
        },
        guard: some("redact"),
        part: some("after-0"),
        verdict: some("rewrite"),
        findings: Some(1),
        warned: Some(false),
        ..GuardVerdict::default()
    };
    let found = b"[{\"code\":\"email\",\"pointer\":\"/text\"}]".to_vec();
    tape.add(host(verdict).payload(found));
    step_end(
        tape,
        "s-audit",
        path,
        "ok",
        [1_280, 4, 3_900_000, 1_912, 12_345],
    );
    let warning = Budget {
        place: PlacePart {
            path: some(path),
            ..PlacePart::default()
        },
        warning: some("budget"),
        ..Budget::default()
    };
    tape.add(host(warning).payload(b"80 % of the tokens are used".to_vec()));
}

fn refuse_model(tape: &mut Tape) {
    let refused = ModelIntent {
        call_of: of("s-audit"),
        decided: DecisionPart {
            decision: Some(Decision::Deny),
            right: some("model"),
            rule: some("model.allow#none"),
            ..DecisionPart::default()
        },
        ..ModelIntent::default()
    };
    let asked = Asked {
        wanted: "openai/o9".to_owned(),
        cure: some("[model]\nallow = [\"openai/o9\"]"),
        ..Asked::default()
    };
    tape.add(by("auditor", refused).payload(asked.to_payload()));
}

fn publish_step(tape: &mut Tape) {
    let (id, path) = ("s-publish", "publish");
    step_start(tape, id, path);
    tape.wait_ms(20);
    let failed = host(AttemptEnd {
        at: at(id, path),
        attempt: 1,
        status: "failed".to_owned(),
        class: some("transient"),
        ..AttemptEnd::default()
    });
    tape.add(failed.payload(b"the reader was not ready".to_vec()));
    tape.wait_ms(200);
    tape.add(host(AttemptStart {
        at: at(id, path),
        attempt: 2,
    }));
    // As a host of the first wave wrote it: all in the line.
    let mut refused = files(Decision::Deny, "files[0].access");
    refused.call_of = of(id);
    refused.decided.right = some("files");
    refused.decided.wanted = some("write /docs/report.md");
    refused.decided.cure = some("[[files]]\nguest = \"/docs\"\naccess = \"write\"");
    tape.add(by("reader", refused));
    tape.wait_ms(9);
    let ended = host(StepEnd {
        at: at(id, path),
        status: "failed".to_owned(),
        class: some("denied"),
        attempts: Some(2),
        duration_ms: Some(229),
        spent: spent([1, 100_000, 0, 0]),
        ..StepEnd::default()
    });
    tape.add(ended.payload(b"the tool was refused `write /docs/report.md`".to_vec()));
    tape.add(host(StepEnd {
        at: at("s-notify", "notify"),
        status: "skipped".to_owned(),
        attempts: Some(0),
        ..StepEnd::default()
    }));
    deliver(tape);
}

/// A message that reaches an agent.
fn deliver(tape: &mut Tape) {
    let call = Call {
        tool: "on-message".to_owned(),
        id: some("m1"),
        sender: some("default/auditor"),
        caller: some("auditor"),
        ..Call::default()
    };
    let call = call.of(numbered("", "0.1"));
    tape.add(by("redact", call));
}
