//! Small hand-written tool components, and an engine to run them in.
//!
//! A guest here is a core module in text form: the shape around it (types, lifting, the exported
//! role) is always the same, so a test shows only what is hostile about its guest.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{
    CallReport, CallScope, Capability, Compiler, Engine, EngineConfig, Fault, Meter, Plugin,
    PoolConfig, RunScope, ShapeLimits, ToolContent,
};
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Effective, Limits};
use tokio::time::Instant;

/// A tool component, part by part. Every part has an honest default.
#[derive(Clone)]
pub(crate) struct Guest {
    /// Component-level imports, and what is needed to lower them.
    pub(crate) imports: String,
    /// Arguments for instantiating the core module: `(with "host" (instance …))`.
    pub(crate) with: String,
    /// Core modules and instances that come before the tool's own.
    pub(crate) before: String,
    /// The memory of the core module.
    pub(crate) memory: String,
    /// Fields of the core module beside its functions.
    pub(crate) fields: String,
    /// Body of `realloc`.
    pub(crate) realloc: String,
    /// Body of `call`; the answer's address is left on the stack.
    pub(crate) call: String,
    /// Anything at the end of the component.
    pub(crate) after: String,
}

impl Default for Guest {
    fn default() -> Self {
        Self {
            imports: String::new(),
            with: String::new(),
            before: String::new(),
            memory: "(memory (export \"memory\") 2)".to_owned(),
            fields: String::new(),
            realloc: BUMP.to_owned(),
            call: "(i32.const 16)".to_owned(),
            after: String::new(),
        }
    }
}

/// Hands out memory upwards from 8 KiB, growing it when it must.
const BUMP: &str = "
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
    (global.set $heap (i32.add (local.get $at) (local.get $new)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1)
        (memory.grow (i32.add (i32.const 1) (i32.div_u (local.get $new) (i32.const 65536))))))
      unreachable)
    (local.get $at)";

/// A guest whose `call` is `body`.
pub(crate) fn calling(body: &str) -> Guest {
    Guest {
        call: body.to_owned(),
        ..Guest::default()
    }
}

