//! The dashboard over evidence: written, served, and looked at in a real browser.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::analysis::{evidence, stage};
use super::report::structure;
use crate::browser::{self, Browser};
use crate::support::Home;

/// Three weeks of two sets of models, one of which has a name that would be markup.
fn dashboard() -> Home {
    let lines: Vec<Value> = (0..20)
        .map(|run| {
            stage(run, if run % 3 == 0 { "tasks" } else { "plan" }, |it| {
                it["consensus"]["total_cost_usd"] = json!(0.02 + f64::from(run) / 1_000.0);
                if run % 2 == 0 {
                    it["consensus"]["agents"][1]["model_id"] =
                        json!("local/<script>window.pwned = 1</script>");
                    it["consensus"]["agreement_ratio"] = json!(0.8);
                    it["consensus"]["agents"][1]["reasoning_mode"] = Value::Null;
                }
            })
        })
        .collect();
    evidence(&lines)
}

#[test]
fn the_dashboard_is_one_page_or_its_numbers_and_a_mocks_says_so() {
    let home = dashboard();
    let numbers = home
        .flowhost(&["telemetry", "dashboard", "--json"])
        .expect(0)
        .json();
    assert_eq!(numbers["overview"]["runs"], 20);
    assert_eq!(numbers["overview"]["sets"].as_array().unwrap().len(), 2);
    home.flowhost(&["telemetry", "dashboard", "--out", "dash.html"])
        .expect(0);
    let page = home.read("dash.html");
    assert_eq!(
        page,
        home.flowhost(&["telemetry", "dashboard"]).expect(0).stdout
    );
    assert!(!page.contains("http-equiv=\"refresh\""));
    let mocked = home
        .flowhost(&["telemetry", "dashboard", "--mock"])
        .expect(1);
    assert!(mocked.stdout.is_empty());
    assert!(
        mocked.stderr.contains("leave out `--mock`"),
        "{}",
        mocked.stderr
    );
}

#[test]
fn in_chromium_the_dashboard_is_readable_and_hands_out_its_charts() {
    let Some(program) = browser::find("the dashboard in a browser") else {
        return;
    };
    let home = dashboard();
    home.flowhost(&["telemetry", "dashboard", "--out", "dash.html"])
        .expect(0);
    let page = home.path().join("dash.html");
    let mut browser = Browser::start(&program);
    browser.open(&page);
    let own = format!("file://{}", page.display());
    assert_eq!(
        browser.requests,
        [own],
        "the page asked for more than itself"
    );
    assert_eq!(browser.value("typeof window.pwned"), "undefined");
    assert_eq!(
        browser.value("document.querySelectorAll('figure.chart svg').length"),
        5
    );
    for (width, dark) in [(1_280, false), (1_280, true), (400, false), (400, true)] {
        browser.look(width, dark);
        let faint = browser.faint_texts();
        assert!(
            faint.is_empty(),
            "too faint, {width} wide, dark {dark}: {faint:?}"
        );
        let wide = "document.documentElement.scrollWidth - window.innerWidth";
        let wide = browser.value(wide).as_i64().unwrap();
        assert!(wide <= 0, "{wide} pixels too wide at {width}");
        let left = "[...document.querySelectorAll('.chart svg')].filter(svg => [...svg.querySelectorAll('text')].some(it => \
                    { const a = it.getBoundingClientRect(), b = svg.getBoundingClientRect(); return a.left < b.left - 1 || \
                    a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1; })).map(it => it.getAttribute('aria-label'))";
        assert_eq!(browser.value(left), json!([]), "text leaves its chart");
    }
    structure(&mut browser);
    browser.value(
        "window.made = []; URL.createObjectURL = (blob) => { made.push(blob); return '#'; }; \
         window.names = []; HTMLAnchorElement.prototype.click = function () { names.push(this.download); }; \
         for (const form of ['svg', 'png']) document.querySelector(`#cost-by-day button[data-form=${form}]`).click();",
    );
    for _ in 0..100 {
        if browser.value("made.length") == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let names = browser.value("names");
    assert_eq!(names, json!(["cost-by-day.svg", "cost-by-day.png"]));
    let forms = browser.value("made.map(it => it.type)");
    assert_eq!(forms, json!(["image/svg+xml", "image/png"]));
    assert!(browser.value("made[1].size").as_u64().unwrap() > 2_000);
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// A command that serves until it is dropped.
struct Served(Child);

impl Drop for Served {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What a server answers to a request for `/` of this host.
fn asked(address: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_watched_dashboard_is_made_anew_for_this_machine_and_nobody_else() {
    let home = dashboard();
    let mut command = home.command(&["telemetry", "dashboard", "--watch"]);
    let mut served = Served(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut url = String::new();
    let mut told = BufReader::new(served.0.stdout.take().unwrap());
    told.read_line(&mut url).unwrap();
    let address = url
        .trim()
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let first = asked(address, address);
    assert!(first.starts_with("HTTP/1.1 200"), "{first}");
    assert!(first.contains("What 20 runs say together"));
    assert!(first.contains("http-equiv=\"refresh\""));
    let more = stage(40, "plan", |it| it["runId"] = json!("run-40")).to_string();
    home.file("evidence/consensus/S-1/spec-plan_y_telemetry.jsonl", more);
    assert!(asked(address, address).contains("What 21 runs say together"));
    let elsewhere = asked(address, "evil.example");
    assert!(elsewhere.starts_with("HTTP/1.1 421"), "{elsewhere}");
    std::fs::remove_dir_all(home.path().join("evidence")).unwrap();
    let gone = asked(address, address);
    assert!(gone.starts_with("HTTP/1.1 500"), "{gone}");
    drop(served);
    home.flowhost(&["telemetry", "dashboard", "--watch", "0.0.0.0:0"])
        .expect(64);
}
