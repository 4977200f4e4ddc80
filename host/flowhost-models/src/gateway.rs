//! The gateway: one call in, tries over models and time, one answer or one error out.
//!
//! Owns the order of things: rights and residency before a connection, leave before a byte, the
//! outcome told before the next try, everything spent in the sum. Must never try a model that the
//! caller's rights do not name, also not as a stand-in.

use std::{collections::BTreeMap, sync::Arc};

use flowhost_words::nearest;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    answer::{Answer, Completion, Embeddings, Estimate, Spent},
    backend::{Ask, Backend},
    compat::{Dropped, Features},
    config::{Config, ConfigProblem, ProviderKind, Residency},
    dial,
    error::{ErrorClass, ModelError},
    fault::Fault,
    http::Transport,
    memory::Memory,
    mock::Mock,
    name::ModelName,
    ports::{CallLog, Clock, KeySource, ScriptFiles, Try, TryOutcome, Who},
    price::Price,
    progress::Progress,
    prompt::{self, Prompt},
    provider::Provider,
    remote::Remote,
    retry::{Failed, Next},
    settings::{GEMINI_URL, ProviderSettings, Settings},
    tokens,
    wire::{SCHEMA_TOLD_TOKENS, Wire},
};

/// Whether the caller may use a model.
pub type Allowed<'a> = dyn Fn(&ModelName) -> bool + Send + Sync + 'a;

/// All providers behind one door. Cloning shares limits, health and connections.
///
/// # Examples
/// ```
/// # use std::sync::Arc;
/// # use flowhost_models::*;
/// # struct None_;
/// # impl KeySource for None_ { fn key(&self, _: &str) -> Option<zeroize::Zeroizing<String>> { None } }
/// # impl ScriptFiles for None_ { fn read(&self, _: &str) -> Result<Option<String>, String> { Ok(None) } }
/// # impl Clock for None_ { fn now_ms(&self) -> u64 { 0 } }
/// let gateway = Gateway::new(Config::default(), Arc::new(None_), Arc::new(None_), Arc::new(None_))?;
/// assert!(gateway.knows(&"mock/any".parse().unwrap()).is_ok());
/// let error = gateway.knows(&"openai/gpt".parse().unwrap()).unwrap_err();
/// assert_eq!(error.class, ErrorClass::Invalid);
/// # Ok::<(), Vec<ConfigProblem>>(())
/// ```
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    settings: Settings,
    providers: BTreeMap<String, Provider>,
    clock: Arc<dyn Clock>,
}

/// One call while it lasts.
struct Call<'a> {
    ask: Ask<'a>,
    who: &'a Who<'a>,
    allowed: &'a Allowed<'a>,
    deadline: Instant,
    log: &'a dyn CallLog,
    /// Tries so far, over all models.
    tries: u32,
    spent: Spent,
    /// Models that were not tried, and why.
    notes: Vec<String>,
}

/// Which parts of its request one model is not sent.
struct Parts {
    left_out: Features,
    /// Those of them that this call has found out, and that hold for other calls too.
    learned: Features,
}

impl Parts {
    fn of(provider: &Provider, model: &ModelName) -> Self {
        Self {
            left_out: provider.left_out(model),
            learned: Features::NONE,
        }
    }

    /// Leaves out what a server refused; false when that is nothing new.
    fn drop(&mut self, dropped: Dropped) -> bool {
        let more = dropped.features.without(self.left_out);
        self.left_out = self.left_out.and(more);
        if !dropped.only_here {
            self.learned = self.learned.and(more);
        }
        !more.is_empty()
    }
}

/// How the tries of one model ended.
enum Ended {
    /// Another model may do better.
    Here(ModelError),
    /// None could.
    ForGood(ModelError),
}

