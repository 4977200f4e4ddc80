//! Logins at MCP servers: a person logs in once, the host keeps and renews the tokens, and its sender puts them into
//! requests to that server.
//!
//! A login is a file of its own below the state folder, for its owner only and sealed by the host's key under its own
//! name: one that was put under another name, or came from another host, is none. What is believed of a server or an
//! authority is decided in `flowhost-oauth`; here is what is dialled, kept and told. Must never hand a token to
//! anything but the sender.

mod back;
mod road;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use flowhost_caps::http::{LoginError, LoginStore};
use flowhost_flow::Exit;
use flowhost_ledger::{open_kept, seal_kept};
use flowhost_oauth::{
    Address, Asked, Attempt, Client, ClientKind, Found, LOGIN_BYTES_MAX, Login, OauthError, Secret,
    Standing, discover, redeem, register, renew, revoke,
};
use tokio::time::timeout;
use url::Url;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::config::Config;
use crate::failure::Failure;
use crate::host::seal_key;
use crate::state::State;
use back::Back;
use road::Street;

/// How a login's file ends.
const ENDING: &str = ".login";
/// How long a person has for a login: passwords are looked up, and phones for a second factor. A port of this machine is
/// open for that time.
const WAIT: Duration = Duration::from_secs(300);
/// How long the page that a browser came back to is still served, so that it reaches the browser.
const LINGER: Duration = Duration::from_millis(200);

/// The logins of one state folder. Clones are the same.
#[derive(Debug, Clone)]
pub struct Logins(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ambient: Ambient,
    config: Config,
    state: State,
    /// One renewal at a time in this process; a lock of a file holds the other processes.
    turn: tokio::sync::Mutex<()>,
}

/// Nobody else of this host renews or replaces a login while this is there.
#[derive(Debug)]
pub struct Held {
    _lock: std::fs::File,
}

/// A login that a person wants.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is called.
    pub name: String,
    /// The server.
    pub server: Address,
    /// What to ask for; empty is what the server asks for.
    pub scopes: Vec<String>,
    /// Whom to log in with, of those that the server names.
    pub issuer: Option<Address>,
    /// Who we are.
    pub client: WantedClient,
    /// The port to which the browser comes back; 0 is a free one.
    pub port: u16,
    /// Whether private addresses are asked.
    pub private_network: bool,
}

/// Who we are to be at an authority.
#[derive(Debug, Clone)]
pub enum WantedClient {
    /// One that somebody registered there.
    Registered {
        /// Its id.
        id: String,
        /// Its secret, where it has one.
        secret: Option<Secret>,
    },
    /// One that a document at this address describes; where the authority reads none, one that registers itself.
    Document(Address),
    /// As the last login of this name, if that was registered with the same authority, else one that registers itself.
    AsBefore,
}

