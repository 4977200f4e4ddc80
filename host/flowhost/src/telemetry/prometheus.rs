//! The metrics as Prometheus reads them: one family for each definition, in the text format.

use std::collections::BTreeMap;
use std::fmt;

use flowhost_evidence::telemetry::instruments::{Definition, Measurement, Metric, Shape};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own, 0.0.4, which every scraper reads.
    Classic,
    /// OpenMetrics 1.0, for those that ask for it.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header asks for (RFC 9110, section 12.5.1). A scraper that reads both names
    /// both, and how much it would like each.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let (mut open, mut classic) = (0.0, 0.0);
        for range in accept.split(',') {
            let (name, weight) = weighed(range);
            match name.to_ascii_lowercase().as_str() {
                "application/openmetrics-text" => open = weight.max(open),
                "text/plain" => classic = weight.max(classic),
                _ => {}
            }
        }
        // Where both are liked as well the newer one, as Prometheus itself means it. `*/*` and nothing at all get the
        // one that everybody reads.
        match open > 0.0 && open >= classic {
            true => Self::OpenMetrics,
            false => Self::Classic,
        }
    }

    /// What the text is, for the header of an answer.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A range of an `Accept` header and its weight, from 0 to 1.
fn weighed(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| {
        let (key, value) = part.split_once('=')?;
        let is_weight = key.trim().eq_ignore_ascii_case("q");
        // A weight that is no number is none: the range is not taken.
        is_weight.then(|| value.trim().parse().unwrap_or(0.0))
    });
    (name, weight.unwrap_or(1.0))
}

type Labels = Vec<(&'static str, String)>;

/// All metrics of this process.
pub struct Prometheus {
    registry: Registry,
    families: BTreeMap<Metric, Series>,
}

enum Series {
    Counter(Family<Labels, Counter>),
    Gauge(Family<Labels, Gauge>),
    Histogram(Family<Labels, Histogram, Buckets>),
}

#[derive(Clone)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Default for Prometheus {
    fn default() -> Self {
        let mut registry = Registry::default();
        let families = Metric::ALL.iter().map(|metric| {
            let series = register(&mut registry, &metric.definition());
            (*metric, series)
        });
        let families = families.collect();
        Self { registry, families }
    }
}

fn register(registry: &mut Registry, definition: &Definition) -> Series {
    // The library ends a sentence with a dot and a counter with `_total` itself.
    let help = definition.help.trim_end_matches('.');
    match definition.shape {
        Shape::Counter => {
            let family = Family::<Labels, Counter>::default();
            let name = definition.name.trim_end_matches("_total");
            registry.register(name, help, family.clone());
            Series::Counter(family)
        }
        Shape::Gauge => {
            let family = Family::<Labels, Gauge>::default();
            registry.register(definition.name, help, family.clone());
            Series::Gauge(family)
        }
        Shape::Histogram(bounds) => {
            let family = Family::new_with_constructor(Buckets(bounds));
            registry.register(definition.name, help, family.clone());
            Series::Histogram(family)
        }
    }
}

impl Prometheus {
    /// Counts a measurement whose labels are bounded.
    pub fn record(&self, measurement: &Measurement) {
        let labels = labels(measurement);
        match self.families.get(&measurement.metric) {
            Some(Series::Counter(family)) => {
                // Counters count things; what is measured is whole.
                family
                    .get_or_create(&labels)
                    .inc_by(measurement.value as u64);
            }
            Some(Series::Gauge(family)) => {
                family
                    .get_or_create(&labels)
                    // A gauge is told what it changes by, and may fall.
                    .inc_by(measurement.value as i64);
            }
            Some(Series::Histogram(family)) => {
                family.get_or_create(&labels).observe(measurement.value);
            }
            None => debug_assert!(false, "each metric has its family from the start"),
        }
    }

    /// Everything, as text.
    ///
    /// # Errors
    /// Never: text can be written to a string.
    pub fn text(&self, format: Format) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(match format {
            Format::OpenMetrics => text,
            Format::Classic => classic(&text),
        })
    }
}

