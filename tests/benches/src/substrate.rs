//! What the host stands on: ledger, its verification, and the bus.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use flowhost_bus::{
    Bus, Envelope, Head, LocalBus, LocalConfig, Pattern, Subject, SubscribeOptions, Ulid,
};
use flowhost_ledger::records::{CallPart, Decision, DecisionPart, HostCall, RecordKind as _};
use flowhost_ledger::{Durability, Fact, Ledger, Recorder, verify_dir};
use flowhost_policy::HttpRule;
use flowhost_policy::egress::{Target, decide_http};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::host::ledger;
use crate::measure::{Effort, Side, duration, in_turns};
use crate::report::Row;

const RELAXED_RECORDS: u32 = 200_000;
const DURABLE_RECORDS: u32 = 5_000;
const IN_FLIGHT: u32 = 64;

fn fact() -> Fact {
    let call = HostCall {
        call_of: CallPart {
            step: "0123456789abcdef".to_owned(),
            ..CallPart::default()
        },
        decided: DecisionPart {
            interface: Some("flowhost:state/state@0.1.0".to_owned()),
            decision: Some(Decision::Allow),
            rule: Some("state.namespaces[0]".to_owned()),
            ..DecisionPart::default()
        },
        ..HostCall::default()
    };
    call.by("default/guest")
}

/// Ledger and bus.
///
/// # Errors
/// When one of them fails.
pub(crate) fn rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let mut rows = ledger_rows(runtime, folder)?;
    rows.extend(bus_rows(runtime)?);
    rows.extend(policy_rows()?);
    Ok(rows)
}

/// 64 rules of which the last allows, beside parsing the URL alone with the `url` crate.
fn policy_rows() -> Result<Vec<Row>> {
    const URL: &str = "https://api-63.example.com/v1/users?q=1";
    let rules: Vec<HttpRule> = (0..64)
        .map(|index| HttpRule::new(&format!("https://api-{index}.example.com/v1/"), &["GET"]))
        .collect::<Result<_, _>>()
        .map_err(|problem| anyhow!("{problem:?}"))?;
    let target = Target::parse(URL, "GET").map_err(|denied| anyhow!("{denied:?}"))?;
    let mut sides: Vec<Side<'_>> = vec![
        Box::new(|batch| {
            for _ in 0..batch {
                ensure!(
                    decide_http(black_box(&rules), black_box(&target)).is_ok(),
                    "denied"
                );
            }
            Ok(())
        }),
        Box::new(|batch| {
            for _ in 0..batch {
                black_box(url::Url::parse(black_box(URL)))?;
            }
            Ok(())
        }),
    ];
    let figures = in_turns(Effort::SHORT, &mut sides)?;
    let [decision, parse] = figures.as_slice() else {
        return Ok(Vec::new());
    };
    let what = "decision for an http request, 64 rules, the last allows";
    Ok(vec![
        Row::new("policy", what, decision.text(), decision.median_ns)
            .against(
                "parsing the URL alone",
                parse.text(),
                decision.median_ns / parse.median_ns,
            )
            .goal("≤ 1 µs", decision.median_ns <= 1_000.0),
    ])
}

fn ledger_rows(runtime: &Runtime, folder: &Path) -> Result<Vec<Row>> {
    let relaxed_dir = folder.join("relaxed");
    let relaxed = ledger(&relaxed_dir, Durability::Relaxed)?;
    let start = Instant::now();
    for _ in 0..RELAXED_RECORDS {
        relaxed.append(fact())?;
    }
    let accepted = per_second(RELAXED_RECORDS, start.elapsed());
    relaxed.close_blocking()?;
    let written = per_second(RELAXED_RECORDS, start.elapsed());

    let durable = ledger(&folder.join("durable"), Durability::Durable)?;
    let start = Instant::now();
    runtime.block_on(append_durably(&durable))?;
    let synced = per_second(DURABLE_RECORDS, start.elapsed());
    durable.close_blocking()?;
    let alone = raw_syncs(folder)?;

    let start = Instant::now();
    let report = verify_dir(&relaxed_dir, &[]);
    let verified = per_second(RELAXED_RECORDS, start.elapsed());
    ensure!(
        report.ok,
        "the benchmark's own ledger does not verify: {report}"
    );
    let hashed = hash_rate(&relaxed_dir)?;
    let row = |what: &str, rate: f64| Row::new("ledger", what, rate_text(rate), rate);
    Ok(vec![
        row("append, relaxed, until accepted", accepted),
        row("append, relaxed, until written and signed", written),
        row("append, durable, 64 in flight", synced).against(
            "write + fdatasync one by one",
            rate_text(alone),
            synced / alone,
        ),
        row("verify", verified)
            .against(
                "SHA-256 of the same bytes",
                rate_text(hashed),
                verified / hashed,
            )
            .goal("≥ 1 M records/s", verified >= 1_000_000.0),
    ])
}

