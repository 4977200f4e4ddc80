//! What a reader said: scores of a sheet with the key to it, as documents that go beside the evidence.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::CRITERIA;
use super::sheet::{Key, Keyed};

/// The best score; the worst is 1.
const BEST: u8 = 5;
/// Characters of a reader's name: it is a part of a file's.
const NAME_MAX: usize = 32;

/// A sheet that was filled in.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scores {
    /// By label.
    pub outputs: BTreeMap<String, Given>,
}

/// What a reader gave one output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Given {
    /// Whether all that was asked for is there.
    pub completeness: Option<u8>,
    /// Whether what is said is so.
    pub correctness: Option<u8>,
    /// Whether it has one reading.
    pub clarity: Option<u8>,
    /// Whether somebody could begin tomorrow.
    pub actionability: Option<u8>,
    /// Whether one would take it.
    pub overall: Option<u8>,
    /// What made the reader decide.
    #[serde(default)]
    pub assessment: String,
}

impl Given {
    const fn all(&self) -> [Option<u8>; 5] {
        [
            self.completeness,
            self.correctness,
            self.clarity,
            self.actionability,
            self.overall,
        ]
    }
}

/// A document to be recorded and written.
#[derive(Debug, Clone, PartialEq)]
pub struct Review {
    /// Below the evidence root.
    pub path: String,
    /// The reader's label for it.
    pub label: String,
    /// Whose output it is about.
    pub keyed: Keyed,
    fields: Map<String, Value>,
}

impl Review {
    /// What is recorded: all but who recorded it.
    #[must_use]
    pub fn document(&self) -> Value {
        Value::Object(self.fields.clone())
    }

    /// The file, once it is on record in a run's ledger.
    #[must_use]
    pub fn file(&self, run_id: &str) -> Vec<u8> {
        let mut fields = self.fields.clone();
        fields.insert("recorded_by".to_owned(), json!({ "run_id": run_id }));
        let mut bytes = serde_json::to_vec_pretty(&Value::Object(fields)).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// The reviews of a sheet that `reader` filled in at `recorded_at`; an output without any score is left out.
///
/// # Errors
/// All that is wrong with it, by label.
pub fn reviews(
    key: &Key,
    scores: &Scores,
    reader: &str,
    recorded_at: &str,
) -> Result<Vec<Review>, Vec<(String, String)>> {
    let mut faults = Vec::new();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if reader.is_empty() || reader.len() > NAME_MAX || !reader.chars().all(plain) {
        let message = format!(
            "`{reader}` does not do as a part of a file name: 1 to {NAME_MAX} letters, digits, `-` and `_`"
        );
        faults.push((String::new(), message));
    }
    let mut found = Vec::new();
    for (label, given) in &scores.outputs {
        let Some(keyed) = key.outputs.get(label) else {
            faults.push((label.clone(), "the key has no such output".to_owned()));
            continue;
        };
        if !is_below(keyed) || label.contains(['/', '\\']) {
            let message = "the key leads out of the evidence folder".to_owned();
            faults.push((label.clone(), message));
            continue;
        }
        let all = given.all();
        if all.iter().all(Option::is_none) && given.assessment.trim().is_empty() {
            continue;
        }
        let mut named = Vec::new();
        let mut missing = Vec::new();
        for (criterion, score) in CRITERIA.into_iter().zip(all) {
            match score {
                Some(score @ 1..=BEST) => named.push((criterion, score)),
                Some(score) => {
                    let message = format!("`{criterion}` is {score}; scores go from 1 to {BEST}");
                    faults.push((label.clone(), message));
                }
                None => missing.push(format!("`{criterion}`")),
            }
        }
        if !missing.is_empty() {
            let message = format!("without a score: {}; others have one", missing.join(", "));
            faults.push((label.clone(), message));
        }
        found.push(review(
            label,
            keyed,
            &named,
            &given.assessment,
            reader,
            recorded_at,
        ));
    }
    match faults.is_empty() {
        true => Ok(found),
        false => Err(faults),
    }
}

/// Whether the path is that of a synthesis of its spec below the evidence root: a key may have been written by somebody else, and
/// the spec's id names a folder and a lock there.
fn is_below(keyed: &Keyed) -> bool {
    let path = keyed.synthesis_path.as_str();
    let plain = |part: &str| !matches!(part, "" | "." | "..") && !part.contains('\\');
    let folder = path.rsplit('/').nth(1);
    path.ends_with("_synthesis.json")
        && path.split('/').all(plain)
        && folder == Some(keyed.spec_id.as_str())
}

fn review(
    label: &str,
    keyed: &Keyed,
    scores: &[(&str, u8)],
    assessment: &str,
    reader: &str,
    recorded_at: &str,
) -> Review {
    // As a share of the way from the worst to the best, so that it stands beside other numbers of quality.
    let share = |score: u8| f64::from(score.saturating_sub(1)) / f64::from(BEST - 1);
    let metrics: Map<String, Value> = scores
        .iter()
        .map(|(name, score)| ((*name).to_owned(), json!(share(*score))))
        .collect();
    let given: Map<String, Value> = scores
        .iter()
        .map(|(name, score)| ((*name).to_owned(), json!(score)))
        .collect();
    let assessment = assessment.trim();
    let fields = json!({
        "schemaVersion": 1,
        "spec_id": keyed.spec_id,
        "stage": keyed.stage,
        "run_id": keyed.run_id,
        "reviewer": reader,
        "recorded_at": recorded_at,
        "label": label,
        "experiment": keyed.experiment,
        "variant": keyed.variant,
        "models_used": keyed.models_used,
        "arbiter_override": keyed.arbiter_override,
        "override_type": keyed.override_type,
        "reviewer_assessment": (!assessment.is_empty()).then_some(assessment),
        "quality_metrics": metrics,
        "scores": given,
        "output_sha256": keyed.output_sha256,
        "synthesis_path": keyed.synthesis_path,
        "synthesis_sha256": keyed.synthesis_sha256,
    });
    let stem = keyed.synthesis_path.trim_end_matches("synthesis.json");
    Review {
        path: format!("{stem}{reader}_review.json"),
        label: label.to_owned(),
        keyed: keyed.clone(),
        fields: match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        },
    }
}
