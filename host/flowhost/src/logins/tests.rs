//! What is kept of a login and where its token goes. Logins against an authority are in `tests/it`.

use std::collections::BTreeMap;

use flowhost_oauth::{Authority, Method, Resource, Tokens};

use super::*;

const SERVER: &str = "https://mcp.example.com/mcp";

fn here(dir: &tempfile::TempDir) -> (Logins, State) {
    let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
    let state = State::new(dir.path().join("state"), "default");
    (Logins::new(&ambient, &Config::default(), &state), state)
}

fn login(refresh: Option<&str>, lifetime_s: u64) -> Login {
    let at = |text: &str| Address::parse(text).unwrap();
    let found = Found {
        resource: Resource {
            name: SERVER.to_owned(),
            authorities: vec![at("https://auth.example.com")],
            scopes: Vec::new(),
        },
        authority: Authority {
            issuer: "https://auth.example.com".to_owned(),
            authorize: at("https://auth.example.com/authorize"),
            token: at("https://auth.example.com/token"),
            register: None,
            revoke: None,
            methods: vec![Method::None],
            offline: false,
            names_itself: false,
            documents: false,
        },
        scopes: Vec::new(),
    };
    let tokens = Tokens {
        access: Secret::new("canary-access").unwrap(),
        refresh: refresh.and_then(Secret::new),
        lifetime_s: Some(lifetime_s),
        scopes: None,
    };
    let client = Client::document("https://flowhost.example/client.json");
    let scopes = vec!["read".to_owned()];
    Login::new("notes", &at(SERVER), &found, client, scopes, tokens, 0)
}

#[test]
fn a_file_holds_no_token_in_the_clear_and_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let (logins, state) = here(&dir);
    logins.0.write(&login(Some("canary-refresh"), 60)).unwrap();
    let path = state.logins_dir().join("notes.login");
    let ambient = &logins.0.ambient;
    let text = ambient.read_text(&path, LOGIN_BYTES_MAX).unwrap();
    assert!(
        !text.contains("canary") && !text.contains("mcp.example.com"),
        "{text}"
    );
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(logins.names().unwrap(), ["notes"]);
    assert_eq!(logins.read("notes").unwrap().unwrap().server, SERVER);
}

#[test]
fn a_file_under_another_name_or_of_another_host_is_no_login() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, state) = here(&dir);
    logins.0.write(&login(None, 60)).unwrap();
    let ambient = &logins.0.ambient;
    let text = ambient
        .read(&state.logins_dir().join("notes.login"), LOGIN_BYTES_MAX)
        .unwrap();
    ambient
        .write_secret(&state.logins_dir().join("bank.login"), &text)
        .unwrap();
    let refused = logins.read("bank").unwrap_err();
    assert!(refused.causes[0].contains("under this name"), "{refused:?}");

    let other = tempfile::tempdir().unwrap();
    let (theirs, their_state) = here(&other);
    theirs.0.write(&login(None, 60)).unwrap();
    let copy = their_state.logins_dir().join("notes.login");
    theirs.0.ambient.write_secret(&copy, &text).unwrap();
    assert!(theirs.read("notes").is_err());
}

#[tokio::test]
async fn mcp_017_a_token_is_had_for_its_own_server_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, _) = here(&dir);
    let absent = logins.token("notes", SERVER).await.unwrap_err();
    assert!(
        absent.to_string().contains("flowhost mcp login notes"),
        "{absent}"
    );
    // One without an end: the others began in 1970.
    let mut lasting = login(None, 60);
    lasting.expires_at_ms = None;
    logins.0.write(&lasting).unwrap();
    let token = logins
        .token("notes", "https://mcp.example.com:443/mcp")
        .await
        .unwrap();
    assert_eq!(token.as_str(), "canary-access");
    for url in [
        "https://evil.example:443/mcp",
        "https://mcp.example.com:443/other",
    ] {
        let refused = logins.token("notes", url).await.unwrap_err();
        assert!(
            refused.to_string().contains("goes nowhere else"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("canary"));
    }
}

