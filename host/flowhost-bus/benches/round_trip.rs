//! What the bus costs: sealing, one hop, and a request with its answer.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use flowhost_bus::{
    Bus, Envelope, Head, LocalBus, LocalConfig, Pattern, Subject, SubscribeOptions, Ulid,
};
use serde_json::json;

fn head(id: u128) -> Head {
    Head {
        id: Ulid::from_parts(1_700_000_000_000, id),
        tenant: "default".into(),
        run: "01HF7YAT00000000000000000A".into(),
        step: "read".into(),
        actor: "default/host".into(),
        correlation: String::new(),
        causation: String::new(),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
        kind: "step.start".into(),
    }
}

fn payload() -> serde_json::Value {
    json!({ "path": "/docs", "text": "x".repeat(200) })
}

fn sealed(count: u128) -> Vec<Arc<Envelope>> {
    let seal = |id| head(id).seal(payload()).map(Arc::new);
    (0..count).filter_map(|id| seal(id).ok()).collect()
}

fn benches(c: &mut Criterion) {
    let Ok(runtime) = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
    else {
        return;
    };
    let run = "01HF7YAT00000000000000000A";
    let (Ok(subject), Ok(pattern)) = (
        Subject::of("default", run, &["step", "read", "start"]),
        Pattern::of("default", run, "step.>"),
    ) else {
        return;
    };

    c.bench_function("bus/seal", |b| {
        let (head, payload) = (head(1), payload());
        b.iter(|| black_box(head.clone().seal(payload.clone())));
    });

    c.bench_function("bus/hop", |b| {
        b.to_async(&runtime).iter_custom(|rounds| {
            let (subject, pattern) = (subject.clone(), pattern.clone());
            async move {
                let bus = LocalBus::new(LocalConfig::default());
                let reader = bus.subscribe(pattern, SubscribeOptions::default()).await;
                let envelopes = sealed(u128::from(rounds));
                let Ok(mut reader) = reader else {
                    return Duration::ZERO;
                };
                let start = std::time::Instant::now();
                for envelope in envelopes {
                    let _ = black_box(bus.publish(&subject, envelope).await);
                    if let Ok(delivery) = reader.next().await {
                        let _ = delivery.ack().await;
                    }
                }
                start.elapsed()
            }
        });
    });

    c.bench_function("bus/request", |b| {
        b.to_async(&runtime).iter_custom(|rounds| {
            let (subject, pattern) = (subject.clone(), pattern.clone());
            async move {
                let bus = LocalBus::new(LocalConfig::default());
                let reader = bus.subscribe(pattern, SubscribeOptions::default()).await;
                let Ok(mut reader) = reader else {
                    return Duration::ZERO;
                };
                let worker = tokio::spawn(async move {
                    let mut id = u128::from(u64::MAX);
                    while let Ok(delivery) = reader.next().await {
                        id += 1;
                        let answer_id = Ulid::from_parts(1, id);
                        let answer = Head::answer(&delivery.envelope, answer_id, "w", "end");
                        if let Ok(answer) = answer.seal(json!({ "ok": true })) {
                            let _ = delivery.answer(Arc::new(answer)).await;
                        }
                    }
                });
                let envelopes = sealed(u128::from(rounds));
                let start = std::time::Instant::now();
                for envelope in envelopes {
                    let asked = bus.request(&subject, envelope, Duration::from_secs(5));
                    let _ = black_box(asked.await);
                }
                let took = start.elapsed();
                worker.abort();
                took
            }
        });
    });
}

criterion_group!(group, benches);
criterion_main!(group);
