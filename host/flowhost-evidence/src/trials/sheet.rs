//! A sheet for a reader: outputs under labels that say nothing, and the key to them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{MOCK, Place, place, texts};
use crate::stage::{Form, Judged, file_name, judge};

/// The key's form.
const KEY_VERSION: u32 = 1;

/// What each label means. Kept apart from the sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    /// 1.
    pub version: u32,
    /// What the order was shuffled by.
    pub seed: String,
    /// By label.
    pub outputs: BTreeMap<String, Keyed>,
}

/// Whose an output is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyed {
    /// The spec.
    pub spec_id: String,
    /// The stage.
    pub stage: String,
    /// The run.
    pub run_id: String,
    /// The plan's label, where it has variants.
    pub experiment: Option<String>,
    /// Which variant it was.
    pub variant: Option<String>,
    /// The models that took part.
    pub models_used: Vec<String>,
    /// Whether the arbiter decided against somebody.
    pub arbiter_override: Option<bool>,
    /// How it decided.
    pub override_type: Option<String>,
    /// SHA-256 of the file that the reader gets.
    pub output_sha256: String,
    /// Below the evidence root.
    pub synthesis_path: String,
    /// SHA-256 of that file.
    pub synthesis_sha256: String,
}

impl Keyed {
    /// The fields in which this and another differ: a key lies with a person, and may say anything of an output.
    #[must_use]
    pub fn differs(&self, other: &Self) -> Vec<&'static str> {
        let fields = [
            ("spec_id", self.spec_id == other.spec_id),
            ("stage", self.stage == other.stage),
            ("run_id", self.run_id == other.run_id),
            ("experiment", self.experiment == other.experiment),
            ("variant", self.variant == other.variant),
            ("models_used", self.models_used == other.models_used),
            (
                "arbiter_override",
                self.arbiter_override == other.arbiter_override,
            ),
            ("override_type", self.override_type == other.override_type),
            ("output_sha256", self.output_sha256 == other.output_sha256),
            (
                "synthesis_path",
                self.synthesis_path == other.synthesis_path,
            ),
            (
                "synthesis_sha256",
                self.synthesis_sha256 == other.synthesis_sha256,
            ),
        ];
        fields
            .into_iter()
            .filter(|(_, same)| !same)
            .map(|(name, _)| name)
            .collect()
    }
}

/// What is handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Names and contents of the sheet's files.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What the labels mean.
    pub key: Key,
}

/// What a stage's telemetry says of it.
#[derive(Debug, Clone, Default)]
struct Told {
    experiment: Option<String>,
    variant: Option<String>,
    models: Vec<String>,
    arbiter_override: Option<bool>,
    override_type: Option<String>,
}

/// What a stage made.
#[derive(Debug, Clone)]
struct Made {
    path: String,
    sha256: String,
    output: Value,
}

/// Outputs of stages, as far as files have been read.
#[derive(Debug, Default)]
pub struct Outputs {
    told: BTreeMap<Place, Told>,
    made: BTreeMap<Place, Made>,
}

