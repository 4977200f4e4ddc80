//! The `flowhost.toml` of a working folder: whatever is in a folder may be a stranger's.
//!
//! The attack: a person runs somebody's plan from within its folder, and the file beside it says where
//! `openai` is; the person's key goes there. So a folder's file names no key, secret, identity, server, plugin,
//! profile or tenant. It may ask for less (`durability = "durable"`, `residency = "strict"`, `mcp_adapter.enabled = false`), and
//! describe providers that never leave the host (`mock`), with what they are to cost.

use std::ops::Range;
use std::path::Path;

use flowhost_models::{Config as Models, ProviderKind, Residency};
use toml::de::{DeTable, DeValue};

use super::{Config, Document, Durability, MOCK, OnTelemetryFailure};
use crate::finding::Finding;

/// What `document` says that is not a folder's to say.
pub(super) fn problems(document: &Document, text: &str, file: &str, own: &Config) -> Vec<Finding> {
    let cure = match &own.own_path {
        Some(path) => format!(
            "if this folder is yours, write it in your own configuration, `{}`; FLOWHOST_CONFIG names \
             another file",
            path.display()
        ),
        None => "if this folder is yours, put it in a file that FLOWHOST_CONFIG names".to_owned(),
    };
    let widening = taken(document, &own.models).into_iter().map(|(key, what)| {
        let place = place(text, &key);
        Finding::at_offset(
            file,
            text,
            place,
            &format!("{what} is the operator's to say, and this folder may be anybody's"),
        )
        .cure(cure.clone())
    });
    widening.collect()
}

/// Adds what a folder may say, which was checked, to what the operator says.
pub(super) fn narrowed(own: Config, document: Document, file: &Path) -> Config {
    let mut models = own.models;
    let asked = document.models;
    let folder = file.parent().filter(|_| super::has_mock(&asked));
    let scripts = folder.map(Path::to_owned).or(own.scripts);
    // Over what is there: `problems` let nothing through but mocks, and none that takes the place of a provider that
    // is reached.
    models.providers.extend(asked.providers);
    models.prices.extend(asked.prices);
    if asked.residency == Residency::Strict {
        models.residency = Residency::Strict;
    }
    let durability = document.durability.unwrap_or(own.durability);
    let on_telemetry_failure = document.telemetry.on_failure;
    let mcp_adapters = document.mcp_adapter.enabled.unwrap_or(own.mcp_adapters);
    let calls = document.mcp_adapter.calls_per_minute;
    let own_calls = own.server_calls_per_minute;
    Config {
        mcp_adapters,
        server_calls_per_minute: calls.map_or(own_calls, |calls| calls.min(own_calls)),
        on_telemetry_failure: on_telemetry_failure.unwrap_or(own.on_telemetry_failure),
        folder_file: Some(file.to_owned()),
        durability,
        models,
        scripts,
        ..own
    }
}

/// Keys by their path, with what they say.
fn taken(document: &Document, own: &Models) -> Vec<(Vec<String>, String)> {
    let Document {
        policies,
        plugins,
        durability,
        tenant,
        host,
        secrets,
        identities,
        tls,
        models,
        telemetry,
        sources,
        mcp_adapter,
    } = document;
    // Destructured above without `..`: a new key does not compile before somebody has said whose it is to say.
    let top = [
        ("policies", policies.is_some()),
        ("plugins", !plugins.is_empty()),
        ("tenant", tenant.is_some()),
        ("host", host.is_some()),
        ("secrets", !secrets.is_empty()),
        ("identities", !identities.is_empty()),
        ("tls", !tls.is_empty()),
        ("sources", !sources.is_empty()),
    ];
    let top = top.into_iter().filter(|(_, written)| *written);
    let mut taken: Vec<(Vec<String>, String)> = top
        .map(|(key, _)| (vec![key.to_owned()], format!("`{key}`")))
        .collect();
    if *durability == Some(Durability::Relaxed) {
        let what = "`durability = \"relaxed\"`".to_owned();
        taken.push((vec!["durability".to_owned()], what));
    }
    if telemetry.on_failure == Some(OnTelemetryFailure::Warn) {
        let key = vec!["telemetry".to_owned(), "on_failure".to_owned()];
        taken.push((key, "`on_failure = \"warn\"`".to_owned()));
    }
    if mcp_adapter.enabled == Some(true) {
        let key = vec!["mcp_adapter".to_owned(), "enabled".to_owned()];
        taken.push((key, "`enabled = true`".to_owned()));
    }
    taken.extend(taken_models(models, own));
    taken
}

