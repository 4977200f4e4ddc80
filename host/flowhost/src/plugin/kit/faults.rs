//! What goes wrong around a plugin: rights that are missing or never enough, calls that are cut off, inputs
//! that nobody should send, a world that fails or lies. A plugin need not succeed; it must not trap, and what
//! it did before must not be in its way when it is called again.

use std::sync::Arc;
use std::time::Duration;

use flowhost_engine::Fault;
use flowhost_policy::{Effective, Right};
use flowhost_words::PluginKind;

use super::contract::{complaint, said};
use super::inputs;
use super::{Ask, Bench, Ended, Sample, Trial, World, short, tool_ask};
use crate::failure::Failure;
use crate::plugin::trial;

/// Places at which each call is cut off for want of fuel.
/// Each costs two calls and two folders; what is left open by four is found by another `--seed`.
const CUTS: u64 = 4;
/// Milliseconds of a deadline that nothing but the fastest calls keep. A deadline of none would end them before
/// they begin, and show nothing.
const SHORT_MS: u64 = 1;
/// Milliseconds that a call has in a world in which tools never answer: enough to come to such a tool.
const IMPATIENT_MS: u64 = 500;
/// Records at which a call is held while another revision is called: the first write of a state and what
/// follows from it are within.
const HOLDS: u64 = 3;
/// Memory that is one page less than the plugin used.
const PAGE: u64 = 64 * 1024;

/// A plugin that has been asked: in which trial, under which rights, and what it answered while nothing went wrong.
#[derive(Clone, Copy)]
pub(super) struct Tried<'a> {
    pub(super) trial: &'a Trial,
    pub(super) rights: &'a Arc<Effective>,
    pub(super) samples: &'a [Sample],
}

