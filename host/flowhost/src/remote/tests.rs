//! Servers that lie, send away, never end or ask for passwords: what is refused, and what was not even asked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_author::remote::Paper;
use flowhost_models::{Body, TransportError};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};

use super::*;

const WASM: &[u8] = b"\0asm\x0d\0\x01\0 a component";
const REGISTRY: &str = "https://r.example/v2/team/words";

/// Answers by method and address, and what was asked.
#[derive(Default)]
struct Server {
    answers: BTreeMap<String, Vec<Answering>>,
    asked: Vec<(String, Option<String>)>,
}

#[derive(Clone)]
struct Answering {
    status: u16,
    header: Option<(&'static str, String)>,
    body: Vec<u8>,
}

impl Server {
    fn says(mut self, what: &str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let answer = Answering {
            status,
            header: None,
            body: body.into(),
        };
        self.answers
            .entry(what.to_owned())
            .or_default()
            .push(answer);
        self
    }

    fn says_with(mut self, what: &str, status: u16, name: &'static str, value: &str) -> Self {
        let answer = Answering {
            status,
            header: Some((name, value.to_owned())),
            body: Vec::new(),
        };
        self.answers
            .entry(what.to_owned())
            .or_default()
            .push(answer);
        self
    }

    fn asked(&self) -> Vec<String> {
        self.asked.iter().map(|(what, _)| what.clone()).collect()
    }

    /// Who was shown what.
    fn shown(&self) -> Vec<(String, String)> {
        let shown = self.asked.iter();
        shown
            .filter_map(|(what, shown)| Some((what.clone(), shown.clone()?)))
            .collect()
    }
}

/// A server that is being asked. The last answer to an address is given for ever; those before it once each.
struct Live(Mutex<Server>);

#[async_trait]
impl Transport for Live {
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let what = format!("{} {}", request.method(), request.uri());
        let shown = request.headers().get("authorization");
        let shown = shown.map(|value| value.to_str().unwrap().to_owned());
        let mut server = self.0.lock().unwrap();
        server.asked.push((what.clone(), shown));
        let Some(answers) = server.answers.get_mut(&what) else {
            return Err(TransportError::Connect("nobody is there".to_owned()));
        };
        let answer = match answers.len() {
            1 => answers[0].clone(),
            _ => answers.remove(0),
        };
        let mut response = Response::builder().status(answer.status);
        if let Some((name, value)) = answer.header {
            response = response.header(name, value);
        }
        let body = Full::new(Bytes::from(answer.body)).map_err(|never| match never {});
        Ok(response.body(body.boxed_unsync()).unwrap())
    }
}

struct There {
    server: Arc<Live>,
    login: Option<&'static str>,
}

impl Roads for There {
    fn road(&self, _: &SourceLine) -> Result<Arc<dyn Transport>, RemoteError> {
        Ok(self.server.clone())
    }

    fn login(&self, _: &SourceLine) -> Result<Option<Zeroizing<String>>, RemoteError> {
        Ok(self.login.map(|it| Zeroizing::new(it.to_owned())))
    }
}

fn lines(text: &str) -> Vec<SourceLine> {
    Config::parse(text, Path::new("/op/flowhost.toml"))
        .unwrap()
        .sources
}

const LIST: &str = "[[sources]]\nfrom = \"https://w.example/team\"\n\
                    [[sources]]\nfrom = \"oci://r.example/team\"\nrealm = \"https://a.example/token\"\n\
                    [[sources]]\nfrom = \"https://store.example/\"\n";

struct Did {
    result: Result<Fetched, String>,
    asked: Vec<String>,
    shown: Vec<(String, String)>,
}

fn fetched(server: Server, place: &str, wanted: Option<&str>) -> Did {
    fetched_as(server, place, wanted, Some("me:secret"))
}

fn fetched_as(
    server: Server,
    place: &str,
    wanted: Option<&str>,
    login: Option<&'static str>,
) -> Did {
    let there = There {
        server: Arc::new(Live(Mutex::new(server))),
        login,
    };
    let list = lines(LIST);
    let place = Place::parse(place).unwrap();
    let session = Session::to(&place, &list, &there).expect("it is listed");
    let result =
        block(fetch(&session, &place, wanted, With::Papers)).map_err(|error| error.to_string());
    let server = there.server.0.lock().unwrap();
    Did {
        result,
        asked: server.asked(),
        shown: server.shown(),
    }
}

