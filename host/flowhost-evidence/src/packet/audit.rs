//! The audit packet: verdicts, reconciled costs, every conflict, security reviews, and a list to sign.

use serde_json::Value;

use super::security::QUESTIONS;
use super::{Files, Spec, StageState, cell, known, table, typed, with_manifest};
use crate::text::one_line;

/// Who signs, when a spec has all its stages.
const ROLES: [&str; 5] = [
    "product owner",
    "engineering lead",
    "operations",
    "security",
    "data protection",
];
/// Dollars by which two sums of the same calls may differ. Costs are whole millionths of a dollar wherever they are written,
/// so that sums of them are off by what binary fractions make of them, and by half a millionth never.
const HALF_A_MICRO_USD: f64 = 0.000_000_5;

/// The packet.
#[derive(Debug)]
pub struct Audit {
    /// Its files.
    pub files: Files,
    /// Whether the costs are the same wherever they are said.
    pub reconciled: Reconciled,
    /// Conflicts that nobody has decided.
    pub open_conflicts: usize,
    /// Stages that are not ok.
    pub not_ok: usize,
}

/// Whether costs agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconciled {
    /// Every sum is the same.
    Yes,
    /// Two sums differ.
    No,
    /// A sum is not known, so nobody can say.
    Unknown,
}

impl Reconciled {
    /// In words.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    /// Of two sums.
    fn of(one: Option<f64>, other: Option<f64>) -> Self {
        match (one, other) {
            (Some(one), Some(other)) if (one - other).abs() < HALF_A_MICRO_USD => Self::Yes,
            (Some(_), Some(_)) => Self::No,
            _ => Self::Unknown,
        }
    }

