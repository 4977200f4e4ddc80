//! The page over made-up evidence: what it says, and that what evidence says is text in it.

use serde_json::json;

use super::*;
use crate::analysis::{Evidence, Overview, Source, overview};

fn line(run: u32, stage: &str, models: [&str; 2], cost: f64, checks: (u32, u32)) -> String {
    let agent = |agent: &str, model: &str| {
        json!({
            "agent": agent, "role": "agent", "model_id": model, "reasoning_mode": "medium", "latency_ms": 1_500,
            "total_tokens": 1_200, "cost_usd": cost / 2.0, "status": "ok",
        })
    };
    json!({
        "schemaVersion": "2.0", "command": "c", "specId": "S-1", "stage": stage, "sessionId": format!("r{run}"),
        "runId": format!("r{run}"), "timestamp": format!("2026-11-{:02}T08:00:00Z", run % 28 + 1),
        "consensus": {
            "status": "ok", "agreements": ["a"], "conflicts": [], "agents": [agent("ann", models[0]), agent("bob", models[1])],
            "agreement_ratio": 0.9, "total_tokens": 2_400, "wall_ms": 3_000, "total_cost_usd": cost,
        },
        "quality_metrics": { "automated_checks_passed": checks.0, "automated_checks_failed": checks.1 },
    })
    .to_string()
}

fn of(lines: &[String]) -> Overview {
    let mut evidence = Evidence::default();
    evidence.add("spec-plan_x_telemetry.jsonl", lines.join("\n").as_bytes());
    let source = evidence.observations()[0].source();
    overview(evidence.observations(), source).unwrap()
}

/// Two sets of models, the second of which costs more for the same quality.
fn two_sets(runs: u32) -> Overview {
    let lines: Vec<String> = (0..2 * runs)
        .map(|run| match run < runs {
            true => line(run, "plan", ["local/x", "local/y"], 0.1, (9, 1)),
            false => line(run, "plan", ["local/x", "local/z"], 0.4, (9, 1)),
        })
        .collect();
    of(&lines)
}

#[test]
fn what_evidence_says_is_text_and_the_page_asks_for_nothing() {
    let hostile = of(&[line(
        1,
        "<script>pwned()</script>",
        ["local/\"><img src=x onerror=y>", "local/a&b"],
        0.1,
        (1, 0),
    )]);
    let page = page(&hostile, None);
    assert!(page.contains("&lt;script&gt;pwned()&lt;/script&gt;"));
    assert_eq!(page.matches("<script").count(), 1, "its own");
    for never in ["<img", "<iframe", "http-equiv=\"refresh\"", "src="] {
        let quoted = page
            .replace("&lt;img src=", "")
            .replace("src=x onerror", "");
        assert!(!quoted.contains(never), "{never}");
    }
    assert!(page.contains("script-src 'sha256-"));
}

#[test]
fn each_chart_has_a_name_for_those_who_do_not_see_it_and_buttons_that_hand_it_out() {
    let page = page(&two_sets(5), Some(10));
    for id in [
        "cost-by-day",
        "latency-by-model",
        "tokens-by-model",
        "agreement-by-stage",
        "cost-and-quality",
    ] {
        assert!(
            page.contains(&format!("<figure class=\"chart\" id=\"{id}\">")),
            "{id}"
        );
    }
    assert_eq!(page.matches("<svg role=\"img\" aria-label=\"").count(), 5);
    assert_eq!(page.matches("<svg").count(), 5);
    assert_eq!(page.matches("data-form=\"png\"").count(), 5);
    assert!(page.contains("http-equiv=\"refresh\" content=\"10\""));
}

#[test]
fn the_cheaper_of_two_as_good_is_recommended_and_of_few_stages_nothing_is() {
    let many = two_sets(5);
    assert_eq!(many.recommendation.set, Some(0));
    assert_eq!(
        many.recommendation.says,
        "Set 1: no difference in quality is shown between the sets 1, 2, and it costs least of them."
    );
    assert_eq!(many.sets[1].models, ["local/x", "local/z"]);
    let few = two_sets(3).recommendation;
    assert_eq!(few.set, None);
    assert!(few.says.contains("fewer than 4 stages"), "{}", few.says);
    let one = of(&[line(1, "plan", ["local/x", "local/y"], 0.1, (1, 0))]).recommendation;
    assert!(one.says.contains("only one set"), "{}", one.says);
    let apart = of(&[
        line(1, "plan", ["local/x", "local/y"], 0.1, (1, 0)),
        line(2, "tasks", ["local/x", "local/z"], 0.1, (1, 0)),
    ]);
    let says = apart.recommendation.says;
    assert!(says.contains("no stage was asked of every set"), "{says}");
}

