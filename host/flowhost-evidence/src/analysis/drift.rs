//! Drift: how far the sections of what a stage makes vary from run to run of the same spec.
//!
//! A stage that is asked for the same thing under the same routing profile should answer at about the same length; a
//! section that swings is one that its prompt leaves open. Lengths are characters of the section as JSON: no model judges.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::read::{Evidence, Output, Source};
use super::stats;

/// Runs of a stage that are the least to tell drift from chance. Of two every difference is as large as it can
/// be.
const RUNS_MIN: usize = 3;
/// From this share of its mean length on a section drifts. Models never write the same length twice; a tenth
/// is what a reader would not notice.
const WANTED_BELOW: f64 = 0.1;

/// All stages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Drift {
    /// Whether scripts answered, and no models.
    pub mock: bool,
    /// The share that is wanted at most.
    pub wanted_below: f64,
    /// Runs that are the least to say anything.
    pub runs_min: usize,
    /// By spec, routing profile and stage.
    pub stages: Vec<StageDrift>,
}

/// A stage of one spec under one routing profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StageDrift {
    /// The spec.
    pub spec: String,
    /// The plan's label `run_profile`; null where the runs have none.
    pub profile: Option<String>,
    /// The stage.
    pub stage: String,
    /// Runs with an output.
    pub runs: usize,
    /// Its sections; none where there are too few runs.
    pub sections: Vec<Section>,
    /// `steady`, `drifts` or `too few runs`.
    pub says: &'static str,
}

/// A top-level member of the output.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Its name.
    pub section: String,
    /// Runs that have it; where it is missing its length is 0.
    pub present: usize,
    /// Mean length in characters.
    pub mean: f64,
    /// Standard deviation by mean.
    pub variation: f64,
    /// Whether that is as much as is wanted at most, or more.
    pub drifts: bool,
}

/// How far sections vary, of what `source` answered.
#[must_use]
pub fn drift(evidence: &Evidence, source: Source) -> Drift {
    let profiles: BTreeMap<(&str, &str), Option<&str>> = evidence
        .observations
        .iter()
        .map(|it| ((it.spec.as_str(), it.run.as_str()), it.profile.as_deref()))
        .collect();
    let mut stages: BTreeMap<(&str, Option<&str>, &str), Vec<&Output>> = BTreeMap::new();
    for output in &evidence.outputs {
        let (spec, stage, run) = (&output.spec, &output.stage, &output.run);
        if evidence.source_of(spec, stage, run) == Some(source) {
            let profile = profiles.get(&(spec.as_str(), run.as_str()));
            let key = (spec.as_str(), profile.copied().flatten(), stage.as_str());
            stages.entry(key).or_default().push(output);
        }
    }
    let stages = stages.into_iter().map(|((spec, profile, stage), outputs)| {
        let sections = sections(&outputs);
        StageDrift {
            spec: spec.to_owned(),
            profile: profile.map(str::to_owned),
            stage: stage.to_owned(),
            runs: outputs.len(),
            says: match sections.iter().any(|it| it.drifts) {
                _ if outputs.len() < RUNS_MIN => "too few runs",
                true => "drifts",
                false => "steady",
            },
            sections,
        }
    });
    Drift {
        mock: source == Source::Mock,
        wanted_below: WANTED_BELOW,
        runs_min: RUNS_MIN,
        stages: stages.collect(),
    }
}

fn sections(outputs: &[&Output]) -> Vec<Section> {
    if outputs.len() < RUNS_MIN {
        return Vec::new();
    }
    let names: BTreeSet<&String> = outputs.iter().flat_map(|it| it.sections.keys()).collect();
    let of = |name: &String| {
        let lengths: Vec<Option<usize>> = outputs
            .iter()
            .map(|it| it.sections.get(name).copied())
            .collect();
        let there = lengths.iter().flatten().count();
        let lengths: Vec<f64> = lengths
            .into_iter()
            .map(|it| stats::count(it.unwrap_or(0)))
            .collect();
        // A member of JSON has a character at least, so the mean of one that is there is above 0.
        let variation = stats::spread(&lengths).unwrap_or(0.0);
        Section {
            section: name.clone(),
            present: there,
            mean: stats::mean(&lengths).unwrap_or(0.0),
            variation,
            drifts: variation >= WANTED_BELOW,
        }
    };
    names.into_iter().map(of).collect()
}