impl Gateway {
    /// Makes a gateway; no connection is opened.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn new(
        config: Config,
        keys: Arc<dyn KeySource>,
        files: Arc<dyn ScriptFiles>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let settings = Settings::read(&config)?;
        let host = Host { keys, files, clock };
        Self::build(settings, &host, |provider| {
            let transport = dial::transport(provider, &host.keys, host.files.as_ref())?;
            Ok(Arc::new(transport) as Arc<dyn Transport>)
        })
    }

    /// Makes a gateway whose providers elsewhere are all reached through `transport`: a double that
    /// records, or one with roots of the caller's choice.
    ///
    /// # Errors
    /// As [`Gateway::new`].
    pub fn with_transport(
        config: Config,
        keys: Arc<dyn KeySource>,
        files: Arc<dyn ScriptFiles>,
        clock: Arc<dyn Clock>,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let settings = Settings::read(&config)?;
        let host = Host { keys, files, clock };
        // `ca`, `system_roots` and `proxy` are not read here: they say how the transport of this
        // host dials, and a double dials nothing.
        Self::build(settings, &host, |_| Ok(Arc::clone(&transport)))
    }

    fn build(
        settings: Settings,
        host: &Host,
        transport: impl Fn(&ProviderSettings) -> Result<Arc<dyn Transport>, ConfigProblem>,
    ) -> Result<Self, Vec<ConfigProblem>> {
        let mut providers = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, provider) in &settings.providers {
            match host.backend(provider, &transport) {
                Ok(backend) => {
                    providers.insert(name.clone(), Provider::new(provider.clone(), backend));
                }
                Err(problem) => problems.push(problem),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                providers,
                clock: Arc::clone(&host.clock),
            }),
        })
    }

    /// Whether a model can be called at all: its provider is configured, residency permits it, and
    /// its price is known. Nothing is sent.
    ///
    /// # Errors
    /// `Invalid` or `Residency`, with the line of the configuration that would change it.
    pub fn knows(&self, model: &ModelName) -> Result<(), ModelError> {
        self.inner.look_up(model).map(|_| ())
    }

    /// What one try of `prompt` costs at most, over the model and its stand-ins. An upper bound to
    /// reserve; [`tokens`] says what it rests on.
    ///
    /// # Errors
    /// As [`Gateway::knows`], of the prompt's own model, and `Invalid` for a prompt out of bounds.
    pub fn estimate(&self, prompt: &Prompt) -> Result<Estimate, ModelError> {
        prompt.check()?;
        let model = &prompt.model;
        self.inner.worst(Ask::Complete { model, prompt })
    }

    /// As [`Gateway::estimate`], of an embedding call.
    ///
    /// # Errors
    /// As [`Gateway::estimate`].
    pub fn estimate_embed(
        &self,
        model: &ModelName,
        texts: &[String],
    ) -> Result<Estimate, ModelError> {
        prompt::check_texts(texts)?;
        self.inner.worst(Ask::Embed { model, texts })
    }

    /// Completes a conversation.
    ///
    /// Ends by `deadline` or the configured `timeout`, whichever is sooner. When the future is
    /// dropped the connection is closed and nothing more is told to `log`.
    ///
    /// # Errors
    /// The last model's failure, with all that was spent; `hint` also names models that were not
    /// tried and why.
    pub async fn complete(
        &self,
        prompt: &Prompt,
        who: &Who<'_>,
        allowed: &Allowed<'_>,
        deadline: Instant,
        log: &dyn CallLog,
    ) -> Result<Completion, ModelError> {
        prompt.check()?;
        let model = &prompt.model;
        let call = self
            .inner
            .call(Ask::Complete { model, prompt }, who, allowed, deadline, log);
        match self.inner.run(call).await? {
            Answer::Completion(completion) => Ok(completion),
            Answer::Embeddings(_) => Err(mixed_up()),
        }
    }

    /// Embeds texts; otherwise as [`Gateway::complete`].
    ///
    /// # Errors
    /// As [`Gateway::complete`].
    pub async fn embed(
        &self,
        model: &ModelName,
        texts: &[String],
        who: &Who<'_>,
        allowed: &Allowed<'_>,
        deadline: Instant,
        log: &dyn CallLog,
    ) -> Result<Embeddings, ModelError> {
        prompt::check_texts(texts)?;
        let call = self
            .inner
            .call(Ask::Embed { model, texts }, who, allowed, deadline, log);
        match self.inner.run(call).await? {
            Answer::Embeddings(embeddings) => Ok(embeddings),
            Answer::Completion(_) => Err(mixed_up()),
        }
    }
}

/// What the gateway was given by its host.
struct Host {
    keys: Arc<dyn KeySource>,
    files: Arc<dyn ScriptFiles>,
    clock: Arc<dyn Clock>,
}

