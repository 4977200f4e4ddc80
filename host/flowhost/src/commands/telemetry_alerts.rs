//! `flowhost telemetry alerts`: what of the evidence a person should look at, each told once.
//!
//! What was told is remembered in the state folder, so that a job that looks every hour tells a thing once. An alert is
//! remembered last: one that could not be printed or sent is raised again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use flowhost::alert_rules;
use flowhost::failure::Failure;
use flowhost::output::counted;
use flowhost::sender::Sender;
use flowhost_evidence::analysis::alerts::{Alert, Day, Rules, alerts, days};
use flowhost_evidence::analysis::{Source, moment};
use flowhost_flow::Exit;
use http::Uri;
use serde::{Deserialize, Serialize};

use crate::cli::{AlertsArgs, Times};
use crate::commands::Context;
use crate::commands::running::runtime;
use crate::commands::tables::{cell, csv, plain_table};
use crate::commands::telemetry_numbers::{Form, read};
use crate::commands::telemetry_trends::of_whom;

/// The file of a tenant's folder that remembers what was told, an alert a line.
const HISTORY_FILE: &str = "alerts.jsonl";
/// The file beside it whose lock is held from reading it to writing it.
const TURN_FILE: &str = "alerts.lock";
/// Bytes of what is remembered: some hundred thousand alerts, more than anybody reads.
const HISTORY_BYTES_MAX: u64 = 64 << 20;

/// What the command answers.
#[derive(Debug, Serialize)]
struct Answer {
    mock: bool,
    playback: bool,
    /// The file of the thresholds; null where the built-in ones hold.
    rules_from: Option<String>,
    rules: Rules,
    alerts: Vec<Alert>,
    /// With `--daily`.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<Vec<Day>>,
    /// Where what was told is remembered; null in a playback, which remembers nothing.
    history: Option<String>,
    /// What was raised and told before.
    told_before: usize,
}

pub(crate) fn perform(args: &AlertsArgs, context: &Context) -> Result<Exit, Failure> {
    let form = Form::of(&args.form, context)?;
    let between = args.times.between();
    let (rules, from) =
        alert_rules::find(&context.ambient, &context.config, args.rules.as_deref())?;
    let (evidence, source) = read(&args.evidence, context)?;
    // All of it is walked through, because an alert is judged by what came before it; then the times cut.
    let mut raised = alerts(evidence.observations(), &rules, source);
    raised.retain(|alert| is_within(alert.at, between));
    let days = args.daily.then(|| {
        let mut days = days(evidence.observations(), &raised, source);
        days.retain(|it| is_day_within(&it.day, between));
        days
    });
    // Two calls at the same time would each find an alert untold. Nothing is locked, and no folder made, where nothing
    // is raised.
    let _turn = match args.playback || raised.is_empty() {
        true => None,
        false => {
            let folder = context.state.tenant_dir();
            context.ambient.create_dir(&folder)?;
            Some(context.ambient.lock(&folder.join(TURN_FILE))?)
        }
    };
    let history = match args.playback {
        true => None,
        false => Some(History::read(context)?),
    };
    let all = raised.len();
    if let Some(history) = &history {
        raised.retain(|alert| !history.told.contains(&alert.id));
    }
    let answer = Answer {
        mock: source == Source::Mock,
        playback: args.playback,
        rules_from: from.map(|path| path.display().to_string()),
        rules,
        told_before: all - raised.len(),
        alerts: raised,
        days,
        history: history.as_ref().map(|it| it.path.display().to_string()),
    };
    // Printed, then sent, then remembered: an alert that a kill loses in between is told twice, and none never.
    form.print(context, &answer, text, alerts_csv);
    if let Some(history) = history {
        // All in one request: a listener that took half of them would be sent that half again.
        if let Some(to) = &args.webhook {
            send(&answer, to, context)?;
        }
        history.remember(&answer.alerts, context)?;
    }
    let halts = !args.playback && answer.alerts.iter().any(|it| it.halts);
    // The code of a plan that its own rules stopped: a pipeline that knows it stops here as well.
    Ok(if halts { Exit::Guardrail } else { Exit::Ok })
}

fn is_within(at: time::OffsetDateTime, (since, until): Times) -> bool {
    since.is_none_or(|it| at >= it) && until.is_none_or(|it| at < it)
}

/// Whether a part of the day is.
fn is_day_within(day: &str, (since, until): Times) -> bool {
    let begins = |it: time::OffsetDateTime| moment(it);
    since.is_none_or(|it| begins(it).split('T').next().is_some_and(|it| day >= it))
        && until.is_none_or(|it| format!("{day}T00:00:00Z") < begins(it))
}

/// What was told before.
struct History {
    path: PathBuf,
    text: String,
    told: BTreeSet<String>,
}

#[derive(Deserialize)]
struct Told {
    id: String,
}

