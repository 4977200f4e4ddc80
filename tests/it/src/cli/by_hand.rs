//! What a saga could not take back is taken back by hand: somebody says so behind the end of the run, once and with a
//! name, and everything that reads the run knows it and still finds it sound.

use serde_json::Value;

use super::again::replays;
use super::evidence::run_dir;
use super::resumed::{RUN, resume};
use crate::counting::Counting;
use crate::support::{Home, Ran};

/// A plan of three services, each of which takes a request; the first two take another one that takes it back.
fn saga(server: &Counting) -> Home {
    let home = Home::new();
    home.warm();
    let to = server.address;
    home.file(
        "policies/loopback.toml",
        format!(
            "version = 1\nname = \"loopback\"\n[[http]]\nurl = \"http://{to}/\"\nmethods = [\"POST\"]\nprivate_network = true\n"
        ),
    );
    let post = |path: &str| {
        format!("uses: send/send, with: {{ url: \"http://{to}{path}\", method: POST, body: {{}} }}")
    };
    let steps = format!(
        "  a: {{ {}, compensate: {{ {} }} }}\n  b: {{ needs: [a], {}, compensate: {{ {} }} }}\n  c: {{ needs: [b], {} }}",
        post("/a"),
        post("/undo-a"),
        post("/b"),
        post("/undo-b"),
        post("/c"),
    );
    let plugins = "  send: { kind: tool, source: \"builtin:http-send\", profile: loopback }\n";
    home.file("plan.yaml", super::plan(plugins, &steps));
    home
}

fn settle(home: &Home, step: &str, more: &[&str]) -> Ran {
    home.flowhost(&[&["runs", "settle", "latest", step, "--as"], more].concat())
}

#[track_caller]
fn refused(home: &Home, step: &str, more: &[&str], code: i32, why: &str) {
    let before = home.records().len();
    let told = settle(home, step, more).expect(code).all();
    assert!(told.contains(why), "{told}");
    assert_eq!(home.records().len(), before, "{told}");
}

fn page(home: &Home) -> String {
    std::fs::read_to_string(run_dir(home).join("report.html")).unwrap()
}

#[test]
fn what_a_saga_could_not_take_back_is_settled_by_hand_behind_its_end() {
    let server = Counting::new();
    let home = saga(&server);
    server.fail("/c", true);
    server.fail("/undo-a", true);
    home.flowhost(RUN).expect(8);
    assert_eq!(server.paths(), ["/a", "/b", "/c", "/undo-b", "/undo-a"]);
    let path = "a!compensate";
    let done: &[&str] = &["done", "--by", "ann", "--note", "refund 12"];
    // Of a path that is none, and of one that was taken back, those are named that were not.
    for step in ["a", "c", "b!compensate", "nowhere"] {
        let why = "compensations of it that failed: `a!compensate`";
        refused(&home, step, done, 1, why);
    }
    for word in ["retry", "failed"] {
        refused(&home, path, &[word, "--by", "ann"], 64, "the run has ended");
    }
    refused(&home, path, &["done"], 64, "--by NAME");
    let output = ["done", "--by", "ann", "--output", "1"];
    refused(&home, path, &output, 64, "the run has ended");
    assert!(!page(&home).contains("settled by hand"));

    settle(&home, path, done).expect(0);
    refused(&home, path, done, 1, "was settled by ann before, at 20");
    let shown = home.flowhost(&["runs", "show", "latest"]).expect(0).stdout;
    for line in [
        "settled by hand by ann, 20",
        "step `a!compensate`: settled as done by ann: refund 12",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let shown = home.flowhost(&["runs", "show", "latest", "--json"]);
    let shown = shown.expect(0).json();
    let of = |path: &str| -> Value {
        let mut steps = shown["steps"].as_array().unwrap().iter();
        let step = steps.find(|it| it["path"] == path).unwrap();
        step["settled"].clone()
    };
    assert_eq!(of(path)["by"], "ann", "{shown:#}");
    assert!(of("b!compensate").is_null() && of("a").is_null());
    assert!(page(&home).contains("settled by hand by ann"));
    let list = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    assert_eq!(list[0]["status"], shown["run"]["status"], "{list:#}");
    home.flowhost(&["verify", "latest"]).expect(0);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
    replays(&home);
    let again = resume(&home).expect(1).all();
    assert!(again.contains("it has ended"), "{again}");

    // What was taken back by hand is no past of a fork, as what the run took back itself.
    server.fail("/c", false);
    let fork = ["runs", "fork", "latest", "--at", "c"];
    let key = ["--allow-private-network", "--json"];
    let forked = home.flowhost(&[&fork[..], &key].concat()).expect(0).json();
    let warned = forked["warnings"][0].as_str().unwrap();
    assert!(warned.ends_with("done anew: `a`, `b`"), "{forked:#}");
    assert_eq!(server.paths()[5..], ["/a", "/b", "/c"]);
    home.flowhost(&["verify", ".flowhost"]).expect(0);
}
