//! Holds the detector against two tables of strings of our own making: what must be found, and what
//! must stay. `cargo run -p flowhost-detect --example table` prints the figures.

mod corpus;

/// What docs/plugins.md promises.
const RECALL: f64 = 0.99;
const PRECISION: f64 = 0.99;

#[test]
fn the_tables_are_large_enough_to_mean_something() {
    let score = corpus::score();
    assert!(score.positives >= 400, "{}", score.positives);
    assert!(score.negatives >= 400, "{}", score.negatives);
}

#[test]
fn the_page_on_plugins_tells_the_figures_as_they_are() {
    let score = corpus::score();
    let page = include_str!("../../../docs/plugins.md");
    for told in [
        format!(
            "{} with something to find and {} that only look like it",
            score.positives, score.negatives
        ),
        format!(
            "recall is {:.4} and precision {:.4}",
            score.recall(),
            score.precision()
        ),
    ] {
        assert!(page.contains(&told), "docs/plugins.md does not say: {told}");
    }
}

#[test]
fn what_must_stay_stays() {
    let score = corpus::score();
    assert!(
        score.precision() >= PRECISION,
        "{}\n{}",
        score.precision(),
        score.wrong.join("\n")
    );
}

#[test]
fn what_must_be_found_is_found() {
    let score = corpus::score();
    assert!(
        score.recall() >= RECALL,
        "{}\n{}",
        score.recall(),
        score.missed.join("\n")
    );
}
