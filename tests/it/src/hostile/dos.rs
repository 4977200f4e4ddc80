//! DOS: guests that want more than their share. Each ends within its bound as a typed fault that
//! names the limit, what was used and what is allowed; the engine then still serves others.

use flowhost_engine::Fault;
use flowhost_ledger::Kind;
use serde_json::{Value, json};

use crate::hosted::{Host, PUBLIC, Setup, field, limit, trap};

/// A host whose profile has these limits and a log.
fn limited(guest: &str, limits: &str) -> Host {
    let rights = "log = true\nconfig = true\nbudget = true\n[limits]\n";
    Setup::new(&format!("{rights}{limits}")).host(guest)
}

/// The guest ends at this limit, and the host is healthy afterwards.
#[track_caller]
fn ends_at(guest: &str, limits: &str, input: &Value, name: &str, allowed: u64) -> u64 {
    let host = limited(guest, limits);
    let report = host.call(input);
    let (which, used, bound) = limit(&report);
    assert_eq!((which, bound), (name, allowed), "{guest}");
    assert!(used >= allowed, "{guest}: used {used}");
    host.is_healthy();
    used
}

#[test]
fn dos_001_a_loop_ends_with_its_fuel() {
    ends_at(
        "limit_loop",
        "fuel = 10_000_000\n",
        &json!({}),
        "fuel",
        10_000_000,
    );
}

#[test]
fn dos_001_a_loop_ends_at_its_deadline_when_fuel_is_plenty() {
    let limits = "fuel = 1_000_000_000_000_000\ndeadline = \"100ms\"\n";
    let used = ends_at("limit_loop", limits, &json!({}), "deadline", 100);
    assert!(used < 10_000, "{used} ms");
}

#[test]
fn dos_004_endless_recursion_traps() {
    let host = limited("limit_recursion", "");
    assert!(trap(&host.call(&json!({}))).contains("stack"));
    host.is_healthy();
}

#[test]
fn dos_005_recursion_of_any_depth_before_a_host_call_traps_or_works() {
    let host = limited("limit_recursion", "");
    for depth in [10, 1_000, 10_000, 20_000, 30_000, 40_000, 60_000, 100_000] {
        let report = host.call(&json!({ "depth": depth }));
        assert!(
            matches!(report.result, Ok(_) | Err(Fault::Trap { .. })),
            "{depth}: {report:?}"
        );
    }
    host.is_healthy();
}

#[test]
fn dos_006_growing_memory_ends_at_the_limit() {
    let host = limited("limit_memory", "memory = \"4MiB\"\n");
    let outcome = host.answer(&json!({}));
    assert_eq!(outcome["refused"], true);
    assert!(outcome["pages"].as_u64().unwrap() <= 64, "{outcome}");
    host.is_healthy();
}

#[test]
fn dos_006_a_guest_that_needs_more_memory_than_it_may_have_reports_the_limit() {
    let input = json!({ "bytes": 16 << 20 });
    ends_at(
        "limit_memory_touched",
        "memory = \"4MiB\"\n",
        &input,
        "memory",
        4 << 20,
    );
}

#[test]
fn dos_016_fields_that_alias_one_buffer_are_refused_before_they_are_copied() {
    let host = limited("limit_output_aliased", "");
    let report = host.call(&json!({ "times": 100_000, "bytes": 1 << 20 }));
    assert!(report.result.is_err(), "100 GiB were copied");
    assert!(
        matches!(report.result, Err(Fault::Limit { .. } | Fault::Trap { .. })),
        "{:?}",
        report.result
    );
    host.is_healthy();
}

#[test]
fn dos_018_answers_end_at_the_output_limit_in_each_of_their_parts() {
    for guest in ["limit_output", "limit_output_text", "limit_output_error"] {
        let limits = "output = \"64KiB\"\n";
        ends_at(
            guest,
            limits,
            &json!({ "bytes": 8 << 20 }),
            "output",
            64 << 10,
        );
        let host = limited(guest, limits);
        let small = host.call(&json!({ "bytes": 1_000 }));
        assert!(
            !matches!(small.result, Err(Fault::Limit { .. })),
            "{guest}: {small:?}"
        );
    }
}

#[test]
fn dos_019_reading_outside_of_memory_traps() {
    let host = limited("fault_out_of_bounds", "");
    assert!(trap(&host.call(&json!({}))).contains("out of bounds"));
    host.is_healthy();
}

#[test]
fn dos_023_an_initialiser_is_under_the_same_limits() {
    ends_at(
        "limit_start",
        "fuel = 10_000_000\n",
        &json!({}),
        "fuel",
        10_000_000,
    );
    let slow = "fuel = 1_000_000_000_000_000\ndeadline = \"100ms\"\n";
    ends_at("limit_start", slow, &json!({}), "deadline", 100);
    let host = limited("fault_start", "");
    assert!(trap(&host.call(&json!({}))).contains("unreachable"));
    host.is_healthy();
}