async fn append_durably(ledger: &Ledger) -> Result<()> {
    let each = DURABLE_RECORDS / IN_FLIGHT;
    let writers = (0..IN_FLIGHT).map(|_| async {
        for _ in 0..each {
            let seq = ledger.append(fact())?;
            ledger.durable(seq).await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(writers).await?;
    Ok(())
}

/// What the disk does for one writer that syncs every record.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark's own scratch file"
)]
fn raw_syncs(folder: &Path) -> Result<f64> {
    use std::io::Write;
    let mut file = std::fs::File::create(folder.join("raw"))?;
    let line = [b'x'; 512];
    let start = Instant::now();
    let mut count = 0;
    while start.elapsed() < Duration::from_secs(1) {
        file.write_all(&line)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(per_second(count, start.elapsed()))
}

/// Records a second if verification were nothing but hashing each line once.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark reads its own ledger"
)]
fn hash_rate(dir: &Path) -> Result<f64> {
    let text = std::fs::read(dir.join("seg-00000000.jsonl"))?;
    let start = Instant::now();
    let mut lines = 0;
    for line in text.split(|byte| *byte == b'\n') {
        black_box(Sha256::digest(line));
        lines += 1;
    }
    Ok(per_second(lines, start.elapsed()))
}

fn bus_rows(runtime: &Runtime) -> Result<Vec<Row>> {
    let bus = LocalBus::new(LocalConfig::default());
    let subject = Subject::of("default", "run", &["steps", "ready"])?;
    let _server = runtime.spawn(serve(bus.clone(), Pattern::exactly(&subject)));
    let (sender, mut receiver) =
        tokio::sync::mpsc::channel::<tokio::sync::oneshot::Sender<u32>>(64);
    let _echo = runtime.spawn(async move {
        while let Some(answer) = receiver.recv().await {
            let _ = answer.send(1);
        }
    });
    runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
    let mut id = 0;
    let mut sides: Vec<Side<'_>> = vec![
        Box::new(|batch| {
            runtime.block_on(async {
                for _ in 0..batch {
                    id += 1;
                    let request = envelope(id)?;
                    bus.request(&subject, request, Duration::from_secs(5))
                        .await?;
                }
                Ok(())
            })
        }),
        Box::new(|batch| {
            runtime.block_on(async {
                for _ in 0..batch {
                    let (answer, answered) = tokio::sync::oneshot::channel();
                    sender.send(answer).await?;
                    answered.await?;
                }
                Ok(())
            })
        }),
    ];
    let figures = in_turns(Effort::SHORT, &mut sides)?;
    let [ours, channel] = figures.as_slice() else {
        return Ok(Vec::new());
    };
    let ratio = ours.median_ns / channel.median_ns;
    let what = "request and answer, two sealed envelopes of 1 KiB";
    Ok(vec![
        Row::new("bus", what, ours.text(), ours.median_ns).against(
            "tokio channel round trip",
            duration(channel.median_ns),
            ratio,
        ),
    ])
}

async fn serve(bus: LocalBus, pattern: Pattern) -> Result<()> {
    let mut subscription = bus.subscribe(pattern, SubscribeOptions::default()).await?;
    loop {
        let delivery = subscription.next().await?;
        let id = Ulid::from(u128::from(delivery.envelope.id) | (1 << 127));
        let payload = delivery.envelope.payload()?.clone();
        let answer = Head::answer(&delivery.envelope, id, "default/host", "answer");
        delivery.answer(Arc::new(answer.seal(payload)?)).await?;
    }
}

fn envelope(id: u128) -> Result<Arc<Envelope>> {
    let head = Head {
        id: Ulid::from(id),
        tenant: "default".to_owned(),
        run: "run".to_owned(),
        step: "0123456789abcdef".to_owned(),
        actor: "default/host".to_owned(),
        correlation: String::new(),
        causation: String::new(),
        traceparent: String::new(),
        kind: "step".to_owned(),
    };
    let payload = serde_json::json!({ "text": "x".repeat(1_000) });
    Ok(Arc::new(head.seal(payload)?))
}

fn per_second(count: u32, time: Duration) -> f64 {
    f64::from(count) / time.as_secs_f64()
}

fn rate_text(rate: f64) -> String {
    match rate {
        r if r >= 1e6 => format!("{:.2} M/s", r / 1e6),
        r if r >= 1e3 => format!("{:.1} k/s", r / 1e3),
        r => format!("{r:.0}/s"),
    }
}