impl Logins {
    /// The logins of a state folder. The configuration says who vouches for servers.
    #[must_use]
    pub fn new(ambient: &Ambient, config: &Config, state: &State) -> Self {
        Self(Arc::new(Inner {
            ambient: ambient.clone(),
            config: config.clone(),
            state: state.clone(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// The names of all logins, sorted.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn names(&self) -> Result<Vec<String>, Failure> {
        let names = match self.0.ambient.list(&self.0.state.logins_dir()) {
            Ok(names) => names,
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let names = names.iter().filter_map(|name| name.strip_suffix(ENDING));
        // Locks and what is half written lie beside them.
        let named = names.filter(|name| flowhost_policy::is_login_name(name));
        Ok(named.map(str::to_owned).collect())
    }

    /// The login of this name, if there is one.
    ///
    /// # Errors
    /// When its file cannot be read or is not one of this host's.
    pub fn read(&self, name: &str) -> Result<Option<Login>, Failure> {
        self.0.read(name)
    }

    /// Waits for whoever renews this login, and keeps everybody of this host from renewing it until the value is dropped:
    /// what is kept in its place, or forgotten, would else be written over by an answer that is on its way.
    ///
    /// # Errors
    /// When the lock cannot be had.
    pub async fn hold(&self, name: &str) -> Result<Held, Failure> {
        self.0.ambient.create_dir(&self.0.state.logins_dir())?;
        let lock = self.0.lock(name).await.map_err(|why| {
            let message = format!("the login `{name}` cannot be changed now");
            Failure::new(Exit::Internal, message).because(why)
        })?;
        Ok(Held { _lock: lock })
    }

    /// Forgets a login, which is held. Its tokens stay what they are: [`Logins::give_back`] comes before.
    ///
    /// # Errors
    /// When the file cannot be removed, or is not there.
    pub fn forget(&self, name: &str, _held: &Held) -> Result<(), Failure> {
        Ok(self.0.ambient.remove(&self.0.file(name))?)
    }

    /// Logs in: asks the server whom to log in with, shows `page` to the person, and waits for the answer. What is kept
    /// takes the place of an earlier login of the name, which holds until then.
    ///
    /// # Errors
    /// Why nobody is logged in now; nothing was kept.
    pub async fn log_in(&self, wanted: &Wanted, page: impl Fn(&Url)) -> Result<Login, Failure> {
        let earlier = match self.read(&wanted.name) {
            Ok(earlier) => earlier.filter(|it| it.server == wanted.server.as_str()),
            // What cannot be read is replaced, not mended.
            Err(_) => None,
        };
        let failed = |error: &OauthError| failed(wanted, error);
        let street = self.0.street(wanted.private_network);
        let found = discover(&street, &wanted.server, wanted.issuer.as_ref()).await;
        let found = found.map_err(|error| failed(&error))?;
        // Before the client registers: the authority is told the port, and takes the browser to no other.
        let back = Back::open(&self.0.ambient, wanted.port).await;
        let back = back.map_err(|error| {
            let what = "no port of this machine can be opened for the browser to come back to";
            let failure = Failure::new(Exit::Internal, what).because(error.to_string());
            failure.hint("name a free one with `--port`, or none")
        })?;
        let scopes = scopes(wanted, &found, earlier.as_ref());
        let client = client(
            &street,
            wanted,
            &found,
            earlier.as_ref(),
            &back.address,
            &scopes,
        );
        let client = client.await.map_err(|error| failed(&error))?;
        let entropy: [u8; 64] = self.0.ambient.entropy().map_err(|error| {
            Failure::new(Exit::Internal, "the system gives no randomness")
                .because(error.to_string())
        })?;
        let entropy = Zeroizing::new(entropy);
        let resource = &found.resource.name;
        let begun = Attempt::begin(
            &found.authority,
            &client,
            resource,
            &scopes,
            &back.address,
            &entropy,
        );
        let (attempt, address) = begun.map_err(|error| failed(&error))?;
        let attempt = Arc::new(attempt);
        page(&address);
        let (answer, serving) = timeout(WAIT, back.answer(attempt.clone()))
            .await
            .map_err(|_| nobody(wanted))?;
        let code = answer.ok_or_else(|| nobody(wanted))?;
        let given = match code {
            Ok(code) => {
                redeem(
                    &street,
                    &found.authority,
                    &client,
                    &attempt,
                    resource,
                    &code,
                )
                .await
            }
            Err(error) => Err(error),
        };
        tokio::time::sleep(LINGER).await;
        drop(serving);
        let tokens = given.map_err(|error| failed(&error))?;
        let now = self.0.ambient.now_ms();
        let mut login = Login::new(
            &wanted.name,
            &wanted.server,
            &found,
            client,
            scopes,
            tokens,
            now,
        );
        login.private_network = wanted.private_network;
        // Only now: whoever uses the earlier login goes on with it while a person looks for his password.
        let held = self.hold(&wanted.name).await?;
        self.0.write(&login)?;
        drop(held);
        Ok(login)
    }

    /// Tells the authority that the tokens are no longer wanted. Gives whether it has a place for that.
    ///
    /// # Errors
    /// Why it was not told.
    pub async fn give_back(&self, login: &Login) -> Result<bool, Failure> {
        let street = self.0.street(login.private_network);
        revoke(&street, login).await.map_err(|error| {
            Failure::new(Exit::Internal, "the tokens were not given back").caused_by(&error)
        })
    }
}

fn failed(wanted: &Wanted, error: &OauthError) -> Failure {
    let message = format!("nobody was logged in as `{}`", wanted.name);
    Failure::new(Exit::Internal, message)
        .caused_by(error)
        .hint(error.cure())
}

fn nobody(wanted: &Wanted) -> Failure {
    let why = format!("no answer came back within {} minutes", WAIT.as_secs() / 60);
    Failure::new(
        Exit::Internal,
        format!("nobody was logged in as `{}`", wanted.name),
    )
    .because(why)
    .hint("the page has to be opened in a browser of this machine, because it comes back to this machine")
}

fn scopes(wanted: &Wanted, found: &Found, earlier: Option<&Login>) -> Vec<String> {
    if !wanted.scopes.is_empty() {
        return wanted.scopes.clone();
    }
    let mut scopes = match earlier {
        None => found.scopes.clone(),
        Some(earlier) => earlier.asks_next(&found.scopes),
    };
    // A run may last longer than a token, and nobody sits there to log in again.
    let offline = "offline_access".to_owned();
    if found.authority.offline && !scopes.contains(&offline) {
        scopes.push(offline);
    }
    scopes
}

async fn client(
    street: &Street,
    wanted: &Wanted,
    found: &Found,
    earlier: Option<&Login>,
    redirect: &str,
    scopes: &[String],
) -> Result<Client, OauthError> {
    let authority = &found.authority;
    match &wanted.client {
        WantedClient::Registered { id, secret } => {
            Client::registered(id, secret.clone(), authority)
        }
        WantedClient::Document(address) if authority.documents => {
            Ok(Client::document(address.as_str()))
        }
        WantedClient::AsBefore | WantedClient::Document(_) => {
            let same = earlier.filter(|it| it.issuer == authority.issuer);
            // One that registered itself did so for that login alone.
            let kept = same.filter(|it| it.client.kind != ClientKind::Dynamic);
            match kept {
                Some(login) => Ok(login.client.clone()),
                None => register(street, authority, redirect, scopes).await,
            }
        }
    }
}

impl Inner {
    fn file(&self, name: &str) -> PathBuf {
        self.state.logins_dir().join(format!("{name}{ENDING}"))
    }

    fn street(&self, private: bool) -> Street {
        Street::new(&self.ambient, &self.config, private)
    }

    fn read(&self, name: &str) -> Result<Option<Login>, Failure> {
        let path = self.file(name);
        let sealed = match self.ambient.read_secret(&path, LOGIN_BYTES_MAX) {
            Ok(sealed) => sealed,
            Err(error) if error.is_missing() => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let refused = |why: String| {
            let message = format!("the login `{name}` cannot be used");
            let failure = Failure::new(Exit::Internal, message);
            failure.because(why).hint(format!(
                "log in again with `flowhost mcp login {name} URL`, or forget it with `flowhost mcp logout {name}`"
            ))
        };
        let key = Zeroizing::new(seal_key(&self.ambient, &self.state)?);
        let sealed = String::from_utf8_lossy(&sealed);
        let text = open_kept(&key, &context(name), &sealed).ok_or_else(|| {
            refused(
                "its file was not sealed by this host under this name, or was altered".to_owned(),
            )
        })?;
        let login = Login::parse(&text, name).map_err(|fault| refused(fault.to_string()))?;
        Ok(Some(login))
    }

    fn write(&self, login: &Login) -> Result<(), Failure> {
        let unwritten = |why: String| {
            let message = format!("the login `{}` cannot be kept", login.name);
            Failure::new(Exit::Internal, message).because(why)
        };
        self.ambient.create_dir(&self.state.logins_dir())?;
        let key = Zeroizing::new(seal_key(&self.ambient, &self.state)?);
        let text = login.text().map_err(|fault| unwritten(fault.to_string()))?;
        let sealed = seal_kept(&key, &context(&login.name), &text);
        let sealed = sealed.map_err(|error| unwritten(error.to_string()))?;
        let path = self.file(&login.name);
        Ok(self
            .ambient
            .write_secret(&path, format!("{sealed}\n").as_bytes())?)
    }

    /// The login for a request.
    fn kept(&self, name: &str) -> Result<Login, LoginError> {
        let login = self.read(name).map_err(|failure| {
            let causes = failure.causes.join(": ");
            LoginError::Absent(format!("{}: {causes}", failure.message))
        })?;
        login.ok_or_else(|| {
            LoginError::Absent(format!(
                "nobody is logged in as `{name}`: run `flowhost mcp login {name} URL`"
            ))
        })
    }

    /// The login for a request to `url`, if that is where its token goes.
    fn kept_for(&self, name: &str, url: &str) -> Result<Login, LoginError> {
        let login = self.kept(name)?;
        if login.covers(url) {
            return Ok(login);
        }
        let server = &login.server;
        Err(LoginError::Absent(format!(
            "the login `{name}` is for `{server}`, and its token goes nowhere else: a rule of the profile wants it for \
             `{url}`"
        )))
    }

    /// Sees to it that another token than `old` is kept, which is over or was refused.
    async fn renewed(&self, name: &str, old: &str) -> Result<(), LoginError> {
        // Who takes both takes the turn first: to wait for the lock of the file holds a thread. One turn for all logins,
        // because a renewal is one request, and rare.
        let _turn = self.turn.lock().await;
        let _lock = self.locked(name).await?;
        let mut login = self.kept(name)?;
        if login.ended.is_some() {
            return Err(LoginError::Absent(again(&login)));
        }
        if login.access.reveal() != old {
            // Somebody was faster, and a refresh token may be good for one use only.
            return Ok(());
        }
        if login.refresh.is_none() {
            return Err(self.end(
                login,
                "its token is over, and none came with it to renew it",
            ));
        }
        let away = |why: String| {
            LoginError::Away(format!("the login `{name}` cannot be renewed now: {why}"))
        };
        let street = self.street(login.private_network);
        match renew(&street, &login).await {
            Ok(tokens) => {
                login.renewed(tokens, self.ambient.now_ms());
                let written = self.write(&login);
                written.map_err(|failure| away(failure.causes.join(": ")))
            }
            Err(error) if error.is_passing() => Err(away(error.to_string())),
            // Under the lock nobody of this host can have spent the refresh token meanwhile: it is over.
            Err(error @ OauthError::Refused { .. }) => Err(self.end(login, &error.to_string())),
            // A page for people, a redirect: the authority is not as it was, and may be again.
            Err(error) => Err(LoginError::Refused(format!(
                "the login `{name}` cannot be renewed: {error}"
            ))),
        }
    }

    /// The lock that processes of this host take turns by. Its file stays when a login is forgotten: who waits for it holds
    /// it open, and would share nothing with whoever makes another.
    async fn lock(&self, name: &str) -> Result<std::fs::File, String> {
        let path = self.state.logins_dir().join(format!("{name}.lock"));
        let ambient = self.ambient.clone();
        // The system's lock waits with its thread, for as long as another process renews.
        let locked = tokio::task::spawn_blocking(move || ambient.lock(&path)).await;
        let locked = locked.map_err(|error| error.to_string())?;
        locked.map_err(|error| error.source.to_string())
    }

    /// The same, for a request.
    async fn locked(&self, name: &str) -> Result<std::fs::File, LoginError> {
        let locked = self.lock(name).await;
        locked
            .map_err(|why| LoginError::Away(format!("the login `{name}` cannot be locked: {why}")))
    }

    /// Notes that a login holds no longer, so that nobody asks with it again.
    fn end(&self, mut login: Login, why: &str) -> LoginError {
        login.ended = Some(why.to_owned());
        if let Err(failure) = self.write(&login) {
            let why = failure.causes.join(": ");
            tracing::warn!(target: "flowhost::mcp", %why, "that a login is over was not noted");
        }
        LoginError::Absent(again(&login))
    }

    /// What the server wanted beyond what the login allows: a person has to allow it, and the next login asks for it.
    async fn wants(&self, name: &str, scopes: &[String]) -> Result<bool, LoginError> {
        let _turn = self.turn.lock().await;
        let _lock = self.locked(name).await?;
        let mut login = self.kept(name)?;
        let all = scopes.join(" ");
        let known = scopes.iter().all(|scope| login.scopes.contains(scope));
        if known {
            return Err(LoginError::Refused(format!(
                "the server refuses the login `{name}` for want of `{all}`, which the login allows: logging in again \
                 changes nothing; ask the server's operator"
            )));
        }
        if login.wants(scopes) {
            let written = self.write(&login);
            written.map_err(|failure| LoginError::Away(failure.causes.join(": ")))?;
        }
        Err(LoginError::Refused(format!(
            "the server wants more than the login `{name}` allows (`{all}`): run `flowhost mcp login {name}` again, \
             which asks for it"
        )))
    }
}

/// What a login is sealed under.
fn context(name: &str) -> String {
    format!("login {name}")
}

/// That a login is over, and what to do.
fn again(login: &Login) -> String {
    let (name, why) = (&login.name, login.ended.as_deref());
    let why = why.unwrap_or("its token is over, and none came with it to renew it");
    format!("the login `{name}` is over ({why}): run `flowhost mcp login {name}`")
}

#[async_trait]
impl LoginStore for Logins {
    async fn token(&self, name: &str, url: &str) -> Result<Zeroizing<String>, LoginError> {
        let login = self.0.kept_for(name, url)?;
        let token = |login: &Login| Zeroizing::new(login.access.reveal().to_owned());
        match login.standing(self.0.ambient.now_ms()) {
            Standing::Good => Ok(token(&login)),
            Standing::Renews => {
                self.another(name, login.access.reveal()).await?;
                // Somebody may have logged in at another server under this name while it was renewed.
                Ok(token(&self.0.kept_for(name, url)?))
            }
            Standing::Over | Standing::Ended => Err(LoginError::Absent(again(&login))),
        }
    }

    async fn refused(
        &self,
        name: &str,
        token: &str,
        status: u16,
        challenges: &[String],
    ) -> Result<bool, LoginError> {
        let asked = Asked::of(challenges.iter().map(String::as_str)).unwrap_or_default();
        if asked.wants_more() {
            return self.0.wants(name, &asked.scopes).await;
        }
        match status {
            // Only this says that the token itself is no good; with another status a new one would be refused as
            // well.
            401 => self.another(name, token).await.map(|()| true),
            _ => Ok(false),
        }
    }
}

impl Logins {
    /// As [`Inner::renewed`], to its end whatever becomes of whoever asked: a refresh token that was spent and a new
    /// one that nobody kept would be the end of the login.
    async fn another(&self, name: &str, old: &str) -> Result<(), LoginError> {
        let (inner, name) = (self.0.clone(), name.to_owned());
        let old = Zeroizing::new(old.to_owned());
        let renewing = tokio::spawn(async move { inner.renewed(&name, &old).await });
        let renewed = renewing.await;
        renewed.unwrap_or_else(|error| Err(LoginError::Away(error.to_string())))
    }
}

#[cfg(test)]
mod tests;