#[test]
fn dos_024_a_flood_of_log_lines_is_cut_with_a_counter() {
    for guest in ["limit_log", "limit_wasi_stdout"] {
        let host = limited(guest, "log = \"4KiB\"\n");
        let report = host.call(&json!({ "total": 50_000, "line": 10 }));
        assert!(report.result.is_ok(), "{guest}: {report:?}");
        assert!(
            report.used.log_bytes <= 4 << 10,
            "{guest}: {:?}",
            report.used
        );
        assert!(
            report.used.log_dropped >= 40_000,
            "{guest}: {:?}",
            report.used
        );
        let told: usize = host.lines().iter().map(|line| line.message.len()).sum();
        assert!(told <= 4 << 10, "{guest}: {told}");
        let facts = host.facts();
        let dropped = facts
            .iter()
            .filter(|fact| fact.fields.contains_key("dropped_bytes"));
        assert!(dropped.count() >= 1, "{guest}: {facts:?}");
    }
}

#[test]
fn dos_024_a_flood_of_single_bytes_ends_at_the_host_call_budget() {
    let input = json!({ "total": 10_000_000, "line": 1 });
    ends_at(
        "limit_log",
        "host_calls = 10_000\n",
        &input,
        "host_calls",
        10_000,
    );
}

#[test]
fn dos_026_terminal_escapes_are_written_out() {
    let host = limited("fault_terminal_escapes", "");
    host.call(&json!({ "fail": false }));
    let lines = format!(
        "{:?}",
        host.lines()
            .iter()
            .map(|it| it.message.clone())
            .collect::<Vec<_>>()
    );
    let Err(Fault::Guest { message, .. }) = host.call(&json!({ "fail": true })).result else {
        panic!("it did not fail")
    };
    for text in [lines.as_str(), message.as_str()] {
        let hostile = |c: char| c.is_control() || "\u{202e}\u{200b}".contains(c);
        assert!(!text.contains(hostile), "{text:?}");
        assert!(text.contains("evil"), "it is still readable: {text}");
    }
    assert!(host.lines().iter().all(|line| !line.message.contains('\n')));
}

#[test]
fn dos_027_host_calls_that_do_nothing_end_at_their_budget() {
    let input = json!({ "calls": 10_000_000 });
    ends_at(
        "limit_host_calls",
        "host_calls = 5_000\n",
        &input,
        "host_calls",
        5_000,
    );
    let keys = json!({ "times": 10_000_000, "bytes": 10 });
    ends_at(
        "limit_config",
        "host_calls = 5_000\n",
        &keys,
        "host_calls",
        5_000,
    );
}

#[test]
fn dos_027_every_small_capability_counts_its_calls() {
    for (guest, rights, input) in [
        (
            "limit_clock",
            "[clock]\nwall = \"virtual\"\n",
            json!({ "times": 10_000_000 }),
        ),
        (
            "limit_random",
            "[random]\nsource = \"seeded\"\n",
            json!({ "length": 1, "times": 10_000_000 }),
        ),
        (
            "limit_secrets",
            "[secrets]\nnames = [\"TOKEN\"]\n",
            json!({ "times": 10_000_000 }),
        ),
    ] {
        let host = Setup::new(&format!("{rights}[limits]\nhost_calls = 1_000\n")).host(guest);
        assert_eq!(
            limit(&host.call(&input)),
            ("host_calls", 1_001, 1_000),
            "{guest}"
        );
        host.is_healthy();
    }
}

#[test]
fn dos_014_and_029_timers_that_nobody_drops_end_at_the_handle_limit() {
    let host = limited("limit_handles", "handles = 100\n");
    let report = host.call(&json!({ "handles": 100_000 }));
    let (name, _, allowed) = limit(&report);
    assert_eq!((name, allowed), ("handles", 100));
    let few =
        limited("limit_handles", "handles = 100\n").call(&json!({ "handles": 50, "poll": true }));
    assert!(few.result.is_ok(), "{few:?}");
    host.is_healthy();
}

#[test]
fn dos_029_sleeping_in_the_host_ends_at_the_deadline() {
    let used = ends_at(
        "limit_sleep",
        "deadline = \"200ms\"\n",
        &json!({}),
        "deadline",
        200,
    );
    assert!(used < 10_000, "{used} ms");
}

#[test]
fn dos_045_answers_that_are_deep_or_have_too_many_keys_are_no_answers() {
    let deep = limited("limit_depth", "").call(&json!({ "depth": 100_000 }));
    let Err(Fault::Guest { class, message }) = &deep.result else {
        panic!("{deep:?}")
    };
    assert_eq!(*class, "failed");
    assert!(message.contains("depth"), "{message}");
    let wide = limited("limit_keys", "output = \"64MiB\"\n").call(&json!({ "keys": 1_000_000 }));
    assert!(
        matches!(wide.result, Err(Fault::Guest { .. } | Fault::Limit { .. })),
        "too many keys"
    );
    assert!(
        limited("limit_depth", "")
            .call(&json!({ "depth": 10 }))
            .result
            .is_ok()
    );
    let text = limited("fault_not_json", "").call(&json!({ "text": "{ not json" }));
    assert!(
        matches!(
            text.result,
            Err(Fault::Guest {
                class: "failed",
                ..
            })
        ),
        "{text:?}"
    );
}