#[tokio::test]
async fn a_token_that_is_over_and_cannot_be_renewed_is_not_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, _) = here(&dir);
    logins.0.write(&login(None, 60)).unwrap();
    let over = logins.token("notes", SERVER).await.unwrap_err();
    assert!(over.to_string().contains("is over"), "{over}");
    let mut lasting = login(None, 60);
    lasting.expires_at_ms = None;
    logins.0.write(&lasting).unwrap();
    let refused = logins
        .refused("notes", "canary-access", 401, &[])
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("is over"), "{refused}");
    // It is remembered: nobody is sent a token that was refused.
    assert!(logins.token("notes", SERVER).await.is_err());
}

#[tokio::test]
async fn what_a_server_wants_more_is_told_and_kept_for_the_next_login() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, _) = here(&dir);
    let mut lasting = login(None, 60);
    lasting.expires_at_ms = None;
    logins.0.write(&lasting).unwrap();
    let refuse = async |scope: &str| {
        let challenge = format!("Bearer error=\"insufficient_scope\", scope=\"{scope}\"");
        logins
            .refused("notes", "canary-access", 403, &[challenge])
            .await
            .unwrap_err()
            .to_string()
    };
    assert!(
        refuse("read write")
            .await
            .contains("run `flowhost mcp login notes` again")
    );
    assert_eq!(logins.read("notes").unwrap().unwrap().wanted, ["write"]);
    // What was allowed already is not asked for over and over.
    assert!(refuse("read").await.contains("changes nothing"));
    // Another refusal says nothing of the login.
    assert_eq!(
        logins.refused("notes", "canary-access", 403, &[]).await,
        Ok(false)
    );
}

/// Another store on the same folder, as another process has one.
fn beside(logins: &Logins) -> Logins {
    Logins::new(&logins.0.ambient, &Config::default(), &logins.0.state)
}

/// Long enough for whoever does not wait to have gone on.
const A_WHILE: Duration = Duration::from_millis(300);

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waited_for_a_renewal_takes_what_came_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, _) = here(&dir);
    // It began in 1970: its token is over, and the authority that could renew it is nowhere.
    logins.0.write(&login(Some("spent"), 60)).unwrap();
    let held = logins.hold("notes").await.unwrap();
    let other = beside(&logins);
    let mut waiting = tokio::spawn(async move { other.token("notes", SERVER).await });
    assert!(timeout(A_WHILE, &mut waiting).await.is_err());
    let tokens = Tokens {
        access: Secret::new("canary-renewed").unwrap(),
        refresh: Secret::new("fresh"),
        lifetime_s: Some(3_600),
        scopes: None,
    };
    let mut renewed = logins.read("notes").unwrap().unwrap();
    renewed.renewed(tokens, logins.0.ambient.now_ms());
    logins.0.write(&renewed).unwrap();
    drop(held);
    let token = waiting.await.unwrap().unwrap();
    assert_eq!(token.as_str(), "canary-renewed");
    let kept = logins.read("notes").unwrap().unwrap();
    assert_eq!(kept.ended, None, "nobody asked with what was spent");
    assert_eq!(kept.refresh.unwrap().reveal(), "fresh");
}

#[tokio::test(flavor = "multi_thread")]
async fn mcp_017_a_name_that_is_another_servers_by_the_end_of_a_renewal_gives_no_token() {
    let dir = tempfile::tempdir().unwrap();
    let (logins, _) = here(&dir);
    logins.0.write(&login(Some("spent"), 60)).unwrap();
    let held = logins.hold("notes").await.unwrap();
    let other = beside(&logins);
    let mut waiting = tokio::spawn(async move { other.token("notes", SERVER).await });
    assert!(timeout(A_WHILE, &mut waiting).await.is_err());
    let mut elsewhere = login(None, 60);
    elsewhere.server = "https://bank.example/mcp".to_owned();
    elsewhere.access = Secret::new("canary-of-the-bank").unwrap();
    elsewhere.expires_at_ms = None;
    logins.0.write(&elsewhere).unwrap();
    drop(held);
    let refused = waiting.await.unwrap().unwrap_err();
    assert!(
        refused.to_string().contains("goes nowhere else"),
        "{refused}"
    );
}