impl Outputs {
    /// Takes a file in, by its path below the evidence root. What is no synthesis and no telemetry says nothing here.
    pub fn add(&mut self, path: &str, bytes: &[u8]) {
        match judge(path, bytes) {
            Judged::Valid(Form::Telemetry2) => {
                let text = String::from_utf8_lossy(bytes);
                for value in text.lines().filter_map(|it| serde_json::from_str(it).ok()) {
                    self.telemetry(&value);
                }
            }
            Judged::Valid(Form::Synthesis) => {
                if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
                    self.synthesis(path, bytes, &value);
                }
            }
            _ => {}
        }
    }

    fn telemetry(&mut self, value: &Value) {
        let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        let told = Told {
            experiment: text("experiment"),
            variant: text("variant"),
            models: texts(value.get("models_used")),
            arbiter_override: value.get("arbiter_override").and_then(Value::as_bool),
            override_type: text("override_type"),
        };
        self.told.insert(place(value), told);
    }

    fn synthesis(&mut self, path: &str, bytes: &[u8], value: &Value) {
        let place = place(value);
        let name = path.rsplit('/').next().unwrap_or(path);
        // The latest one lies there a second time without its time, and the next run of the stage overwrites it: a key that
        // names it would name another output then.
        let latest = format!("spec-{}_synthesis.json", place.1);
        let output = value.get("output").filter(|it| !it.is_null());
        if let Some(output) = output.filter(|_| name != latest) {
            let made = Made {
                path: path.to_owned(),
                sha256: sha256(bytes),
                output: output.clone(),
            };
            self.made.insert(place, made);
        }
    }

    /// What a key says of an output, by the evidence; none where no stage of that run has left it.
    #[must_use]
    pub fn keyed(&self, spec: &str, stage: &str, run: &str) -> Option<Keyed> {
        let place = (spec.to_owned(), stage.to_owned(), run.to_owned());
        let (told, made) = (self.told.get(&place)?, self.made.get(&place)?);
        Some(keyed(&place, told, made, &shown(&made.output)))
    }

    /// A sheet of what is meant: of one experiment, one stage, of scripts or of models.
    #[must_use]
    pub fn sheet(
        &self,
        experiment: Option<&str>,
        stage: Option<&str>,
        mock: bool,
        seed: &str,
    ) -> Sheet {
        let meant = |place: &Place, told: &Told| {
            let scripted = told.models.iter().any(|it| it.starts_with(MOCK));
            experiment.is_none_or(|it| told.experiment.as_deref() == Some(it))
                && stage.is_none_or(|it| place.1 == it)
                && scripted == mock
        };
        let mut all: Vec<(&Place, &Told, &Made)> = self
            .made
            .iter()
            .filter_map(|(place, made)| Some((place, self.told.get(place)?, made)))
            .filter(|(place, told, _)| meant(place, told))
            .collect();
        // By a hash under the seed: whoever has only the sheet learns nothing of the order.
        all.sort_by_cached_key(|((spec, stage, run), ..)| {
            sha256(format!("{seed}\0{spec}\0{stage}\0{run}").as_bytes())
        });
        let mut counted: BTreeMap<String, usize> = BTreeMap::new();
        let mut files = BTreeMap::new();
        let mut outputs = BTreeMap::new();
        for (place, told, made) in all {
            // The stage's name is whatever a file says; the label is a part of a path.
            let named = file_name(&place.1);
            let number = counted.entry(named.clone()).or_default();
            *number += 1;
            let label = format!("{named}-{number}");
            let shown = shown(&made.output);
            let keyed = keyed(place, told, made, &shown);
            files.insert(format!("{label}.json"), shown);
            outputs.insert(label, keyed);
        }
        if !outputs.is_empty() {
            let scores = scores(outputs.keys());
            files.insert("scores.yaml".to_owned(), scores.into_bytes());
        }
        Sheet {
            files,
            key: Key {
                version: KEY_VERSION,
                seed: seed.to_owned(),
                outputs,
            },
        }
    }
}

/// An output as the reader gets it.
fn shown(output: &Value) -> Vec<u8> {
    let mut bytes = serde_json::to_vec_pretty(output).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

fn keyed((spec, stage, run): &Place, told: &Told, made: &Made, shown: &[u8]) -> Keyed {
    Keyed {
        spec_id: spec.clone(),
        stage: stage.clone(),
        run_id: run.clone(),
        experiment: told.experiment.clone(),
        variant: told.variant.clone(),
        models_used: told.models.clone(),
        arbiter_override: told.arbiter_override,
        override_type: told.override_type.clone(),
        output_sha256: sha256(shown),
        synthesis_path: made.path.clone(),
        synthesis_sha256: made.sha256.clone(),
    }
}

/// The file that a reader fills in.
fn scores<'a>(labels: impl Iterator<Item = &'a String>) -> String {
    let mut text = String::from(
        "# Read each file and fill in its line: whole numbers from 1 (inadequate) over 3 (adequate) to 5 (good).\n\
         # completeness: all that was asked for is there. correctness: what is said is so. clarity: one reading at first\n\
         # sight. actionability: somebody could begin tomorrow. overall: would you take it? Leave a line empty rather\n\
         # than guess; say in `assessment` what made you decide. Do not ask whose an output is.\n\
         outputs:\n",
    );
    for label in labels {
        text.push_str(&format!(
            "  {label}: {{ completeness: , correctness: , clarity: , actionability: , overall: , assessment: \"\" }}\n"
        ));
    }
    text
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
