//! Pull and push, in the few requests of the OCI distribution specification that a single layer needs.

use flowhost_author::remote::{Artifact, MANIFEST_BYTES_MAX, MANIFEST_TYPE, Published, Reference};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use url::Url;

use super::web::{Answer, Session, Wanted as Request};
use super::{COMPONENT_BYTES_MAX, Fetched, RemoteError, digest};

/// Bytes of an answer that only says yes or no.
const WORD_BYTES_MAX: usize = 64 << 10;

/// What is to be published, and where.
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a Reference,
    pub(super) tag: &'a str,
    pub(super) component: &'a [u8],
    pub(super) published: &'a Published<'a>,
    pub(super) replace: bool,
}

/// What was published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The place with the manifest's digest.
    pub exact: String,
    /// `sha256:…` of the manifest.
    pub manifest: String,
    /// Whether it was there already, as it is.
    pub already: bool,
}

pub(super) async fn pull(
    session: &Session<'_>,
    reference: &Reference,
    wanted: Option<&str>,
) -> Result<Fetched, RemoteError> {
    let place = reference.to_string();
    let url = address(reference, &format!("manifests/{}", reference.wanted()))?;
    let request = Request::new(Method::GET, url, "the manifest", MANIFEST_BYTES_MAX);
    let answer = session.send(request.with(ACCEPT, MANIFEST_TYPE)).await?;
    let answer = answer.success()?;
    let manifest = digest(&answer.body);
    if let Some(named) = reference
        .digest
        .as_deref()
        .filter(|named| *named != manifest)
    {
        return Err(announced(&answer, "the manifest", named, manifest));
    }
    let artifact = Artifact::read(&answer.body).map_err(|why| RemoteError::Artifact {
        place: place.clone(),
        why,
    })?;
    let layer = artifact.layer;
    // Before it is fetched: the layer's digest is the component's.
    if let Some(wanted) = wanted.filter(|wanted| *wanted != layer.digest) {
        return Err(RemoteError::Another {
            place,
            wanted: wanted.to_owned(),
            found: layer.digest,
        });
    }
    let url = address(reference, &format!("blobs/{}", layer.digest))?;
    let size = usize::try_from(layer.size).unwrap_or(usize::MAX);
    if size > COMPONENT_BYTES_MAX {
        return Err(RemoteError::Large {
            what: "the component".to_owned(),
            url: url.to_string(),
            most: COMPONENT_BYTES_MAX,
        });
    }
    // No more than was announced: what follows it could not be the component.
    let request = Request::new(Method::GET, url, "the component", size);
    let answer = session.send(request).await?.success()?;
    let found = digest(&answer.body);
    if found != layer.digest {
        return Err(announced(&answer, "the component", &layer.digest, found));
    }
    let exact = Reference {
        digest: Some(manifest),
        ..reference.clone()
    };
    Ok(Fetched {
        component: answer.body,
        digest: found,
        signature: artifact.signature,
        exact: exact.to_string(),
    })
}

pub(super) async fn push(
    session: &Session<'_>,
    wanted: &Wanted<'_>,
) -> Result<Pushed, RemoteError> {
    let reference = wanted.reference;
    let config = wanted.published.config();
    let config_digest = digest(&config);
    let manifest = wanted.published.manifest(&config_digest);
    let pushed = |already| Pushed {
        exact: Reference {
            digest: Some(digest(&manifest)),
            ..reference.clone()
        }
        .to_string(),
        manifest: digest(&manifest),
        already,
    };
    let url = address(reference, &format!("manifests/{}", wanted.tag))?;
    let request = Request::new(Method::GET, url.clone(), "the manifest", MANIFEST_BYTES_MAX);
    let there = session.send(request.with(ACCEPT, MANIFEST_TYPE)).await?;
    if there.status != StatusCode::NOT_FOUND {
        let found = digest(&there.success()?.body);
        if found == digest(&manifest) {
            return Ok(pushed(true));
        }
        if !wanted.replace {
            let place = reference.to_string();
            return Err(RemoteError::Taken { place, found });
        }
    }
    upload(
        session,
        reference,
        wanted.published.digest,
        wanted.component,
    )
    .await?;
    upload(session, reference, &config_digest, &config).await?;
    let request = Request::new(Method::PUT, url, "the manifest", WORD_BYTES_MAX)
        .with(CONTENT_TYPE, MANIFEST_TYPE)
        .sending(manifest.clone());
    session.send(request).await?.success()?;
    Ok(pushed(false))
}

/// Sends bytes unless the registry has them.
async fn upload(
    session: &Session<'_>,
    reference: &Reference,
    digest: &str,
    bytes: &[u8],
) -> Result<(), RemoteError> {
    let url = address(reference, &format!("blobs/{digest}"))?;
    let request = Request::new(Method::HEAD, url, "a layer", WORD_BYTES_MAX);
    if session.send(request).await?.status.is_success() {
        return Ok(());
    }
    let url = address(reference, "blobs/uploads/")?;
    let request = Request::new(Method::POST, url, "an upload", WORD_BYTES_MAX);
    let answer = session.send(request).await?.success()?;
    let mut to = answer.location().ok_or_else(|| RemoteError::NoLocation {
        url: answer.url.to_string(),
    })?;
    to.query_pairs_mut().append_pair("digest", digest);
    let request = Request::new(Method::PUT, to, "an upload", WORD_BYTES_MAX)
        .with(CONTENT_TYPE, "application/octet-stream")
        .sending(bytes.to_vec());
    session.send(request).await?.success()?;
    Ok(())
}

fn address(reference: &Reference, rest: &str) -> Result<Url, RemoteError> {
    let text = format!("{}/v2/{}/{rest}", reference.base(), reference.repository);
    Url::parse(&text).map_err(|error| RemoteError::Address {
        url: text,
        why: error.to_string(),
    })
}

fn announced(answer: &Answer, what: &str, wanted: &str, found: String) -> RemoteError {
    RemoteError::Digest {
        what: what.to_owned(),
        url: answer.url.to_string(),
        wanted: wanted.to_owned(),
        found,
    }
}