impl Guest {
    /// The component in text form.
    pub(crate) fn text(&self) -> String {
        let Self {
            imports,
            with,
            before,
            memory,
            fields,
            realloc,
            call,
            after,
        } = self;
        let (types, lift) = (types(), lift());
        format!(
            r#"(component
  {types}
  {imports}
  {before}
  (core module $m
    (type $nothing (func))
    {fields}
    {memory}
    (global $heap (mut i32) (i32.const 8192))
    ;; At 16: ok, then content {{ value: (1024, 4), parts: (0, 0) }}. At 1024: null.
    (data (i32.const 16) "\00\00\00\00\00\04\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 1024) "null")
    (func $realloc (export "realloc")
      (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      {realloc})
    ;; Context, name and input are too many to be handed over one by one: they lie at one address, and
    ;; the input's own address and length are the last of them.
    (func (export "call") (param $args i32) (result i32)
      (call $work (i32.load offset=80 (local.get $args)) (i32.load offset=84 (local.get $args))))
    (func $work (param $in i32) (param $in-len i32) (result i32)
      {call})
    (func (export "describe") (result i32) (i32.const 2048)))
  (core instance $i (instantiate $m {with}))
  {lift}
  {after})"#
        )
    }

    /// The component's bytes.
    pub(crate) fn bytes(&self) -> Arc<[u8]> {
        wat::parse_str(self.text())
            .unwrap_or_else(|error| panic!("{error}"))
            .into()
    }
}

/// The shared types that a tool needs, each with its definition; a definition names what stands above.
const SHARED: &[(&str, &str)] = &[
    (
        "context",
        r#"(record (field "run" string) (field "call" string) (field "step" string)
      (field "attempt" s32) (field "actor" string) (field "traceparent" string)
      (field "deadline-ms" f64) (field "seed" string) (field "key" string))"#,
    ),
    (
        "denial",
        r#"(record (field "right" string) (field "wanted" string) (field "rule" string))"#,
    ),
    (
        "limit",
        r#"(record (field "name" string) (field "used" string) (field "allowed" string))"#,
    ),
    (
        "error",
        r#"(variant (case "denied" $denial) (case "limit" $limit) (case "invalid" string)
      (case "transient" string) (case "failed" string) (case "conflict" string))"#,
    ),
    ("effects", r#"(enum "none" "idempotent" "keyed" "once")"#),
    (
        "annotations",
        r#"(record (field "read-only" (option bool)) (field "destructive" (option bool))
      (field "idempotent" (option bool)) (field "open-world" (option bool)))"#,
    ),
    (
        "descriptor",
        r#"(record (field "name" string) (field "title" string) (field "description" string)
      (field "input-schema" string) (field "output-schema" string) (field "effects" $effects)
      (field "annotations" $annotations))"#,
    ),
    ("reader", r#"(enum "user" "assistant")"#),
    (
        "hints",
        r#"(record (field "audience" (list $reader)) (field "priority" (option f64))
      (field "last-modified" string))"#,
    ),
    (
        "media",
        r#"(record (field "mime-type" string) (field "data" (list u8)))"#,
    ),
    (
        "resource-info",
        r#"(record (field "uri" string) (field "name" string) (field "title" string)
      (field "description" string) (field "mime-type" string) (field "size" string)
      (field "hints" (option $hints)))"#,
    ),
    (
        "resource-data",
        r#"(variant (case "text" string) (case "blob" (list u8)))"#,
    ),
    (
        "resource-contents",
        r#"(record (field "uri" string) (field "mime-type" string) (field "data" $resource-data))"#,
    ),
    (
        "body",
        r#"(variant (case "text" string) (case "image" $media) (case "audio" $media)
      (case "resource-link" $resource-info) (case "embedded-resource" $resource-contents))"#,
    ),
    (
        "part",
        r#"(record (field "body" $body) (field "hints" (option $hints)))"#,
    ),
    (
        "content",
        r#"(record (field "value" string) (field "parts" (list $part)))"#,
    ),
];

fn each(line: impl Fn(&str, &str) -> String) -> String {
    SHARED
        .iter()
        .map(|(name, definition)| line(name, definition))
        .collect()
}

/// The shared types, imported; what stands before everything else in a tool component.
pub(crate) fn types() -> String {
    let exported = each(|name, definition| {
        format!("(type ${name}' {definition})\n(export \"{name}\" (type ${name} (eq ${name}')))\n")
    });
    let aliased = each(|name, _| format!("(alias export $types \"{name}\" (type ${name}))\n"));
    format!("(import \"flowhost:types/types@0.1.0\" (instance $types\n{exported}))\n{aliased}")
}

