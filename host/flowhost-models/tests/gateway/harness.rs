//! A gateway with doubles for everything that is its host's: keys, scripts, the hour, leave.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use flowhost_models::{
    CallLog, Clock, Completion, Config, ErrorClass, Gateway, KeySource, ModelError, ModelName,
    Prompt, Reported, ScriptFiles, Speaker, Spent, Transport, Try, TryOutcome, Turn, Usage, Who,
};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub(crate) const KEY: &str = "sk-test-0123456789abcdef";

/// 2026-11-21 12:00:00 UTC.
pub(crate) const NOON_MS: u64 = 1_795_262_400_000;

pub(crate) struct Host {
    pub(crate) keys: BTreeMap<String, String>,
    pub(crate) scripts: BTreeMap<String, String>,
    /// PEM files of authorities.
    pub(crate) authorities: BTreeMap<String, String>,
    /// The system's certificates.
    pub(crate) system: Vec<Vec<u8>>,
    pub(crate) now_ms: u64,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            keys: BTreeMap::from([("KEY".to_owned(), KEY.to_owned())]),
            scripts: BTreeMap::new(),
            authorities: BTreeMap::new(),
            system: Vec::new(),
            now_ms: NOON_MS,
        }
    }
}

impl KeySource for Host {
    fn key(&self, name: &str) -> Option<Zeroizing<String>> {
        self.keys.get(name).cloned().map(Zeroizing::new)
    }
}

impl ScriptFiles for Host {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.scripts.get(path).cloned())
    }

    fn authority(&self, path: &str) -> Result<String, String> {
        let text = self.authorities.get(path).cloned();
        text.ok_or_else(|| "the file does not exist".to_owned())
    }

    fn system_roots(&self) -> Result<Vec<Vec<u8>>, String> {
        Ok(self.system.clone())
    }
}

impl Clock for Host {
    fn now_ms(&self) -> u64 {
        self.now_ms
    }
}

impl Host {
    pub(crate) fn gateway(self, config: &str) -> Gateway {
        let host = Arc::new(self);
        let config: Config = toml::from_str(config).unwrap();
        Gateway::new(config, host.clone(), host.clone(), host).unwrap()
    }

    pub(crate) fn gateway_over(self, config: &str, transport: Arc<dyn Transport>) -> Gateway {
        let host = Arc::new(self);
        let config: Config = toml::from_str(config).unwrap();
        Gateway::with_transport(config, host.clone(), host.clone(), host, transport).unwrap()
    }
}

/// A gateway with one provider `p` at a loopback address, quick to try again.
pub(crate) fn gateway(kind: &str, address: &str) -> Gateway {
    Host::default().gateway(&config(kind, address))
}

pub(crate) fn config(kind: &str, address: &str) -> String {
    format!(
        r#"
        timeout = "20s"
        retry = {{ max_attempts = 2, initial = "1ms", max = "3s" }}
        [providers.p]
        kind = "{kind}"
        url = "http://{address}/v1"
        key = "KEY"
        [prices."p/*"]
        input = 1.25
        cached_input = 0.125
        output = 10.0
        reasoning = 12.0
        "#
    )
}

pub(crate) fn who() -> Who<'static> {
    Who {
        stage: "stage",
        agent: "agent",
        step: "step",
        seed: 7,
        call: 1,
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    }
}

pub(crate) fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

pub(crate) fn prompt(name: &str) -> Prompt {
    Prompt::new(
        model(name),
        vec![Turn::new(Speaker::User, "Say hello.")],
        100,
    )
}

/// What the log was told, and what it says.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<String>>,
    spent: Mutex<Vec<Spent>>,
    left_out: Mutex<Vec<String>>,
    told: Mutex<Vec<(Reported, Usage)>>,
    refuse_before: Option<&'static str>,
    refuse_after: Option<&'static str>,
}

impl Log {
    /// Gives no leave.
    pub(crate) fn that_refuses(why: &'static str) -> Self {
        Self {
            refuse_before: Some(why),
            ..Self::default()
        }
    }

    /// Cannot keep an outcome.
    pub(crate) fn that_is_full(why: &'static str) -> Self {
        Self {
            refuse_after: Some(why),
            ..Self::default()
        }
    }

    /// `1 p/m transient: message` or `1 p/m ok`.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn classes(&self) -> Vec<String> {
        let word = |line: &String| line.split([' ', ':']).nth(2).unwrap_or_default().to_owned();
        self.lines().iter().map(word).collect()
    }

    /// What each try was sent without.
    pub(crate) fn left_out(&self) -> Vec<String> {
        let all = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        all.clone()
    }

    /// What the provider said of the last try, and our own count of it.
    pub(crate) fn told(&self) -> (Reported, Usage) {
        let all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        *all.last().unwrap()
    }

    pub(crate) fn spent(&self) -> Spent {
        let all = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().fold(Spent::default(), |sum, it| sum.plus(*it))
    }
}

#[async_trait]
impl CallLog for Log {
    async fn before(&self, attempt: &Try<'_>) -> Result<(), String> {
        assert!(attempt.estimate.prompt_tokens > 0);
        let left_out = attempt.left_out.to_string();
        let mut all = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(left_out);
        self.refuse_before.map_or(Ok(()), |why| Err(why.to_owned()))
    }

    async fn after(&self, attempt: &Try<'_>, outcome: &TryOutcome<'_>) -> Result<(), String> {
        let result = match outcome.result {
            Ok(answer) => {
                assert_eq!(answer.spent(), outcome.spent);
                "ok".to_owned()
            }
            Err(error) => {
                assert_eq!(error.spent, outcome.spent);
                error.to_string()
            }
        };
        let line = format!("{} {} {result}", attempt.number, attempt.model);
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        self.spent
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome.spent);
        let told = (outcome.reported, outcome.counted);
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(told);
        self.refuse_after.map_or(Ok(()), |why| Err(why.to_owned()))
    }
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_secs(15)
}

pub(crate) async fn complete(
    gateway: &Gateway,
    prompt: &Prompt,
    log: &Log,
) -> Result<Completion, ModelError> {
    let result = gateway
        .complete(prompt, &who(), &|_| true, soon(), log)
        .await;
    let spent = match &result {
        Ok(completion) => completion.spent,
        Err(error) => error.spent,
    };
    assert_eq!(spent, log.spent(), "the sum is that of all tries");
    result
}

/// The answer of a call that must succeed.
pub(crate) async fn answered(gateway: &Gateway, prompt: &Prompt) -> Completion {
    complete(gateway, prompt, &Log::default()).await.unwrap()
}

/// The error of a call and the log of its tries.
pub(crate) async fn failure(gateway: &Gateway, prompt: &Prompt) -> (ModelError, Log) {
    let log = Log::default();
    let error = complete(gateway, prompt, &log).await.unwrap_err();
    assert!(!error.to_string().contains(KEY) && !error.hint.contains(KEY));
    (error, log)
}

pub(crate) async fn class_of(gateway: &Gateway) -> (ErrorClass, Vec<String>) {
    let (error, log) = failure(gateway, &prompt("p/m")).await;
    (error.class, log.classes())
}