impl Host {
    fn backend(
        &self,
        settings: &ProviderSettings,
        transport: impl Fn(&ProviderSettings) -> Result<Arc<dyn Transport>, ConfigProblem>,
    ) -> Result<Backend, ConfigProblem> {
        let Some(wire) = Wire::of(settings) else {
            let mock = Mock::new(settings, Arc::clone(&self.files));
            return Ok(Backend::Mock(mock));
        };
        Ok(Backend::Remote(Box::new(Remote {
            wire,
            settings: settings.clone(),
            keys: Arc::clone(&self.keys),
            clock: Arc::clone(&self.clock),
            transport: transport(settings)?,
            memory: Memory::default(),
        })))
    }
}

fn mixed_up() -> ModelError {
    let message = "the provider answered another question";
    ModelError::new(ErrorClass::Provider, message, "report this as a bug")
}

impl Inner {
    fn call<'a>(
        &self,
        ask: Ask<'a>,
        who: &'a Who<'a>,
        allowed: &'a Allowed<'a>,
        deadline: Instant,
        log: &'a dyn CallLog,
    ) -> Call<'a> {
        Call {
            ask,
            who,
            allowed,
            // From here on, so that waiting for a place at the provider counts against the call.
            deadline: deadline.min(Instant::now() + self.settings.timeout),
            log,
            tries: 0,
            spent: Spent::default(),
            notes: Vec::new(),
        }
    }

    /// The model, then its stand-ins.
    fn candidates<'a>(&'a self, model: &'a ModelName) -> impl Iterator<Item = &'a ModelName> {
        let others = self.settings.failover.get(model);
        std::iter::once(model).chain(others.into_iter().flatten())
    }

    fn look_up(&self, model: &ModelName) -> Result<(&Provider, Price), ModelError> {
        let name = &model.provider;
        let Some(provider) = self.providers.get(name) else {
            let message =
                format!("the configuration has no provider `{name}` for the model {model}");
            let near = nearest(name, self.providers.keys().map(String::as_str))
                .map(|near| format!("did you mean `{near}/{}`? else ", model.name));
            let hint = format!(
                "{}add this to your flowhost.toml (`flowhost doctor` says which file that is):",
                near.unwrap_or_default()
            );
            let mut error = ModelError::new(ErrorClass::Invalid, message, hint);
            // Lines of a file stay lines: these are the host's own words, and the name is one by its form.
            error.hint.push('\n');
            error.hint.push_str(&lines_of(name));
            return Err(error);
        };
        if self.settings.residency == Residency::Strict && !provider.settings.on_prem {
            let message = format!("residency is strict and provider `{name}` is not on-premises");
            let hint = format!("on_prem = true in [models.providers.{name}], if it is");
            return Err(ModelError::new(ErrorClass::Residency, message, hint));
        }
        let price = self
            .settings
            .prices
            .of(model)
            .cloned()
            .or(provider.settings.unpriced.then(Price::default));
        let Some(price) = price else {
            let message = format!("the price of {model} is not known");
            let hint = format!(
                "[models.prices.\"{model}\"] with input and output, or unpriced = true in \
                 [models.providers.{name}]"
            );
            return Err(ModelError::new(ErrorClass::Invalid, message, hint));
        };
        Ok((provider, price))
    }

    fn worst(&self, ask: Ask<'_>) -> Result<Estimate, ModelError> {
        let (provider, price) = self.look_up(ask.model())?;
        let mut worst = estimate(&ask, &provider.settings, &price);
        for model in self.candidates(ask.model()).skip(1) {
            // A stand-in that residency or a missing price rules out is never tried, so it costs
            // nothing.
            if let Ok((provider, price)) = self.look_up(model) {
                worst = worst.max(estimate(&ask, &provider.settings, &price));
            }
        }
        Ok(worst)
    }

    async fn run(&self, mut call: Call<'_>) -> Result<Answer, ModelError> {
        let mut failed: Option<ModelError> = None;
        for model in self.candidates(call.ask.model()) {
            match call.permitted(self.look_up(model), model) {
                Err(refusal) => {
                    // A mistake in the configuration is told, not papered over by a stand-in.
                    if failed.is_none() && refusal.class == ErrorClass::Invalid {
                        return Err(call.finished(refusal));
                    }
                    call.notes
                        .push(format!("{model} was not tried: {}", refusal.message));
                    // The first refusal is told, unless a stand-in is tried and fails: what was
                    // tried says more.
                    failed.get_or_insert(refusal);
                }
                Ok((provider, price)) => match self.tries(&mut call, model, provider, &price).await
                {
                    Ok(mut answer) => {
                        answer.set_spent(call.spent);
                        return Ok(answer);
                    }
                    Err(Ended::Here(error)) => failed = Some(error),
                    Err(Ended::ForGood(error)) => return Err(call.finished(error)),
                },
            }
        }
        // The model itself is a candidate, so there is a failure by now.
        Err(call.finished(failed.unwrap_or_else(mixed_up)))
    }

    /// Tries one model until it answers or another should.
    async fn tries(
        &self,
        call: &mut Call<'_>,
        model: &ModelName,
        provider: &Provider,
        price: &Price,
    ) -> Result<Answer, Ended> {
        let mut parts = Parts::of(provider, model);
        let mut attempt = 1;
        loop {
            let fault = match self.one(call, model, provider, price, parts.left_out).await {
                Ok(answer) => {
                    // Only now: that a server complains of a part is no proof that it answers
                    // without it.
                    provider.learn(model, parts.learned);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            // At once and beside the tries that time may heal: the server has said what to change, and
            // each such try has a part less.
            if provider.settings.fallback && parts.drop(fault.dropped) {
                continue;
            }
            let next = self.settings.retry.next(&Failed {
                attempt,
                class: fault.error.class,
                hopeless: fault.hopeless,
                retry_after: fault.retry_after,
                left: call.deadline.saturating_duration_since(Instant::now()),
                seed: jitter_seed(call, model),
            });
            match next {
                Next::Again(wait) => sleep(wait).await,
                Next::Elsewhere => return Err(Ended::Here(*fault.error)),
                Next::End => return Err(Ended::ForGood(*fault.error)),
            }
            attempt += 1;
        }
    }

    /// One try: leave, the exchange, its account.
    async fn one(
        &self,
        call: &mut Call<'_>,
        model: &ModelName,
        provider: &Provider,
        price: &Price,
        left_out: Features,
    ) -> Result<Answer, Fault> {
        // The provider's limits first: leave reserves a budget, which must not lie idle while the
        // try waits for its turn.
        let place = provider.enter(call.deadline).await;
        call.tries = call.tries.saturating_add(1);
        let ask = call.ask.of(model);
        let attempt = Try {
            number: call.tries,
            model,
            operation: ask.operation(),
            estimate: estimate(&ask, &provider.settings, price),
            left_out,
        };
        // Also of a try that found no place: the record of a call then shows what kept it from
        // being made. Where leave is refused, the place is dropped unsettled, since that says
        // nothing of the provider.
        call.log.before(&attempt).await.map_err(refused)?;
        // Of the try's beginning: a price by the hour is that of the hour in which a request
        // arrives.
        let now_ms = self.clock.now_ms();
        let most = attempt.estimate;
        let mut progress =
            Progress::new(Instant::now(), most.prompt_tokens, most.completion_tokens);
        let result = match place {
            Err(fault) => Err(fault),
            Ok(place) => {
                let work = provider
                    .backend
                    .run(&ask, call.who, left_out, &mut progress);
                let result = timeout_at(call.deadline, work)
                    .await
                    .unwrap_or_else(|_| Err(Fault::deadline()));
                // Before the outcome is written down, which may take a disk's time: the next call
                // may have the place meanwhile.
                place.settle(result.as_ref().err().map(|fault| &*fault.error));
                result
            }
        };
        let spent = spent(&progress, price, now_ms);
        // Before the log is told, so that a call whose outcome cannot be kept still says what it
        // cost.
        call.spent = call.spent.plus(spent);
        let result = result
            .map(|raw| raw.priced(model, spent))
            .map_err(|mut fault| {
                fault.error.spent = spent;
                fault
            });
        let outcome = TryOutcome {
            result: result.as_ref().map_err(|fault| fault.error.as_ref()),
            spent,
            reported: progress.word(),
            counted: progress.counted(),
            duration_ms: progress.duration_ms(Instant::now()),
            first_token_ms: progress.first_token_ms(),
        };
        call.log.after(&attempt, &outcome).await.map_err(refused)?;
        result
    }
}

impl Call<'_> {
    /// Adds the caller's rights to what the gateway knows of a model.
    fn permitted<T>(
        &self,
        known: Result<T, ModelError>,
        model: &ModelName,
    ) -> Result<T, ModelError> {
        let known = known?;
        if (self.allowed)(model) {
            return Ok(known);
        }
        let message = format!("the caller's rights do not name {model}");
        let hint = format!("[model] allow = [\"{model}\"] in the profile");
        Err(ModelError::new(ErrorClass::Refused, message, hint))
    }

    /// The error that ends the call, with all that was spent and every model left out.
    fn finished(&self, error: ModelError) -> ModelError {
        let mut hints: Vec<&str> = vec![&error.hint];
        hints.extend(self.notes.iter().map(String::as_str));
        // The note of the model whose refusal is the error itself would say the same twice.
        hints.retain(|hint| !hint.is_empty() && !hint.ends_with(&error.message));
        // Not through `ModelError::new`: each part is harmless and bounded already, and a second time would
        // write the line breaks of a cure out and cut the last notes away.
        ModelError {
            hint: hints.join("; "),
            spent: self.spent,
            ..error
        }
    }
}

