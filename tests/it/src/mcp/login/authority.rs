//! An authority and an MCP server on this machine that speak the real protocol: codes are good once and with their
//! proof, refresh tokens are good once, tokens are good for one server. Both may stand behind TLS.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::mcp::site::{Asked, Site, modern, reply, shouted};

/// A request's parameters.
pub(super) type Form = BTreeMap<String, String>;

/// Changes what is well.
pub(super) type Twist<T> = fn(&mut T);

/// What a token is good for.
#[derive(Clone, Debug)]
struct Grant {
    client: String,
    resource: String,
    scope: String,
}

struct Code {
    grant: Grant,
    challenge: String,
    redirect: String,
}

/// What the authority remembers.
#[derive(Default)]
pub(super) struct Books {
    made: u32,
    codes: BTreeMap<String, Code>,
    access: BTreeMap<String, Grant>,
    refresh: BTreeMap<String, Grant>,
    /// Every token that was ever given.
    pub(super) given: Vec<String>,
    /// Scopes by request to log in.
    pub(super) asked_for: Vec<String>,
    /// Tokens that were given back.
    pub(super) back: Vec<String>,
    /// How often a token was renewed.
    pub(super) renewed: u32,
}

impl Books {
    fn make(&mut self, what: &str) -> String {
        self.made += 1;
        format!("{what}-{}", self.made)
    }

    /// No access token is good any more.
    pub(super) fn forget_access(&mut self) {
        self.access.clear();
    }

    /// Nothing is.
    pub(super) fn forget_all(&mut self) {
        self.access.clear();
        self.refresh.clear();
    }
}

/// How the two behave; the default is well.
#[derive(Clone, Copy)]
pub(super) struct Manners {
    /// Seconds that a token is good.
    pub(super) lifetime: u64,
    /// Changes what the authority says of itself.
    pub(super) authority: Twist<Value>,
    /// Changes what the server says of itself; null is nothing.
    pub(super) resource: Twist<Value>,
    /// Changes what a browser brings back.
    pub(super) answer: Twist<Form>,
    /// What the place of tokens answers in the place of a token: status, headers, body.
    pub(super) token: Option<(u16, &'static str, &'static str)>,
    /// What a token has to allow for a call.
    pub(super) call: &'static str,
    /// By which scheme both say that they are reached.
    pub(super) scheme: &'static str,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            lifetime: 3_600,
            authority: |_| {},
            resource: |_| {},
            answer: |_| {},
            token: None,
            call: "list",
            scheme: "http",
        }
    }
}

/// The authority and the server.
pub(super) struct Two {
    pub(super) server: Site,
    books: Arc<Mutex<Books>>,
    scheme: &'static str,
    /// Where a client finds the server.
    address: SocketAddr,
    /// Where the authority is without TLS, which the browser of these tests does not speak.
    authority: SocketAddr,
}

impl Two {
    pub(super) fn start(manners: Manners) -> Self {
        Self::started(manners, None)
    }

    /// Both behind TLS.
    pub(super) fn behind(manners: Manners, tls: &Arc<ServerConfig>) -> Self {
        let scheme = "https";
        Self::started(Manners { scheme, ..manners }, Some(tls))
    }

    fn started(manners: Manners, tls: Option<&Arc<ServerConfig>>) -> Self {
        let door = |site: &Site| tls.map_or(site.address, |tls| door(site.address, tls.clone()));
        let books: Arc<Mutex<Books>> = Arc::default();
        let own = books.clone();
        let authority = Site::start(move |asked, stream| {
            authority(asked, stream, &mut own.lock().unwrap(), manners);
        });
        let issuer = format!("{}://{}", manners.scheme, door(&authority));
        let own = books.clone();
        let server = Site::start(move |asked, stream| {
            server(asked, stream, &own, &issuer, manners);
        });
        Self {
            address: door(&server),
            server,
            books,
            scheme: manners.scheme,
            authority: authority.address,
        }
    }

    /// The server's address.
    pub(super) fn url(&self) -> String {
        format!("{}://{}/mcp", self.scheme, self.address)
    }

    /// What a person's browser does with the page to log in.
    pub(super) fn browse(&self, page: &str) -> String {
        browse_behind(page, Some(self.authority))
    }

    pub(super) fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }
}

