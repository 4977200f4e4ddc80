//! What is kept of a login, and which of it holds when. The file is sealed by whoever keeps it; here is what it says.

use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use crate::address::Address;
use crate::asked::SCOPES_MAX;
use crate::client::Client;
use crate::discover::Found;
use crate::secret::Secret;
use crate::tokens::Tokens;

/// Bytes of a login's file: two tokens and a client's secret of their largest, and addresses.
pub const LOGIN_BYTES_MAX: u64 = 256 << 10;

/// The form of the file.
const VERSION: u32 = 1;

/// How long before its end a token is no longer sent: a request takes time, and clocks differ. One of a shorter
/// life is thereby renewed before each request, which is dear and never wrong.
const EARLY_MS: u64 = 60_000;

/// A login at one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    version: u32,
    /// What the person calls it.
    pub name: String,
    /// The server's address: a token goes there, and to paths below it, and nowhere else.
    pub server: String,
    /// What the tokens were asked for, in the server's words.
    pub resource: String,
    /// Who gave them.
    pub issuer: String,
    /// Where new ones are given.
    pub token_endpoint: String,
    /// Where they are given back.
    pub revocation_endpoint: Option<String>,
    /// Who we are there.
    pub client: Client,
    /// What the server is shown.
    pub access: Secret,
    /// What a new token is had for.
    pub refresh: Option<Secret>,
    /// When the access token ends, in milliseconds since the Unix epoch.
    pub expires_at_ms: Option<u64>,
    /// What it allows.
    pub scopes: Vec<String>,
    /// When the person logged in.
    pub logged_in_at_ms: u64,
    /// When the token was renewed last.
    pub renewed_at_ms: Option<u64>,
    /// Whether the person let addresses of the private network be asked for it.
    pub private_network: bool,
    /// What the server wanted beyond that, when it last refused for it.
    pub wanted: Vec<String>,
    /// Why it holds no longer, in a person's words.
    pub ended: Option<String>,
}

/// Why a file is not a login.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// Another program's, or another version's.
    #[error("it is not a login as this version keeps them")]
    Form,
    /// It was put under another name.
    #[error("it is the login `{0}`, under another name")]
    Name(String),
}

/// How a login stands at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its token is good.
    Good,
    /// Its token is over, and a new one is had for its refresh token.
    Renews,
    /// Its token is over, and nothing is had for it.
    Over,
    /// It holds no longer, whatever its times say.
    Ended,
}

impl Login {
    /// A login that has just succeeded.
    #[must_use]
    pub fn new(
        name: &str,
        server: &Address,
        found: &Found,
        client: Client,
        asked: Vec<String>,
        tokens: Tokens,
        now_ms: u64,
    ) -> Self {
        Self {
            version: VERSION,
            name: name.to_owned(),
            server: server.to_string(),
            resource: found.resource.name.clone(),
            issuer: found.authority.issuer.clone(),
            token_endpoint: found.authority.token.to_string(),
            revocation_endpoint: found.authority.revoke.as_ref().map(ToString::to_string),
            client,
            access: tokens.access,
            refresh: tokens.refresh,
            expires_at_ms: end(tokens.lifetime_s, now_ms),
            // What the authority does not say is what was asked for (RFC 6749, section 5.1).
            scopes: tokens.scopes.unwrap_or(asked),
            logged_in_at_ms: now_ms,
            renewed_at_ms: None,
            private_network: false,
            wanted: Vec::new(),
            ended: None,
        }
    }

