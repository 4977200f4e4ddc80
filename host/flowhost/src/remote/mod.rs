//! Components from elsewhere: fetched by the host, from places that the operator lists, for bytes that
//! somebody has named.
//!
//! Three things keep a fetch from being more than it seems. A plan names the component's digest (or the lock
//! beside it does), so a server cannot hand out another one. The operator's `[[sources]]` say where the host
//! asks at all, so a stranger's plan cannot make it call anybody. And what was fetched is kept by its digest,
//! so the same plan runs again without a network.
//!
//! Nothing here runs or compiles anything, and no plugin's request goes this way.

mod error;
mod kept;
mod registry;
mod web;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flowhost_author::Pack;
use flowhost_author::remote::{Paper, Place, Published};
use flowhost_models::{HttpTransport, Transport};
use http::Method;
use sha2::{Digest as _, Sha256};
use url::Url;
use zeroize::Zeroizing;

use crate::ambient::Ambient;
use crate::config::{Config, SourceLine};
use crate::finding::Finding;
use crate::services;

pub use error::RemoteError;
pub use registry::Pushed;
use web::{Roads, Session, Wanted};

/// Bytes of a component or a pack that are fetched: as many as are read from a file.
const COMPONENT_BYTES_MAX: usize = 256 << 20;
/// Bytes of a signature: it names a plugin's tools, each with a hash.
const SIGNATURE_BYTES_MAX: usize = 256 << 10;
/// Bytes of a file of authorities: whole systems have some hundred kilobytes.
const AUTHORITIES_BYTES_MAX: u64 = 4 << 20;
/// Time to a connection, TLS included. A registry that is not reached in this time is not there for a person who
/// waits.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for all of a fetch: 256 MiB over a slow line.
const WHOLE: Duration = Duration::from_secs(600);

/// A component that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes.
    pub component: Vec<u8>,
    /// `sha256:…` of them.
    pub digest: String,
    /// The text of its author's signature, if it came with one.
    pub signature: Option<String>,
    /// The place, with the manifest's digest where it is in a registry: there it is found again when the tag
    /// has moved.
    pub exact: String,
    /// What goes with it, where it was asked for or came anyway.
    pub papers: Papers,
}

/// What goes with a component, for people. The signature does not cover it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Papers {
    /// What it is, in Markdown.
    pub readme: Option<Vec<u8>>,
    /// What it is made of: CycloneDX.
    pub sbom: Option<Vec<u8>>,
}

impl Papers {
    /// Those that are there.
    fn each(&self) -> impl Iterator<Item = (Paper, &[u8])> {
        let papers = [
            (Paper::Readme, &self.readme),
            (Paper::Ingredients, &self.sbom),
        ];
        let there = papers.into_iter();
        there.filter_map(|(paper, bytes)| Some((paper, bytes.as_deref()?)))
    }

    /// Their digests, as a manifest names them.
    #[must_use]
    pub fn named(&self) -> Vec<(Paper, String)> {
        self.each()
            .map(|(paper, bytes)| (paper, digest(bytes)))
            .collect()
    }

    fn put(&mut self, paper: Paper, bytes: Vec<u8>) {
        let place = match paper {
            Paper::Readme => &mut self.readme,
            Paper::Ingredients => &mut self.sbom,
        };
        *place = Some(bytes);
    }
}

/// What is fetched of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum With {
    /// The component, which is all that a run needs.
    Component,
    /// What goes with it as well, for a person.
    Papers,
}

/// Which component is wanted of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin<'a> {
    /// The one with this digest, `sha256:…`.
    To(&'a str),
    /// The one that is there now: a person asked for it, and looks at it before it runs.
    Newest,
    /// Nobody said: nothing is fetched.
    Unsaid,
}

/// Fetches and publishes as the operator's configuration allows.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    ambient: &'a Ambient,
    config: &'a Config,
}

impl<'a> Remote<'a> {
    /// As `config` allows.
    #[must_use]
    pub fn new(ambient: &'a Ambient, config: &'a Config) -> Self {
        Self { ambient, config }
    }

