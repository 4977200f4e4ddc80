//! Benchmarks: runs them, gathers what criterion measured, and writes the table that people read and
//! the JSON that the next run is compared with. It judges nothing: goals stand in the table.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::folders::Folders;
use crate::{guests, process, say};

/// What to measure.
#[derive(Args, Debug, Default, Clone)]
pub(crate) struct Options {
    /// Only benchmarks whose name holds this.
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Write the tables from the last measurements, without measuring.
    #[arg(long)]
    pub(crate) report_only: bool,
}

/// One measurement, in nanoseconds an iteration.
#[derive(Debug, Serialize, PartialEq)]
struct Measured {
    name: String,
    median_ns: f64,
    low_ns: f64,
    high_ns: f64,
}

/// The machine and the source that were measured.
#[derive(Debug, Serialize)]
struct Place {
    commit: String,
    rustc: String,
    cpu: String,
    cores: usize,
    kernel: String,
}

/// Measures, and writes `docs/benchmarks.json` and `docs/benchmarks.md`.
pub(crate) fn run(folders: &Folders, options: &Options) -> Result<()> {
    if !options.report_only {
        guests::run(folders, &guests::Options::default())?;
        say::step("benchmarks");
        let mut arguments = vec!["bench", "--workspace", "--benches"];
        if let Some(only) = &options.only {
            arguments.extend(["--", only.as_str()]);
        }
        process::run(&mut process::cargo(&folders.root, &arguments))?;
    }
    let measured = gather(&folders.target.join("criterion"))?;
    let place = place(&folders.root)?;
    write(folders, &place, &measured)?;
    say::step(format_args!(
        "wrote docs/benchmarks.md with {} measurements",
        measured.len()
    ));
    Ok(())
}

/// Every `new/estimates.json` below criterion's folder.
fn gather(folder: &Path) -> Result<Vec<Measured>> {
    let mut measured = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        let estimates = folder.join("new/estimates.json");
        if estimates.is_file() {
            measured.push(read(&estimates)?);
        }
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("no measurements in {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            }
        }
    }
    measured.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(measured)
}

fn read(estimates: &Path) -> Result<Measured> {
    let json = |path: PathBuf| -> Result<serde_json::Value> {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is not JSON", path.display()))
    };
    let name = json(estimates.with_file_name("benchmark.json"))?;
    let numbers = json(estimates.to_path_buf())?;
    let number = |pointer: &str| {
        numbers
            .pointer(pointer)
            .and_then(serde_json::Value::as_f64)
            .with_context(|| format!("{} has no {pointer}", estimates.display()))
    };
    Ok(Measured {
        name: name
            .get("full_id")
            .and_then(|id| id.as_str())
            .unwrap_or_default()
            .to_owned(),
        median_ns: number("/median/point_estimate")?,
        low_ns: number("/median/confidence_interval/lower_bound")?,
        high_ns: number("/median/confidence_interval/upper_bound")?,
    })
}

fn place(root: &Path) -> Result<Place> {
    let said = |name: &str, arguments: &[&str]| -> Result<String> {
        let text = process::output(&mut process::program(name, root, arguments))?;
        Ok(text.trim().to_owned())
    };
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(Place {
        commit: said("git", &["describe", "--always", "--dirty"])?,
        rustc: said("rustc", &["--version"])?,
        cpu: model.map_or_else(|| "unknown".to_owned(), |(_, name)| name.to_owned()),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        kernel: said("uname", &["-sr"]).unwrap_or_default(),
    })
}

fn write(folders: &Folders, place: &Place, measured: &[Measured]) -> Result<()> {
    let json = serde_json::json!({ "place": place, "measured": measured });
    let docs = folders.root.join("docs");
    std::fs::write(docs.join("benchmarks.json"), format!("{json:#}\n"))
        .context("cannot write docs/benchmarks.json")?;
    std::fs::write(docs.join("benchmarks.md"), table(place, measured))
        .context("cannot write docs/benchmarks.md")
}

fn table(place: &Place, measured: &[Measured]) -> String {
    let mut text = format!(
        "# Benchmarks\n\nMeasured with `cargo xtask bench` at commit `{}` on {} ({} cores, {}, {}). \
         Medians with the bounds of their 95 % confidence interval.\n\n\
         | benchmark | median | low | high |\n| --- | ---: | ---: | ---: |\n",
        place.commit, place.cpu, place.cores, place.kernel, place.rustc
    );
    for one in measured {
        let (median, low, high) = (time(one.median_ns), time(one.low_ns), time(one.high_ns));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {median} | {low} | {high} |", one.name);
    }
    text
}

/// Three figures with a unit.
fn time(nanoseconds: f64) -> String {
    let (value, unit) = match nanoseconds {
        ns if ns < 1e3 => (ns, "ns"),
        ns if ns < 1e6 => (ns / 1e3, "µs"),
        ns if ns < 1e9 => (ns / 1e6, "ms"),
        ns => (ns / 1e9, "s"),
    };
    let places = if value < 10.0 {
        2
    } else {
        usize::from(value < 100.0)
    };
    format!("{value:.places$} {unit}")
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_are_told_with_three_figures() {
        let told = [1.5, 42.25, 999.0, 1_234.0, 5e6, 2.5e9].map(time);
        assert_eq!(
            told,
            [
                "1.50 ns", "42.2 ns", "999 ns", "1.23 µs", "5.00 ms", "2.50 s"
            ]
        );
    }
}
