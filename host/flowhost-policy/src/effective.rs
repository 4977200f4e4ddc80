//! The intersection: manifest ∩ profile ∩ plan ∩ caller, right by right.
//!
//! It starts from what the profile grants, and every other document takes away, one after the
//! other. This file says which part of a document belongs to which right; the taking away itself is
//! `walk` and `meet`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ask::{Ask, Asks, EnvAsk, FileAsk, HttpAsk},
    canonical,
    grant::{
        Effective, EnvValue, FileGrant, Grants, HttpRule, Inject, MessagesGrant, ModelGrant,
        SecretsGrant, StateGrant, ToolsGrant,
    },
    manifest::Manifest,
    meet,
    narrow::Narrowing,
    pattern::{model, tool, topic},
    profile::Profile,
    right::Right,
    text::quoted,
    trace::{Layer, Outcome, TraceEntry},
    unit::{self, Unit},
    walk::{self, Kind, List, Walk},
};

/// Intersects what is asked, granted, narrowed and passed on, and says what became of each right.
///
/// A secret that an effective rule injects is named for the plugin too: the operator wrote it into the
/// rule. A plan or a caller whose `secrets` do not hold it takes the injection away, and the request
/// goes without that header.
///
/// `self` in topics becomes the plugin's name in the plan. `caller` is given only when one plugin
/// delegates to another on its own authority; then nothing that the caller lacks is passed on.
///
/// # Examples
///
/// ```
/// use flowhost_policy::{Manifest, Narrowing, Profile, effective};
///
/// let text = "version = 1\nname = \"p\"\nlog = true\n[tools]\ncall = [\"fetch\", \"files/*\"]\n";
/// let profile = Profile::parse(text, "policies/p.toml").unwrap();
/// let manifest = Manifest::from_imports("a", ["flowhost:tools/tools@0.1.0"]);
/// let (rights, trace) = effective(&manifest, &profile, &Narrowing::none("a"), None);
/// assert!(!rights.grants.log, "the component does not import it");
/// assert_eq!(rights.grants.tools.call, ["fetch/*", "files/*"]);
/// assert!(trace.iter().any(|entry| entry.right == "log"));
/// ```
#[must_use]
pub fn effective(
    manifest: &Manifest,
    profile: &Profile,
    narrowing: &Narrowing,
    caller: Option<&Effective>,
) -> (Effective, Vec<TraceEntry>) {
    let passed_on = caller.map(|caller| (caller, Asks::from(&caller.grants)));
    let mut walk = Walk::new(manifest, profile, narrowing);
    if let Some((caller, asks)) = &passed_on {
        walk.add_caller(caller, asks);
    }
    let limits = walk.limits(caller);
    let mut grants = walk.grants();
    walk.injected(&mut grants);
    if let Some(caller) = caller {
        grants.named.retain(|key| caller.links(key));
    }
    let hash = canonical::hash(&canonical::rights(&profile.name, &limits, &grants));
    let effective = Effective {
        plugin: narrowing.plugin.clone(),
        profile: profile.name.clone(),
        hash,
        limits,
        grants,
    };
    (effective, walk.trace)
}

impl<'a> Walk<'a> {
    fn grants(&mut self) -> Grants {
        let profile = self.profile;
        let granted = &profile.grants;
        let http = self.items("http", &granted.http, |asks| whole(&asks.http), &HTTP);
        Grants {
            log: self.flag("log", granted.log, |asks| asks.log),
            config: self.flag("config", granted.config, |asks| asks.config),
            budget: self.flag("budget", granted.budget, |asks| asks.budget),
            http: meet::prune_http(http),
            files: self.items("files", &granted.files, |asks| whole(&asks.files), &FILES),
            env: self.env(),
            model: self.model(),
            tools: self.tools(),
            messages: self.messages(),
            state: self.state(),
            clock: self.mode(
                "clock.wall",
                granted.clock,
                |asks| &asks.clock,
                canonical::clock_word,
            ),
            random: self.mode(
                "random.source",
                granted.random,
                |asks| &asks.random,
                canonical::random_word,
            ),
            secrets: self.secrets(),
            named: self.named(),
        }
    }

