//! Pull and push, in the few requests of the OCI distribution specification that a single layer needs.

use flowhost_author::remote::{
    Artifact, EMPTY, EMPTY_DIGEST, INDEX_TYPE, Layer, MANIFEST_BYTES_MAX, MANIFEST_TYPE, Paper,
    Published, Reference, list_tag, listed,
};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, StatusCode};
use url::Url;

use super::web::{Answer, Session, Wanted as Request};
use super::{COMPONENT_BYTES_MAX, Fetched, Papers, RemoteError, With, digest};

/// Bytes of an answer that only says yes or no. Some registries answer with a page all the same.
const WORD_BYTES_MAX: usize = 64 << 10;
/// What a registry says when it keeps the list of artifacts about a manifest by itself (OCI 1.1).
const KEEPS_THE_LIST: &str = "oci-subject";

/// What is to be published, and where.
pub(super) struct Wanted<'a> {
    pub(super) reference: &'a Reference,
    pub(super) tag: &'a str,
    pub(super) component: &'a [u8],
    pub(super) papers: &'a Papers,
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
    with: With,
) -> Result<Fetched, RemoteError> {
    let place = reference.to_string();
    // The digest where the reference has one, and the tag only else: a tag may have been moved since.
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
    let size = usize::try_from(layer.size).unwrap_or(usize::MAX);
    // Told before it is fetched, by what the manifest says; a registry that says less than it sends meets `size`
    // below.
    if size > COMPONENT_BYTES_MAX {
        let url = address(reference, &format!("blobs/{}", layer.digest))?;
        return Err(RemoteError::Large {
            what: "the component".to_owned(),
            url: url.to_string(),
            most: COMPONENT_BYTES_MAX,
        });
    }
    // No more than was announced: what follows it could not be the component.
    let component = blob(session, reference, &layer.digest, "the component", size).await?;
    let mut papers = Papers::default();
    let named = artifact.papers.into_iter();
    for (paper, digest) in named.filter(|_| with == With::Papers) {
        // Bounded by what it is, and not by what the manifest says of it: a paper is read by people, and nobody reads
        // more.
        let (what, most) = (name(paper), paper.bytes_max());
        papers.put(paper, blob(session, reference, &digest, what, most).await?);
    }
    let exact = Reference {
        digest: Some(manifest),
        ..reference.clone()
    };
    Ok(Fetched {
        component,
        digest: layer.digest,
        signature: artifact.signature,
        exact: exact.to_string(),
        papers,
    })
}

/// What a paper is called before a person.
const fn name(paper: Paper) -> &'static str {
    match paper {
        Paper::Readme => "the README",
        Paper::Ingredients => "the list of ingredients",
    }
}

/// The bytes with this digest.
async fn blob(
    session: &Session<'_>,
    reference: &Reference,
    wanted: &str,
    what: &str,
    most: usize,
) -> Result<Vec<u8>, RemoteError> {
    let url = address(reference, &format!("blobs/{wanted}"))?;
    let request = Request::new(Method::GET, url, what, most);
    let answer = session.send(request).await?.success()?;
    let found = digest(&answer.body);
    match found == wanted {
        true => Ok(answer.body),
        false => Err(announced(&answer, what, wanted, found)),
    }
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
    // Asked first and put last: between the two somebody else may take the tag, and the registry's protocol has no
    // request for "unless it is there".
    let there = session.send(request.with(ACCEPT, MANIFEST_TYPE)).await?;
    if there.status != StatusCode::NOT_FOUND {
        let found = digest(&there.success()?.body);
        if found == digest(&manifest) {
            // The same bytes: a publication that was repeated is not an error, and its papers came with the first.
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
    let subject = as_layer(&manifest);
    for (paper, bytes) in wanted.papers.each() {
        hand_in(session, reference, paper, bytes, &subject).await?;
    }
    // Last: what has its tag is there whole, and a publication that broke off is done again.
    put(session, url, MANIFEST_TYPE, &manifest).await?;
    Ok(pushed(false))
}

/// A manifest as another one names it.
fn as_layer(manifest: &[u8]) -> Layer {
    Layer {
        media_type: MANIFEST_TYPE.to_owned(),
        digest: digest(manifest),
        size: manifest.len() as u64,
    }
}

async fn put(
    session: &Session<'_>,
    url: Url,
    media_type: &'static str,
    manifest: &[u8],
) -> Result<Answer, RemoteError> {
    let request = Request::new(Method::PUT, url, "the manifest", WORD_BYTES_MAX)
        .with(CONTENT_TYPE, media_type)
        .sending(manifest.to_vec());
    session.send(request).await?.success()
}

/// Puts a paper beside the component whose manifest is `subject`.
async fn hand_in(
    session: &Session<'_>,
    reference: &Reference,
    paper: Paper,
    bytes: &[u8],
    subject: &Layer,
) -> Result<(), RemoteError> {
    let own = Layer {
        media_type: paper.media_type().to_owned(),
        digest: digest(bytes),
        size: bytes.len() as u64,
    };
    upload(session, reference, &own.digest, bytes).await?;
    // A manifest needs a configuration, and this one has nothing to say in it: the specification's empty document
    // stands in (OCI 1.1, "guidelines for artifact usage").
    upload(session, reference, EMPTY_DIGEST, EMPTY).await?;
    let manifest = paper.manifest(&own, subject);
    let entry = as_layer(&manifest);
    let url = address(reference, &format!("manifests/{}", entry.digest))?;
    let answer = put(session, url, MANIFEST_TYPE, &manifest).await?;
    if answer.headers.contains_key(KEEPS_THE_LIST) {
        return Ok(());
    }
    // Older registries keep no such list: under this tag others look for it, and without a tag the paper
    // would be swept away.
    let url = address(
        reference,
        &format!("manifests/{}", list_tag(&subject.digest)),
    )?;
    let request = Request::new(Method::GET, url.clone(), "the list", MANIFEST_BYTES_MAX);
    let there = session.send(request.with(ACCEPT, INDEX_TYPE)).await?;
    // Read, changed and put back: two publications at once may lose one's entry. The specification offers no more to
    // registries of this age, and doing it again mends it.
    let there = match there.status {
        StatusCode::NOT_FOUND => None,
        _ => Some(there.success()?.body),
    };
    let list = listed(there.as_deref(), paper, &entry).map_err(|why| RemoteError::Artifact {
        place: url.to_string(),
        why,
    })?;
    if let Some(list) = list {
        put(session, url, INDEX_TYPE, &list).await?;
    }
    Ok(())
}

/// Sends bytes unless the registry has them.
async fn upload(
    session: &Session<'_>,
    reference: &Reference,
    digest: &str,
    bytes: &[u8],
) -> Result<(), RemoteError> {
    let url = address(reference, &format!("blobs/{digest}"))?;
    // What an answer other than yes means is left open: a registry that forbids the question may still take the
    // upload, and its refusal of that is told.
    let request = Request::new(Method::HEAD, url, "a layer", WORD_BYTES_MAX);
    if session.send(request).await?.status.is_success() {
        return Ok(());
    }
    let url = address(reference, "blobs/uploads/")?;
    let request = Request::new(Method::POST, url, "an upload", WORD_BYTES_MAX);
    let answer = session.send(request).await?.success()?;
    // Where to is the registry's word; the list holds it against the operator's, as it does with a redirect.
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
