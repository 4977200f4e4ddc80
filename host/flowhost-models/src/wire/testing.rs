//! What the codecs' tests share.

use serde_json::Value;

use crate::{
    compat::Feature,
    config::Config,
    settings::{ProviderSettings, Settings},
};

use super::Shape;

/// A provider of that kind; `more` are lines of its table.
pub(super) fn settings(kind: &str, more: &str) -> ProviderSettings {
    let text = format!("[providers.p]\nkind = \"{kind}\"\nurl = \"https://x/v1\"\n{more}");
    let config: Config = toml::from_str(&text).unwrap();
    Settings::read(&config).unwrap().providers["p"].clone()
}

fn nothing(_: &str) -> Option<Value> {
    None
}

/// How it is asked, without some parts and with nothing remembered.
pub(super) fn shape<'a>(settings: &'a ProviderSettings, left_out: &[Feature]) -> Shape<'a> {
    Shape {
        settings,
        left_out: left_out.iter().copied().collect(),
        kept: &nothing,
    }
}