    /// The component of a plan's source: the kept one where it is known which, else fetched and kept.
    ///
    /// # Errors
    /// Why it cannot be had, without a place.
    pub fn component(&self, source: &str, pin: Pin<'_>) -> Result<(PathBuf, Arc<[u8]>), Finding> {
        let place = Place::parse(source).map_err(RemoteError::from)?;
        let wanted = match pin {
            Pin::To(digest) => Some(digest),
            Pin::Newest => None,
            Pin::Unsaid => return Err(RemoteError::Unpinned(source.to_owned()).into()),
        };
        // Before the list of sources is asked: what is here is asked of nobody, and runs on a machine that may ask no
        // one.
        if let Some(digest) = wanted
            && let Some(bytes) = kept::read(self.ambient, self.folder()?, digest)
        {
            return Ok((kept::path(self.folder()?, digest), bytes.into()));
        }
        let fetched = self.fetch(&place, wanted, With::Component)?;
        let path = kept::keep(self.ambient, self.folder()?, &fetched)?;
        Ok((path, fetched.component.into()))
    }

    /// What is at a place now, fetched and kept.
    ///
    /// # Errors
    /// Why it cannot be had, without a place.
    pub fn newest(&self, source: &str) -> Result<Fetched, Finding> {
        self.there(source, With::Component)
    }

    /// The same with its README and its list of ingredients.
    ///
    /// # Errors
    /// Why it cannot be had, without a place.
    pub fn newest_with_papers(&self, source: &str) -> Result<Fetched, Finding> {
        self.there(source, With::Papers)
    }

    fn there(&self, source: &str, with: With) -> Result<Fetched, Finding> {
        let place = Place::parse(source).map_err(RemoteError::from)?;
        let fetched = self.fetch(&place, None, with)?;
        kept::keep(self.ambient, self.folder()?, &fetched)?;
        Ok(fetched)
    }

    /// Puts a component into a registry. A tag that names another artifact is moved only with `replace`.
    ///
    /// # Errors
    /// Why it is not there now, without a place.
    pub fn publish(
        &self,
        destination: &str,
        component: &[u8],
        papers: &Papers,
        published: &Published<'_>,
        replace: bool,
    ) -> Result<Pushed, Finding> {
        let place = Place::parse(destination).map_err(RemoteError::from)?;
        let Place::Registry(reference) = &place else {
            return Err(RemoteError::NoRegistry(destination.to_owned()).into());
        };
        let Some(tag) = reference
            .tag
            .as_deref()
            .filter(|_| reference.digest.is_none())
        else {
            return Err(RemoteError::NoTag(destination.to_owned()).into());
        };
        let session = self.session(&place)?;
        let what = registry::Wanted {
            reference,
            tag,
            component,
            papers,
            published,
            replace,
        };
        Ok(block(registry::push(&session, &what))?)
    }

    fn fetch(
        &self,
        place: &Place,
        wanted: Option<&str>,
        with: With,
    ) -> Result<Fetched, RemoteError> {
        let session = self.session(place)?;
        block(fetch(&session, place, wanted, with))
    }

    fn session(&self, place: &Place) -> Result<Session<'_>, RemoteError> {
        Session::to(place, &self.config.sources, self).ok_or_else(|| {
            let file = self.config.own_path.as_deref().map(Path::display);
            let file = file.map_or_else(|| "flowhost.toml".to_owned(), |it| it.to_string());
            RemoteError::NotListed {
                place: place.to_string(),
                line: SourceLine::for_place(place),
                file,
            }
        })
    }

    fn folder(&self) -> Result<&'a Path, RemoteError> {
        self.config.fetched.as_deref().ok_or(RemoteError::NoFolder)
    }
}

