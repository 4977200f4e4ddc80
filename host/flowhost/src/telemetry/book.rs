//! The book and the dashboard, held against what is measured, exported and logged.

use flowhost_evidence::telemetry::instruments::{Definition, Measurement, Metric, Shape};
use flowhost_evidence::telemetry::{bounds, lines};

use super::otlp_config;
use super::prometheus::{Format, Prometheus};

/// A part of the repository, as text.
macro_rules! text_of {
    ($path:literal) => {
        include_str!(concat!("../../../../", $path))
    };
}

#[test]
fn each_metric_is_in_the_book_the_text_and_the_dashboard_and_those_name_no_other() {
    let page = text_of!("docs/telemetry.md");
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| {
            let mut cells = line.split(" | ");
            let name = cells.next()?.trim_matches(['|', ' ', '`']);
            Some((name, cells.collect::<Vec<_>>()))
        });
    let rows: std::collections::BTreeMap<&str, Vec<&str>> = rows.collect();
    // A family shows once it has a series.
    let prometheus = Prometheus::default();
    for metric in Metric::ALL {
        let labels = metric.definition().labels.iter();
        prometheus.record(&Measurement {
            metric: *metric,
            labels: labels.map(|label| label.name.to_owned()).collect(),
            value: 1.0,
        });
    }
    let text = prometheus.text(Format::OpenMetrics).unwrap();
    let dashboard: serde_json::Value =
        serde_json::from_str(text_of!("docs/telemetry/grafana-dashboard.json")).unwrap();
    let queries = dashboard["panels"].to_string();
    for metric in Metric::ALL {
        let Definition {
            name,
            shape,
            labels,
            ..
        } = metric.definition();
        let row = rows
            .get(name)
            .unwrap_or_else(|| panic!("the book does not name {name}"));
        let (kind, family) = match shape {
            Shape::Counter => ("counter", name.trim_end_matches("_total")),
            Shape::Gauge => ("gauge", name),
            Shape::Histogram(_) => ("histogram", name),
        };
        assert_eq!(row[0], kind, "{name}");
        let named: Vec<String> = labels.iter().map(|it| format!("`{}`", it.name)).collect();
        assert_eq!(row[2], named.join(", "), "{name}");
        assert!(
            text.contains(&format!("# TYPE {family} {kind}\n")),
            "{name}\n{text}"
        );
        assert!(queries.contains(name), "the dashboard does not show {name}");
    }
    assert_eq!(text.matches("# TYPE ").count(), Metric::ALL.len());
    for word in queries.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        let base = word.trim_end_matches("_bucket").trim_end_matches("_count");
        let looks = ["_total", "_seconds", "_ratio"]
            .iter()
            .any(|end| base.ends_with(end));
        let known = Metric::ALL
            .iter()
            .any(|metric| metric.definition().name == base);
        assert!(
            !looks || known,
            "the dashboard asks for {word}, which nothing measures"
        );
    }
}

#[test]
fn the_book_names_every_variable_every_reserved_field_and_the_bounds() {
    let page = text_of!("docs/telemetry.md");
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    for name in otlp_config::VARIABLES.iter().chain(lines::RESERVED) {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
    let (values, series) = (bounds::VALUES_MAX, bounds::SERIES_MAX);
    assert!(page.contains(&format!("first {values} values")), "{values}");
    assert!(page.contains(&format!("takes {series} series")), "{series}");
}
