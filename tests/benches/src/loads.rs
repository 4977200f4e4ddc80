//! Cold load to first result: compiled anew, and from the authenticated cache in a running host; and what a call
//! costs afterwards, by the language that the tool is written in.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowhost_caps::{clock, env, files, log, random, runtime, secrets};
use flowhost_engine::{Capability, Engine, Inspected, Origin, Providers};
use flowhost_ledger::MemoryRecorder;
use flowhost_policy::{Effective, Limits};
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use crate::bare::Bare;
use crate::host::{Host, cache, engine, guest, inspected};
use crate::measure::{Figure, duration};
use crate::report::Row;

/// A guest of one language.
struct Guest {
    language: &'static str,
    name: &'static str,
    /// Milliseconds from the cache to the first result, and the same in words; none where nothing was set.
    goal: Option<(f64, &'static str)>,
}

const GUESTS: &[Guest] = &[
    Guest {
        language: "Rust",
        name: "ok_echo",
        goal: Some((1.0, "≤ 1 ms")),
    },
    Guest {
        language: "QuickJS",
        name: "compat_js_quickjs",
        goal: Some((3.0, "≤ 3 ms")),
    },
    Guest {
        language: "SpiderMonkey",
        name: "compat_js_spidermonkey",
        goal: Some((8.0, "≤ 8 ms")),
    },
    Guest {
        language: "CPython",
        name: "compat_python",
        goal: None,
    },
];

/// Calls that are measured of each: enough for a median of the slowest, which takes a millisecond.
const CALLS: usize = 200;

/// A component whose load and calls are measured, and the call.
pub(crate) struct Measured<'a> {
    /// The group of the table.
    pub group: &'static str,
    /// What it is written in, or on which engine it runs.
    pub language: &'a str,
    /// Its file.
    pub path: &'a Path,
    /// The tool that is called, and with what.
    pub tool: &'a str,
    pub input: &'a str,
    /// As of [`Guest`].
    pub goal: Option<(f64, &'static str)>,
}

/// For each guest: its load, compiled anew and cached, with its size; and its calls. Of one that was not built, a row that
/// says so: a table without a word of it would read as if there were no such language.
///
/// # Errors
/// When a guest fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for one in GUESTS {
        let path = guest(one.name);
        if let Some(row) = one.missing(&path) {
            rows.push(row);
            continue;
        }
        let measured = Measured {
            group: "load",
            language: one.language,
            path: &path,
            tool: "call",
            input: "{}",
            goal: one.goal,
        };
        rows.extend(measured.rows(runtime, &folder.join(one.name))?);
    }
    Ok(rows)
}

impl Guest {
    /// The row of one that was not built.
    fn missing(&self, path: &Path) -> Option<Row> {
        let why = "its guest is not built: `cargo xtask build-guests` builds it where its toolchain can be had";
        let what = format!("{}: load from the cache, and a call", self.language);
        (!path.is_file()).then(|| Row::missing("load", what, why))
    }
}

