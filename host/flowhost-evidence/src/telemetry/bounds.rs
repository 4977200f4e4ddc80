//! Keeps the number of time series small, whatever plans, plugins and models call themselves.
//!
//! A label with a list takes what is in it; any other takes the first values that come; a metric
//! takes so many series. Everything beyond counts under `other`, so sums stay right.

use std::collections::{HashMap, HashSet};

use super::instruments::{Definition, Measurement, Metric};

/// What stands for every value that is not let in.
pub const OTHER: &str = "other";
/// Different values of one label of one metric: plans have tens of plugins, tools and models.
pub const VALUES_MAX: usize = 50;
/// Different series of one metric; above it, names that plans choose become `other` together.
pub const SERIES_MAX: usize = 500;
/// Characters of a value. Values are kept by the collector for each series, for months.
const VALUE_CHARS: usize = 100;

/// The values and series that were let in.
#[derive(Debug, Default)]
pub struct Bounds {
    values: HashMap<(Metric, &'static str), HashSet<String>>,
    series: HashMap<Metric, HashSet<Vec<String>>>,
}

impl Bounds {
    /// The measurement with labels that may be used.
    pub fn admit(&mut self, mut measurement: Measurement) -> Measurement {
        let metric = measurement.metric;
        let definition = metric.definition();
        measurement
            .labels
            .resize(definition.labels.len(), String::new());
        for (label, value) in definition.labels.iter().zip(&mut measurement.labels) {
            let known = if label.values.is_empty() {
                self.admit_value(metric, label.name, value)
            } else {
                label.values.contains(&value.as_str())
            };
            if !known {
                *value = OTHER.to_owned();
            }
        }
        let series = self.series.entry(metric).or_default();
        if !series.contains(&measurement.labels) {
            if series.len() >= SERIES_MAX {
                collapse(&definition, &mut measurement.labels);
            }
            series.insert(measurement.labels.clone());
        }
        measurement
    }

    fn admit_value(&mut self, metric: Metric, label: &'static str, value: &mut String) -> bool {
        // Prometheus takes a label without a value for none, and the series for another one.
        if value.is_empty() {
            return false;
        }
        if let Some((end, _)) = value.char_indices().nth(VALUE_CHARS) {
            value.truncate(end);
        }
        let values = self.values.entry((metric, label)).or_default();
        values.contains(value) || (values.len() < VALUES_MAX && values.insert(value.clone()))
    }
}

/// The lists that are left have few combinations, so that what is over the bound stays few, too.
fn collapse(definition: &Definition, labels: &mut [String]) {
    for (label, value) in definition.labels.iter().zip(labels) {
        if label.values.is_empty() {
            *value = OTHER.to_owned();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tool_call(plugin: &str, tool: &str, outcome: &str) -> Measurement {
        Measurement::new(Metric::ToolCalls, [plugin, tool, outcome], 1.0).of_run("default", "w")
    }

    #[test]
    fn a_value_outside_the_list_is_other() {
        let mut bounds = Bounds::default();
        let admitted = bounds.admit(tool_call("p", "t", "exploded"));
        assert_eq!(admitted.labels, ["p", "t", OTHER, "default", "w"]);
        assert_eq!(bounds.admit(tool_call("", "t", "ok")).labels[0], OTHER);
    }

    #[test]
    fn the_value_after_the_last_that_fits_is_other_and_the_first_ones_stay() {
        let mut bounds = Bounds::default();
        for n in 0..VALUES_MAX {
            let plugin = format!("p{n}");
            assert_eq!(
                bounds.admit(tool_call(&plugin, "t", "ok")).labels[0],
                plugin
            );
        }
        assert_eq!(
            bounds.admit(tool_call("one-more", "t", "ok")).labels[0],
            OTHER
        );
        assert_eq!(bounds.admit(tool_call("p0", "t", "ok")).labels[0], "p0");
        let long = "x".repeat(VALUE_CHARS + 9);
        let mut fresh = Bounds::default();
        assert_eq!(
            fresh.admit(tool_call(&long, "t", "ok")).labels[0].len(),
            VALUE_CHARS
        );
    }

    proptest! {
        #[test]
        fn no_names_make_more_series_than_there_is_room_for(
            names in proptest::collection::vec((0_u32..90, 0_u32..90), 0..3_000)
        ) {
            let mut bounds = Bounds::default();
            let mut seen = HashSet::new();
            for (plugin, tool) in names {
                let admitted = bounds.admit(tool_call(&plugin.to_string(), &tool.to_string(), "ok"));
                seen.insert(admitted.labels);
            }
            prop_assert!(seen.len() <= SERIES_MAX + 1, "{}", seen.len());
        }
    }
}