    /// Reads what [`Login::text`] gave, under the same name.
    ///
    /// # Errors
    /// When it is not such a text.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, LoginFault> {
        // What is wrong is not shown: it may be a token.
        let login: Self = serde_json::from_slice(bytes).map_err(|_| LoginFault::Form)?;
        if login.version != VERSION {
            return Err(LoginFault::Form);
        }
        // A file that was moved is another login than the one that is asked for by this name.
        match login.name == name {
            true => Ok(login),
            false => Err(LoginFault::Name(login.name)),
        }
    }

    /// The text of the file, to be sealed.
    ///
    /// # Errors
    /// Never: there is nothing in it that JSON has no form for.
    pub fn text(&self) -> Result<Zeroizing<Vec<u8>>, LoginFault> {
        let text = serde_json::to_vec(self).map_err(|_| LoginFault::Form)?;
        Ok(Zeroizing::new(text))
    }

    /// Whether its token may go to this address.
    #[must_use]
    pub fn covers(&self, url: &str) -> bool {
        let (server, url) = (Address::parse(&self.server), Url::parse(url));
        matches!((server, url), (Ok(server), Ok(url)) if server.covers(&url))
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self, now_ms: u64) -> Standing {
        let over = |end: u64| end <= now_ms.saturating_add(EARLY_MS);
        match (&self.ended, self.expires_at_ms, &self.refresh) {
            (Some(_), _, _) => Standing::Ended,
            (None, Some(end), Some(_)) if over(end) => Standing::Renews,
            // To the last: nothing is won by ending a token early that nothing comes after.
            (None, Some(end), None) if end <= now_ms => Standing::Over,
            _ => Standing::Good,
        }
    }

    /// Takes new tokens in the place of the old. An authority that gives no new refresh token leaves the old one good.
    pub fn renewed(&mut self, tokens: Tokens, now_ms: u64) {
        self.access = tokens.access;
        // RFC 6749, section 6: a new one need not be given.
        self.refresh = tokens.refresh.or(self.refresh.take());
        self.expires_at_ms = end(tokens.lifetime_s, now_ms);
        if let Some(scopes) = tokens.scopes {
            self.scopes = scopes;
        }
        self.renewed_at_ms = Some(now_ms);
    }

    /// Remembers what a server wanted that the token does not allow. Gives whether that is news.
    pub fn wants(&mut self, scopes: &[String]) -> bool {
        let known = |scope: &&String| !self.scopes.contains(scope) && !self.wanted.contains(scope);
        let new: Vec<String> = scopes.iter().filter(known).cloned().collect();
        let before = self.wanted.len();
        self.wanted.extend(new);
        self.wanted.truncate(SCOPES_MAX);
        // By what is kept: a server that makes up a scope each time would else have the file written each time.
        self.wanted.len() > before
    }

    /// What the next login asks for, where the person says nothing: what is `named` now, what this one allows, and what
    /// the server wanted beyond (MCP, 2025-11-25: a client that is asked for more asks for all together).
    #[must_use]
    pub fn asks_next(&self, named: &[String]) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        // Where the server never wanted more, what it names now is all that is needed.
        let own = self.scopes.iter().filter(|_| !self.wanted.is_empty());
        for scope in named.iter().chain(own).chain(&self.wanted) {
            if !all.contains(scope) && all.len() < SCOPES_MAX {
                all.push(scope.clone());
            }
        }
        all
    }
}