impl Measured<'_> {
    /// From the cache to the first result, and a call in an instance of its own.
    ///
    /// # Errors
    /// When the component fails.
    pub(crate) fn rows(&self, runtime: &Runtime, folder: &Path) -> Result<[Row; 2]> {
        let (group, language) = (self.group, self.language);
        let engine = engine(Some(cache(folder)), 64, caps())?;
        let component = inspected(self.path)?;
        let first = self.first_result(&engine, &component, Origin::Compiled);
        let compiled = runtime.block_on(first)?;
        let cached = self.cached(runtime, folder, &component)?;
        let size = component.size as f64 / 1e6;
        let what =
            format!("{language} ({size:.1} MB): load from the cache to first result, running host");
        let load = Row::new(group, what, cached.text(), cached.median_ns).against(
            "compiled anew",
            duration(compiled.as_nanos() as f64),
            cached.median_ns / compiled.as_nanos() as f64,
        );
        let load = match self.goal {
            Some((goal_ms, goal)) => load.goal(goal, cached.median_ns <= goal_ms * 1e6),
            None => load,
        };
        let call = self.calls(runtime, &engine, &component)?;
        let what = format!("{language}: a call in an instance of its own");
        let row = Row::new(group, what, call.text(), call.median_ns);
        let call = match self.bare_calls() {
            Some(bare) => {
                let ratio = call.median_ns / bare.median_ns;
                row.against("bare wasmtime", bare.text(), ratio)
            }
            None => row,
        };
        Ok([load, call])
    }

    /// A new engine each time, so that nothing but the cache file is warm; its start is not counted. The component's
    /// own file was read before, as by a host that has resolved a plan with it.
    fn cached(&self, runtime: &Runtime, folder: &Path, component: &Inspected) -> Result<Figure> {
        let mut samples = Vec::new();
        for _ in 0..20 {
            let engine = engine(Some(cache(folder)), 64, caps())?;
            let first = self.first_result(&engine, component, Origin::Cache);
            samples.push(runtime.block_on(first)?.as_nanos() as f64);
        }
        Ok(Figure::from_samples(samples))
    }

    /// Calls one after the other, each in an instance of its own, as every call of a plugin is.
    fn calls(&self, runtime: &Runtime, engine: &Engine, component: &Inspected) -> Result<Figure> {
        let host = runtime.block_on(loaded(engine, component))?;
        let mut samples = Vec::new();
        for _ in 0..CALLS {
            let start = Instant::now();
            runtime.block_on(host.call_of(self.tool, self.input))?;
            samples.push(start.elapsed().as_nanos() as f64);
        }
        Ok(Figure::from_samples(samples))
    }

    /// The same calls in plain wasmtime; none where the component uses what its language's runtime drags in, which
    /// plain wasmtime does not have.
    fn bare_calls(&self) -> Option<Figure> {
        let bare = Bare::new(self.path).ok()?;
        let input = self.input.to_owned();
        let mut samples = Vec::new();
        for _ in 0..CALLS {
            let start = Instant::now();
            bare.call_of(self.tool, &input).ok()?;
            samples.push(start.elapsed().as_nanos() as f64);
        }
        Some(Figure::from_samples(samples))
    }

    /// Fails unless the code came from where it should: a cache that is silently off would be measured as a
    /// slow one.
    async fn first_result(
        &self,
        engine: &Engine,
        component: &Inspected,
        origin: Origin,
    ) -> Result<Duration> {
        let start = Instant::now();
        let host = loaded(engine, component).await?;
        host.call_of(self.tool, self.input).await?;
        let time = start.elapsed();
        ensure!(
            host.origin == origin,
            "{} was loaded from {:?}, not {origin:?}; the cache's problem: {:?}",
            component.digest,
            host.origin,
            engine.cache_problem()
        );
        Ok(time)
    }
}

/// What language runtimes drag in, linked empty and bounded: nothing is granted here.
fn caps() -> Vec<Arc<dyn Capability>> {
    vec![
        Arc::new(runtime::Seam),
        Arc::new(env::Seam),
        Arc::new(clock::Seam),
        Arc::new(random::Seam),
        Arc::new(files::Seam),
    ]
}

/// What a run brings for them.
fn brought() -> Providers {
    Arc::new([
        Arc::new(runtime::Runtime::new(Arc::new(Nothing), Arc::new(Nothing))),
        Arc::new(env::Env::new(Arc::new(Nothing))),
        Arc::new(clock::Clock::new(Arc::new(Nothing))),
        Arc::new(random::Random::new(Arc::new(Nothing))),
        Arc::new(files::Files::new(files::FileServices::default())),
    ])
}

/// Services that have nothing to give.
struct Nothing;

impl log::LogSink for Nothing {
    fn line(&self, _: log::LogLine) {}
}

impl secrets::SecretStore for Nothing {
    fn get(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl env::HostVariables for Nothing {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}

impl clock::TimeSource for Nothing {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
}

impl random::Entropy for Nothing {
    fn fill(&self, bytes: &mut [u8]) -> std::io::Result<()> {
        bytes.fill(0);
        Ok(())
    }
}

/// A host with the guest in it, and room for a script engine.
async fn loaded(engine: &Engine, component: &Inspected) -> Result<Host> {
    let limits = Limits {
        memory_bytes: 256 << 20,
        ..Limits::default()
    };
    let effective = Effective {
        limits,
        ..Effective::default()
    };
    let recorder = Arc::new(MemoryRecorder::default());
    Host::new(engine, component, effective, recorder, brought()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_is_not_built_has_a_row_that_says_so() {
        for one in GUESTS {
            let row = one.missing(Path::new("nowhere/a.wasm")).unwrap();
            assert!(row.what.starts_with(one.language), "{row:?}");
            assert!(row.not_measured.contains("build-guests"), "{row:?}");
            assert!(row.figure.starts_with("not measured: "), "{row:?}");
        }
    }
}
