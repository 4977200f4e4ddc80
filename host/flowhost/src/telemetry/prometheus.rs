//! The metrics as Prometheus reads them: one family for each definition, in the text format.

use std::collections::BTreeMap;
use std::fmt;

use flowhost_evidence::telemetry::instruments::{Definition, Measurement, Metric, Shape};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// What the text is, for the header of an answer.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = Vec<(&'static str, String)>;

/// All metrics of this process.
pub struct Prometheus {
    registry: Registry,
    families: BTreeMap<Metric, Series>,
}

enum Series {
    Counter(Family<Labels, Counter>),
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
            Some(Series::Histogram(family)) => {
                family.get_or_create(&labels).observe(measurement.value);
            }
            None => {}
        }
    }

    /// Everything, as text.
    ///
    /// # Errors
    /// Never: text can be written to a string.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
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
        let text = prometheus.text().unwrap();
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
        let text = prometheus.text().unwrap();
        for line in [
            r#"cost_observation_tokens_total{provider="p",model="m",type="input"} 5"#,
            r#"tool_execution_duration_seconds_bucket{le="0.001",plugin="p",tool="t",outcome="ok"} 0"#,
            r#"tool_execution_duration_seconds_bucket{le="0.005",plugin="p",tool="t",outcome="ok"} 1"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
