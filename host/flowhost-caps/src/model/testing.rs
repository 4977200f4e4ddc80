//! A gateway without providers but `mock`, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use flowhost_models::{Clock, Config, Gateway, KeySource, ScriptFiles};
use zeroize::Zeroizing;

use super::{ModelServices, Spending};

/// Scripts by path; no keys; the hour zero.
#[derive(Default)]
pub(crate) struct World(pub(crate) BTreeMap<String, String>);

impl KeySource for World {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl ScriptFiles for World {
    fn read(&self, path: &str) -> Result<Option<String>, String> {
        Ok(self.0.get(path).cloned())
    }
}

impl Clock for World {
    fn now_ms(&self) -> u64 {
        0
    }
}

/// A gateway of this configuration.
pub(crate) fn gateway(config: Config, scripts: &[(&str, &str)]) -> Gateway {
    let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    let world = Arc::new(World(scripts.iter().map(own).collect()));
    Gateway::new(config, world.clone(), world.clone(), world).unwrap()
}

/// Services with `mock` alone.
pub(crate) fn services(spending: Arc<dyn Spending>) -> ModelServices {
    ModelServices {
        gateway: gateway(Config::default(), &[]),
        spending,
        redact: true,
    }
}
