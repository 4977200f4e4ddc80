//! `flowhost plan graph`: the examples as graphs, a run with what became of each step, and differences.

use serde_json::{Value, json};

use crate::support::{Home, repository};

fn example(name: &str) -> String {
    let path = repository().join("examples").join(name).join("plan.yaml");
    path.display().to_string()
}

#[test]
fn every_example_is_a_graph_in_every_form() {
    let home = Home::new();
    for name in [
        "first-plan",
        "docs-check",
        "support-triage",
        "urgent-message",
        "order-saga",
        "docs-audit",
    ] {
        let plan = example(name);
        for (format, begins) in [
            ("dot", "digraph "),
            ("mermaid", "flowchart "),
            ("svg", "<svg "),
        ] {
            let ran = home
                .flowhost(&["plan", "graph", &plan, "--format", format])
                .expect(0);
            assert!(ran.stdout.starts_with(begins), "{name}: {}", ran.stdout);
        }
        let graph = home
            .flowhost(&["plan", "graph", &plan, "--json"])
            .expect(0)
            .json();
        let nodes = graph["nodes"].as_array().unwrap();
        assert!(!nodes.is_empty(), "{name}");
        let known = |id: &Value| nodes.iter().any(|node| node["id"] == *id);
        for edge in graph["edges"].as_array().unwrap() {
            assert!(known(&edge["from"]) && known(&edge["to"]), "{name}: {edge}");
        }
    }
}

#[test]
fn a_run_shows_what_became_of_each_step_and_so_does_its_page() {
    let home = super::home(
        &["ok_add"],
        "  first: { uses: ok_add/run, with: { a: 1, b: 2 } }\n  \
         never: { uses: ok_add/run, with: { a: 1, b: 2 }, needs: [first], when: 'false' }",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let graph = home
        .flowhost(&["plan", "graph", "latest", "--json"])
        .expect(0)
        .json();
    let status = |at: usize| graph["nodes"][at]["ended"]["status"].clone();
    assert_eq!([status(0), status(1)], [json!("ok"), json!("skipped")]);
    let plain = home
        .flowhost(&["plan", "graph", "plan.yaml"])
        .expect(0)
        .stdout;
    assert!(plain.contains("-> never"), "{plain}");
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    assert!(page.contains("Graph of the plan under-test"), "{page}");
}

#[test]
fn a_difference_is_told_and_what_is_no_plan_and_no_run_too() {
    let home = super::home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    let other = home.read("plan.yaml").replace("  only:", "  another:");
    home.file("other.yaml", other);
    let same = home
        .flowhost(&["plan", "graph", "plan.yaml", "--diff", "plan.yaml"])
        .expect(0);
    assert_eq!(
        (same.stdout.as_str(), same.stderr.as_str()),
        ("", "the graphs are the same\n")
    );
    for arguments in [
        ["plan.yaml", "--diff", "other.yaml"],
        ["--diff", "plan.yaml", "other.yaml"],
    ] {
        let ran = home
            .flowhost(&[&["plan", "graph"], &arguments[..]].concat())
            .expect(0);
        assert_eq!(ran.stdout, "- only: ok_add/run\n+ another: ok_add/run\n");
    }
    let ran = home.flowhost(&["plan", "graph", "nothing"]).expect(1);
    assert!(
        ran.stderr.contains("is not a file either"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_run_and_a_plan_differ_in_their_plans_alone() {
    let home = super::home(
        &["ok_add"],
        "  only: { uses: ok_add/run, with: { a: 1, b: 2 } }",
    );
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    for sides in [["latest", "plan.yaml"], ["plan.yaml", "latest"]] {
        let differ = ["plan", "graph", "--diff", sides[0], sides[1]];
        let same = home.flowhost(&differ).expect(0);
        assert_eq!(same.stderr, "the graphs are the same\n", "{}", same.all());
    }
    let other = home.read("plan.yaml").replace("  only:", "  another:");
    home.file("other.yaml", other);
    let differ = ["plan", "graph", "--diff", "latest", "other.yaml"];
    let ran = home.flowhost(&differ).expect(0);
    assert_eq!(ran.stdout, "- only: ok_add/run\n+ another: ok_add/run\n");
    home.flowhost(&["run", "plan.yaml"]).expect(0);
    let runs = home.flowhost(&["runs", "list", "--json"]).expect(0).json();
    let id = |at: usize| runs[at]["run_id"].as_str().unwrap();
    let differ = ["plan", "graph", "--diff", id(0), id(1)];
    let same = home.flowhost(&differ).expect(0);
    assert_eq!(same.stderr, "the graphs are the same\n", "{}", same.all());
}
