//! A headless Chromium, driven over its debugging pipe: opens one local page and tells what a browser
//! makes of it. Nothing here reaches the network, and the tests check that the page does not either.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

/// One answer; a machine that builds and tests on few cores may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Names that distributions give it.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// The browser of this machine: `FLOWHOST_CHROMIUM`, else by name. Without one the caller's test is
/// skipped, and says so.
pub(crate) fn find(test: &str) -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("FLOWHOST_CHROMIUM") {
        return Some(PathBuf::from(path));
    }
    let answers = |name: &&&str| {
        let mut command = Command::new(name);
        command
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let found = NAMES.iter().find(answers).map(PathBuf::from);
    if found.is_none() {
        eprintln!(
            "SKIPPED {test}\n  because: no Chromium is on this machine\n  cure:    install `chromium`, \
             or name one in FLOWHOST_CHROMIUM"
        );
    }
    found
}

/// A browser with one open page.
pub(crate) struct Browser {
    process: Child,
    _folder: tempfile::TempDir,
    orders: File,
    answers: Receiver<Value>,
    session: String,
    next: u64,
    /// Console messages, log entries and uncaught errors.
    pub(crate) complaints: Vec<String>,
    /// Every address that was asked for.
    pub(crate) requests: Vec<String>,
    loaded: bool,
}

impl Browser {
    /// Starts it. The pipes are named ones, so that a shell can put them where Chromium looks for
    /// them: orders on descriptor 3, answers on 4.
    pub(crate) fn start(program: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (orders, answers) = (folder.path().join("orders"), folder.path().join("answers"));
        let made = Command::new("mkfifo").arg(&orders).arg(&answers).status();
        assert!(made.unwrap().success(), "mkfifo failed");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg("exec \"$0\" \"$@\" 3<\"$ORDERS\" 4>\"$ANSWERS\"")
            .arg(program)
            .args([
                "--headless",
                "--remote-debugging-pipe",
                "--no-sandbox",
                "--disable-gpu",
            ])
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-sync",
            ])
            .args([
                "--disable-component-update",
                "--disable-quic",
                "--disable-dev-shm-usage",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .env("ORDERS", &orders)
            .env("ANSWERS", &answers)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        // Each end waits for the other one to be opened, in the order of the shell's line.
        let orders = OpenOptions::new().write(true).open(orders).unwrap();
        let answers = listen(File::open(answers).unwrap());
        let mut browser = Self {
            process,
            _folder: folder,
            orders,
            answers,
            session: String::new(),
            next: 0,
            complaints: Vec::new(),
            requests: Vec::new(),
            loaded: false,
        };
        browser.attach();
        browser
    }

    fn attach(&mut self) {
        let target = self.order("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = self.order("Target.attachToTarget", attach);
        self.session = session["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.order(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Gives an order and waits for its answer, taking note of what happens meanwhile.
    pub(crate) fn order(&mut self, method: &str, parameters: Value) -> Value {
        self.next += 1;
        let mut order = json!({ "id": self.next, "method": method, "params": parameters });
        if !self.session.is_empty() {
            order["sessionId"] = json!(self.session);
        }
        let mut bytes = serde_json::to_vec(&order).unwrap();
        bytes.push(0);
        self.orders.write_all(&bytes).unwrap();
        loop {
            let message = self.hear(method);
            if message["id"] == json!(self.next) {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].clone();
            }
            self.note(&message);
        }
    }

    fn hear(&self, what: &str) -> Value {
        let heard = self.answers.recv_timeout(PATIENCE);
        heard.unwrap_or_else(|error| panic!("Chromium did not answer {what}: {error}"))
    }

    fn note(&mut self, message: &Value) {
        let parameters = &message["params"];
        match message["method"].as_str().unwrap_or_default() {
            "Page.loadEventFired" => self.loaded = true,
            "Network.requestWillBeSent" => {
                let url = parameters["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
            }
            "Log.entryAdded" => self.complaints.push(parameters["entry"].to_string()),
            "Runtime.consoleAPICalled" | "Runtime.exceptionThrown" => {
                self.complaints.push(parameters.to_string());
            }
            _ => {}
        }
    }

    /// Opens a file and waits until all of it is there.
    pub(crate) fn open(&mut self, file: &Path) {
        self.loaded = false;
        let url = format!("file://{}", file.display());
        self.order("Page.navigate", json!({ "url": url }));
        while !self.loaded {
            let message = self.hear("the page's load event");
            self.note(&message);
        }
    }

    /// What an expression is in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.order("Runtime.evaluate", parameters);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    /// Looks at the page on a screen of this width, in light or dark.
    pub(crate) fn look(&mut self, width: u32, dark: bool) {
        let metrics =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.order("Emulation.setDeviceMetricsOverride", metrics);
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.order("Emulation.setEmulatedMedia", features);
    }

    /// Texts whose contrast is too small to read (WCAG AA: 4.5 to 1), with the ratio.
    pub(crate) fn faint_texts(&mut self) -> BTreeMap<String, f64> {
        let found = self.value(include_str!("browser_contrast.js"));
        serde_json::from_value(found).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _ended = self.process.wait();
    }
}

/// Reads messages, each ended by a NUL.
fn listen(answers: File) -> Receiver<Value> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for message in BufReader::new(answers).split(0) {
            let Ok(message) = message else { return };
            let Ok(value) = serde_json::from_slice(&message) else {
                return;
            };
            if sender.send(value).is_err() {
                return;
            }
        }
    });
    receiver
}