impl History {
    fn read(context: &Context) -> Result<Self, Failure> {
        let path = context.state.tenant_dir().join(HISTORY_FILE);
        let text = match context.ambient.read_text(&path, HISTORY_BYTES_MAX) {
            Ok(text) => text,
            Err(error) if error.is_missing() => String::new(),
            Err(error) => return Err(error.into()),
        };
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        // A line that cannot be read must not hide the others: their alerts would all be told again.
        let read: Vec<Option<Told>> = lines.map(|line| serde_json::from_str(line).ok()).collect();
        let broken = read.iter().filter(|it| it.is_none()).count();
        if broken > 0 {
            let text = format!(
                "note: {} of `{}` cannot be read as an alert, and stays there\n",
                counted(broken, "line"),
                path.display()
            );
            context.output.message(&text);
        }
        let told = read.into_iter().flatten().map(|it| it.id).collect();
        Ok(Self { path, text, told })
    }

    fn remember(mut self, alerts: &[Alert], context: &Context) -> Result<(), Failure> {
        if alerts.is_empty() {
            return Ok(());
        }
        // Somebody may have edited the file.
        if !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        for alert in alerts {
            let line = serde_json::to_string(alert).map_err(|error| {
                Failure::new(Exit::Internal, "an alert cannot be written as JSON")
                    .because(error.to_string())
            })?;
            self.text.push_str(&line);
            self.text.push('\n');
        }
        context.ambient.create_dir(&context.state.tenant_dir())?;
        // Written anew as a whole, and not appended to: a kill in the middle of a line would leave one that cannot be
        // read.
        context.ambient.write(&self.path, self.text.as_bytes())?;
        Ok(())
    }
}

/// Posts what is new; nothing where nothing is.
fn send(answer: &Answer, to: &Uri, context: &Context) -> Result<(), Failure> {
    if answer.alerts.is_empty() {
        return Ok(());
    }
    let unsent = |why: String| {
        Failure::new(
            Exit::Internal,
            format!("the alerts could not be sent to {}", shown(to)),
        )
        .because(why)
        .hint("they are not remembered as told: the next call raises and sends them again")
    };
    let document = serde_json::to_vec(answer).map_err(|error| unsent(error.to_string()))?;
    let sender = Sender::new(&context.ambient).map_err(unsent)?;
    runtime()?
        .block_on(sender.post_json(to, document))
        .map_err(|error| unsent(error.to_string()))
}

/// The address without what stands before its host and after its port: names and paths of webhooks are secrets.
fn shown(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or_default();
    let port = uri.port_u16().map(|port| format!(":{port}"));
    let host = uri.host().unwrap_or_default();
    format!("{scheme}://{host}{}", port.unwrap_or_default())
}

fn text(answer: &Answer) -> String {
    let mut text = String::new();
    for alert in &answer.alerts {
        let halts = if alert.halts { ", HALT" } else { "" };
        text.push_str(&format!(
            "{} {}{halts}: {} (run {})\n  {}\n\n",
            moment(alert.at),
            alert.rule.word(),
            alert.says,
            alert.run,
            alert.guidance
        ));
    }
    if let Some(days) = &answer.days {
        text.push_str(&daily(days));
    }
    let what = if answer.playback {
        "alert"
    } else {
        "new alert"
    };
    text.push_str(&counted(answer.alerts.len(), what));
    text.push_str(of_whom(answer.mock));
    if answer.told_before > 0 {
        text.push_str(&format!("; told before: {}", answer.told_before));
    }
    let rules = answer.rules_from.as_deref().unwrap_or("the built-in ones");
    text.push_str(&format!("; rules: {rules}\n"));
    text
}

fn daily(days: &[Day]) -> String {
    let mut shown = plain_table(&[
        "day",
        "runs",
        "stages",
        "ok",
        "disagreed",
        "escalated",
        "USD",
        "alerts",
    ]);
    for day in days {
        shown.add_row([
            day.day.clone(),
            day.runs.to_string(),
            day.stages.to_string(),
            day.ok.to_string(),
            day.disagreed.to_string(),
            day.escalated.to_string(),
            day.cost_usd
                .map(|it| format!("{it:.6}"))
                .unwrap_or_default(),
            by_rule(&day.alerts),
        ]);
    }
    format!("{}\n\n", shown.trim_fmt())
}

fn by_rule(alerts: &BTreeMap<&'static str, usize>) -> String {
    alerts
        .iter()
        .map(|(rule, count)| format!("{count} {rule}"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The alerts; with `--daily` the days.
fn alerts_csv(answer: &Answer) -> String {
    if let Some(days) = &answer.days {
        let rows = days.iter().map(|day| {
            [
                day.day.clone(),
                day.runs.to_string(),
                day.stages.to_string(),
                day.ok.to_string(),
                day.disagreed.to_string(),
                day.escalated.to_string(),
                cell(day.cost_usd),
                by_rule(&day.alerts),
            ]
        });
        let header = [
            "day",
            "runs",
            "stages",
            "ok",
            "disagreed",
            "escalated",
            "cost_usd",
            "alerts",
        ];
        return csv(header, rows);
    }
    let rows = answer.alerts.iter().map(|alert| {
        [
            moment(alert.at),
            alert.rule.word().to_owned(),
            alert.spec.clone(),
            alert.stage.clone(),
            alert.run.clone(),
            alert.value.to_string(),
            alert.over.to_string(),
            alert.halts.to_string(),
            alert.says.clone(),
            alert.guidance.clone(),
        ]
    });
    let header = [
        "at", "rule", "spec", "stage", "run", "value", "over", "halts", "says", "guidance",
    ];
    csv(header, rows)
}