    /// The worse of both.
    const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

impl Spec<'_> {
    /// The packet with what somebody should know before signing.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let (costs, reconciled) = self.costs_page();
        let pages = [
            ("verdicts.md", self.verdicts_page()),
            ("costs.md", costs),
            ("conflicts.md", self.conflicts_page()),
            ("security-review.md", self.security_page()),
            ("sign-off.md", self.sign_off_page(reconciled)),
        ];
        let mut files: Files = pages
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.into_bytes()))
            .collect();
        for path in self.sources() {
            if let Some(bytes) = self.files.get(path) {
                files.insert(format!("evidence/{path}"), bytes.clone());
            }
        }
        Audit {
            files: with_manifest(files, self, "audit-packet"),
            reconciled,
            open_conflicts: self.open_conflicts(),
            not_ok: self.stages.iter().filter(|it| it.status != "ok").count(),
        }
    }

    fn open_conflicts(&self) -> usize {
        let all = self.stages.iter().flat_map(|it| &it.disputes);
        all.filter(|it| it.settled.is_none()).count()
    }

    fn verdicts_page(&self) -> String {
        let row = |it: &StageState| {
            let or_none = |text: String| {
                if text.is_empty() {
                    "none".to_owned()
                } else {
                    text
                }
            };
            vec![
                it.stage.clone(),
                it.status.clone(),
                known(it.agreement, 3),
                or_none(it.missing.join(", ")),
                or_none(it.models.join(", ")),
                it.shown_run(),
                it.prompt.0.clone().unwrap_or_else(|| "unknown".to_owned()),
                it.prompt.1.clone().unwrap_or_else(|| "unknown".to_owned()),
                it.verdict_sha256
                    .clone()
                    .unwrap_or_else(|| match it.status.as_str() {
                        "invalid" => "unknown".to_owned(),
                        _ => "one agent".to_owned(),
                    }),
            ]
        };
        let rows: Vec<Vec<String>> = self.stages.iter().map(row).collect();
        let heads = [
            "stage",
            "status",
            "agreement",
            "missing",
            "models",
            "run",
            "prompt",
            "prompt SHA-256",
            "verdict SHA-256",
        ];
        let mut text = format!("# {}: verdicts\n\n", self.id);
        text.push_str(&table(&heads, &rows, "No stage has left a verdict."));
        text.push_str("\nEach run's ledger is checked with `flowhost verify RUN`.\n");
        text
    }

    /// Costs as three places say them: telemetry of each stage, the lines of the summary, and the summary's own sums.
    fn costs_page(&self) -> (String, Reconciled) {
        let costs = self.costs.as_ref();
        let lines = costs.and_then(|it| it.get("breakdown")?.as_array());
        let lines: Vec<&Value> = lines.into_iter().flatten().collect();
        let sum = |stage: Option<&str>| -> Option<f64> {
            costs?;
            let of = |it: &&&Value| {
                stage.is_none_or(|stage| it.get("stage").and_then(Value::as_str) == Some(stage))
            };
            let lines = lines.iter().filter(of);
            sum_of(lines.map(|it| it.get("cost_usd")?.as_f64()))
        };
        let mut all = Reconciled::Yes;
        let mut rows = Vec::new();
        for stage in &self.stages {
            let by_lines = sum(Some(&stage.stage));
            let said = costs.and_then(|it| it.get("per_stage")?.get(&stage.stage)?.as_f64());
            let same = Reconciled::of(stage.cost_usd, by_lines).and(Reconciled::of(by_lines, said));
            all = all.and(same);
            rows.push(vec![
                stage.stage.clone(),
                known(stage.cost_usd, 6),
                known(by_lines, 6),
                known(said, 6),
                same.word().to_owned(),
            ]);
        }
        let total = costs.and_then(|it| it.get("total_cost_usd")?.as_f64());
        let same = Reconciled::of(sum(None), total);
        all = all.and(same);
        let telemetry = sum_of(self.stages.iter().map(|it| it.cost_usd));
        rows.push(vec![
            "all".to_owned(),
            known(telemetry, 6),
            known(sum(None), 6),
            known(total, 6),
            same.word().to_owned(),
        ]);
        let heads = [
            "stage",
            "telemetry",
            "lines of the summary",
            "summary",
            "the same",
        ];
        let mut text = format!("# {}: costs in US dollars\n\n", self.id);
        text.push_str(&table(&heads, &rows, "No stage has left costs."));
        let budget = costs.and_then(|it| it.get("budget_usd")?.as_f64());
        text.push_str(&format!(
            "\nBudget: {}. Reconciled: {}.\n\n`all` counts stages of the summary that have no telemetry here, too.\n",
            known(budget, 6),
            all.word()
        ));
        (text, all)
    }

    fn conflicts_page(&self) -> String {
        let mut rows = Vec::new();
        for stage in &self.stages {
            for dispute in &stage.disputes {
                let positions: Vec<String> = dispute
                    .positions
                    .iter()
                    .map(|(agent, said)| format!("{agent}: {said}"))
                    .collect();
                let (state, resolution, reason) = match &dispute.settled {
                    None => ("open", String::new(), String::new()),
                    Some((resolution, reason)) => ("settled", resolution.clone(), reason.clone()),
                };
                rows.push(vec![
                    stage.stage.clone(),
                    dispute.issue.clone(),
                    positions.join("; "),
                    state.to_owned(),
                    resolution,
                    reason,
                ]);
            }
        }
        let heads = ["stage", "issue", "positions", "state", "resolution", "why"];
        let text = table(&heads, &rows, "No stage has a conflict, open or settled.");
        format!("# {}: conflicts\n\n{text}", self.id)
    }

    fn security_page(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .security
            .iter()
            .map(|it| {
                vec![
                    it.task.clone(),
                    it.title.clone(),
                    it.owner.clone(),
                    it.shown(),
                    it.by.clone(),
                    it.recorded_at.clone(),
                    it.note.clone(),
                    it.run_id.clone(),
                ]
            })
            .collect();
        let heads = [
            "task", "title", "owner", "status", "by", "when", "note", "run",
        ];
        let mut text = format!("# {}: security reviews\n\n", self.id);
        let tasks = self.stages.iter().find(|it| it.stage == "tasks");
        let none = match tasks {
            Some(it) if it.status == "invalid" => {
                "The stage `tasks` is invalid, so that nobody knows which tasks are flagged."
            }
            Some(it) if it.unverified => {
                "The stage `tasks` is unverified, so that nobody knows which tasks are flagged."
            }
            _ => "No task is flagged for a security review.",
        };
        text.push_str(&table(&heads, &rows, none));
        for item in &self.security {
            text.push_str(&format!(
                "\n## {}: {}\n\n",
                cell(&item.task),
                cell(&item.title)
            ));
            text.push_str("Reviewer: · Date: · Change reviewed:\n\n");
            for question in QUESTIONS {
                text.push_str(&format!(
                    "- {question}\n  - Answer:\n  - Finding and severity:\n"
                ));
            }
            text.push_str(&format!(
                "\nDecision (passed, accepted, failed), put on record with `flowhost evidence security {} --task {} --says \
                 DECISION --by NAME --note TEXT`:\n",
                typed(&self.id),
                typed(&item.task)
            ));
        }
        text
    }

    fn sign_off_page(&self, reconciled: Reconciled) -> String {
        let not_ok: Vec<&str> = self
            .stages
            .iter()
            .filter(|it| it.status != "ok")
            .map(|it| it.stage.as_str())
            .collect();
        let invalid: Vec<&str> = self.invalid.keys().map(String::as_str).collect();
        let open_reviews = self.security.iter().filter(|it| it.says.word() == "open");
        let failed = self.security.iter().filter(|it| it.says.word() == "failed");
        let unverified = self.security.iter().filter(|it| it.is_unverified());
        let mut text = format!("# {}: sign-off\n\nBefore anybody signs:\n\n", self.id);
        for (what, value) in [
            ("newest run", one_line(&self.newest_word())),
            ("stages of older runs", list(&self.older())),
            ("stages that are not ok", list(&not_ok)),
            ("files that do not count", list(&invalid)),
            ("stages that are unverified", list(&self.unverified())),
            ("open conflicts", self.open_conflicts().to_string()),
            (
                "issues that are left to a person",
                self.open_issues().to_string(),
            ),
            ("costs reconciled", reconciled.word().to_owned()),
            (
                "security reviews that are open",
                open_reviews.count().to_string(),
            ),
            ("security reviews that failed", failed.count().to_string()),
            (
                "security reviews that are unverified",
                unverified.count().to_string(),
            ),
        ] {
            text.push_str(&format!("- {what}: {value}\n"));
        }
        text.push_str("\nWhoever signs, signs the SHA-256 of `manifest.json`, which has that of every other file.\n\n");
        let rows: Vec<Vec<String>> = ROLES
            .iter()
            .map(|role| {
                vec![
                    (*role).to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]
            })
            .collect();
        let heads = [
            "role",
            "name",
            "date",
            "decision",
            "SHA-256 of manifest.json",
        ];
        text.push_str(&table(&heads, &rows, ""));
        text
    }
}

/// The sum; not known where a part is not. From 0 on, because the library's own sum of nothing is -0, which would be
/// written with its sign.
fn sum_of(mut costs: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    costs.try_fold(0.0, |sum, cost| Some(sum + cost?))
}

fn list(names: &[&str]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.join(", "),
    }
}
