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
        format!(
            r#"(component
  {TYPES}
  {imports}
  {before}
  (core module $m
    (type $nothing (func))
    {fields}
    {memory}
    (global $heap (mut i32) (i32.const 8192))
    ;; At 16: ok, then content {{ value: (1024, 4), text: (0, 0) }}. At 1024: null.
    (data (i32.const 16) "\00\00\00\00\00\04\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 1024) "null")
    (func $realloc (export "realloc")
      (param $old i32) (param $size i32) (param $align i32) (param $new i32) (result i32)
      {realloc})
    (func (export "call")
      (param i32 i32 i32 i32 i32 i32 i32 i32 i32 f64 i32 i32 i32 i32) (param $in i32) (param $in-len i32)
      (result i32)
      {call})
    (func (export "describe") (result i32) (i32.const 2048)))
  (core instance $i (instantiate $m {with}))
  {LIFT}
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

/// The shared types, imported; what stands before everything else in a tool component.
pub(crate) const TYPES: &str = r#"(import "flowhost:types/types@0.1.0" (instance $types
    (type $context' (record
      (field "run" string) (field "step" string) (field "attempt" s32) (field "actor" string)
      (field "traceparent" string) (field "deadline-ms" f64) (field "seed" string)))
    (export "context" (type (eq $context')))
    (type $denial' (record (field "right" string) (field "wanted" string) (field "rule" string)))
    (export "denial" (type $denial (eq $denial')))
    (type $limit' (record (field "name" string) (field "used" string) (field "allowed" string)))
    (export "limit" (type $limit (eq $limit')))
    (type $error' (variant (case "denied" $denial) (case "limit" $limit) (case "invalid" string)
      (case "transient" string) (case "failed" string)))
    (export "error" (type (eq $error')))
    (type $effects' (enum "none" "idempotent" "keyed" "once"))
    (export "effects" (type $effects (eq $effects')))
    (type $descriptor' (record (field "name" string) (field "title" string)
      (field "description" string) (field "input-schema" string) (field "output-schema" string)
      (field "effects" $effects)))
    (export "descriptor" (type (eq $descriptor')))))
  (alias export $types "context" (type $context))
  (alias export $types "denial" (type $denial))
  (alias export $types "limit" (type $limit))
  (alias export $types "error" (type $error))
  (alias export $types "effects" (type $effects))
  (alias export $types "descriptor" (type $descriptor))"#;

const LIFT: &str = r#"
  (type $content (record (field "value" string) (field "text" string)))
  (func $call (param "ctx" $context) (param "name" string) (param "input" string)
    (result (result $content (error $error)))
    (canon lift (core func $i "call") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (func $describe (result (list $descriptor))
    (canon lift (core func $i "describe") (memory (core memory $i "memory")) (realloc (core func $i "realloc"))))
  (component $shape
    (type $context' (record
      (field "run" string) (field "step" string) (field "attempt" s32) (field "actor" string)
      (field "traceparent" string) (field "deadline-ms" f64) (field "seed" string)))
    (import "t-context" (type $context (eq $context')))
    (type $denial' (record (field "right" string) (field "wanted" string) (field "rule" string)))
    (import "t-denial" (type $denial (eq $denial')))
    (type $limit' (record (field "name" string) (field "used" string) (field "allowed" string)))
    (import "t-limit" (type $limit (eq $limit')))
    (type $error' (variant (case "denied" $denial) (case "limit" $limit) (case "invalid" string)
      (case "transient" string) (case "failed" string)))
    (import "t-error" (type $error (eq $error')))
    (type $content' (record (field "value" string) (field "text" string)))
    (import "t-content" (type $content (eq $content')))
    (type $effects' (enum "none" "idempotent" "keyed" "once"))
    (import "t-effects" (type $effects (eq $effects')))
    (type $descriptor' (record (field "name" string) (field "title" string)
      (field "description" string) (field "input-schema" string) (field "output-schema" string)
      (field "effects" $effects)))
    (import "t-descriptor" (type $descriptor (eq $descriptor')))
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
    (with "t-context" (type $context)) (with "t-denial" (type $denial))
    (with "t-limit" (type $limit)) (with "t-error" (type $error))
    (with "t-content" (type $content)) (with "t-effects" (type $effects))
    (with "t-descriptor" (type $descriptor))
    (with "f-call" (func $call)) (with "f-describe" (func $describe))))
  (export "flowhost:roles/tool@0.1.0" (instance $tool))"#;

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
        },
        call: "1".into(),
        root: "1".into(),
        made: Arc::default(),
        key: "".into(),
        step: "step".into(),
        attempt: 1,
        plugin: "guest".into(),
        digest: "sha256:0".into(),
        effective: effective.clone(),
        config: "{}".into(),
        traceparent: "".into(),
        deadline: Instant::now() + Duration::from_secs(30),
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