    /// What the profile names and every other document leaves standing, if only by its name, and what the
    /// plugin says that it can do without.
    fn named(&self) -> BTreeSet<&'static str> {
        let stands = |key: &&&'static str| {
            Right::of(key).is_some_and(|right| {
                let mut sources = self.sources.iter();
                sources.all(|source| right.is_asked_in(source.asks))
            })
        };
        let named = self.profile.grants.named.iter().filter(stands);
        named.chain(&self.manifest.optional).copied().collect()
    }

    fn items<T: Clone + PartialEq, A: 'a>(
        &mut self,
        right: &str,
        granted: &[T],
        pick: impl Fn(&'a Asks) -> List<'a, A>,
        kind: &Kind<T, A>,
    ) -> Vec<T> {
        let lists = self
            .sources
            .iter()
            .map(|source| pick(source.asks))
            .collect();
        self.met(right, granted, lists, kind)
    }

    fn env(&mut self) -> BTreeMap<String, EnvValue> {
        let granted: Vec<Variable> = self.profile.grants.env.clone().into_iter().collect();
        self.items("env", &granted, |asks| whole(&asks.env), &ENV)
            .into_iter()
            .collect()
    }

    fn model(&mut self) -> ModelGrant {
        let profile = self.profile;
        let granted = &profile.grants.model;
        let kind = walk::texts(|a, b| model::overlap(a, b));
        let pick = |asks: &'a Asks| List::of(&asks.model, |model| &model.allow);
        let allow = sorted(self.items("model.allow", &granted.allow, pick, &kind));
        let empty = allow.is_empty();
        ModelGrant {
            allow,
            tokens: self.amount("model.tokens", Unit::Count, granted.tokens, empty, |asks| {
                only(&asks.model).map(|model| model.tokens)
            }),
            micro_usd: self.amount(
                "model.usd",
                Unit::MicroUsd,
                granted.micro_usd,
                empty,
                |asks| only(&asks.model).map(|model| model.micro_usd),
            ),
        }
    }

    fn tools(&mut self) -> ToolsGrant {
        let profile = self.profile;
        let kind = walk::texts(|a, b| tool::overlap(a, b));
        let pick = |asks: &'a Asks| List::of(&asks.tools, |tools| &tools.call);
        let call = self.items("tools.call", &profile.grants.tools.call, pick, &kind);
        ToolsGrant { call: sorted(call) }
    }

    fn state(&mut self) -> StateGrant {
        let profile = self.profile;
        let granted = &profile.grants.state;
        let kind = walk::texts(|a, b| meet::name(a, b));
        let pick = |asks: &'a Asks| List::of(&asks.state, |state| &state.namespaces);
        let namespaces = sorted(self.items("state.namespaces", &granted.namespaces, pick, &kind));
        let empty = namespaces.is_empty();
        let bytes = self.amount("state.bytes", Unit::Bytes, granted.bytes, empty, |asks| {
            only(&asks.state).map(|state| state.bytes)
        });
        StateGrant { namespaces, bytes }
    }

    fn secrets(&mut self) -> SecretsGrant {
        let profile = self.profile;
        let granted = &profile.grants.secrets;
        let kind = walk::texts(|a, b| meet::name(a, b));
        let names = |asks: &'a Asks| List::of(&asks.secrets, |secrets| &secrets.names);
        let reveal = |asks: &'a Asks| List::of(&asks.secrets, |secrets| &secrets.reveal);
        SecretsGrant {
            names: sorted(self.items("secrets.names", &granted.names, names, &kind)),
            reveal: sorted(self.items("secrets.reveal", &granted.reveal, reveal, &kind)),
        }
    }

    /// Takes away injections whose secret a plan or a caller does not pass on, and names the rest.
    fn injected(&mut self, grants: &mut Grants) {
        for (index, rule) in grants.http.iter_mut().enumerate() {
            let names: Vec<String> = rule
                .inject
                .iter()
                .flat_map(Inject::secrets)
                .map(str::to_owned)
                .collect();
            let taker = self.sources.iter().find(|source| {
                source.layer != Layer::Manifest
                    && !names.iter().all(|name| passes(source.asks, name))
            });
            let Some(taker) = taker else {
                grants.secrets.names.extend(names);
                continue;
            };
            let (by, at) = (taker.layer, taker.at.clone());
            rule.inject = None;
            let right = format!("http[{index}].inject");
            let source = self.profile.source("http");
            let outcome = Outcome::Removed { by, at };
            self.trace.push(TraceEntry {
                right,
                value: names.join(", "),
                source,
                outcome,
            });
        }
        grants.secrets.names.sort();
        grants.secrets.names.dedup();
    }

    fn messages(&mut self) -> MessagesGrant {
        let granted = self.profile.grants.messages.clone();
        MessagesGrant {
            publish: self.topics("messages.publish", &granted.publish, |m| &m.publish),
            subscribe: self.topics("messages.subscribe", &granted.subscribe, |m| &m.subscribe),
        }
    }

    /// As `items`, after `self` has become the plugin's name everywhere.
    fn topics(
        &mut self,
        right: &str,
        granted: &[String],
        pick: fn(&MessagesGrant) -> &Vec<String>,
    ) -> Vec<String> {
        let own = own_token(&self.narrowing.plugin);
        let asked: Vec<Ask<Vec<String>>> = self
            .sources
            .iter()
            .map(|source| match &source.asks.messages {
                Ask::None => Ask::None,
                Ask::Granted => Ask::Granted,
                Ask::Only(messages) => Ask::Only(resolved(pick(messages), &own)),
            })
            .collect();
        let lists = asked.iter().map(whole).collect();
        let kind = walk::texts(|a, b| topic::overlap(a, b));
        sorted(self.met(right, &resolved(granted, &own), lists, &kind))
    }
}