fn taken_models(models: &Models, own: &Models) -> Vec<(Vec<String>, String)> {
    let Models {
        residency: _,
        timeout,
        retry,
        providers,
        prices,
        failover,
    } = models;
    // A value that is the default's is as good as none: the reader does not tell whether it was written.
    let usual = Models::default();
    let path = |keys: &[&str]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut taken = Vec::new();
    for (key, written) in [
        ("timeout", *timeout != usual.timeout),
        ("retry", *retry != usual.retry),
        ("failover", !failover.is_empty()),
    ] {
        if written {
            taken.push((path(&["models", key]), format!("`models.{key}`")));
        }
    }
    for (name, provider) in providers {
        let key = path(&["models", "providers", name]);
        if provider.kind != ProviderKind::Mock {
            taken.push((key, format!("the address of the provider `{name}`")));
        } else if is_remote(own, name) {
            taken.push((
                key,
                format!("the provider `{name}`, which your configuration has already,"),
            ));
        }
    }
    for model in prices.keys() {
        let provider = model.split('/').next().unwrap_or_default();
        let defined = provider == MOCK || providers.contains_key(provider);
        if !defined || is_remote(own, provider) || own.prices.contains_key(model) {
            let key = path(&["models", "prices", model]);
            taken.push((key, format!("the price of `{model}`")));
        }
    }
    taken
}

fn is_remote(own: &Models, provider: &str) -> bool {
    let own = own.providers.get(provider);
    own.is_some_and(|own| own.kind != ProviderKind::Mock)
}

/// Where a key stands.
fn place(text: &str, keys: &[String]) -> Option<Range<usize>> {
    let (root, _) = DeTable::parse_recoverable(text);
    let mut table = root.get_ref();
    let mut found = None;
    for wanted in keys {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == wanted)?;
        found = Some(key.span());
        if let DeValue::Table(inner) = value.get_ref() {
            table = inner;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "[models.providers.house]\nkind = \"openai\"\nurl = \"http://127.0.0.1:1/v1\"\n\
                       [models.prices.\"mock/dear\"]\ninput = 9.0\noutput = 9.0\n";

    fn with(text: &str) -> Result<Config, Vec<String>> {
        let own = Config::parse(OWN, Path::new("/home/me/.config/flowhost/flowhost.toml")).unwrap();
        let file = Path::new("/stranger/flowhost.toml");
        let both = own.within(text, file);
        both.map_err(|found| {
            found
                .iter()
                .map(|it| format!("{it} ({})", it.hint))
                .collect()
        })
    }

    #[test]
    fn a_folder_says_nothing_that_is_the_operators() {
        for (text, line) in [
            ("\npolicies = \"p\"\n", 2),
            ("plugins = [\"p\"]\n", 1),
            ("tenant = \"payroll\"\n", 1),
            ("# host\nhost = \"h\"\n", 2),
            ("durability = \"relaxed\"\n", 1),
            ("[secrets]\nA = { env = \"A\" }\n", 1),
            ("[identities.A]\ncertificate = \"c\"\nkey = \"k\"\n", 1),
            ("[[tls]]\nhosts = [\"a.example\"]\nca = \"c\"\n", 1),
            ("[[sources]]\nfrom = \"oci://x.example\"\n", 1),
            ("[models]\ntimeout = \"1h\"\n", 2),
            ("[models]\nretry = { max_attempts = 9 }\n", 2),
            ("[models.failover]\n\"mock/a\" = [\"house/b\"]\n", 1),
            (
                "[models.providers.openai]\nkind = \"openai\"\nurl = \"http://127.0.0.1:2/v1\"\n",
                1,
            ),
            (
                "[models.providers.mock]\nkind = \"openai\"\nurl = \"http://127.0.0.1:2/v1\"\n",
                1,
            ),
            ("[models.providers.house]\nkind = \"mock\"\n", 1),
            (
                "[models.prices.\"house/*\"]\ninput = 0.0\noutput = 0.0\n",
                1,
            ),
            (
                "[models.prices.\"mock/dear\"]\ninput = 0.0\noutput = 0.0\n",
                1,
            ),
        ] {
            let found = with(text).unwrap_err();
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(
                found[0].starts_with(&format!("/stranger/flowhost.toml:{line}:")),
                "{found:?}"
            );
            assert!(
                found[0].contains("/home/me/.config/flowhost/flowhost.toml"),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_folder_may_ask_for_less_and_describe_models_that_stay_in_the_host() {
        let both = with(
            "durability = \"durable\"\n[models]\nresidency = \"strict\"\n[models.providers.mock]\nkind = \"mock\"\n\
             scripts = \"scripts\"\n[models.providers.actor]\nkind = \"mock\"\n\
             [models.prices.\"actor/*\"]\ninput = 1.0\noutput = 1.0\n",
        )
        .unwrap();
        assert_eq!(both.models.residency, Residency::Strict);
        let names: Vec<&String> = both.models.providers.keys().collect();
        assert_eq!(names, ["actor", "house", "mock"]);
        assert_eq!(both.models.prices.len(), 2);
        assert_eq!(
            both.folder_file.as_deref(),
            Some(Path::new("/stranger/flowhost.toml"))
        );
    }
}
