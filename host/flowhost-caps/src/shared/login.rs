//! Where tokens of logins come from. A person logged in; what a rule with `inject = { login = "…" }` sends is the token
//! that came of it, and no guest is ever told one.

use async_trait::async_trait;
use zeroize::Zeroizing;

/// Why there is no token, in words for the person who could mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Nobody is logged in, or not there: nothing was sent.
    #[error("{0}")]
    Absent(String),
    /// The server, or whoever gives tokens, said no.
    #[error("{0}")]
    Refused(String),
    /// Whoever gives tokens did not answer: a later try may find one.
    #[error("{0}")]
    Away(String),
}

/// Keeps logins, and renews them.
#[async_trait]
pub trait LoginStore: Send + Sync + 'static {
    /// The token of the login `name` for a request to `url`, renewed where its time is over. There is one for the
    /// login's own server alone.
    ///
    /// # Errors
    /// As [`LoginError`] says.
    async fn token(&self, name: &str, url: &str) -> Result<Zeroizing<String>, LoginError>;

    /// Hears that the server answered `token` with this status, 401 or 403, and these challenges
    /// (`WWW-Authenticate`). Gives whether the request may be sent once more, because there is another token now.
    ///
    /// # Errors
    /// When there can be no other, with what a person can do about it.
    async fn refused(
        &self,
        name: &str,
        token: &str,
        status: u16,
        challenges: &[String],
    ) -> Result<bool, LoginError>;
}

/// A host that keeps no logins.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLogins;

#[async_trait]
impl LoginStore for NoLogins {
    async fn token(&self, name: &str, _url: &str) -> Result<Zeroizing<String>, LoginError> {
        let why = format!("no login is kept here, and a rule of the profile wants `{name}`");
        Err(LoginError::Absent(why))
    }

    async fn refused(
        &self,
        _name: &str,
        _token: &str,
        _status: u16,
        _challenges: &[String],
    ) -> Result<bool, LoginError> {
        Ok(false)
    }
}
