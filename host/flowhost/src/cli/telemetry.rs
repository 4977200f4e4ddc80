//! `flowhost telemetry`: what evidence files of stages say.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use flowhost_evidence::analysis::{GroupBy, Metric, TARGET, WEEKS};
use http::Uri;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `telemetry`.
#[derive(Debug, Subcommand)]
pub(crate) enum TelemetryCommand {
    /// Hold evidence files against their schemas, those of other tools too
    Validate {
        /// A file, or a folder with all that is below it
        #[arg(value_name = "PATH")]
        path: PathBuf,
    },
    /// One number of all stages, by group: mean, median, 95th percentile, outliers
    Report(ReportArgs),
    /// Two routing profiles, or one model and several, beside each other, and whether chance explains the difference
    Compare(CompareArgs),
    /// What agents disagreed about, as YAML
    Disagreements(DisagreementsArgs),
    /// How far the sections of what stages make vary from run to run
    Drift(DriftArgs),
    /// Runs a week against a target, how long they take and what becomes of them
    Adoption(AdoptionArgs),
    /// What a person should look at, and what to do about it; exit 4 when nothing should run on before
    Alerts(AlertsArgs),
    /// Cost, latency, agreement and sets of models as one HTML page that needs nothing else
    Dashboard(DashboardArgs),
}

/// Which files, and who answered.
#[derive(Debug, Clone, Args)]
pub(crate) struct EvidenceArgs {
    /// The evidence folder, or one file of it
    #[arg(long, value_name = "PATH", default_value = "evidence")]
    pub(crate) evidence: PathBuf,
    /// What scripts of a `mock` provider answered; never together with what models did
    #[arg(long)]
    pub(crate) mock: bool,
}

/// Between which times.
#[derive(Debug, Args)]
pub(crate) struct TimesArgs {
    /// Stages that ended then or later: 2026-11-26, or a time as RFC 3339 has it
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<OffsetDateTime>,
    /// Stages that ended before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<OffsetDateTime>,
}

/// Two moments, where they were named.
pub(crate) type Times = (Option<OffsetDateTime>, Option<OffsetDateTime>);

impl TimesArgs {
    /// What was named of both.
    pub(crate) fn between(&self) -> Times {
        (self.since, self.until)
    }
}

/// In which form.
#[derive(Debug, Args)]
pub(crate) struct FormArgs {
    /// Comma-separated values (RFC 4180) in the place of a table; not with --json
    #[arg(long)]
    pub(crate) csv: bool,
}

/// `telemetry report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Which number
    #[arg(long, value_parser = metrics(), default_value = Metric::Cost.word())]
    pub(crate) metric: Metric,
    /// What stages are put together by
    #[arg(long, value_parser = groups(), default_value = GroupBy::Stage.word())]
    pub(crate) group_by: GroupBy,
    #[command(flatten)]
    pub(crate) times: TimesArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `telemetry compare`.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// A routing profile (the plan's label `run_profile`); with `--by method` `single` or `consensus`
    #[arg(value_name = "A")]
    pub(crate) a: String,
    /// Another
    #[arg(value_name = "B")]
    pub(crate) b: String,
    /// What A and B name
    #[arg(long, value_enum, default_value_t = CompareBy::Profile)]
    pub(crate) by: CompareBy,
    /// One stage: the fewer rows are compared at once, the fewer runs can show a difference
    #[arg(long, value_name = "STAGE")]
    pub(crate) stage: Option<String>,
    /// One metric, chosen before the numbers are seen
    #[arg(long, value_parser = metrics())]
    pub(crate) metric: Option<Metric>,
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// What is held beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CompareBy {
    /// Routing profiles
    Profile,
    /// One model alone, and several that are compared
    Method,
}

/// `telemetry disagreements`.
#[derive(Debug, Args)]
pub(crate) struct DisagreementsArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Leave out what occurs less often
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = super::whole::<usize>)]
    pub(crate) min_count: usize,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `telemetry drift`.