/// The core functions as the exports of the role.
fn lift() -> String {
    let imported = each(|name, definition| {
        format!(
            "(type ${name}' {definition})\n(import \"t-{name}\" (type ${name} (eq ${name}')))\n"
        )
    });
    let given = each(|name, _| format!("(with \"t-{name}\" (type ${name}))\n"));
    format!(
        r#"
  (func $call (param "ctx" $context) (param "name" string) (param "input" string)
    (result (result $content (error $error)))
    (canon lift (core func $i "call") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func $describe (result (list $descriptor))
    (canon lift (core func $i "describe") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (component $shape
    {imported}
    (import "f-call" (func $call (param "ctx" $context) (param "name" string)
      (param "input" string) (result (result $content (error $error)))))
    (import "f-describe" (func $describe (result (list $descriptor))))
    (export $context-x "context" (type $context))
    (export $error-x "error" (type $error))
    (export $content-x "content" (type $content))
    (export $descriptor-x "descriptor" (type $descriptor))
    (export "call" (func $call) (func (param "ctx" $context-x) (param "name" string)
      (param "input" string) (result (result $content-x (error $error-x)))))
    (export "describe" (func $describe) (func (result (list $descriptor-x)))))
  (instance $tool (instantiate $shape
    {given}
    (with "f-call" (func $call)) (with "f-describe" (func $describe))))
  (export "flowhost:roles/tool@0.1.0" (instance $tool))"#
    )
}

/// What a test's engine is made of.
pub(crate) fn config(capabilities: Vec<Arc<dyn Capability>>) -> EngineConfig {
    EngineConfig {
        compiler: Compiler::InProcess,
        cache: None,
        shape: ShapeLimits::default(),
        pool: PoolConfig {
            slots: 64,
            warm_slots: 4,
        },
        capabilities,
    }
}

/// An engine without capabilities.
pub(crate) fn engine() -> Engine {
    Engine::new(config(Vec::new())).unwrap()
}

/// Effective rights with these limits and no grants.
pub(crate) fn effective(limits: Limits) -> Arc<Effective> {
    Arc::new(Effective {
        plugin: "guest".to_owned(),
        limits,
        ..Effective::default()
    })
}

/// Limits small enough for a test.
pub(crate) fn limits() -> Limits {
    Limits {
        memory_bytes: 4 << 20,
        fuel: 200_000_000,
        deadline_ms: 10_000,
        output_bytes: 64 << 10,
        ..Limits::default()
    }
}

/// A scope under `effective`.
pub(crate) fn scope(effective: &Arc<Effective>) -> CallScope {
    CallScope {
        run: RunScope {
            tenant: "default".into(),
            run: "01JD0000000000000000000000".into(),
            seed: [7; 32],
            started_ms: 0,
            recorder: Arc::new(MemoryRecorder::default()),
            providers: Arc::new([Arc::new(crate::capability::Probe)]),
            own_calls: Arc::default(),
            memory: None,
        },
        call: "7".into(),
        root: "7".into(),
        made: Arc::default(),
        key: "0123456789abcdef0123456789abcdef".into(),
        step: "step".into(),
        attempt: 1,
        plugin: "guest".into(),
        digest: "sha256:0".into(),
        revision: 1,
        effective: effective.clone(),
        config: "{}".into(),
        traceparent: "".into(),
        deadline: Instant::now() + Duration::from_secs(30),
        keyed: false,
        callers: Arc::from([]),
        meter: Arc::new(Meter::default()),
    }
}

/// A prepared guest.
pub(crate) async fn plugin(engine: &Engine, guest: &Guest, limits: Limits) -> Plugin {
    let loaded = engine.load(guest.bytes()).await.unwrap();
    engine.prepare(&loaded, effective(limits)).unwrap()
}

/// Calls a prepared guest once.
pub(crate) async fn call(plugin: &Plugin) -> CallReport<ToolContent> {
    plugin.call_tool(scope(plugin.effective()), "t", "{}").await
}

/// Loads, prepares and calls a guest in an engine of its own, then proves that the engine still
/// serves an honest one.
pub(crate) async fn once(guest: Guest, limits: Limits) -> CallReport<ToolContent> {
    let engine = engine();
    let report = call(&plugin(&engine, &guest, limits).await).await;
    let honest = call(&plugin(&engine, &Guest::default(), self::limits()).await).await;
    assert_eq!(honest.result.unwrap().value, "null");
    report
}

/// The limit that ended a call: name, used, allowed.
pub(crate) fn limit<T: std::fmt::Debug>(report: &CallReport<T>) -> (&'static str, u64, u64) {
    match &report.result {
        Err(Fault::Limit {
            name,
            used,
            allowed,
        }) => (name, *used, *allowed),
        other => panic!("not a limit: {other:?}"),
    }
}

/// The message of the trap that ended a call.
pub(crate) fn trap<T: std::fmt::Debug>(report: &CallReport<T>) -> &str {
    match &report.result {
        Err(Fault::Trap { message }) => message,
        other => panic!("not a trap: {other:?}"),
    }
}

/// The executable of `examples/compile_child.rs`, which Cargo builds with the tests.
pub(crate) fn compile_child() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.ancestors().nth(2).unwrap();
    target.join("examples/compile_child")
}