#[test]
fn dos_036_a_panic_is_a_trap_and_the_next_call_starts_afresh() {
    let host = limited("fault_panic", "");
    for _ in 0..3 {
        trap(&host.call(&json!({})));
    }
    host.is_healthy();
}

#[test]
fn a_guest_cannot_make_up_a_denial_or_a_limit() {
    let host = limited("fault_error", "");
    for case in ["denied", "limit"] {
        let report = host.call(&json!({ "case": case, "message": "x" }));
        assert!(
            matches!(report.result, Err(Fault::Guest { .. })),
            "{case}: {report:?}"
        );
    }
    for case in ["transient", "invalid", "failed"] {
        let report = host.call(&json!({ "case": case, "message": "x" }));
        assert!(
            matches!(report.result, Err(Fault::Guest { class, .. }) if class == case),
            "{report:?}"
        );
    }
}

#[test]
fn quotas_of_state_messages_and_tools_are_limits_that_a_guest_survives() {
    let state =
        Setup::new("[state]\nnamespaces = [\"notes\"]\nbytes = \"10KiB\"\n").host("limit_state");
    let outcome = state.answer(&json!({ "namespace": "notes", "bytes": 1_000, "values": 1_000 }));
    assert_eq!(outcome["stopped"]["case"], "limit", "{outcome}");
    assert!(outcome["written"].as_u64().unwrap() < 11, "{outcome}");
    let calls = "[limits]\nhost_calls = 50\n";
    let tools = Setup::new(&format!("[tools]\ncall = [\"a/b\"]\n{calls}")).host("limit_tools");
    let report = tools.call(&json!({ "name": "a/b", "input": {}, "calls": 1_000 }));
    assert_eq!(limit(&report), ("host_calls", 51, 50));
    let messages =
        Setup::new(&format!("[messages]\npublish = [\"x.y\"]\n{calls}")).host("limit_messaging");
    let report = messages.call(&json!({ "topic": "x.y", "bytes": 10, "messages": 1_000 }));
    match &report.result {
        Ok(content) => assert!(content.value.contains("stopped"), "{content:?}"),
        Err(_) => assert_eq!(limit(&report).0, "host_calls"),
    }
}

#[test]
fn netx_010_and_029_headers_and_bodies_end_at_their_caps() {
    let rule =
        "[[http]]\nurl = \"https://api.example.com/\"\nmethods = [\"POST\"]\nrequest = \"64KiB\"\n";
    let host = || {
        Setup::new(rule)
            .resolving("api.example.com", &[PUBLIC])
            .host("limit_http")
    };
    let url = "https://api.example.com/";
    for input in [
        json!({ "url": url, "bytes": 1 << 20, "requests": 3 }),
        json!({ "url": url, "headers": 10_000, "requests": 3 }),
    ] {
        let host = host();
        let outcome = host.answer(&input);
        assert_eq!(outcome["stopped"]["case"], "limit", "{outcome}");
        assert_eq!(outcome["sent"], 0);
        assert_eq!(host.connector.dialled(), []);
    }
    let wasi = Setup::new(rule).host("limit_wasi_fields");
    let report = wasi.call(&json!({ "fields": 100_001 }));
    match &report.result {
        Ok(content) => {
            let outcome: Value = serde_json::from_str(&content.value).unwrap();
            assert!(outcome["made"].as_u64().unwrap() < 100_001, "{outcome}");
        }
        Err(fault) => assert!(
            matches!(fault, Fault::Trap { .. } | Fault::Limit { .. }),
            "{fault}"
        ),
    }
    wasi.is_healthy();
}

#[test]
fn a_huge_draw_of_randomness_is_refused() {
    let ours = Setup::new("[random]\nsource = \"seeded\"\n").host("ok_random");
    let outcome = ours.answer(&json!({ "length": 1 << 30 }));
    assert!(outcome.get("error").is_some(), "{outcome}");
    let wasi = Setup::new("[random]\nsource = \"seeded\"\n").host("limit_wasi_random");
    let report = wasi.call(&json!({ "length": 1_u64 << 40 }));
    assert!(report.result.is_err(), "{report:?}");
    wasi.is_healthy();
}

#[test]
fn a_dropped_log_line_is_told_in_one_record() {
    let host = limited("ok_log", "log = \"100B\"\n");
    host.answer(&json!({ "message": "x".repeat(60), "times": 5 }));
    let facts = host.of_kind(Kind::HostCall);
    let dropped: Vec<_> = facts
        .iter()
        .filter(|fact| fact.fields.contains_key("dropped_bytes"))
        .collect();
    assert_eq!(dropped.len(), 1, "{facts:?}");
    assert_eq!(field(dropped[0], "dropped_lines"), "4");
}