/// Whether a document leaves the secret `name` to be injected.
fn passes(asks: &Asks, name: &str) -> bool {
    match &asks.secrets {
        Ask::None => false,
        Ask::Granted => true,
        Ask::Only(secrets) => secrets.names.iter().any(|known| known == name),
    }
}

type Variable = (String, EnvValue);

const HTTP: Kind<HttpRule, HttpAsk> = Kind {
    meet: meet::http,
    path: walk::indexed,
    show: |rule| format!("{} {}", rule.methods.join(","), rule.url),
    show_ask: |ask| format!("{} {}", ask.methods.join(","), ask.url),
    cure: |_, _, ask| {
        let methods: Vec<String> = ask.methods.iter().map(|method| quoted(method)).collect();
        format!(
            "[[http]]\nurl = {}\nmethods = [{}]",
            quoted(&ask.url),
            methods.join(", ")
        )
    },
};

const FILES: Kind<FileGrant, FileAsk> = Kind {
    meet: meet::file,
    path: walk::indexed,
    show: show_file,
    show_ask: |ask| format!("{} ({})", ask.guest, canonical::access_word(ask.access)),
    cure: |_, _, ask| crate::decide::file_lines(&ask.guest, ask.access),
};

const ENV: Kind<Variable, EnvAsk> = Kind {
    meet: meet::env,
    path: |right, _, (name, _)| format!("{right}.{name}"),
    show: |(name, value)| match value {
        EnvValue::Literal(value) => format!("{name}={value}"),
        EnvValue::From(from) => format!("{name} from {from}"),
    },
    show_ask: |ask| ask.name.clone(),
    cure: |_, _, ask| format!("[env]\n{} = {{ from = {} }}", ask.name, quoted(&ask.name)),
};

fn show_file(grant: &FileGrant) -> String {
    let access = canonical::access_word(grant.access);
    let head = format!("{} from {} ({access}", grant.guest, grant.host);
    if grant.quota_bytes == 0 {
        return format!("{head})");
    }
    let quota = unit::show(Unit::Bytes, grant.quota_bytes);
    format!("{head}, {quota}, {} entries)", grant.quota_entries)
}

fn whole<T>(ask: &Ask<Vec<T>>) -> List<'_, T> {
    List::of(ask, Vec::as_slice)
}

fn only<T>(ask: &Ask<T>) -> Option<&T> {
    match ask {
        Ask::Only(value) => Some(value),
        Ask::None | Ask::Granted => None,
    }
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts.dedup();
    texts
}

/// The plugin's name in its own plan as one token of a topic: messages stay in their plan, so those
/// of a sub-plan (`inner.yaml::name`) call each other by name.
pub(crate) fn own_token(plugin: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name = plugin.rsplit("::").next().unwrap_or(plugin);
    name.chars()
        .map(|c| if plain(c) { c } else { '-' })
        .collect()
}

pub(crate) fn resolved(topics: &[String], own: &str) -> Vec<String> {
    let with_own = |topic: &String| {
        let tokens: Vec<&str> = topic
            .split('.')
            .map(|token| if token == "self" { own } else { token })
            .collect();
        tokens.join(".")
    };
    topics.iter().map(with_own).collect()
}