#[test]
fn a_set_that_is_cheaper_by_no_more_than_chance_explains_is_not_recommended() {
    let lines: Vec<String> = (0..20)
        .map(|run| {
            let cost = 0.009 + f64::from(run / 2) / 10_000.0;
            match run % 2 {
                0 => line(run, "plan", ["local/x", "local/y"], cost, (9, 1)),
                _ => line(run, "plan", ["local/x", "local/z"], cost + 1e-6, (9, 1)),
            }
        })
        .collect();
    let found = of(&lines);
    assert!(found.sets[0].cost_median_usd < found.sets[1].cost_median_usd);
    let said = found.recommendation;
    assert_eq!(said.set, None, "{}", said.says);
    assert!(
        said.says
            .contains("between the sets 1, 2 no difference in quality is shown, and none in what"),
        "{}",
        said.says
    );
}

#[test]
fn what_a_model_uses_as_arbiter_is_told_apart_from_its_answers() {
    let mut judged: serde_json::Value =
        serde_json::from_str(&line(1, "plan", ["local/x", "local/y"], 0.1, (1, 0))).unwrap();
    let agents = judged["consensus"]["agents"].as_array_mut().unwrap();
    let mut arbiter = agents[0].clone();
    arbiter["role"] = json!("arbiter");
    arbiter["total_tokens"] = json!(9_000);
    agents.push(arbiter);
    let found = of(&[judged.to_string()]);
    let uses: Vec<_> = found
        .by_model
        .iter()
        .map(|it| (it.model.as_str(), it.arbiter, it.answers, it.tokens_median))
        .collect();
    assert_eq!(
        uses,
        [
            ("local/x", false, 1, Some(1_200.0)),
            ("local/x", true, 1, Some(9_000.0)),
            ("local/y", false, 1, Some(1_200.0)),
        ]
    );
    assert!(page(&found, None).contains("<code>local/x</code> as arbiter"));
}

#[test]
fn of_three_sets_it_takes_more_stages_before_a_cheap_one_may_pass_as_good() {
    let three = |runs: u32| {
        let lines: Vec<String> = (0..3 * runs)
            .map(|run| match run / runs {
                0 => line(run, "plan", ["local/x", "local/y"], 0.1, (1, 9)),
                1 => line(run, "plan", ["local/x", "local/z"], 0.5, (9, 1)),
                _ => line(run, "plan", ["local/x", "local/w"], 0.4, (9, 1)),
            })
            .collect();
        of(&lines).recommendation
    };
    let few = three(4);
    assert_eq!(few.set, None, "{}", few.says);
    assert!(few.says.contains("too few stages"), "{}", few.says);
    let enough = three(5);
    assert_eq!(enough.set, Some(0), "{}", enough.says);
    assert!(enough.says.contains("the sets 1, 3"), "{}", enough.says);
}

#[test]
fn a_better_set_is_recommended_though_it_costs_more_and_cheap_stages_make_no_set_cheap() {
    let lines: Vec<String> = (0..16)
        .map(|run| match run % 2 {
            0 => line(run, "plan", ["local/x", "local/y"], 0.1, (run % 3 + 1, 9)),
            _ => line(run, "plan", ["local/x", "local/z"], 0.4, (9, run % 3)),
        })
        .chain((0..9).map(|run| line(run, "lint", ["local/x", "local/z"], 0.0001, (9, 0))))
        .collect();
    let found = of(&lines);
    assert_eq!(found.recommendation.set, Some(1), "{found:#?}");
    assert!(
        found
            .recommendation
            .says
            .contains("higher than every other's")
    );
    // The stage that only one of them was asked about does not count.
    assert_eq!((found.sets[0].stages, found.sets[1].stages), (8, 8));
    assert_eq!(found.sets[1].cost_median_usd, Some(0.4));
}

#[test]
fn numbers_are_of_all_stages_and_what_is_not_known_is_not_free() {
    let mut unknown: serde_json::Value =
        serde_json::from_str(&line(2, "plan", ["local/x", "local/y"], 0.1, (9, 1))).unwrap();
    unknown["consensus"]["total_cost_usd"] = json!(null);
    let found = of(&[
        line(1, "plan", ["local/x", "local/y"], 0.2, (9, 1)),
        unknown.to_string(),
        line(3, "tasks", ["local/x", "local/y"], 0.4, (1, 1)),
    ]);
    assert_eq!((found.runs, found.stages, found.cost_unknown), (3, 3, 1));
    let days: Vec<_> = found.days.iter().map(|it| it.day.as_str()).collect();
    assert_eq!(days, ["2026-11-02", "2026-11-04"]);
    let [plan, tasks] = found.by_stage.as_slice() else {
        panic!("{found:#?}")
    };
    // 0.2 USD for 90 points, 0.4 for 50.
    let per_point = [plan, tasks].map(|it| (it.cost_per_quality_point_usd.unwrap() * 1e6).round());
    assert_eq!(per_point, [2_222.0, 8_000.0]);
    assert!(page(&found, None).contains("not counted as free: 1."));
}

#[test]
fn a_page_of_scripts_says_so_first() {
    let mocked = of(&[line(1, "plan", ["mock/x", "mock/y"], 0.1, (1, 0))]);
    assert!(mocked.mock);
    assert!(page(&mocked, None).contains("and no models: these numbers say nothing"));
    assert!(!page(&two_sets(1), None).contains("and no models"));
    let models = Evidence::default();
    assert!(overview(models.observations(), Source::Model).is_none());
}