fn refused(why: String) -> Fault {
    Fault::new(ErrorClass::Refused, why, "")
}

/// Tokens that are added to a prompt: by the provider, or by us where a schema is told in it.
fn added_tokens(ask: &Ask<'_>, kind: ProviderKind) -> u64 {
    let Ask::Complete { prompt, .. } = ask else {
        return 0;
    };
    let with_tools = !prompt.tools.is_empty() || prompt.answer_schema.is_some();
    let told = match (kind, &prompt.answer_schema) {
        (ProviderKind::Mock, _) | (_, None) => 0,
        (_, Some(_)) => SCHEMA_TOLD_TOKENS,
    };
    match kind {
        ProviderKind::Anthropic if with_tools => ANTHROPIC_TOOL_TOKENS + told,
        _ => told,
    }
}

/// The instructions on tool use that Anthropic puts before a prompt with tools: 159 to 530 tokens by
/// model, as its pricing page lists them.
const ANTHROPIC_TOOL_TOKENS: u64 = 530;

fn estimate(ask: &Ask<'_>, provider: &ProviderSettings, price: &Price) -> Estimate {
    let (prompt_tokens, completion_tokens) = match ask {
        Ask::Complete { prompt, .. } => {
            (tokens::count_prompt(prompt), u64::from(prompt.max_tokens))
        }
        Ask::Embed { texts, .. } => (tokens::count_texts(texts), 0),
    };
    let prompt_tokens = prompt_tokens + added_tokens(ask, provider.kind);
    Estimate {
        prompt_tokens,
        completion_tokens,
        micro_usd: price.worst(prompt_tokens, completion_tokens),
    }
}

