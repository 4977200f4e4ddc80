//! How a figure is taken: warm up, then batches until the time is used, then median and 99th
//! percentile per operation. The machines are shared and noisy, so two things that are compared take
//! turns batch by batch.

use std::time::{Duration, Instant};

/// Nanoseconds per operation.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub(crate) struct Figure {
    /// Median over the samples.
    pub median_ns: f64,
    /// 99th percentile over the samples.
    pub p99_ns: f64,
    /// Samples taken.
    pub samples: usize,
}

impl Figure {
    /// From samples in nanoseconds.
    #[must_use]
    pub(crate) fn from_samples(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| {
            let index = ((samples.len().saturating_sub(1)) as f64 * share).round() as usize;
            samples.get(index).copied().unwrap_or(f64::NAN)
        };
        Self {
            median_ns: at(0.5),
            p99_ns: at(0.99),
            samples: samples.len(),
        }
    }

    /// What `with` costs more than `without`, turn by turn: noise that falls on a whole turn is in both
    /// and so in neither.
    #[must_use]
    pub(crate) fn added(without: &[f64], with: &[f64]) -> Self {
        let pairs = without.iter().zip(with);
        Self::from_samples(pairs.map(|(without, with)| with - without).collect())
    }

    /// Median in a readable unit.
    #[must_use]
    pub(crate) fn text(&self) -> String {
        duration(self.median_ns)
    }
}

/// Nanoseconds in a readable unit.
#[must_use]
pub(crate) fn duration(ns: f64) -> String {
    match ns {
        n if n < 1e3 => format!("{n:.0} ns"),
        n if n < 1e6 => format!("{:.1} µs", n / 1e3),
        n if n < 1e9 => format!("{:.2} ms", n / 1e6),
        n => format!("{:.2} s", n / 1e9),
    }
}

/// How long and in what batches to measure.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Time for each side of a comparison.
    pub time: Duration,
    /// Operations per sample.
    pub batch: u32,
}

impl Effort {
    /// For operations of microseconds.
    pub(crate) const SHORT: Self = Self {
        time: Duration::from_secs(2),
        batch: 64,
    };
}

/// One side: runs `batch` operations.
pub(crate) type Side<'a> = Box<dyn FnMut(u32) -> anyhow::Result<()> + 'a>;

/// Measures several sides in turns and returns one figure each.
///
/// # Errors
/// The first error of any side.
pub(crate) fn in_turns(effort: Effort, sides: &mut [Side<'_>]) -> anyhow::Result<Vec<Figure>> {
    let samples = samples_in_turns(effort, sides)?;
    Ok(samples.into_iter().map(Figure::from_samples).collect())
}

/// Measures several sides in turns and returns the nanoseconds per operation of every turn: the same
/// place in each list is the same turn.
///
/// # Errors
/// The first error of any side.
pub(crate) fn samples_in_turns(
    effort: Effort,
    sides: &mut [Side<'_>],
) -> anyhow::Result<Vec<Vec<f64>>> {
    let mut samples = vec![Vec::new(); sides.len()];
    for side in sides.iter_mut() {
        side(effort.batch)?;
    }
    let until = Instant::now() + effort.time * u32::try_from(sides.len())?;
    while Instant::now() < until {
        for (side, samples) in sides.iter_mut().zip(&mut samples) {
            let start = Instant::now();
            side(effort.batch)?;
            samples.push(start.elapsed().as_nanos() as f64 / f64::from(effort.batch));
        }
    }
    Ok(samples)
}
