//! What a trial found, for people, programs, build servers and browsers: one list, four forms.

use std::fmt::Write as _;

use serde::Serialize;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// A host takes it all the same.
    Warn,
    /// A host or its user would suffer from it.
    Fail,
    /// It could not be tried, and the detail says why.
    Skip,
}

/// One check.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// Stable: `contract.answers`.
    pub id: String,
    /// What was tried, as a sentence.
    pub what: &'static str,
    /// How it ended.
    pub verdict: Verdict,
    /// What was found; empty where all is well.
    pub detail: String,
}

/// What the plugin used at most, over all calls that ended well.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Peak {
    /// Fuel units.
    pub fuel: u64,
    /// Bytes of memories and tables.
    pub memory_bytes: u64,
    /// Calls to the host.
    pub host_calls: u64,
    /// Bytes handed back.
    pub output_bytes: u64,
}

/// The whole of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The component as it was named.
    pub component: String,
    /// `sha256:…`
    pub digest: String,
    /// Its role.
    pub role: String,
    /// Whether nothing failed.
    pub passed: bool,
    /// Most used.
    pub peak: Peak,
    /// Every check, in the order in which they were made.
    pub checks: Vec<Check>,
}

impl Report {
    /// How many checks ended so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.checks
            .iter()
            .filter(|check| check.verdict == verdict)
            .count()
    }

    /// One line: `21 passed, 1 warned, 0 failed, 2 skipped`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!(
            "{} passed, {} warned, {} failed, {} skipped",
            self.count(Verdict::Pass),
            self.count(Verdict::Warn),
            self.count(Verdict::Fail),
            self.count(Verdict::Skip)
        )
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{}\n  {}, {}\n", self.component, self.role, self.digest);
        for check in &self.checks {
            let word = match check.verdict {
                Verdict::Pass => "pass",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
                Verdict::Skip => "skip",
            };
            let _infallible = writeln!(text, "{word}  {}: {}", check.id, check.what);
            for line in check.detail.lines() {
                let _infallible = writeln!(text, "      {line}");
            }
        }
        let Peak {
            fuel,
            memory_bytes,
            host_calls,
            output_bytes,
        } = self.peak;
        let _infallible = writeln!(
            text,
            "used at most: fuel {fuel}, memory {memory_bytes} bytes, {host_calls} host calls, output \
             {output_bytes} bytes\n{}",
            self.summary()
        );
        text
    }

    /// For build servers: JUnit's XML, one case for each check. A warning is a case that passed.
    #[must_use]
    pub fn junit(&self) -> String {
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" \
             failures=\"{}\" skipped=\"{}\">\n",
            escaped(&self.component),
            self.checks.len(),
            self.count(Verdict::Fail),
            self.count(Verdict::Skip)
        );
        for check in &self.checks {
            let detail = escaped(&check.detail);
            let inside = match check.verdict {
                Verdict::Pass => String::new(),
                Verdict::Warn => format!("<system-out>{detail}</system-out>"),
                Verdict::Fail => format!("<failure message=\"{}\">{detail}</failure>", check.what),
                Verdict::Skip => format!("<skipped message=\"{detail}\"/>"),
            };
            let _infallible = writeln!(
                text,
                "  <testcase classname=\"flowhost.plugin\" name=\"{}\">{inside}</testcase>",
                escaped(&check.id)
            );
        }
        text.push_str("</testsuite>\n");
        text
    }

    /// For browsers: one page without a script or anything from elsewhere.
    #[must_use]
    pub fn html(&self) -> String {
        let mut rows = String::new();
        for check in &self.checks {
            let word = format!("{:?}", check.verdict).to_lowercase();
            let _infallible = writeln!(
                rows,
                "<tr class=\"{word}\"><td>{word}</td><td><code>{}</code></td><td>{}<pre>{}</pre></td></tr>",
                escaped(&check.id),
                escaped(check.what),
                escaped(&check.detail)
            );
        }
        let name = escaped(&self.component);
        let badge = if self.passed { "passed" } else { "failed" };
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
             content=\"width=device-width\"><title>{badge}: {name}</title><style>{STYLE}</style></head>\n\
             <body><h1>{name}</h1><p class=\"badge {badge}\">{badge}: {}</p><p>{}, <code>{}</code></p>\n\
             <table><thead><tr><th>verdict</th><th>check</th><th>what</th></tr></thead><tbody>\n{rows}\
             </tbody></table></body></html>\n",
            self.summary(),
            escaped(&self.role),
            escaped(&self.digest)
        )
    }
}

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;\
    color:#1a1a1a;background:#fff}table{border-collapse:collapse;width:100%}td,th{text-align:left;\
    vertical-align:top;padding:.4rem .6rem;border-bottom:1px solid #ccc}pre{white-space:pre-wrap;margin:0;\
    font-size:.85rem}code{overflow-wrap:anywhere}.fail td:first-child,.badge.failed{color:#a40000;\
    font-weight:700}.warn td:first-child{color:#7a4b00}.pass td:first-child,.badge.passed{color:#00571f}";

/// Text for an element or an attribute in quotes, of HTML and of XML: what XML cannot hold at all (control
/// characters of a hostile plugin's message) becomes U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(letter),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => {
                escaped.push('\u{fffd}');
            }
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        Report {
            component: "a<b>.wasm".to_owned(),
            digest: "sha256:0".to_owned(),
            role: "tool".to_owned(),
            passed: false,
            peak: Peak::default(),
            checks: vec![Check {
                id: "contract.answers".to_owned(),
                what: "answers",
                verdict: Verdict::Fail,
                detail: "trapped: \u{1b}[31m</pre><script>".to_owned(),
            }],
        }
    }

    #[test]
    fn nothing_that_a_plugin_says_becomes_markup_or_a_control_character() {
        for form in [report().html(), report().junit()] {
            assert!(
                !form.contains("<script>") && !form.contains('\u{1b}'),
                "{form}"
            );
            assert!(form.contains("&lt;/pre&gt;"), "{form}");
        }
    }

    #[test]
    fn a_failure_is_counted_in_every_form() {
        let report = report();
        assert!(report.text().contains("FAIL  contract.answers"));
        assert!(report.junit().contains("failures=\"1\""));
        assert!(report.html().contains("badge failed"));
    }
}
