//! The report page of a real run: beside the ledger, named by it, made anew from it, and harmless in a
//! real browser.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::home;
use crate::browser::{self, Browser};
use crate::support::Home;

const HOSTILE: &str = "# <script>window.pwned = 1</script>\n\n\
    ## <img src=x onerror=\"window.pwned = 2\">\n\n\
    ### \"><iframe src=https://example.org/></iframe>\n";

/// A folder with one finished run of a plan whose text is all attack.
fn hostile_run() -> (Home, PathBuf) {
    let home = Home::new();
    home.file("evil.md", HOSTILE);
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: under-test\n\
         inputs:\n  text: { type: file, path: evil.md }\n\
         plugins:\n  markdown: { kind: tool, source: builtin:markdown, profile: deny-all }\n\
         steps:\n  read: { uses: markdown/headings, with: { text: \"${{ inputs.text }}\" } }\n\
         outputs: { headings: \"${{ steps.read.output.headings }}\" }\n",
    );
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let page = ran.json()["evidence"]["report_html"]
        .as_str()
        .unwrap()
        .to_owned();
    (home, PathBuf::from(page))
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The hash that the last record about the page holds.
fn recorded(home: &Home) -> Option<String> {
    let records = home.records();
    let mut views = records
        .iter()
        .filter(|record| record["kind"] == "view.write" && record["path"] == "report.html");
    views
        .next_back()
        .map(|view| view["sha256"].as_str().unwrap().to_owned())
}

#[test]
fn the_ledger_holds_the_hash_of_the_page_and_verifies() {
    let (home, page) = hostile_run();
    let bytes = std::fs::read(&page).unwrap();
    assert_eq!(recorded(&home), Some(sha256(&bytes)));
    home.flowhost(&["verify", "latest"]).expect(0);
    let records = home.records();
    assert_eq!(records.last().unwrap()["path"], "report.html");
}

#[test]
fn the_records_hold_what_was_allowed_beside_what_was_used() {
    let (home, _page) = hostile_run();
    let records = home.records();
    let of = |kind: &str| {
        records
            .iter()
            .find(|record| record["kind"] == kind)
            .unwrap()
    };
    assert_eq!(of("run.start")["budget"]["calls"], "100000");
    let limits = of("policy.load")["limits"].as_object().unwrap();
    assert_eq!(limits["memory"], "33554432");
    assert_eq!(limits.len(), flowhost_policy::LIMITS.len());
    let result = of("tool.result");
    for used in [
        "fuel",
        "memory_bytes",
        "duration_ms",
        "output_bytes",
        "evidence_bytes",
    ] {
        assert!(result[used].is_string(), "{used}");
    }
}

#[test]
fn the_page_holds_the_runs_text_as_text() {
    let (_home, page) = hostile_run();
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("&lt;script&gt;window.pwned = 1&lt;/script&gt;"));
    for never in ["<script", "<img", "<iframe"] {
        assert!(!page.contains(never), "{never}");
    }
}

#[test]
fn a_page_is_made_anew_of_any_run_and_tells_the_same() {
    let (home, page) = hostile_run();
    home.flowhost(&["runs", "report", "latest", "--out", "again.html"])
        .expect(0);
    let shown = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    assert_eq!(home.read("again.html"), shown);
    // Only what came after the page differs: its own record and the last checkpoint.
    let steps = |text: &str| {
        let from = text.find("id=\"timeline\"").unwrap();
        let to = text.find("id=\"evidence\"").unwrap();
        text[from..to].to_owned()
    };
    assert_eq!(
        steps(&std::fs::read_to_string(page).unwrap()),
        steps(&shown)
    );
}

#[test]
fn a_run_that_is_not_there_has_no_page() {
    let home = Home::new();
    let ran = home.flowhost(&["runs", "report", "latest"]).expect(1);
    assert!(
        ran.stderr.contains("no run is recorded yet"),
        "{}",
        ran.all()
    );
}

#[test]
fn a_page_counts_all_items_and_lists_the_step_before_them() {
    let home = Home::new();
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: many\ninputs: { many: { type: number, default: 210 } }\n\
         plugins:\n  md: { kind: tool, source: builtin:markdown, profile: deny-all }\n\
         steps:\n  first: { uses: md/headings, with: { text: x } }\n  \
         each:\n    needs: [first]\n    foreach: { items: \"${{ range(inputs.many) }}\", as: n, fail_fast: false }\n    \
         uses: md/headings\n    with: { text: \"${{ n }}\" }\n",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(8);
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    assert_eq!(
        page.matches("210 items: 210 failed").count(),
        2,
        "bars and table"
    );
    // The step that joins the items is not one more that failed.
    for words in [
        "and 207 more",
        "<code>first</code>",
        "210×",
        "210 failed, 1 ok.",
        "steps, 210 not well",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn an_erased_payload_leaves_the_page_too() {
    let (home, page) = hostile_run();
    let records = home.records();
    let with_payload = records.iter().filter(|record| record["commit"].is_string());
    let seqs: Vec<String> = with_payload
        .map(|record| record["seq"].as_str().unwrap().to_owned())
        .collect();
    assert!(seqs.len() >= 4, "{seqs:?}");
    for seq in seqs {
        let ran = home.flowhost(&[
            "evidence", "erase", &seq, "--run", "latest", "--reason", "asked",
        ]);
        ran.expect(0);
    }
    let bytes = std::fs::read(&page).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(
        !text.contains("pwned"),
        "the page still quotes what was erased"
    );
    assert!(text.contains("Erased. A record in the ledger says so"));
    assert_eq!(recorded(&home), Some(sha256(&bytes)));
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn an_erasure_that_was_cut_off_is_finished_by_the_next_command() {
    let (home, page) = hostile_run();
    let quoting = std::fs::read(&page).unwrap();
    let seq = home
        .records()
        .iter()
        .find(|record| record["kind"] == "tool.result")
        .map(|record| record["seq"].as_str().unwrap().to_owned())
        .unwrap();
    home.flowhost(&[
        "evidence", "erase", &seq, "--run", "latest", "--reason", "asked",
    ])
    .expect(0);
    let run = page
        .parent()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();
    let marks = home.path().join(".flowhost/default/erasing");
    assert!(!marks.join(run).exists(), "nothing is left to do");
    // As a kill leaves it between the payload and the page.
    std::fs::write(&page, &quoting).unwrap();
    std::fs::write(marks.join(run), "").unwrap();
    let listed = home.flowhost(&["runs", "list"]).expect(0);
    assert!(listed.stderr.contains("was cut off"), "{}", listed.all());
    let bytes = std::fs::read(&page).unwrap();
    assert_eq!(recorded(&home), Some(sha256(&bytes)));
    assert!(String::from_utf8_lossy(&bytes).contains("Erased. A record in the ledger says so"));
    assert!(!marks.join(run).exists());
    home.flowhost(&["verify", "latest"]).expect(0);
}

#[test]
fn a_damaged_ledger_has_no_page_and_says_where_to_look() {
    let home = home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    let ran = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    let dir = PathBuf::from(ran["evidence"]["run_dir"].as_str().unwrap());
    let segment = dir.join("seg-00000000.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replacen("ok_add", "ok_odd", 1)).unwrap();
    let ran = home.flowhost(&["runs", "report", "latest"]).expect(1);
    assert!(ran.stdout.is_empty());
    assert!(ran.stderr.contains("flowhost verify"), "{}", ran.all());
}

#[test]
fn in_chromium_nothing_complains_nothing_is_fetched_and_injected_text_stays_text() {
    let Some(program) = browser::find("the report page in a browser") else {
        return;
    };
    let (_home, page) = hostile_run();
    let mut browser = Browser::start(&program);
    browser.open(&page);
    let own = format!("file://{}", page.display());
    assert_eq!(
        browser.requests,
        [own],
        "the page asked for more than itself"
    );
    assert_eq!(browser.value("typeof window.pwned"), "undefined");
    let active =
        "document.querySelectorAll('script, img, iframe, object, embed, link, form').length";
    assert_eq!(browser.value(active), 0);
    let quoted = "document.body.textContent.includes('<script>window.pwned = 1</script>')";
    assert_eq!(browser.value(quoted), true);
    for (width, dark) in [(1_280, false), (1_280, true), (400, false)] {
        browser.look(width, dark);
        let faint = browser.faint_texts();
        assert!(
            faint.is_empty(),
            "too faint, {width} wide, dark {dark}: {faint:?}"
        );
        let wide = "document.documentElement.scrollWidth - window.innerWidth";
        let wide = browser.value(wide).as_i64().unwrap();
        assert!(wide <= 0, "{wide} pixels too wide at {width}");
        let cut = "[...document.querySelectorAll('.scroll:not(.graph)')].filter(it => it.scrollWidth > \
                   it.clientWidth + 1).map(it => it.getAttribute('aria-label'))";
        let cut = browser.value(cut);
        assert!(
            width < 1_280 || cut == Value::Array(Vec::new()),
            "cut off at {width}: {cut}"
        );
    }
    structure(&mut browser);
    let shown = "[...document.querySelectorAll('.well')].filter(it => it.checkVisibility()).length";
    assert!(browser.value(shown).as_u64().unwrap() > 0);
    browser.value("document.getElementById('show-bad').click()");
    assert_eq!(browser.value(shown), 0, "what ended well is hidden");
    assert!(browser.complaints.is_empty(), "{:#?}", browser.complaints);
}

/// What those who do not see the page go by.
pub(super) fn structure(browser: &mut Browser) {
    let count = |browser: &mut Browser, selector: &str| {
        let expression = format!("document.querySelectorAll({:?}).length", selector);
        browser.value(&expression).as_u64().unwrap()
    };
    for landmark in ["header", "nav[aria-label]", "main", "footer", "h1"] {
        assert_eq!(count(browser, landmark), 1, "{landmark}");
    }
    for missing in [
        "table:not(:has(caption))",
        "th:not([scope])",
        "section:not([aria-labelledby]):not([aria-label])",
        "svg:not([role=img]):not([aria-hidden])",
        ".scroll:not([tabindex]):not([aria-label])",
    ] {
        assert_eq!(count(browser, missing), 0, "{missing}");
    }
    let dead =
        "[...document.querySelectorAll('a')].filter(a => !document.querySelector(a.hash)).length";
    assert_eq!(browser.value(dead), Value::from(0));
}

#[test]
fn chromium_tells_of_a_page_that_complains_fetches_and_runs() {
    let Some(program) = browser::find("what the browser notices") else {
        return;
    };
    let home = Home::new();
    let page = home.file(
        "bad.html",
        "<!DOCTYPE html><title>x</title><p style='color:#ddd;background:#fff'>faint</p>\
         <img src='http://127.0.0.1:9/x.png'><script>window.pwned = 1; console.error('x')</script>",
    );
    let mut browser = Browser::start(&program);
    browser.open(&page);
    assert_eq!(browser.value("window.pwned"), 1);
    assert!(
        browser.requests.iter().any(|url| url.ends_with("/x.png")),
        "{:?}",
        browser.requests
    );
    assert!(!browser.complaints.is_empty());
    assert!(browser.faint_texts().contains_key("faint"));
}