fn manifest(size: u64) -> Vec<u8> {
    let published = Published {
        digest: &digest(WASM),
        size,
        name: "words",
        release: "1.0.0",
        description: "",
        imports: &[],
        exports: &[],
        signature: Some("signed"),
        papers: &[],
    };
    published.manifest("sha256:0")
}

/// A registry that has the component.
fn registry() -> Server {
    let size = WASM.len() as u64;
    Server::default()
        .says(&format!("GET {REGISTRY}/manifests/1"), 200, manifest(size))
        .says(&format!("GET {REGISTRY}/blobs/{}", digest(WASM)), 200, WASM)
}

/// The source that the lines of a hint list, pasted into a file as they are.
fn pasted(hint: &str) -> String {
    let (_, lines) = hint.split_once(":\n").unwrap_or_else(|| panic!("{hint}"));
    let table: toml::Table = toml::from_str(lines).unwrap_or_else(|why| panic!("{lines}: {why}"));
    table["sources"][0]["from"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_listed_is_not_asked() {
    let list = lines(LIST);
    let there = There {
        server: Arc::new(Live(Mutex::default())),
        login: None,
    };
    for place in [
        "https://w.example/a.wasm",
        "https://other.example/team/a.wasm",
        "oci://r.example/other:1",
        "oci://w.example/team:1",
    ] {
        let place = Place::parse(place).unwrap();
        assert!(Session::to(&place, &list, &there).is_none(), "{place}");
    }
}

#[test]
fn another_component_than_the_wanted_one_is_not_even_fetched_from_a_registry() {
    let other = format!("sha256:{}", "1".repeat(64));
    let did = fetched(registry(), "oci://r.example/team/words:1", Some(&other));
    assert!(did.result.unwrap_err().contains("is another component"));
    assert_eq!(did.asked, [format!("GET {REGISTRY}/manifests/1")]);
    let server = Server::default().says("GET https://w.example/team/a.wasm", 200, WASM);
    let server = server.says("GET https://w.example/team/a.wasm.sig", 404, "");
    let did = fetched(server, "https://w.example/team/a.wasm", Some(&other));
    assert!(did.result.unwrap_err().contains("is another component"));
}

#[test]
fn papers_are_fetched_by_the_digests_of_the_manifest_and_others_are_refused() {
    let readme = b"# Words\n".to_vec();
    let papers = [(Paper::Readme, digest(&readme))];
    let published = Published {
        digest: &digest(WASM),
        size: WASM.len() as u64,
        name: "words",
        release: "1.0.0",
        description: "",
        imports: &[],
        exports: &[],
        signature: None,
        papers: &papers,
    };
    let at = format!("GET {REGISTRY}/blobs/{}", digest(&readme));
    let has = |body: &[u8]| {
        Server::default()
            .says(
                &format!("GET {REGISTRY}/manifests/1"),
                200,
                published.manifest("sha256:0"),
            )
            .says(&format!("GET {REGISTRY}/blobs/{}", digest(WASM)), 200, WASM)
            .says(&at, 200, body)
    };
    let place = "oci://r.example/team/words:1";
    let did = fetched(has(b"# Another\n"), place, None);
    assert!(did.result.unwrap_err().contains("not what its digest says"));
    let did = fetched(has(&vec![b'x'; 2 << 20]), place, None);
    assert!(did.result.unwrap_err().contains("is larger than"));
    let did = fetched(has(&readme), place, None);
    assert_eq!(did.result.unwrap().papers.readme, Some(readme));
}

#[test]
fn bytes_that_are_not_those_of_their_digest_are_refused() {
    let blob = format!("GET {REGISTRY}/blobs/{}", digest(WASM));
    let mut server = registry();
    server.answers.remove(&blob);
    let server = server.says(&blob, 200, b"\0asm\x0d\0\x01\0 b component");
    let did = fetched(server, "oci://r.example/team/words:1", None);
    assert!(did.result.unwrap_err().contains("not what its digest says"));
    // A manifest by its digest, too.
    let named = format!("sha256:{}", "2".repeat(64));
    let server = Server::default().says(
        &format!("GET {REGISTRY}/manifests/{named}"),
        200,
        manifest(1),
    );
    let place = format!("oci://r.example/team/words:1@{named}");
    let did = fetched(server, &place, None);
    assert!(did.result.unwrap_err().contains("not what its digest says"));
}

#[test]
fn no_answer_may_be_larger_than_it_was_announced_or_than_its_kind() {
    let short = Server::default()
        .says(&format!("GET {REGISTRY}/manifests/1"), 200, manifest(3))
        .says(&format!("GET {REGISTRY}/blobs/{}", digest(WASM)), 200, WASM);
    let did = fetched(short, "oci://r.example/team/words:1", None);
    assert!(did.result.unwrap_err().contains("larger than 3 bytes"));
    let huge = Server::default().says(
        &format!("GET {REGISTRY}/manifests/1"),
        200,
        manifest(1 << 40),
    );
    let did = fetched(huge, "oci://r.example/team/words:1", None);
    assert!(did.result.unwrap_err().contains("larger than"));
    assert_eq!(did.asked.len(), 1, "the layer was asked for");
    let bomb = Server::default().says(
        &format!("GET {REGISTRY}/manifests/1"),
        200,
        vec![b'['; 2 << 20],
    );
    let did = fetched(bomb, "oci://r.example/team/words:1", None);
    assert!(did.result.unwrap_err().contains("the manifest"));
}

#[test]
fn a_server_sends_us_only_where_the_list_goes_and_the_password_stays() {
    let blob = format!("GET {REGISTRY}/blobs/{}", digest(WASM));
    let sent = |to: &str| {
        let mut server = registry();
        server.answers.remove(&blob);
        server
            .says_with(&blob, 401, "www-authenticate", "Basic realm=\"r\"")
            .says_with(&blob, 307, "location", to)
            .says("GET https://store.example/x?key=1", 200, WASM)
    };
    let place = "oci://r.example/team/words:1";
    for to in [
        "http://169.254.169.254/latest",
        "https://evil.example/x",
        "http://store.example/x",
        "https://store.example:444/x",
        "https://w.example/teams/x",
    ] {
        let did = fetched(sent(to), place, None);
        assert!(did.result.unwrap_err().contains("sends us to"), "{to}");
        assert!(!did.asked.iter().any(|it| it.contains(to)), "{to}");
    }
    let did = fetched(sent("https://store.example/x?key=1"), place, None);
    assert_eq!(did.result.unwrap().component, WASM);
    let basic = "Basic bWU6c2VjcmV0".to_owned();
    assert_eq!(did.shown, [(blob.clone(), basic)], "shown to others too");
    let mut round = registry();
    round.answers.remove(&blob);
    let round = round.says_with(
        &blob,
        307,
        "location",
        &format!("{REGISTRY}/blobs/{}", digest(WASM)),
    );
    let did = fetched(round, place, None);
    assert!(did.result.unwrap_err().contains("more than 3 times"));
}

#[test]
fn a_token_is_asked_of_the_registry_or_of_the_authority_that_the_operator_names() {
    let first = format!("GET {REGISTRY}/manifests/1");
    let asking = |realm: &str| {
        let mut server = registry();
        let last = server.answers.remove(&first).unwrap();
        let question =
            format!("Bearer realm=\"{realm}\",service=\"r\",scope=\"repository:team/words:pull\"");
        let mut server = server.says_with(&first, 401, "www-authenticate", &question);
        server.answers.get_mut(&first).unwrap().extend(last);
        server
    };
    let place = "oci://r.example/team/words:1";
    for realm in [
        "https://evil.example/token",
        "http://a.example/token",
        "https://a.example/other",
        "file:///etc/passwd",
        "x",
    ] {
        let did = fetched(asking(realm), place, None);
        assert!(
            did.result.unwrap_err().contains("wants a token of"),
            "{realm}"
        );
        assert_eq!(did.asked.len(), 1, "{realm}");
        assert!(did.shown.is_empty(), "{realm}");
    }
    let at = "GET https://a.example/token?service=r&scope=repository%3Ateam%2Fwords%3Apull";
    let server = asking("https://a.example/token").says(at, 200, "{\"token\":\"t1\"}");
    let did = fetched(server, place, None);
    assert_eq!(did.result.unwrap().signature.as_deref(), Some("signed"));
    let basic = "Basic bWU6c2VjcmV0".to_owned();
    let token = "Bearer t1".to_owned();
    let blob = format!("GET {REGISTRY}/blobs/{}", digest(WASM));
    assert_eq!(
        did.shown,
        [
            (at.to_owned(), basic),
            (first.clone(), token.clone()),
            (blob, token)
        ]
    );
    let server = asking("https://a.example/token").says(at, 200, "{\"token\":\"a b\"}");
    assert!(
        fetched(server, place, None)
            .result
            .unwrap_err()
            .contains("holds no token")
    );
}

#[test]
fn a_password_that_is_not_there_or_not_taken_is_said() {
    let first = format!("GET {REGISTRY}/manifests/1");
    let closed =
        || Server::default().says_with(&first, 401, "www-authenticate", "Basic realm=\"r\"");
    let place = "oci://r.example/team/words:1";
    let did = fetched_as(closed(), place, None, None);
    assert!(did.result.unwrap_err().contains("wants to know who asks"));
    let did = fetched(closed(), place, None);
    assert!(did.result.unwrap_err().contains("does not take"));
    assert_eq!(did.asked.len(), 2);
}

#[test]
fn a_file_has_its_signature_beside_it_and_a_page_is_no_component() {
    let at = "https://w.example/team/a.wasm";
    let server = Server::default()
        .says(&format!("GET {at}"), 200, WASM)
        .says(&format!("GET {at}.sig"), 200, "signed");
    let did = fetched(server, at, Some(&digest(WASM)));
    assert_eq!(did.result.unwrap().signature.as_deref(), Some("signed"));
    let server = Server::default()
        .says(&format!("GET {at}"), 200, WASM)
        .says(&format!("GET {at}.sig"), 500, "no");
    assert!(
        fetched(server, at, None)
            .result
            .unwrap_err()
            .contains("500: no")
    );
    let page = Server::default().says(&format!("GET {at}"), 200, "<html>");
    assert!(
        fetched(page, at, None)
            .result
            .unwrap_err()
            .contains("neither a component nor a pack")
    );
    let gone = fetched(Server::default(), at, None).result.unwrap_err();
    assert!(gone.contains("nobody is there"), "{gone}");
}

#[test]
fn what_was_fetched_is_used_again_without_asking_and_a_changed_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let ambient = Ambient::with(BTreeMap::new(), dir.path().to_owned(), None);
    let config = Config {
        fetched: Some(dir.path().join("fetched")),
        ..Config::default()
    };
    let found = Fetched {
        component: WASM.to_vec(),
        digest: digest(WASM),
        signature: Some("signed".to_owned()),
        exact: String::new(),
        papers: Papers::default(),
    };
    let folder = config.fetched.as_deref().unwrap();
    let path = kept::keep(&ambient, folder, &found).unwrap();
    let remote = Remote::new(&ambient, &config);
    let place = "https://w.example/team/a.wasm";
    let pin = digest(WASM);
    let (at, bytes) = remote.component(place, Pin::To(&pin)).unwrap();
    assert_eq!((at, &*bytes), (path.clone(), WASM));
    ambient.write(&path, b"\0asm changed").unwrap();
    let refused = remote.component(place, Pin::To(&pin)).unwrap_err();
    assert!(refused.message.contains("do not list it"), "{refused}");
    assert!(
        place.starts_with(&pasted(&refused.hint)),
        "{}",
        refused.hint
    );
    let elsewhere = RemoteError::Elsewhere {
        from: "https://w.example".to_owned(),
        to: "https://store.example/a/b".to_owned(),
    };
    assert_eq!(pasted(&elsewhere.cure()), "https://store.example/");
    let unsaid = remote.component(place, Pin::Unsaid).unwrap_err();
    assert!(
        unsaid.message.contains("which component is meant"),
        "{unsaid}"
    );
}