fn form(text: &str) -> Form {
    form_urlencoded::parse(text.as_bytes())
        .into_owned()
        .collect()
}

fn json_reply(stream: &mut TcpStream, status: u16, body: &Value) {
    let kind = "content-type: application/json\r\n";
    reply(stream, status, kind, &body.to_string());
}

fn refuse(stream: &mut TcpStream, error: &str) {
    let why = format!("the authority of the test says {error}");
    json_reply(
        stream,
        400,
        &json!({ "error": error, "error_description": why }),
    );
}

fn own_address(asked: &Asked, manners: Manners) -> String {
    format!("{}://{}", manners.scheme, asked.header("host").unwrap())
}

/// A door with TLS before a site: one request and its answer for each connection.
fn door(site: SocketAddr, tls: Arc<ServerConfig>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(tls.clone()).unwrap();
            let stream = StreamOwned::new(connection, stream.unwrap());
            std::thread::spawn(move || pass(stream, site));
        }
    });
    address
}

/// Whoever does not believe the certificate goes away: that is the client's to tell.
fn pass(mut client: StreamOwned<ServerConnection, TcpStream>, site: SocketAddr) -> Option<()> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(at) = request.windows(4).position(|it| it == b"\r\n\r\n") {
            break at + 4;
        }
        more(&mut client, &mut request)?;
    };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(0, |it| it.trim().parse().unwrap());
    while request.len() < head + length {
        more(&mut client, &mut request)?;
    }
    let mut site = TcpStream::connect(site).unwrap();
    site.write_all(&request).unwrap();
    // As it comes: a stream of events ends with its reader.
    let mut piece = [0; 4096];
    loop {
        let read = site.read(&mut piece).ok()?;
        if read == 0 {
            client.conn.send_close_notify();
            return client.flush().ok();
        }
        client.write_all(&piece[..read]).ok()?;
        client.flush().ok()?;
    }
}

fn more(from: &mut impl Read, to: &mut Vec<u8>) -> Option<()> {
    let mut piece = [0; 4096];
    let read = from.read(&mut piece).ok().filter(|it| *it > 0)?;
    to.extend_from_slice(&piece[..read]);
    Some(())
}

fn authority(asked: &Asked, stream: &mut TcpStream, books: &mut Books, manners: Manners) {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    match path {
        "/.well-known/oauth-authorization-server" => {
            let own = own_address(asked, manners);
            let mut about = json!({
                "issuer": own,
                "authorization_endpoint": format!("{own}/authorize"),
                "token_endpoint": format!("{own}/token"),
                "registration_endpoint": format!("{own}/register"),
                "revocation_endpoint": format!("{own}/revoke"),
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": true,
            });
            (manners.authority)(&mut about);
            json_reply(stream, 200, &about);
        }
        "/register" => {
            assert_eq!(asked.body["application_type"], "native");
            let client = books.make("client");
            let redirects = &asked.body["redirect_uris"];
            json_reply(
                stream,
                201,
                &json!({ "client_id": client, "redirect_uris": redirects }),
            );
        }
        "/authorize" => authorize(asked, stream, books, &form(query), manners),
        "/token" => match manners.token {
            Some((status, headers, body)) => reply(stream, status, headers, body),
            None => token(stream, books, &form(&asked.text), manners),
        },
        "/revoke" => {
            let form = form(&asked.text);
            books.access.remove(&form["token"]);
            books.refresh.remove(&form["token"]);
            books.back.push(form["token"].clone());
            reply(stream, 200, "", "");
        }
        _ => reply(stream, 404, "", "not found"),
    }
}

/// The person agrees at once.
fn authorize(
    asked: &Asked,
    stream: &mut TcpStream,
    books: &mut Books,
    form: &Form,
    manners: Manners,
) {
    assert_eq!(form["response_type"], "code");
    assert_eq!(form["code_challenge_method"], "S256");
    let scope = form.get("scope").cloned().unwrap_or_default();
    books.asked_for.push(scope.clone());
    let code = books.make("code");
    let grant = Grant {
        client: form["client_id"].clone(),
        resource: form["resource"].clone(),
        scope,
    };
    books.codes.insert(
        code.clone(),
        Code {
            grant,
            challenge: form["code_challenge"].clone(),
            redirect: form["redirect_uri"].clone(),
        },
    );
    let mut back = Form::from([
        ("code".to_owned(), code),
        ("state".to_owned(), form["state"].clone()),
        ("iss".to_owned(), own_address(asked, manners)),
    ]);
    (manners.answer)(&mut back);
    let mut to = Url::parse(&form["redirect_uri"]).unwrap();
    to.query_pairs_mut().extend_pairs(&back);
    reply(stream, 302, &format!("location: {to}\r\n"), "");
}