#[derive(Debug, Args)]
pub(crate) struct DriftArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `telemetry adoption`.
#[derive(Debug, Args)]
pub(crate) struct AdoptionArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// How many weeks to look back, this one included
    #[arg(long, value_name = "N", default_value_t = WEEKS, value_parser = clap::value_parser!(u16).range(1..=520))]
    pub(crate) weeks: u16,
    /// Runs a week that are wanted
    #[arg(long, value_name = "N", default_value_t = TARGET, value_parser = super::whole::<usize>)]
    pub(crate) target: usize,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `telemetry alerts`.
#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Thresholds; without it `alerts.toml` of the operator's policies, else of `policies` here, else the built-in ones
    #[arg(long, value_name = "FILE")]
    pub(crate) rules: Option<PathBuf>,
    /// Say what would have been raised over old evidence: nothing is remembered and nothing sent
    #[arg(long)]
    pub(crate) playback: bool,
    /// A line for each day beside the alerts
    #[arg(long)]
    pub(crate) daily: bool,
    /// Post new alerts there as JSON
    #[arg(long, value_name = "URL", value_parser = webhook, conflicts_with = "playback")]
    pub(crate) webhook: Option<Uri>,
    #[command(flatten)]
    pub(crate) times: TimesArgs,
    #[command(flatten)]
    pub(crate) form: FormArgs,
}

/// `telemetry dashboard`.
#[derive(Debug, Args)]
pub(crate) struct DashboardArgs {
    #[command(flatten)]
    pub(crate) evidence: EvidenceArgs,
    /// Write the page to this file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Serve the page on a loopback address, made anew for each reader, until interrupted [default: a port that is free]
    #[arg(
        long,
        value_name = "ADDRESS",
        value_parser = flowhost::telemetry::loopback,
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:0",
        conflicts_with = "out"
    )]
    pub(crate) watch: Option<SocketAddr>,
}

fn metrics() -> impl TypedValueParser<Value = Metric> {
    let words = Metric::ALL
        .iter()
        .map(|it| PossibleValue::new(it.word()).help(it.about()));
    PossibleValuesParser::new(words)
        .try_map(|word| Metric::of_word(&word).ok_or("it names no metric"))
}

fn groups() -> impl TypedValueParser<Value = GroupBy> {
    let words = GroupBy::ALL
        .iter()
        .map(|it| PossibleValue::new(it.word()).help(it.about()));
    PossibleValuesParser::new(words)
        .try_map(|word| GroupBy::of_word(&word).ok_or("it names no group"))
}

/// A day, or a moment.
fn moment(text: &str) -> Result<OffsetDateTime, String> {
    let whole = match text.len() {
        // As long as `2026-11-26`.
        10 => format!("{text}T00:00:00Z"),
        _ => text.to_owned(),
    };
    OffsetDateTime::parse(&whole, &Rfc3339)
        .map_err(|_| "expected a day or a time: 2026-11-26, or 2026-11-26T08:00:00Z".to_owned())
}

/// Where alerts may be sent: in the clear only on this machine, because they name specs and runs.
fn webhook(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    let Some(host) = uri.host() else {
        return Err("expected a whole address, such as https://alerts.example/flowhost".to_owned());
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<std::net::IpAddr>();
    // No look-up: a name that leads here today may lead elsewhere when the alert is sent.
    let is_here = bare == "localhost" || address.is_ok_and(|it| it.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(uri),
        Some("http") if is_here => Ok(uri),
        Some("http") => Err("use https: alerts name specs and runs".to_owned()),
        _ => Err("expected https, or http on this machine".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_day_or_a_moment_with_its_zone_and_nothing_else() {
        for text in [
            "",
            "monday",
            "2026-13-01",
            "2026-11-26T08:00:00",
            "26.11.2026",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
        let day = moment("2026-11-26").unwrap();
        assert_eq!(day, moment("2026-11-26T01:30:00+01:30").unwrap());
    }

    #[test]
    fn alerts_leave_this_machine_encrypted_or_not_at_all() {
        for text in [
            "http://alerts.example/x",
            "ftp://127.0.0.1/x",
            "/x",
            "alerts",
            "http://127.0.0.1.example/",
        ] {
            assert!(webhook(text).is_err(), "{text}");
        }
        for text in [
            "https://alerts.example/x",
            "http://127.0.0.1:9/x",
            "http://[::1]:9/",
            "http://localhost/",
        ] {
            assert!(webhook(text).is_ok(), "{text}");
        }
    }
}