impl Roads for Remote<'_> {
    fn road(&self, line: &SourceLine) -> Result<Arc<dyn Transport>, RemoteError> {
        // One connection at a time: requests of a fetch follow each other.
        let made = match &line.ca {
            None => HttpTransport::web(CONNECT, 1).map_err(|error| error.to_string()),
            Some(path) => {
                // Whoever may write it decides who is handed the login, and what is published where.
                let pem = self.ambient.read_rights(path, AUTHORITIES_BYTES_MAX);
                let pem = pem.map_err(|error| format!("{error}: {}", error.source));
                pem.and_then(|pem| HttpTransport::vouched(&pem, CONNECT, 1))
            }
        };
        let file = line.ca.as_deref().map(Path::display);
        let file = file.map_or_else(String::new, |it| it.to_string());
        match made {
            Ok(transport) => Ok(Arc::new(transport)),
            Err(why) => Err(RemoteError::Authorities { file, why }),
        }
    }

    fn login(&self, line: &SourceLine) -> Result<Option<Zeroizing<String>>, RemoteError> {
        let Some(name) = &line.login else {
            return Ok(None);
        };
        let source = self.config.secrets.get(name);
        let value = services::secret(self.ambient, source, name);
        let value = value.map_err(|failure| RemoteError::Login {
            name: name.clone(),
            why: failure.causes.join(": "),
        })?;
        match value {
            // One without a colon would be sent as a name with an empty password.
            Some(value) if value.contains(':') => Ok(Some(value)),
            Some(_) => Err(RemoteError::Login {
                name: name.clone(),
                why: "its value is not `NAME:PASSWORD`".to_owned(),
            }),
            None => Err(RemoteError::Login {
                name: name.clone(),
                why: "it has no value".to_owned(),
            }),
        }
    }
}

/// Whatever a place has, held against what is wanted.
async fn fetch(
    session: &Session<'_>,
    place: &Place,
    wanted: Option<&str>,
    with: With,
) -> Result<Fetched, RemoteError> {
    let fetched = match place {
        Place::Registry(reference) => registry::pull(session, reference, wanted, with).await?,
        Place::Web(url) => file(session, url).await?,
    };
    match wanted {
        // A registry names the digest beforehand, and was held against it there; of a file only its bytes say.
        Some(wanted) if wanted != fetched.digest => Err(RemoteError::Another {
            place: place.to_string(),
            wanted: wanted.to_owned(),
            found: fetched.digest,
        }),
        _ => Ok(fetched),
    }
}

/// A component, with its signature beside it, or a pack.
async fn file(session: &Session<'_>, url: &Url) -> Result<Fetched, RemoteError> {
    let wanted = Wanted::get(url.clone(), "the component", COMPONENT_BYTES_MAX);
    let bytes = session.send(wanted).await?.success()?.body;
    let mut papers = Papers::default();
    // By its bytes: what a server says of a type, or a name ends with, it chooses itself.
    let (component, signature) = match bytes.starts_with(b"\0asm") {
        true => {
            let mut beside = url.clone();
            beside.set_path(&format!("{}.sig", url.path()));
            let wanted = Wanted::get(beside, "the signature", SIGNATURE_BYTES_MAX);
            let answer = session.send(wanted).await?;
            // What is not there is answered with 404; stores that list nothing say 403, and 410 is for ever.
            let signature = match answer.status.as_u16() {
                403 | 404 | 410 => None,
                _ => Some(String::from_utf8_lossy(&answer.success()?.body).into_owned()),
            };
            (bytes, signature)
        }
        false => {
            let pack = Pack::read(&bytes).map_err(|error| RemoteError::NoComponent {
                place: url.to_string(),
                why: error.to_string(),
            })?;
            papers.readme = pack.readme.map(String::into_bytes);
            papers.sbom = pack.sbom.map(String::into_bytes);
            (pack.component, pack.signature)
        }
    };
    Ok(Fetched {
        digest: digest(&component),
        component,
        signature,
        exact: url.to_string(),
        papers,
    })
}

/// `sha256:…` of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Waits for a fetch, from wherever a plan is loaded: inside of a runtime and outside of one. So it has a
/// thread and a runtime of its own.
fn block<T: Send>(
    task: impl Future<Output = Result<T, RemoteError>> + Send,
) -> Result<T, RemoteError> {
    let whole = async { tokio::time::timeout(WHOLE, task).await };
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            let runtime = builder.enable_all().build();
            let runtime = runtime.map_err(|error| RemoteError::Runtime(error.to_string()))?;
            runtime
                .block_on(whole)
                .unwrap_or_else(|_| Err(RemoteError::Slow("all of it".to_owned(), WHOLE.as_secs())))
        });
        match waiting.join() {
            Ok(done) => done,
            // A bug of ours is not a reason for a server to be told as slow.
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

impl Wanted {
    fn get(url: Url, what: &str, most: usize) -> Self {
        Self::new(Method::GET, url, what, most)
    }
}
