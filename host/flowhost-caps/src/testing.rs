//! A call's scope for tests of capabilities, a recorder that can be read, and what a guest is told.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{CallScope, HostState, Meter, Provider, RunScope, bindings::types};
use flowhost_ledger::records::Asked;
use flowhost_ledger::{Fact, Kind, MemoryRecorder, Value};
use flowhost_policy::{Effective, Grants, Limits};

/// A call of the plugin `p` in run `01RUN` of tenant `default`.
pub(crate) struct Call {
    pub(crate) scope: CallScope,
    pub(crate) recorder: Arc<MemoryRecorder>,
}

impl Call {
    pub(crate) fn new(grants: Grants, limits: Limits) -> Self {
        let recorder = Arc::new(MemoryRecorder::default());
        let scope = scope(grants, limits, &recorder);
        Self { scope, recorder }
    }

    pub(crate) fn granted(grants: Grants) -> Self {
        Self::new(grants, Limits::default())
    }

    /// A store with the state of `capability`, as the engine makes it.
    pub(crate) fn store(&self, capability: &dyn Provider) -> HostState {
        let mut state = HostState::new(self.scope.clone());
        let granted = capability.capability().granted(&self.scope.effective);
        state.insert(capability.open(&self.scope, granted).unwrap());
        state
    }

    /// What was recorded, but for what guests were answered from outside.
    pub(crate) fn facts(&self) -> Vec<Fact> {
        decided(&self.recorder)
    }

    /// What guests were answered from outside.
    pub(crate) fn answers(&self) -> Vec<Asked> {
        let facts = self.recorder.facts().into_iter();
        facts
            .filter(|fact| fact.kind == Kind::HostAnswer)
            .map(|fact| Asked::of_payload(&fact.payload.unwrap()).unwrap())
            .collect()
    }

    /// A field of the last fact.
    pub(crate) fn last(&self, field: &str) -> String {
        let facts = self.facts();
        self::field(facts.last().unwrap(), field)
    }
}

/// The facts that say what was asked for and done, and not what was answered.
pub(crate) fn decided(recorder: &MemoryRecorder) -> Vec<Fact> {
    let mut facts = recorder.facts();
    facts.retain(|fact| fact.kind != Kind::HostAnswer);
    facts
}

/// The scope of one call, told to `recorder`.
pub(crate) fn scope(grants: Grants, limits: Limits, recorder: &Arc<MemoryRecorder>) -> CallScope {
    let effective = Effective {
        plugin: "p".to_owned(),
        grants,
        limits,
        ..Effective::default()
    };
    CallScope {
        run: RunScope {
            tenant: "default".into(),
            run: "01RUN".into(),
            seed: [7; 32],
            started_ms: 1_700_000_000_000,
            recorder: Arc::clone(recorder) as Arc<dyn flowhost_ledger::Recorder>,
            providers: Arc::new([]),
            own_calls: Arc::default(),
            memory: None,
        },
        call: "7".into(),
        root: "7".into(),
        made: Arc::default(),
        key: "k".into(),
        step: "s1".into(),
        attempt: 1,
        plugin: "p".into(),
        digest: "sha256:00".into(),
        revision: 1,
        effective: Arc::new(effective),
        config: "{}".into(),
        traceparent: "".into(),
        deadline: tokio::time::Instant::now() + Duration::from_secs(20),
        keyed: false,
        callers: Arc::new([]),
        meter: Arc::new(Meter::default()),
    }
}

/// A text field of a fact, or what its payload says was `wanted`; empty when it is not there.
pub(crate) fn field(fact: &Fact, name: &str) -> String {
    let asked = fact.payload.as_deref().and_then(Asked::of_payload);
    match (fact.fields.get(name), asked) {
        (Some(Value::Text(text)), _) => text.clone(),
        (None, Some(asked)) if name == "wanted" => asked.wanted,
        _ => String::new(),
    }
}

/// The rule that refused.
pub(crate) fn denied<T: std::fmt::Debug>(result: Result<T, types::Error>) -> String {
    match result {
        Err(types::Error::Denied(denial)) => denial.rule,
        other => panic!("not denied: {other:?}"),
    }
}

/// Why the guest's argument was none.
pub(crate) fn invalid<T: std::fmt::Debug>(result: Result<T, types::Error>) -> String {
    match result {
        Err(types::Error::Invalid(why)) => why,
        other => panic!("not invalid: {other:?}"),
    }
}

/// The limit that was reached.
pub(crate) fn limited<T: std::fmt::Debug>(result: Result<T, types::Error>) -> String {
    match result {
        Err(types::Error::Limit(limit)) => limit.name,
        other => panic!("not limited: {other:?}"),
    }
}

/// The fault that a host function ended the call with.
pub(crate) fn fault<T: std::fmt::Debug>(result: wasmtime::Result<T>) -> flowhost_engine::Fault {
    let error = result.expect_err("the call should have ended");
    error
        .downcast_ref::<flowhost_engine::Fault>()
        .expect("a fault")
        .clone()
}
