//! What the fakes hold: everything in plain maps, so that two runs of a test see the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use super::files::Files;
use super::{Published, denied};
use crate::Error;
use crate::host::http::{Request, Response};
use crate::host::model::{Completion, Prompt};
use crate::host::state;

type Tool = Rc<dyn Fn(&str) -> Result<String, Error>>;

#[derive(Default)]
pub(super) struct World {
    pub(super) files: Files,
    pub(super) responses: BTreeMap<(String, String), Result<Response, Error>>,
    pub(super) requests: Vec<Request>,
    pub(super) model: VecDeque<Result<Completion, Error>>,
    pub(super) prompts: Vec<Prompt>,
    pub(super) tools: BTreeMap<String, Tool>,
    pub(super) config: String,
    pub(super) state: BTreeMap<String, BTreeMap<String, (Vec<u8>, u64)>>,
    revision: u64,
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) topics: BTreeSet<String>,
    pub(super) published: Vec<Published>,
    pub(super) replies: VecDeque<String>,
    pub(super) log: Vec<String>,
    pub(super) progress: Vec<(f64, Option<f64>, String)>,
    pub(super) now_ms: f64,
    pub(super) random: u64,
    pub(super) tokens: u64,
    pub(super) micro_usd: u64,
}

impl World {
    pub(super) fn namespace(&self, name: &str) -> Result<&BTreeMap<String, (Vec<u8>, u64)>, Error> {
        let found = self.state.get(name);
        found.ok_or_else(|| denied("state", name, "Fakes::namespace"))
    }

    pub(super) fn state_get(&self, name: &str, key: &str) -> Result<Option<state::Entry>, Error> {
        let entry = self.namespace(name)?.get(key);
        Ok(entry.map(|(value, revision)| state::Entry {
            value: value.clone(),
            revision: revision.to_string(),
        }))
    }

    pub(super) fn state_set(
        &mut self,
        name: &str,
        key: &str,
        value: &[u8],
    ) -> Result<String, Error> {
        self.namespace(name)?;
        self.revision += 1;
        let revision = self.revision;
        let entries = self.state.entry(name.to_owned()).or_default();
        entries.insert(key.to_owned(), (value.to_vec(), revision));
        Ok(revision.to_string())
    }

    /// SplitMix64 (Steele, Lea, Flood 2014): the same bytes for the same seed, and nothing more is
    /// promised.
    pub(super) fn random_bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.random;
            word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend((word ^ (word >> 31)).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}
