//! What stands for the world in a trial: always the same, so that two calls differ only where the plugin
//! does.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_caps::{budget, clock, env, messaging, model, random, secrets, tools};
use flowhost_engine::{Amount, CallScope, Descriptor, Fault, Shortfall, ToolContent, Whose};
use zeroize::Zeroizing;

/// 2026-11-19T00:26:40Z: a time that a plugin can show.
pub(super) const STARTED_MS: u64 = 1_795_048_000_000;
/// Tokens that each call finds, and again in the next. More than any plugin of a trial spends, so that what fails
/// has another cause.
const TOKENS: u64 = 100_000;
/// Millionths of a dollar, likewise.
const MICRO_USD: u64 = 1_000_000;

/// Longer than any deadline of a trial.
const NEVER: Duration = Duration::from_secs(3_600);

/// How the world treats the plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugin) enum World {
    /// Tools answer `null`, models what the mock says, the server with a small document.
    Kind,
    /// Tools fail, models are not to be had for the tokens that are left, the server is not ready.
    Failing,
    /// Tools answer with what nobody asked for, the server with something else than it says.
    Lying,
    /// Tools and the server answer when nobody waits any more.
    Slow,
    /// Files and the server's answers are no text.
    Garbled,
}

/// Everything at once.
pub(super) struct Doubles(pub(super) World);

impl messaging::Mailboxes for Doubles {
    fn readers(&self, _: &CallScope, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[async_trait]
impl tools::ToolRouter for Doubles {
    fn list(&self, _: &CallScope) -> Vec<Descriptor> {
        Vec::new()
    }

    async fn call(&self, _: &CallScope, name: &str, _: &str) -> Result<ToolContent, Fault> {
        let value = match self.0 {
            World::Kind | World::Garbled => "null".to_owned(),
            World::Slow => {
                tokio::time::sleep(NEVER).await;
                "null".to_owned()
            }
            // What a caller of tools has to bear of a stranger's answer: a number at the edge of a double, a NUL in a
            // text, arrays in arrays, a member of the caller's own name.
            World::Lying => format!(r#"{{"{name}":[1e308,"\\u0000",{{"a":[[[]]]}}]}}"#),
            World::Failing => {
                return Err(Fault::Guest {
                    class: "failed",
                    message: format!("`{name}` fails in this trial"),
                });
            }
        };
        let parts = Vec::new();
        Ok(ToolContent { value, parts })
    }
}

impl secrets::SecretStore for Doubles {
    fn get(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl budget::BudgetView for Doubles {
    fn left(&self, _: &CallScope) -> budget::Left {
        match self.0 {
            World::Failing => budget::Left {
                tokens: 0,
                micro_usd: 0,
            },
            _ => budget::Left {
                tokens: TOKENS,
                micro_usd: MICRO_USD,
            },
        }
    }
}

impl model::Spending for Doubles {
    fn hold(&self, _: &CallScope, want: budget::Left) -> Result<model::HoldId, Shortfall> {
        let allowed = match self.0 {
            World::Failing => 0,
            _ => TOKENS,
        };
        if want.tokens > allowed {
            return Err(Shortfall {
                amount: Amount::Tokens,
                whose: Whose::Plugin,
                spent: 0,
                held: 0,
                asked: want.tokens,
                allowed,
            });
        }
        // One id for all: nothing is settled by it.
        Ok(model::HoldId(1))
    }

    // Nothing to count: each call finds the same budget, so that the order of the calls does not decide which fails.
    fn settle(&self, _: model::HoldId, _: budget::Left) {}

    fn origin(&self, _: &CallScope) -> model::Origin {
        model::Origin::default()
    }
}

impl flowhost_models::KeySource for Doubles {
    fn key(&self, _: &str) -> Option<Zeroizing<String>> {
        None
    }
}

impl flowhost_models::ScriptFiles for Doubles {
    fn read(&self, _: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

impl flowhost_models::Clock for Doubles {
    fn now_ms(&self) -> u64 {
        STARTED_MS
    }
}

impl clock::TimeSource for Doubles {
    fn now(&self) -> Duration {
        Duration::from_millis(STARTED_MS)
    }
}

impl random::Entropy for Doubles {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        // Not zeros: an id or a key of zeros often means none.
        bytes.fill(0x42);
        Ok(())
    }
}

impl env::HostVariables for Doubles {
    fn get(&self, _: &str) -> Option<String> {
        None
    }
}