fn token(stream: &mut TcpStream, books: &mut Books, form: &Form, manners: Manners) {
    let grant = match form["grant_type"].as_str() {
        "authorization_code" => books.codes.remove(&form["code"]).and_then(|code| {
            let proof = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            let fits = proof == code.challenge && form["redirect_uri"] == code.redirect;
            fits.then_some(code.grant)
        }),
        "refresh_token" => {
            books.renewed += 1;
            books.refresh.remove(&form["refresh_token"])
        }
        other => panic!("{other}"),
    };
    let fits = |it: &Grant| form["client_id"] == it.client && form["resource"] == it.resource;
    let Some(grant) = grant.filter(fits) else {
        return refuse(stream, "invalid_grant");
    };
    let (access, refresh) = (books.make("access-canary"), books.make("refresh-canary"));
    books.given.extend([access.clone(), refresh.clone()]);
    books.access.insert(access.clone(), grant.clone());
    books.refresh.insert(refresh.clone(), grant.clone());
    json_reply(
        stream,
        200,
        &json!({
            "access_token": access, "token_type": "Bearer", "expires_in": manners.lifetime,
            "refresh_token": refresh, "scope": grant.scope,
        }),
    );
}

fn server(
    asked: &Asked,
    stream: &mut TcpStream,
    books: &Mutex<Books>,
    issuer: &str,
    manners: Manners,
) {
    let own = own_address(asked, manners);
    if asked.path == "/.well-known/oauth-protected-resource/mcp" {
        let mut about = json!({
            "resource": format!("{own}/mcp"),
            "authorization_servers": [issuer],
            "scopes_supported": ["list"],
        });
        (manners.resource)(&mut about);
        return match about.is_null() {
            true => reply(stream, 404, "", "not found"),
            false => json_reply(stream, 200, &about),
        };
    }
    if asked.path != "/mcp" {
        return reply(stream, 404, "", "not found");
    }
    let shown = asked.header("authorization").unwrap_or_default();
    let token = shown.strip_prefix("Bearer ").unwrap_or_default();
    let grant = books.lock().unwrap().access.get(token).cloned();
    let Some(grant) = grant.filter(|it| it.resource == format!("{own}/mcp")) else {
        return reply(
            stream,
            401,
            "www-authenticate: Bearer error=\"invalid_token\"\r\n",
            "",
        );
    };
    if modern(asked, stream) {
        return;
    }
    if asked.what() != "tools/call" {
        return reply(stream, 405, "", "");
    }
    if !grant.scope.split(' ').any(|it| it == manners.call) {
        let wanted = manners.call;
        let challenge = format!(
            "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"list {wanted}\"\r\n"
        );
        return reply(stream, 403, &challenge, "");
    }
    json_reply(stream, 200, &shouted(asked));
}

/// What a browser does with an address: asks for it, and goes where it is sent. Gives the last page.
pub(super) fn browse(address: &str) -> String {
    browse_behind(address, None)
}

/// The same, where what stands behind TLS is found without it.
fn browse_behind(address: &str, behind: Option<SocketAddr>) -> String {
    let mut address = address.to_owned();
    for _ in 0..3 {
        let url = Url::parse(&address).unwrap();
        let at = match behind.filter(|_| url.scheme() == "https") {
            Some(plain) => plain,
            None => url.socket_addrs(|| None).unwrap()[0],
        };
        let mut stream = TcpStream::connect(at).unwrap();
        let query = url.query().map_or(String::new(), |it| format!("?{it}"));
        let (path, host) = (url.path(), url.authority());
        let request =
            format!("GET {path}{query} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut page = String::new();
        stream.read_to_string(&mut page).unwrap();
        let location = page
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        match location {
            Some(to) => address = to.to_owned(),
            None => return page,
        }
    }
    panic!("sent on without end: {address}");
}