fn spent(progress: &Progress, price: &Price, now_ms: u64) -> Spent {
    let (usage, estimated) = progress.usage();
    Spent {
        usage,
        micro_usd: price.cost(&usage, now_ms),
        estimated,
    }
}

/// Differs between runs, calls, tries and models, and is the same when a run is replayed.
fn jitter_seed(call: &Call<'_>, model: &ModelName) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(call.who.seed.to_be_bytes());
    hash.update(call.who.call.to_be_bytes());
    hash.update(call.tries.to_be_bytes());
    hash.update(call.who.step);
    // A step's name has any length, and the model follows it.
    hash.update([0]);
    hash.update(model.to_string());
    hash.finalize().into()
}

/// The providers that people mean by these words, and where they answer.
const WELL_KNOWN: [(&str, &str); 3] = [
    ("openai", "https://api.openai.com/v1"),
    ("anthropic", "https://api.anthropic.com/v1"),
    ("gemini", GEMINI_URL),
];

/// The table of a provider that is not configured, to be filled in.
fn lines_of(name: &str) -> String {
    let known = WELL_KNOWN.iter().find(|(word, _)| *word == name);
    // Whatever is not one of those three most likely speaks what nearly every server speaks.
    let (kind, url) = known.map_or(("openai", "https://api.example.com/v1"), |it| *it);
    let kinds = ProviderKind::ALL.map(ProviderKind::word).join(", ");
    let mut lines = vec![
        format!("[models.providers.{name}]"),
        format!("kind = \"{kind}\"   # what it speaks: {kinds}"),
        format!("url = \"{url}\""),
    ];
    if known.is_some() {
        let key = name.to_uppercase();
        lines.push(format!(
            "key = \"{key}_API_KEY\"   # the name of a secret, never the key"
        ));
    }
    lines.push(format!(
        "unpriced = true   # or what it costs, in [models.prices.\"{name}/*\"]"
    ));
    lines.join("\n")
}