impl Bench<'_> {
    pub(super) fn faults(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        for right in trial::rights_of(self.inspection) {
            self.missing_right(tried.trial, right)?;
            self.useless_right(tried, right)?;
        }
        self.out_of_fuel(tried)?;
        self.out_of_time(tried)?;
        self.out_of_memory(tried)?;
        self.hostile(tried)?;
        self.world(tried)?;
        self.no_text(tried)?;
        self.cancelled(tried)?;
        self.reloaded(tried)
    }

    /// Lines of a profile with all rights that the plugin imports, one of them replaced.
    fn lines_with(&self, right: &Right, instead: Option<&'static str>) -> Vec<&'static str> {
        let rights = trial::rights_of(self.inspection).into_iter();
        let lines = rights.flat_map(|it| match it.key == right.key {
            true => Vec::from_iter(instead),
            false => trial::lines_of(it).collect(),
        });
        lines.collect()
    }

    fn missing_right(&mut self, trial: &Trial, right: &'static Right) -> Result<(), Failure> {
        let without = self.granted(&self.lines_with(right, None))?;
        let imports = self.inspection.imports.iter();
        let needed = imports
            .filter(|it| !it.types_only())
            .filter_map(|it| Right::behind(&it.name.full))
            .any(|(it, needed)| it.key == right.key && needed);
        let missing = trial.missing(&without);
        let named = missing
            .iter()
            .any(|it| it.capability == Some(right.capability))
            || (right.key == "log" && !missing.is_empty());
        let faults = match needed && !named {
            true => vec!["it would be linked without the right".to_owned()],
            false => Vec::new(),
        };
        self.found(
            format!("faults.right.{}", right.key),
            "without the right it is not linked, or to nothing",
            faults,
        );
        Ok(())
    }

    /// The right is there, and nothing that the plugin may ask for is within it.
    fn useless_right(&mut self, tried: Tried<'_>, right: &'static Right) -> Result<(), Failure> {
        // Rights without a part (clock, random, log) are there or not: there is nothing to be denied of them.
        let Some(instead) = elsewhere(right.key) else {
            return Ok(());
        };
        let rights = Arc::new(self.granted(&self.lines_with(right, Some(instead)))?);
        let faults = self.untyped(tried.trial, &rights, World::Kind, tried.samples)?;
        let id = format!("faults.denied.{}", right.key);
        self.found(
            id,
            "what the host denies becomes an error, not a trap",
            faults,
        );
        Ok(())
    }

    /// Every sample again: what ends neither well nor with an error of the contract.
    fn untyped(
        &self,
        trial: &Trial,
        rights: &Arc<Effective>,
        world: World,
        samples: &[Sample],
    ) -> Result<Vec<String>, Failure> {
        let mut faults = Vec::new();
        for sample in samples {
            let ended = self.once(trial, rights, world, &sample.ask)?;
            faults.extend(untyped(&sample.shown, &ended));
        }
        Ok(faults)
    }

    fn out_of_fuel(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let mut random = self.wanted.seed;
        let mut faults = Vec::new();
        for sample in samples.iter().filter(|it| it.repeatable) {
            for _ in 0..CUTS {
                random = step(random);
                // At least 2, or there would be no point between the first unit and the last.
                let used = sample.ended.used.fuel.max(2);
                let cut = 1 + random % (used - 1);
                let short = with(rights, |limits| limits.fuel = cut);
                // Fuel is looked at where code branches: a call that spends its last behind the last branch has ended
                // before it is missed.
                faults.extend(self.cut(
                    trial,
                    (rights, &short),
                    sample,
                    |ended| match &ended.result {
                        Err(fault) => matches!(fault, Fault::Limit { name: "fuel", .. }),
                        Ok(_) => ended.used.fuel >= cut,
                    },
                )?);
            }
        }
        let what = "a call that ran out of fuel anywhere is `limit`, and made again it answers as if it had not";
        self.found("faults.fuel", what, faults);
        Ok(())
    }

    /// Cuts a call off, then makes it again in the same state under full rights.
    fn cut(
        &self,
        trial: &Trial,
        (full, short): (&Arc<Effective>, &Arc<Effective>),
        sample: &Sample,
        expected: impl Fn(&Ended) -> bool,
    ) -> Result<Option<String>, Failure> {
        // A folder that both calls share: what the first has left behind is what the second meets.
        let folder = trial::folder(World::Kind)?;
        let cut = trial.ask(&self.terms(short, World::Kind, &folder), &sample.ask)?;
        if !expected(&cut) {
            let answer = said(&cut.result);
            return Ok(Some(format!("{}: {answer}", sample.shown)));
        }
        let again = trial.ask(&self.terms(full, World::Kind, &folder), &sample.ask)?;
        Ok(otherwise("made again", sample, &again))
    }

    fn out_of_time(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        // Not made again, as those above are: how far a call comes in a millisecond differs from one time to the
        // next, and so would what is found.
        let hurried = with(rights, |limits| limits.deadline_ms = SHORT_MS);
        let faults = self.too_late(trial, &hurried, World::Kind, samples)?;
        self.found(
            "faults.deadline",
            "a call that is too late is `limit`",
            faults,
        );
        Ok(())
    }

    fn out_of_memory(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let mut faults = Vec::new();
        for sample in samples {
            let less = sample
                .ended
                .used
                .memory_bytes
                .saturating_sub(PAGE)
                .max(PAGE);
            let poor = with(rights, |limits| limits.memory_bytes = less);
            let ended = self.once(trial, &poor, World::Kind, &sample.ask)?;
            // A toolkit may do with less: it asks for more than it needs where there is more.
            let limit = matches!(ended.result, Err(Fault::Limit { name: "memory", .. }));
            faults.extend(untyped(&sample.shown, &ended).filter(|_| !limit));
        }
        self.found(
            "faults.memory",
            "a call that finds too little memory is `limit`, or does with less",
            faults,
        );
        Ok(())
    }

    /// A host hands a tool only what fits its schema; a component must bear the rest all the same, because
    /// the next host may be another.
    fn hostile(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let mut tools: Vec<&str> = samples
            .iter()
            .filter_map(|it| match &it.ask {
                Ask::Tool { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        tools.sort_unstable();
        tools.dedup();
        let mut faults = Vec::new();
        for (what, value) in inputs::hostile() {
            let asks: Vec<Ask> = match self.inspection.role {
                PluginKind::Tool => tools.iter().map(|name| tool_ask(name, &value)).collect(),
                PluginKind::Guardrail => vec![self.check_of(&value)],
                PluginKind::Agent => vec![Ask::Task {
                    input: value.to_string(),
                }],
                // It takes nothing of a caller's before its server has answered.
                PluginKind::McpAdapter => Vec::new(),
            };
            for ask in asks {
                let ended = self.once(trial, rights, World::Kind, &ask)?;
                faults.extend(untyped(&format!("{what} ({})", short(&value)), &ended));
            }
        }
        self.found(
            "faults.hostile",
            "inputs that nobody should send become errors, not traps",
            faults,
        );
        Ok(())
    }

    fn world(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let outside = ["http", "tools", "model", "budget"];
        if !outside.into_iter().any(|key| self.asks_for(key)) {
            return Ok(());
        }
        let failing = self.untyped(trial, rights, World::Failing, samples)?;
        self.found(
            "faults.failing-world",
            "models, tools and servers that fail become errors, not traps",
            failing,
        );
        let lying = self.untyped(trial, rights, World::Lying, samples)?;
        self.found(
            "faults.lying-world",
            "tools and servers that answer what nobody asked for are borne",
            lying,
        );
        if self.asks_for("tools") || self.asks_for("http") {
            let impatient = with(rights, |limits| limits.deadline_ms = IMPATIENT_MS);
            let faults = self.too_late(trial, &impatient, World::Slow, samples)?;
            self.found(
                "faults.slow-world",
                "a call that waits for a tool or a server in vain is `limit`",
                faults,
            );
        }
        Ok(())
    }

    fn asks_for(&self, key: &str) -> bool {
        let rights = trial::rights_of(self.inspection);
        rights.iter().any(|it| it.key == key)
    }

    /// What comes in by the contract's texts is UTF-8; the bytes of files and of servers' answers are whatever
    /// they are.
    fn no_text(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        if !["files", "http"].into_iter().any(|it| self.asks_for(it)) {
            return Ok(());
        }
        let faults = self.untyped(trial, rights, World::Garbled, samples)?;
        self.found(
            "faults.not-utf8",
            "files and answers that are not text become errors or are borne, not traps",
            faults,
        );
        Ok(())
    }

    /// Every sample again under a deadline: what ends neither by it nor as it should.
    fn too_late(
        &self,
        trial: &Trial,
        hurried: &Arc<Effective>,
        world: World,
        samples: &[Sample],
    ) -> Result<Vec<String>, Failure> {
        let mut faults = Vec::new();
        for sample in samples {
            let ended = self.once(trial, hurried, world, &sample.ask)?;
            let late = matches!(
                ended.result,
                Err(Fault::Limit {
                    name: "deadline",
                    ..
                })
            );
            faults.extend(untyped(&sample.shown, &ended).filter(|_| !late));
        }
        Ok(faults)
    }

    fn cancelled(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let mut faults = Vec::new();
        for sample in samples.iter().filter(|it| it.repeatable) {
            let folder = trial::folder(World::Kind)?;
            let terms = self.terms(rights, World::Kind, &folder);
            // No time at all: the call is begun and dropped where it first waits, which is the place that every call
            // has.
            trial.ask_and_leave(&terms, &sample.ask, Duration::ZERO)?;
            let again = trial.ask(&terms, &sample.ask)?;
            faults.extend(otherwise("made again", sample, &again));
        }
        let what = "a call that was cancelled and is made again answers as if it had not been";
        self.found("faults.cancelled", what, faults);
        Ok(())
    }

    /// A new revision comes while a call is at work on the old one.
    fn reloaded(&mut self, tried: Tried<'_>) -> Result<(), Failure> {
        let Tried {
            trial,
            rights,
            samples,
        } = tried;
        let mut faults = Vec::new();
        for sample in samples.iter().filter(|it| it.repeatable) {
            for at in 1..=HOLDS {
                let folder = trial::folder(World::Kind)?;
                let terms = self.terms(rights, World::Kind, &folder);
                let Some((old, new)) = trial.ask_across_a_reload(&terms, &sample.ask, at)? else {
                    break;
                };
                let when = "while it was at work, a new revision was called; then";
                faults.extend(otherwise(when, sample, &old));
                let shown = format!("{} on the new revision", sample.shown);
                // The new one may answer otherwise: it finds what the old one has written so far.
                faults.extend(untyped(&shown, &new));
            }
        }
        let what = "a call that is at work when a new revision comes answers as if none had come";
        self.found("faults.reloaded", what, faults);
        Ok(())
    }
}

/// What a call answered that had an answer before, if that is another one.
fn otherwise(when: &str, sample: &Sample, ended: &Ended) -> Option<String> {
    let answer = said(&ended.result);
    let shown = &sample.shown;
    (answer != said(&sample.ended.result))
        .then(|| format!("{shown}: {when} it answers otherwise: {answer}"))
}

fn untyped(shown: &str, ended: &Ended) -> Option<String> {
    complaint(ended).map(|what| format!("{shown}: {what}"))
}

fn with(
    rights: &Arc<Effective>,
    change: impl FnOnce(&mut flowhost_policy::Limits),
) -> Arc<Effective> {
    let mut changed = (**rights).clone();
    change(&mut changed.limits);
    Arc::new(changed)
}

/// Lines of a profile that grant a right, and nothing of it that a plugin would ask for.
fn elsewhere(key: &str) -> Option<&'static str> {
    match key {
        "http" => Some("[[http]]\nurl = \"https://nowhere.invalid/\"\nmethods = [\"OPTIONS\"]"),
        "files" => Some("[[files]]\nguest = \"/nowhere\"\nhost = \"docs\"\naccess = \"read\""),
        "model" => Some("[model]\nallow = [\"nobody/nothing\"]\ntokens = 1\nusd = 0.01"),
        "tools" => Some("[tools]\ncall = [\"nobody/nothing\"]"),
        "messages" => Some("[messages]\npublish = [\"nobody.hears\"]"),
        "state" => Some("[state]\nnamespaces = [\"nowhere\"]"),
        "secrets" => Some("[secrets]\nnames = [\"NOBODY\"]"),
        _ => None,
    }
}

/// The next of a row of numbers (Knuth's linear congruence for 64 bits): where calls are cut need not be
/// hard to guess, only the same next time.
fn step(number: u64) -> u64 {
    number
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407)
        .rotate_right(17)
}
