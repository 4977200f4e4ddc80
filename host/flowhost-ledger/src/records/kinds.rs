//! Every kind of record there is, with its fields. The only place that names a field.
//!
//! `Option` means that a record of the kind may lack the field: it says nothing then, or an older host
//! wrote it. Groups (`…Part`) are fields that several kinds share.

use std::{any::Any, collections::BTreeMap, sync::LazyLock};

use super::field::{Field, FieldDoc, FieldError};
use super::parts::lent::Part;
use super::parts::{
    BegunPart, CallPart, DecisionPart, EndedPart, PlacePart, SpentPart, StepPart, TryPart, UsedPart,
};
use super::words::Owner;
use super::{Decides, OfCall, RecordKind};
use crate::fields::Fields;
use crate::known::Known;
use crate::lent::LentFields;

kinds! {
    RunStart "run.start" "A run began: plan hash, seed, host." {
        /// The version of what this ledger's records say; 1 where it is missing.
        schema: Option<u64>,
        /// Hash of the resolved plan; in the index of runs, the plan's name.
        plan: Option<String>,
        /// The plan's name.
        plan_name: Option<String>,
        /// Hash of the resolved plan, in the index of runs.
        plan_hash: Option<String>,
        /// The run, in the index of runs.
        run_id: Option<String>,
        /// The seed of all randomness.
        seed: Option<u64>,
        /// When records have to be on disk: `durable` or `relaxed`.
        durability: Option<String>,
        /// The host's version.
        flowhost: Option<String>,
        /// What the run may use, by `calls`, `fuel`, `tokens`, `micro_usd` and `evidence`.
        budget: Option<BTreeMap<String, String>>,
        /// The plan's labels.
        labels: Option<BTreeMap<String, String>>,
        /// The run that it was forked from, whose record this one begins with, by reference.
        parent: Option<String>,
        /// How many records of that run stand before the fork.
        parent_records: Option<u64>,
        /// Hash of the last of them, which holds those of all others, hexadecimal.
        parent_hash: Option<String>,
        /// The step before which it was forked.
        fork_at: Option<String>,
        /// Steps of that past that are done anew before that step: the other run took them back later, or something that they need.
        fork_anew: Option<Vec<String>>,
        /// How many events that past has, where it does not end with the beginning of that step.
        fork_events: Option<u64>,
        /// The only step that was wanted; the others were left out.
        only: Option<String>,
        /// Whether it was open to requests, so that none of its steps began by itself.
        on_request: Option<bool>,
        /// What the person who started it wants to be read beside it.
        note: Option<String>,
        /// Whose evidence its stages leave: the plan's `evidence.spec_id`.
        spec: Option<String>,
        /// What that evidence is about: the paths of `spec`, `prd` and `governance`, as the plan names them.
        documents: Option<BTreeMap<String, String>>,
        /// SHA-256 of each, in hexadecimal.
        documents_sha256: Option<BTreeMap<String, String>>,
        /// The version of each, as the plan says.
        documents_version: Option<BTreeMap<String, String>>,
        /// The last commit of the work tree that the plan lies in, where the plan requires a clean one.
        git_commit: Option<String>,
        /// Files of the plan that are not as in that commit, which a person allowed.
        dirty: Option<Vec<String>>,
        /// The second keys that whoever started it had turned, as options of the command line; missing where its rights
        /// ask for none.
        second_keys: Option<Vec<String>>,
    }
    RunEnd "run.end" "A run ended: status and totals." {
        /// How it ended.
        status: String,
        /// The exit code that says so.
        exit_code: Option<u64>,
        /// Who has to change something, when it failed.
        owner: Option<Owner>,
        /// What it used.
        spent: SpentPart,
        /// Bytes of records and payloads that its plugins left.
        evidence: Option<u64>,
        /// The run, in the index of runs.
        run_id: Option<String>,
        /// Root of the run's tree, in the index of runs.
        root: Option<String>,
        /// Records of the run, in the index of runs.
        size: Option<u64>,
    }
    RunRemove "run.remove" "A run's folder was removed on purpose, as the index of runs says: its line there stays." {
        /// The run.
        run_id: String,
        /// SHA-256 of the archive that it was put into before, in hexadecimal.
        archive: Option<String>,
        /// Bytes of that archive.
        archive_bytes: Option<u64>,
        /// Whether its folder was gone before, taken by somebody else.
        gone: Option<bool>,
    }
    RunRestore "run.restore" "A run that was removed is there again, out of its archive, as the index of runs says." {
        /// The run.
        run_id: String,
        /// SHA-256 of the archive that it came out of, in hexadecimal.
        archive: Option<String>,
    }
    RunPause "run.pause" "A run stopped before its end, and can be resumed." {
        /// How it stands: `interrupted` by a signal to its process, or `waiting` for a person.
        status: String,
        /// The exit code that says so.
        exit_code: Option<u64>,
        /// Paths of the steps that wait; the reason is the payload.
        steps: Option<Vec<String>>,
    }
    RunResume "run.resume" "A run goes on after it was interrupted, killed or waited: what comes next is by another process." {
        /// The run, in the index of runs.
        run_id: Option<String>,
        /// The host's version.
        flowhost: Option<String>,
        /// The planner's time from which it goes on, in milliseconds since the Unix epoch: time at rest does not count.
        time_ms: Option<u64>,
        /// Calls that were open and are made again.
        again: Option<Vec<String>>,
        /// Calls whose result was recorded before the planner heard of it.
        known: Option<Vec<String>>,
        /// The version of what the records say from here on.
        schema: Option<u64>,
        /// Plugins that were replaced on purpose: the digest of the component by the plugin's name.
        replaced: Option<BTreeMap<String, String>>,
        /// The second keys that whoever goes on with it has turned, as options of the command line; missing where its
        /// rights ask for none.
        second_keys: Option<Vec<String>>,
    }
    CallReuse "call.reuse" "A call was not made: how it ended is what another run recorded." {
        /// Of which step.
        at: StepPart,
        /// The call.
        call: u64,
        /// Which part of the step it is.
        part: String,
        /// The plugin that would have been called.
        plugin: String,
        /// The run that made it.
        run_id: String,
        /// Its number there.
        call_there: u64,
        /// The record of its end there.
        record: u64,
        /// Hash of that record, which holds those of all before it, hexadecimal.
        hash: String,
        /// What it used there.
        spent: SpentPart,
        /// Milliseconds that it took there.
        duration_ms: Option<u64>,
        /// Whether that counts for this run: it is its past, up to where it was forked.
        counts: Option<bool>,
    }
    RunSettle "run.settle" "A person said what became of a call that nobody knows the end of; what it handed back, or why it failed, is the payload." {
        /// The call.
        call: u64,
        /// Id of its step.
        step: String,
        /// The step's path in the plan.
        path: String,
        /// `done`, `failed` or `retry`.
        r#as: String,
        /// Who says so.
        by: Option<String>,
    }
    StepStart "step.start" "A step was asked for; its first attempt begins with it." {
        /// Which.
        at: StepPart,
        /// Its stage.
        stage: Option<String>,
    }
    StepEnd "step.end" "A step ended, and its last attempt with it: status, attempts, what it used." {
        /// Which.
        at: StepPart,
        /// How it ended.
        status: String,
        /// The class of its failure; the message is the payload.
        class: Option<String>,
        /// Who has to change something, when it failed.
        owner: Option<Owner>,
        /// Attempts begun.
        attempts: Option<u64>,
        /// Milliseconds, as the planner counts them.
        duration_ms: Option<u64>,
        /// What it used.
        spent: SpentPart,
    }
    AttemptStart "attempt.start" "Another attempt at a step began." {
        /// Of which step.
        at: StepPart,
        /// From 2; older hosts recorded the first one, too.
        attempt: u64,
    }
    AttemptEnd "attempt.end" "An attempt failed, and another one follows: class and owner of the failure." {
        /// Of which step.
        at: StepPart,
        /// From 1.
        attempt: u64,
        /// How it ended.
        status: String,
        /// The class of its failure; the message is the payload.
        class: Option<String>,
        /// Who has to change something, when it failed.
        owner: Option<Owner>,
    }
    PlannerEvent "planner.event" "An event, written before the planner is fed it, in the order in which it is fed." {
        /// `started`, `call_finished`, `timer_fired`, `gate_answered`, `requested`, `withdrawn`, `closed`, `cancelled` or
        /// `host_failed`.
        event: String,
        /// The planner's time, in milliseconds since the Unix epoch.
        time_ms: u64,
        /// The planner's call that ended.
        call: Option<u64>,
        /// Where its result stands: `here` in this payload; missing, in that of the call's own result record,
        /// where a tool's is its whole content, of which the step hands on a part. Older hosts wrote `own` and
        /// `content` for that.
        result: Option<String>,
        /// Who answered the call, where it has no record of its own: a guardrail, or a plugin that could not begin.
        plugin: Option<String>,
        /// Microseconds from the call's order to its answer; missing where no order was sent in this process.
        took_us: Option<u64>,
        /// Calls that were made for it, its own among them; where it is missing, only its own was, and its
        /// fuel is that of its result record.
        calls: Option<u64>,
        /// Fuel units of all of them.
        fuel: Option<u64>,
        /// Tokens of the same; none where it is missing.
        tokens: Option<u64>,
        /// Millionths of a US dollar of the same; none where it is missing.
        micro_usd: Option<u64>,
        /// The timer that fired.
        timer: Option<u64>,
        /// Milliseconds that the guest was told it had, where the call has no result record of its own.
        told_ms: Option<u64>,
        /// The gate that was spoken to, or whose time was up; the answer is the payload.
        gate: Option<u64>,
        /// The request that came or was withdrawn, counted from 0; what its step is given is the payload.
        request: Option<u64>,
        /// The step that was asked for.
        of: Option<String>,
    }
    Gate "gate" "A gate was reached, or somebody spoke to it; what they said besides is the payload." {
        /// Of which step.
        at: StepPart,
        /// Its number within the run.
        gate: u64,
        /// `opened`, `approved`, `rejected` or `signalled`.
        event: String,
        /// What opens it: `approval` or `signal`.
        wants: String,
        /// Until when it is open, in milliseconds since the Unix epoch, on the wall's clock.
        until_ms: Option<u64>,
        /// Who spoke.
        by: Option<String>,
    }
    ComponentLoad "component.load" "A component was admitted: digest, size, imports." {
        /// The plugin's name in the plan.
        plugin: String,
        /// SHA-256 of the component, `sha256:…`.
        component: String,
        /// The plugin's revision: 1 for what the run began with.
        revision: Option<u64>,
        /// Where it was taken from, as the plan names it.
        file: Option<String>,
        /// Its size in bytes.
        size: Option<u64>,
        /// Its role.
        role: String,
        /// What it imports.
        imports: Option<Vec<String>>,
    }
    PolicyLoad "policy.load" "An effective profile was fixed for a plugin." {
        /// The plugin's name in the plan.
        plugin: String,
        /// SHA-256 of the component, `sha256:…`.
        component: String,
        /// The profile's name.
        name: String,
        /// The profile's file.
        file: Option<String>,
        /// Hash of the effective profile, `sha256:…`.
        profile: String,
        /// Granted folders, as `guest = host`.
        files: Option<Vec<String>>,
        /// Limits by their keys in the profile.
        limits: Option<BTreeMap<String, String>>,
    }
    HostCall "host.call" "A guest used a granted interface, or was refused." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
        /// The message that it is about.
        id: Option<String>,
        /// The pattern of a subscription.
        pattern: Option<String>,
        /// The limit that was reached.
        limit: Option<String>,
        /// What was used of it, or would have been.
        used: Option<u64>,
        /// What is allowed.
        allowed: Option<u64>,
        /// How it went, where it did not go well.
        status: Option<String>,
        /// The topic of a message; only older hosts wrote it into the line.
        topic: Option<String>,
        /// The answer to a message, by its id.
        answer: Option<String>,
        /// The message that it answers.
        cause: Option<String>,
        /// Who sent it.
        sender: Option<String>,
        /// Hash of its envelope.
        hash: Option<String>,
        /// Log lines that were let go.
        dropped_lines: Option<u64>,
        /// Bytes of them.
        dropped_bytes: Option<u64>,
        /// Log lines that were taken; they are the payload.
        lines: Option<u64>,
        /// How much a plugin says is done, as it counts.
        done: Option<String>,
        /// Of how much.
        total: Option<String>,
        /// How often it has said so.
        reports: Option<u64>,
        /// What a clock said, in nanoseconds.
        answer_ns: Option<String>,
        /// Bytes that were asked for.
        bytes: Option<u64>,
    }
    HostAnswer "host.answer" "What a guest was answered from outside of its sandbox: the payload." {
        /// Whose.
        call_of: CallPart,
        /// The interface that was used.
        interface: Option<String>,
        /// The operation.
        op: Option<String>,
    }
    NetDecision "net.decision" "A request to the network was decided: rule and address." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
        /// `rule` for the request, `address` for what its name was resolved to.
        stage: Option<String>,
        /// The address that is dialled.
        address: Option<String>,
        /// The operator's identity whose certificate a server is shown that asks for one, by its name.
        identity: Option<String>,
    }
    FsOp "fs.op" "A guest touched a granted folder, or was refused." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
        /// The operation.
        op: Option<String>,
    }
    SecretUse "secret.use" "A secret was injected, revealed or redacted; never its value." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
        /// `inject` or `redact`.
        r#use: Option<String>,
        /// The secret's name, as the operator chose it.
        secret: Option<String>,
        /// The names of secrets that were looked for.
        secrets: Option<Vec<String>>,
        /// Where they were found.
        place: Option<String>,
        /// How many times.
        hits: Option<u64>,
    }
    ToolList "tool.list" "The tools of a plugin, pinned by hash." {
        /// The plugin's name in the plan.
        plugin: String,
        /// SHA-256 of the component, `sha256:…`.
        component: String,
        /// Hash of all that a model reads of a tool, by the tool's name.
        tools: BTreeMap<String, String>,
    }
    McpHandshake "mcp.handshake" "An MCP adapter has agreed with its server; what the server says of itself is the payload." {
        /// The plugin's name in the plan.
        plugin: String,
        /// What the server calls itself.
        server: String,
        /// And which version.
        version: String,
        /// The revision that was agreed on.
        protocol: String,
    }
    McpToolRegister "mcp.tool.register" "A tool as an MCP server showed it first, which counts for the run; the payload is what a model reads." {
        /// The plugin's name in the plan.
        plugin: String,
        /// The tool.
        tool: String,
        /// Hash of all that a model reads of it.
        hash: String,
    }
    ProcessStart "process.start" "Whether the native process of a plugin may begin was decided; its command is the payload." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
    }
    ProcessEnd "process.end" "The native process of a plugin ended; the call is the one that started it." {
        /// Whose.
        call_of: CallPart,
        /// `code` or `signal` by itself, `syscall` for a forbidden system call, `limit` for a breached bound,
        /// `stopped` by the host.
        how: String,
        /// The code, or the signal's number.
        code: Option<String>,
        /// The bound's key in [[process]].
        bound: Option<String>,
        /// What was found.
        used: Option<u64>,
        /// What is allowed.
        allowed: Option<u64>,
    }
    ToolCall "tool.call" "A plugin's export is about to be called; what it is given is the payload." {
        /// Whose.
        call_of: BegunPart,
        /// The tool, or the function of the role.
        tool: String,
        /// Whose tool it is: `mcp` for that of an MCP server; none for a component's own.
        source: Option<String>,
        /// The plugin that calls; none for the plan.
        caller: Option<String>,
        /// Which of several calls that do a step's work together, as `seat-3`.
        part: Option<String>,
        /// The call's key for effects, where its step says `effects: keyed`.
        key: Option<String>,
        /// The interface, where it is not the plan's own call.
        interface: Option<String>,
        /// The message that is delivered.
        id: Option<String>,
        /// Its topic; only older hosts wrote it into the line.
        topic: Option<String>,
        /// Who sent it.
        sender: Option<String>,
        /// Hash of its envelope.
        hash: Option<String>,
        /// Version of the plan's prompt.
        prompt_version: Option<String>,
        /// The pattern of topics that the agent heard it by.
        pattern: Option<String>,
        /// Whether somebody waits for an answer to it.
        asked: Option<bool>,
        /// SHA-256 of the rendered prompt, hexadecimal.
        prompt_sha256: Option<String>,
    }
    ToolResult "tool.result" "What a plugin's export handed back, or why it failed: the payload." {
        /// Whose.
        call_of: EndedPart,
        /// The tool, or the function of the role.
        tool: String,
        /// The plugin that called; none for the plan.
        caller: Option<String>,
        /// `ok` or `failed`.
        status: String,
        /// Who has to change something, when it failed.
        owner: Option<Owner>,
        /// The class of the failure, as retries and exit codes know it.
        class: Option<String>,
        /// It failed while something outside that it had asked to do something had not answered.
        in_doubt: Option<bool>,
        /// What it used.
        used: UsedPart,
        /// What an agent remarks.
        notes: Option<Vec<String>>,
        /// The message that was delivered.
        id: Option<String>,
        /// Messages that the agent sends.
        outgoing: Option<u64>,
    }
    ModelIntent "model.intent" "A model is about to be called; what it is asked is the payload." {
        /// Whose.
        call_of: CallPart,
        /// What was decided.
        decided: DecisionPart,
        /// Which try of which request.
        of_try: TryPart,
        /// The plan's stage.
        stage: Option<String>,
        /// Version of the plan's prompt.
        prompt_version: Option<String>,
        /// Most tokens of the answer.
        max_tokens: Option<u64>,
        /// Turns of the prompt.
        turns: Option<u64>,
        /// Keys and personal data that were taken out of the request.
        redacted: Option<u64>,
        /// Tokens that are held for it.
        reserved_tokens: Option<u64>,
        /// Millionths of a US dollar that are held for it.
        reserved_micro_usd: Option<u64>,
    }
    ModelResult "model.result" "What the model answered and what it cost." {
        /// Whose.
        call_of: CallPart,
        /// Which try of which request.
        of_try: TryPart,
        /// The record of the intent.
        intent: Option<u64>,
        /// `ok` or `error`.
        status: String,
        /// The class of the error; its message is the payload.
        class: Option<String>,
        /// Who has to change something, when it failed.
        owner: Option<Owner>,
        /// What could be done about it.
        hint: Option<String>,
        /// Prompt tokens, as the provider says; missing when it does not.
        prompt_tokens: Option<u64>,
        /// Prompt tokens that the provider had seen before.
        cached_tokens: Option<u64>,
        /// Completion tokens, as the provider says; missing when it does not.
        completion_tokens: Option<u64>,
        /// Completion tokens that nobody reads.
        reasoning_tokens: Option<u64>,
        /// Prompt tokens by the host's own count, where the provider does not say.
        counted_prompt_tokens: Option<u64>,
        /// Completion tokens by the host's own count, where the provider does not say.
        counted_completion_tokens: Option<u64>,
        /// Millionths of a US dollar that were booked.
        micro_usd: Option<u64>,
        /// Whether what was booked rests on the host's own count.
        estimated: Option<bool>,
        /// Milliseconds.
        duration_ms: Option<u64>,
        /// Milliseconds to the first token.
        first_token_ms: Option<u64>,
        /// The model that the provider says it was.
        answered_by: Option<String>,
        /// Why the answer ended.
        finish: Option<String>,
    }
    GuardVerdict "guard.verdict" "A guardrail or check spoke; what it found is the payload." {
        /// Where.
        place: PlacePart,
        /// The right that is missing, when it guards a call between plugins and refuses.
        decided: DecisionPart,
        /// The guardrail.
        guard: Option<String>,
        /// The check of the step.
        check: Option<String>,
        /// Where in the step, such as `before-0` or `after`.
        part: Option<String>,
        /// The tool whose call it is about.
        tool: Option<String>,
        /// `pass`, `rewrite` or `deny`.
        verdict: Option<String>,
        /// How many findings it has.
        findings: Option<u64>,
        /// Whether a refusal was only a warning.
        warned: Option<bool>,
        /// What the planner warns of.
        warning: Option<String>,
        /// Milliseconds that the guardrail was told it had, when it guards a call between plugins.
        told_ms: Option<u64>,
    }
    Consensus "consensus" "A consensus step came to a verdict, which is the payload; each round has one." {
        /// Of which step.
        at: StepPart,
        /// The attempt at the step, from 1.
        attempt: u64,
        /// The round within the attempt, from 1; a recovery begins another.
        round: u64,
        /// `ok`, `conflict`, `degraded` or `missing`.
        status: String,
        /// What the plan does about it: `pass`, `accept`, `retry`, `arbiter` or `halt`.
        decision: String,
        /// Who let a degraded consensus pass: `plan` or `arbiter`.
        accepted_by: Option<String>,
        /// Points on which the agents agree.
        agreements: u64,
        /// Open conflicts.
        conflicts: u64,
        /// Conflicts that were decided.
        resolved: u64,
        /// Agents whose output counts.
        present: u64,
        /// Agents that were to answer.
        expected: u64,
        /// Share of agreement, from 0 to 1; missing where nothing was compared.
        ratio: Option<String>,
        /// SHA-256 of the verdict in canonical JSON, hexadecimal: the same for the same answers.
        verdict: String,
    }
    Budget "budget" "An estimate, a warning or a refusal." {
        /// Where.
        place: PlacePart,
        /// `estimate`, `variance` or `refuse`.
        event: Option<String>,
        /// What the planner warns of.
        warning: Option<String>,
        /// The currency.
        name: Option<String>,
        /// Tokens that are wanted, expected or spent.
        tokens: Option<u64>,
        /// Millionths of a US dollar that are wanted, expected or spent.
        micro_usd: Option<u64>,
        /// Whose budget refuses: `plan`, `step` or `plugin`.
        whose: Option<String>,
        /// Of what is used: what was spent before.
        spent: Option<u64>,
        /// Of what is used: what calls at work hold.
        held: Option<u64>,
        /// What is used.
        used: Option<u64>,
        /// What is allowed.
        allowed: Option<u64>,
        /// Tokens that were expected.
        estimated_tokens: Option<u64>,
        /// Millionths of a US dollar that were expected.
        estimated_micro_usd: Option<u64>,
        /// |spent - expected| / expected.
        ratio: Option<String>,
        /// Id of the estimate.
        estimate: Option<String>,
    }
    Message "message" "An envelope passed the bus; what it says is the payload." {
        /// Where it comes from.
        place: PlacePart,
        /// Its id.
        id: String,
        /// Its subject, without what a guest named.
        subject: Option<String>,
        /// Its topic; only older hosts wrote it into the line.
        topic: Option<String>,
        /// What kind of envelope it is.
        r#type: String,
        /// Hash of the envelope.
        hash: Option<String>,
        /// The request that it belongs to.
        correlation: Option<String>,
        /// The message that it answers.
        cause: Option<String>,
        /// Whether its sender waits for an answer.
        asks: Option<bool>,
    }
    Reload "reload" "A plugin was swapped; its tools before and after are the payload." {
        /// The plugin's name in the plan.
        plugin: String,
        /// Its revision from now on.
        revision: u64,
        /// SHA-256 of the component before, `sha256:…`.
        component_before: String,
        /// SHA-256 of the component from now on, `sha256:…`.
        component: String,
        /// Hash of the effective profile before, `sha256:…`.
        profile_before: String,
        /// Hash of the effective profile from now on, `sha256:…`.
        profile: String,
    }
    Erasure "erasure" "A payload and its salt were erased." {
        /// Why.
        reason: String,
        /// The records whose payloads are gone.
        seqs: Vec<u64>,
        /// Whether the key of all that the run had sealed is gone.
        key: Option<bool>,
    }
    Recovery "recovery" "A torn tail was cut." {
        /// The segment.
        file: Option<String>,
        /// Where it was cut.
        offset: Option<u64>,
        /// Bytes that are gone.
        cut_bytes: Option<u64>,
        /// SHA-256 of them, hexadecimal.
        cut_sha256: Option<String>,
        /// The payload file.
        payload_file: Option<String>,
        /// Where it was cut.
        payload_offset: Option<u64>,
        /// Bytes that are gone.
        payload_cut_bytes: Option<u64>,
        /// SHA-256 of them, hexadecimal.
        payload_cut_sha256: Option<String>,
        /// Records whose payloads are lost.
        payloads_lost: Option<Vec<String>>,
    }
    KeyRotate "key.rotate" "The signing key changed." {
        /// The new one, as a C2SP vkey.
        new: String,
    }
    ViewWrite "view.write" "A view was written: its path and SHA-256." {
        /// Its path below the run's folder, or below `root`.
        path: String,
        /// The evidence folder of the plan that it is below, as the plan names it.
        root: Option<String>,
        /// SHA-256 of its bytes, hexadecimal.
        sha256: String,
        /// Its size in bytes.
        size: Option<u64>,
    }
    MemoryWrite "memory.write" "What an agent said of a stage was kept beyond the run." {
        /// Of which step.
        at: StepPart,
        /// The entry in the store of the state folder.
        entry: String,
        /// Who said it.
        agent: String,
        /// SHA-256 of its bytes, hexadecimal.
        sha256: String,
    }
}

of_calls! { HostAnswer HostCall NetDecision FsOp SecretUse ProcessStart ProcessEnd ModelIntent ModelResult }
decides! { HostCall NetDecision FsOp SecretUse ProcessStart ModelIntent }