fn end(lifetime_s: Option<u64>, now_ms: u64) -> Option<u64> {
    lifetime_s.map(|seconds| now_ms.saturating_add(seconds.saturating_mul(1_000)))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::client::{ClientKind, Method};

    /// A login of an hour that began at 0.
    pub(crate) fn login() -> Login {
        Login {
            version: VERSION,
            name: "notes".to_owned(),
            server: "https://mcp.example.com/mcp".to_owned(),
            resource: "https://mcp.example.com/mcp".to_owned(),
            issuer: "https://auth.example.com".to_owned(),
            token_endpoint: "https://auth.example.com/token".to_owned(),
            revocation_endpoint: None,
            client: Client {
                id: "me".to_owned(),
                secret: None,
                method: Method::None,
                kind: ClientKind::Dynamic,
            },
            access: Secret::new("old-access").unwrap(),
            refresh: Secret::new("old-refresh"),
            expires_at_ms: Some(3_600_000),
            scopes: vec!["read".to_owned()],
            logged_in_at_ms: 0,
            renewed_at_ms: None,
            private_network: false,
            wanted: Vec::new(),
            ended: None,
        }
    }

    fn tokens(access: &str, refresh: Option<&str>) -> Tokens {
        Tokens {
            access: Secret::new(access).unwrap(),
            refresh: refresh.and_then(Secret::new),
            lifetime_s: Some(60),
            scopes: None,
        }
    }

    #[test]
    fn a_token_goes_to_its_server_and_nowhere_else() {
        let login = login();
        for (url, covered) in [
            ("https://mcp.example.com:443/mcp", true),
            ("https://mcp.example.com/mcp/x?q=$a", true),
            ("https://mcp.example.com/mcp2", false),
            ("https://mcp.example.com/mcp/%2e%2e/admin", false),
            ("https://mcp.example.com/", false),
            ("https://mcp.example.com.evil.example/mcp", false),
            ("http://mcp.example.com/mcp", false),
            ("https://mcp.example.com:8443/mcp", false),
            ("mcp", false),
        ] {
            assert_eq!(login.covers(url), covered, "{url}");
        }
    }

    #[test]
    fn a_file_is_read_as_it_was_written_and_under_its_own_name_alone() {
        let text = login().text().unwrap();
        assert_eq!(Login::parse(&text, "notes"), Ok(login()));
        let other = Login::parse(&text, "bank");
        assert_eq!(other, Err(LoginFault::Name("notes".to_owned())));
        let text = String::from_utf8(text.to_vec()).unwrap();
        for broken in [
            text.replace("\"version\":1", "\"version\":2"),
            text.replace("\"scopes\"", "\"others\""),
            text.replace("old-access", "old access"),
            String::new(),
        ] {
            assert_eq!(
                Login::parse(broken.as_bytes(), "notes"),
                Err(LoginFault::Form)
            );
        }
    }

    #[test]
    fn is_renewed_before_its_end_and_ends_at_it_where_it_cannot_be() {
        let mut login = login();
        assert_eq!(login.standing(0), Standing::Good);
        assert_eq!(login.standing(3_539_999), Standing::Good);
        assert_eq!(login.standing(3_540_000), Standing::Renews);
        login.refresh = None;
        assert_eq!(login.standing(3_599_999), Standing::Good);
        assert_eq!(login.standing(3_600_000), Standing::Over);
        login.expires_at_ms = None;
        assert_eq!(login.standing(u64::MAX), Standing::Good);
        login.ended = Some("it was revoked".to_owned());
        assert_eq!(login.standing(0), Standing::Ended);
    }

    #[test]
    fn a_new_refresh_token_takes_the_place_of_the_old_and_none_leaves_it() {
        let mut login = login();
        login.renewed(tokens("a", Some("r")), 1_000);
        assert_eq!(login.refresh.as_ref().unwrap().reveal(), "r");
        assert_eq!(login.expires_at_ms, Some(61_000));
        login.renewed(tokens("b", None), 2_000);
        assert_eq!(login.refresh.as_ref().unwrap().reveal(), "r");
        assert_eq!(login.access.reveal(), "b");
    }

    #[test]
    fn what_a_server_wants_more_is_asked_for_with_what_was_given() {
        let mut login = login();
        let all =
            |texts: &[&str]| -> Vec<String> { texts.iter().map(ToString::to_string).collect() };
        assert!(!login.wants(&all(&["read"])));
        assert_eq!(login.asks_next(&all(&["list"])), ["list"]);
        assert!(login.wants(&all(&["read", "write"])));
        assert!(!login.wants(&all(&["write"])));
        assert_eq!(login.asks_next(&all(&["list"])), ["list", "read", "write"]);
    }

    #[test]
    fn a_list_of_wishes_that_is_full_takes_no_more_and_says_so() {
        let mut login = login();
        let many: Vec<String> = (0..SCOPES_MAX).map(|it| format!("s{it}")).collect();
        assert!(login.wants(&many));
        assert!(!login.wants(&["more".to_owned()]));
        assert_eq!(login.wanted, many);
    }

    #[test]
    fn nothing_of_a_token_is_in_what_is_printed_of_a_login() {
        let shown = format!("{:?}", login());
        assert!(!shown.contains("old-"), "{shown}");
    }

    proptest! {
        #[test]
        fn no_file_is_a_login_by_chance_and_none_is_read_otherwise(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            prop_assert_eq!(Login::parse(&bytes, "notes"), Err(LoginFault::Form));
        }

        #[test]
        fn another_host_is_never_covered(host in "[a-z]{1,12}\\.[a-z]{2,3}", path in "(/[a-z]{1,5}){0,3}") {
            let url = format!("https://{host}{path}");
            prop_assert!(!login().covers(&url), "{}", url);
        }
    }
}
