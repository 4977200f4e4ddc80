//! The table: what was measured, against what, the ratio, the goal, and whether it was met.

use std::fmt::Write as _;

use serde::Serialize;

/// One line of the table.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// Group, in the order of the book: `call`, `load`, …
    pub group: &'static str,
    /// What was measured.
    pub what: String,
    /// Readable figure.
    pub figure: String,
    /// The figure in its base unit (nanoseconds, bytes or count a second).
    pub value: f64,
    /// What it is compared with; empty for none.
    pub baseline: String,
    /// The baseline's readable figure; empty for none.
    pub baseline_figure: String,
    /// Figure over baseline (or baseline over figure where the goal is a speed-up).
    pub ratio: Option<f64>,
    /// The goal in words; empty for none.
    pub goal: &'static str,
    /// Whether the goal was met; none without a goal.
    pub met: Option<bool>,
    /// Why it was not measured; empty where it was.
    pub not_measured: String,
}

impl Row {
    /// A figure without a baseline.
    #[must_use]
    pub(crate) fn new(
        group: &'static str,
        what: impl Into<String>,
        figure: String,
        value: f64,
    ) -> Self {
        Self {
            group,
            what: what.into(),
            figure,
            value,
            baseline: String::new(),
            baseline_figure: String::new(),
            ratio: None,
            goal: "",
            met: None,
            not_measured: String::new(),
        }
    }

    /// A figure that should be here and is not: the table says so, and the program ends badly when it has measured the rest.
    #[must_use]
    pub(crate) fn missing(
        group: &'static str,
        what: impl Into<String>,
        why: impl Into<String>,
    ) -> Self {
        let not_measured = why.into();
        // What a program said when it failed may be long, and have lines: the table has the first.
        let line = not_measured.lines().next().unwrap_or_default();
        let figure = format!("not measured: {}", line.replace('|', "/"));
        Self {
            not_measured,
            ..Self::new(group, what, figure, f64::NAN)
        }
    }

    /// The rows of a part of a group, or one that says why they are not here: a part takes nothing from the others.
    #[must_use]
    pub(crate) fn or_missing(
        group: &'static str,
        what: impl Into<String>,
        rows: anyhow::Result<Vec<Self>>,
    ) -> Vec<Self> {
        rows.unwrap_or_else(|failure| vec![Self::missing(group, what, format!("{failure:#}"))])
    }

    /// Names the baseline and the ratio to it.
    #[must_use]
    pub(crate) fn against(mut self, baseline: &str, figure: String, ratio: f64) -> Self {
        baseline.clone_into(&mut self.baseline);
        self.baseline_figure = figure;
        self.ratio = Some(ratio);
        self
    }

    /// Names the goal.
    #[must_use]
    pub(crate) fn goal(mut self, goal: &'static str, met: bool) -> Self {
        self.goal = goal;
        self.met = Some(met);
        self
    }
}

/// The whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    /// Processor, cores, kernel.
    pub machine: String,
    /// Commit of the repository.
    pub commit: String,
    /// Lines.
    pub rows: Vec<Row>,
}

impl Run {
    /// The page `docs/benchmarks.md`.
    #[must_use]
    pub(crate) fn markdown(&self) -> String {
        let mut page = String::from(PREFACE);
        let _ = writeln!(
            page,
            "- machine: {}\n- commit: {}\n",
            self.machine, self.commit
        );
        page.push_str(
            "| group | what | figure | baseline in the same run | ratio | goal | met |\n",
        );
        page.push_str("|---|---|---|---|---|---|---|\n");
        for row in &self.rows {
            let baseline = match row.baseline.as_str() {
                "" => String::new(),
                name => format!("{name}: {}", row.baseline_figure),
            };
            let ratio = row
                .ratio
                .map_or(String::new(), |ratio| format!("{ratio:.2} ×"));
            let met = row.met.map_or("", |met| if met { "yes" } else { "**no**" });
            let _ = writeln!(
                page,
                "| {} | {} | {} | {baseline} | {ratio} | {} | {met} |",
                row.group, row.what, row.figure, row.goal
            );
        }
        page
    }
}

const PREFACE: &str = "\
# Benchmarks

Made by `cargo xtask bench`; the programs are in `tests/benches`. Two things that are compared take turns in the same
run, because the machines are shared and noisy: trust the ratios, not the absolute figures. A figure is a median unless it
says otherwise. A figure `on top of` another is the median of what a call costs more, turn by turn; a ratio is of the
whole calls.

What a user would pick instead of a component is a server with a library. Goals are held against the Node MCP server with the
official TypeScript SDK (`tests/benches/node/sdk-*.mjs`), as [ADR 0051](adr/0051-goals-are-held-against-what-a-user-would-write.md)
says. `Node, by hand, no protocol library` is a loop of some twenty lines that checks nothing: the least that answers, and what
Node itself needs. The `rmcp` server keeps no sessions and holds arguments against no schema.

";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_measured_is_one_line_of_the_table_that_says_why() {
        let failure = anyhow::anyhow!("no | SDK\nand much that it said");
        let rows = Row::or_missing("authors", "Python", Err(failure));
        assert_eq!(rows[0].not_measured, "no | SDK\nand much that it said");
        let run = Run {
            machine: String::new(),
            commit: String::new(),
            rows,
        };
        let page = run.markdown();
        let line = page.lines().last();
        assert_eq!(
            line,
            Some("| authors | Python | not measured: no / SDK |  |  |  |  |")
        );
    }
}
