//! A call's scope for tests of capabilities, with a recorder that can be read.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::{CallScope, Capability, HostState, Meter, RunScope};
use flowhost_ledger::{Fact, MemoryRecorder, Value};
use flowhost_policy::{Effective, Grants, Limits};

/// A call of the plugin `p` in run `01RUN` of tenant `default`.
pub(crate) struct Call {
    pub(crate) scope: CallScope,
    pub(crate) recorder: Arc<MemoryRecorder>,
}

impl Call {
    pub(crate) fn new(grants: Grants, limits: Limits) -> Self {
        let recorder = Arc::new(MemoryRecorder::default());
        let effective = Effective {
            plugin: "p".to_owned(),
            grants,
            limits,
            ..Effective::default()
        };
        let scope = CallScope {
            run: RunScope {
                tenant: "default".into(),
                run: "01RUN".into(),
                seed: [7; 32],
                started_ms: 1_700_000_000_000,
                recorder: Arc::clone(&recorder) as Arc<dyn flowhost_ledger::Recorder>,
            },
            step: "s1".into(),
            attempt: 1,
            plugin: "p".into(),
            digest: "sha256:00".into(),
            effective: Arc::new(effective),
            config: "{}".into(),
            traceparent: "".into(),
            deadline: tokio::time::Instant::now() + Duration::from_secs(20),
            callers: Arc::new([]),
            meter: Arc::new(Meter::default()),
        };
        Self { scope, recorder }
    }

    pub(crate) fn granted(grants: Grants) -> Self {
        Self::new(grants, Limits::default())
    }

    /// A store with the state of `capability`, as the engine makes it.
    pub(crate) fn store(&self, capability: &dyn Capability) -> HostState {
        let mut state = HostState::new(self.scope.clone());
        let granted = capability.granted(&self.scope.effective);
        state.insert(capability.open(&self.scope, granted).unwrap());
        state
    }

    pub(crate) fn facts(&self) -> Vec<Fact> {
        self.recorder.facts()
    }

    /// A field of the last fact.
    pub(crate) fn last(&self, field: &str) -> String {
        let facts = self.facts();
        match facts.last().and_then(|fact| fact.fields.get(field)) {
            Some(Value::Text(text)) => text.clone(),
            other => format!("{other:?}"),
        }
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