/// The same samples in the older format: there a counter is described by its whole name, and there is
/// neither a unit nor an end.
fn classic(text: &str) -> String {
    let counters = Metric::ALL.iter().map(|metric| metric.definition());
    let counters = counters.filter(|it| it.shape == Shape::Counter);
    let names: BTreeMap<&str, &str> = counters
        .map(|it| (it.name.trim_end_matches("_total"), it.name))
        .collect();
    let line = |line: &str| {
        let Some(said) = line.strip_prefix("# ") else {
            return Some(format!("{line}\n"));
        };
        let (what, rest) = said.split_once(' ')?; // `# EOF`
        let (name, rest) = rest.split_once(' ')?;
        let name = names.get(name).unwrap_or(&name);
        (what != "UNIT").then(|| format!("# {what} {name} {rest}\n"))
    };
    text.lines().filter_map(line).collect()
}

fn labels(measurement: &Measurement) -> Labels {
    let names = measurement.metric.definition().labels.iter();
    let pairs = names.zip(&measurement.labels);
    pairs
        .map(|(label, value)| (label.name, value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_quotes_and_line_feeds_stays_a_value() {
        let prometheus = Prometheus::default();
        let labels = ["a\"} 9\nforged_total 1", "t", "ok"];
        prometheus.record(&Measurement::new(Metric::ToolCalls, labels, 1.0));
        let text = prometheus.text(Format::OpenMetrics).unwrap();
        assert!(
            !text.lines().any(|line| line.starts_with("forged")),
            "{text}"
        );
        assert!(
            text.contains(r#"plugin="a\"} 9\nforged_total 1""#),
            "{text}"
        );
    }

    #[test]
    fn counters_add_up_and_histograms_have_the_buckets_of_their_definition() {
        let prometheus = Prometheus::default();
        for value in [2.0, 3.0] {
            let labels = ["p", "m", "input"];
            prometheus.record(&Measurement::new(Metric::Tokens, labels, value));
        }
        let labels = ["p", "t", "ok"];
        prometheus.record(&Measurement::new(Metric::ToolDuration, labels, 0.003));
        let text = prometheus.text(Format::OpenMetrics).unwrap();
        for line in [
            r#"cost_observation_tokens_total{provider="p",model="m",type="input"} 5"#,
            r#"tool_execution_duration_seconds_bucket{le="0.001",plugin="p",tool="t",outcome="ok"} 0"#,
            r#"tool_execution_duration_seconds_bucket{le="0.005",plugin="p",tool="t",outcome="ok"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_scraper_that_does_not_ask_for_openmetrics_gets_what_every_scraper_reads() {
        let prometheus = Prometheus::default();
        let labels = ["p", "m", "input"];
        prometheus.record(&Measurement::new(Metric::Tokens, labels, 2.0));
        let labels = ["p", "t", "ok"];
        prometheus.record(&Measurement::new(Metric::ToolDuration, labels, 0.003));
        let text = prometheus.text(Format::accepted("*/*")).unwrap();
        for line in [
            "# TYPE cost_observation_tokens_total counter\n",
            "# HELP cost_observation_tokens_total ",
            "\ncost_observation_tokens_total{",
            "# TYPE tool_execution_duration_seconds histogram\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(
            !text.contains("# EOF") && !text.contains("# UNIT"),
            "{text}"
        );
        let both = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
        assert_eq!(Format::accepted(both), Format::OpenMetrics);
        for (accept, format) in [
            ("Application/OpenMetrics-Text", Format::OpenMetrics),
            (
                "text/plain;q=0.3, application/openmetrics-text;version=1.0.0;q=0.6",
                Format::OpenMetrics,
            ),
            (
                "application/openmetrics-text;q=0.3, text/plain;q=0.9",
                Format::Classic,
            ),
            ("application/openmetrics-text; q=0, */*", Format::Classic),
            ("application/openmetrics-textile", Format::Classic),
            ("application/openmetrics-text;q=much", Format::Classic),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
