//! What one decision costs under a full profile: 64 rules, the last one allows.
//!
//! The goal is at most 2 µs, so that a decision never shows beside a request.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a bench stops when its own input is wrong"
)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use flowhost_policy::{
    HttpRule, ToolsGrant, decide_tool,
    egress::{Target, check_addresses, decide_http},
};

fn exact_rules() -> Vec<HttpRule> {
    (0..64)
        .map(|i| rule(&format!("https://api-{i}.example.com/v1/")))
        .collect()
}

/// The slow kind: every rule is a wildcard that has to be taken apart.
fn wildcard_rules() -> Vec<HttpRule> {
    (0..64)
        .map(|i| rule(&format!("https://*.tenant-{i}.example.com/v1/")))
        .collect()
}

fn rule(url: &str) -> HttpRule {
    HttpRule::new(url, &["GET", "POST"]).expect("the bench's own rule")
}

fn decisions(c: &mut Criterion) {
    let exact = exact_rules();
    let target = Target::parse("https://api-63.example.com/v1/users?q=1", "POST").expect("a URL");
    c.bench_function("decide_http/64 exact rules, last allows", |b| {
        b.iter(|| decide_http(black_box(&exact), black_box(&target)).is_ok());
    });
    let wildcard = wildcard_rules();
    let below = Target::parse("https://a.tenant-63.example.com/v1/", "GET").expect("a URL");
    c.bench_function("decide_http/64 wildcard rules, last allows", |b| {
        b.iter(|| decide_http(black_box(&wildcard), black_box(&below)).is_ok());
    });
    let elsewhere = Target::parse("https://evil.test/v1/", "GET").expect("a URL");
    c.bench_function("decide_http/64 wildcard rules, none allows", |b| {
        b.iter(|| decide_http(black_box(&wildcard), black_box(&elsewhere)).is_err());
    });
}

fn the_rest(c: &mut Criterion) {
    c.bench_function("Target::parse", |b| {
        b.iter(|| Target::parse(black_box("https://api.example.com/v1/users?q=1"), "GET").is_ok());
    });
    let rules = exact_rules();
    let public = ["93.184.215.14".parse().expect("an address")];
    c.bench_function("check_addresses/1 public", |b| {
        b.iter(|| check_addresses(black_box(&rules[0]), black_box(&public), &[], false).is_ok());
    });
    let call = (0..64).map(|i| format!("plugin-{i}/*")).collect();
    let tools = ToolsGrant { call };
    c.bench_function("decide_tool/64 patterns, last allows", |b| {
        b.iter(|| decide_tool(black_box(&tools), black_box("plugin-63/read")).is_ok());
    });
}

criterion_group!(benches, decisions, the_rest);
criterion_main!(benches);
