//! What a configuration may say, and how what is wrong with it is told.

use super::*;

fn problems(text: &str) -> Vec<String> {
    let config: Config = toml::from_str(text).unwrap();
    let problems = Settings::read(&config).err().unwrap_or_default();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn tells_everything_that_is_wrong_at_once() {
    let found = problems(
        r#"
        timeout = "0s"
        retry = { max_attempts = 0, initial = "x", factor = 0.5, jitter = 2.0 }
        providers.Bad = { kind = "mock" }
        providers.plain = { kind = "openai", url = "http://models.example.com/v1" }
        providers.ftp = { kind = "openai", url = "ftp://models.example.com/v1" }
        providers.user = { kind = "anthropic", url = "https://a:b@example.com/" }
        providers.none = { kind = "openai" }
        providers.zero = { kind = "mock", parallel = 0, url = "https://x/", scripts = "../x" }
        providers.door = { kind = "openai", url = "https://x/", proxy = "socks5://x:1", thinking = 2048 }
        providers.key = { kind = "anthropic", url = "https://x/", proxy = "http://a:b@x:1", api = "responses" }
        providers.few = { kind = "anthropic", url = "https://x/", thinking = 5, proxy_key = "K" }
        providers.word = { kind = "anthropic", url = "https://x/", thinking = "much" }
        prices."nobody/x" = { input = 1.0 }
        prices."mock/x" = { input = 0.0000001, hours = [
          { from = "22:00", to = "06:00", factor = 0.5 }, { from = "05:00", to = "07:00", factor = 2.0 } ] }
        prices."mock/y" = { hours = [{ from = "25:00", to = "06:00", factor = 0.5 }] }
        failover."mock/x" = ["mock/x", "nope"]
        "#,
    );
    let wanted = [
        "`models.timeout`: must not be zero",
        "`models.retry`: max_attempts = 0",
        "`models.retry`: factor = 0.5",
        "`models.retry.initial`: \"x\" is not a duration",
        "`models.retry.jitter`: 2 is outside 0 to 1",
        "`models.providers.Bad`: \"Bad\" is not a name",
        "`models.providers.plain.url`: plain http",
        "`models.providers.ftp.url`: the scheme `ftp`",
        "`models.providers.user.url`: holds a user",
        "`models.providers.none.url`: the server's address is missing",
        "`models.providers.zero.parallel`: 0 is outside",
        "`models.providers.zero.url`: `url` means nothing",
        "`models.providers.zero.scripts`: \"../x\" leaves",
        "`models.providers.door.proxy`: \"socks5://x:1\" is not",
        "`models.providers.door.thinking`: `thinking` means nothing",
        "`models.providers.key.proxy`: holds a user",
        "`models.providers.key.api`: `api` means nothing",
        "`models.providers.few.thinking`: 5 is not",
        "`models.providers.few.proxy_key`: `proxy_key` means nothing without",
        "`models.providers.word.thinking`: much is not",
        "`models.prices.\"nobody/x\"`: the configuration has no provider `nobody`",
        "`models.prices.\"mock/x\".input`: 0.0000001 is outside",
        "`models.prices.\"mock/x\".hours`: 05:00 to 07:00 overlaps",
        "`models.prices.\"mock/y\".hours`: \"25:00\" is not a time",
        "`models.failover.\"mock/x\"`: a model cannot stand in for itself",
        "`models.failover.\"mock/x\"`: \"nope\" is not a model",
    ];
    for start in wanted {
        assert!(
            found.iter().any(|problem| problem.starts_with(start)),
            "{start} is not in {found:#?}"
        );
    }
    assert_eq!(found.len(), wanted.len(), "{found:#?}");
}

#[test]
fn an_unknown_key_is_an_error() {
    for text in [
        "retries = 1",
        "[providers.a]\nkind = \"mock\"\nproxies = \"x\"",
        "[prices.\"a/b\"]\nin = 1.0",
    ] {
        let error = toml::from_str::<Config>(text).unwrap_err();
        assert!(error.message().starts_with("unknown field"), "{error}");
    }
}

#[test]
fn plain_http_is_spoken_to_loopback_and_on_premises_only() {
    let at = |url: &str, on_prem: bool| {
        problems(&format!(
            "providers.a = {{ kind = \"openai\", url = \"{url}\", on_prem = {on_prem} }}"
        ))
    };
    for url in [
        "http://127.0.0.1:1/v1",
        "http://[::1]/",
        "http://localhost:11434/v1",
    ] {
        assert_eq!(at(url, false), Vec::<String>::new());
    }
    for url in [
        "http://10.0.0.1/",
        "http://localhost.example.com/",
        "http://127.0.0.1.nip.io/",
    ] {
        assert_eq!(at(url, false).len(), 1, "{url}");
        assert_eq!(at(url, true).len(), 0, "{url}");
    }
}

#[test]
fn what_cannot_be_left_out_is_told_with_what_can() {
    let text = "[providers.a]\nkind = \"openai\"\nleave_out = [\"seed\", \"model\"]";
    let error = toml::from_str::<Config>(text).unwrap_err();
    let message = error.message();
    assert!(
        message.starts_with("`model` cannot be left out; seed,"),
        "{message}"
    );
}

#[test]
fn writing_a_cache_is_dearer_where_the_provider_makes_it_so() {
    let price = |provider: &str, price: &str| {
        let text = format!(
            "providers.a = {{ kind = \"anthropic\", url = \"https://x/\"{provider} }}\n\
             prices.\"a/m\" = {{ input = 3.0{price} }}"
        );
        let config: Config = toml::from_str(&text).unwrap();
        let settings = Settings::read(&config).unwrap();
        settings
            .prices
            .of(&"a/m".parse().unwrap())
            .unwrap()
            .cache_write
    };
    assert_eq!(price("", ""), 3_000_000);
    assert_eq!(price(", cache = \"5m\"", ""), 3_750_000);
    assert_eq!(price(", cache = \"1h\"", ""), 6_000_000);
    assert_eq!(price(", cache = \"1h\"", ", cache_write = 5.0"), 5_000_000);
}

#[test]
fn gemini_has_an_address_of_its_own() {
    let config: Config = toml::from_str("providers.g = { kind = \"gemini\" }").unwrap();
    let settings = Settings::read(&config).unwrap();
    let url = settings.providers["g"].url.as_ref().unwrap();
    assert_eq!(url.as_str(), GEMINI_URL);
}

#[test]
fn the_default_knows_mock_alone() {
    let settings = Settings::read(&Config::default()).unwrap();
    assert_eq!(settings.providers.keys().collect::<Vec<_>>(), ["mock"]);
}

#[test]
fn the_key_itself_is_refused_where_its_name_belongs_and_is_not_repeated() {
    for key in [
        "sk-abcdefghijklmnop",
        "gsk_aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3zA5bC7dE9fG1hJ3",
        "9A",
        "",
    ] {
        let found = problems(&format!(
            "providers.a = {{ kind = \"openai\", url = \"https://x/v1\", key = \"{key}\" }}"
        ));
        assert_eq!(found.len(), 1, "{key}");
        assert!(found[0].contains("and not the key itself"), "{found:?}");
        assert!(key.is_empty() || !found[0].contains(key), "{found:?}");
    }
    let named =
        "providers.a = { kind = \"openai\", url = \"https://x/v1\", key = \"HOUSE_key_2\" }";
    assert_eq!(problems(named), Vec::<String>::new());
}

#[test]
fn the_path_of_a_request_is_no_part_of_the_address() {
    let at = |url: &str| {
        problems(&format!(
            "providers.a = {{ kind = \"openai\", url = \"{url}\" }}"
        ))
    };
    for end in ["/chat/completions", "/responses/", "/embeddings"] {
        let found = at(&format!("https://x.example/v1{end}"));
        assert_eq!(found.len(), 1, "{end}");
        assert!(found[0].contains("is added by the host"), "{found:?}");
    }
    assert_eq!(at("https://x.example/messages/v1"), Vec::<String>::new());
}
