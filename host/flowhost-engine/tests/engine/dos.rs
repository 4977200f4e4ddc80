//! Guests that want more than their share: every one ends within its bound, as a typed fault, and
//! leaves the host healthy.

use std::sync::Arc;
use std::time::{Duration, Instant};

use flowhost_engine::{CallReport, Fault, ToolContent};
use flowhost_policy::Limits;

use crate::support::{
    Guest, call, calling, effective, engine, limit, limits, once, plugin, scope, trap, types,
};

const LOOP: &str = "(loop $l (br $l)) unreachable";

#[tokio::test]
async fn an_honest_guest_answers_and_is_metered() {
    let report = once(Guest::default(), limits()).await;
    assert_eq!(report.result.unwrap().value, "null");
    assert!(report.used.fuel > 0);
    assert_eq!(report.used.memory_bytes, 2 * 65_536);
    assert_eq!(report.used.output_bytes, 4);
}

#[tokio::test]
async fn dos_001_a_loop_ends_when_its_fuel_does() {
    let report = once(calling(LOOP), limits()).await;
    assert_eq!(limit(&report), ("fuel", 200_000_000, 200_000_000));
    assert_eq!(report.used.fuel, 200_000_000);
}

#[tokio::test]
async fn dos_001_a_loop_ends_at_its_deadline_when_fuel_is_plenty() {
    let limits = Limits {
        fuel: u64::MAX / 2,
        deadline_ms: 100,
        ..limits()
    };
    let started = Instant::now();
    let report = once(calling(LOOP), limits).await;
    let (name, used, allowed) = limit(&report);
    assert_eq!((name, allowed), ("deadline", 100));
    assert!(used >= 100);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[tokio::test]
async fn dos_001_a_loop_ends_at_the_deadline_of_the_step() {
    let engine = engine();
    let limits = Limits {
        fuel: u64::MAX / 2,
        ..limits()
    };
    let plugin = plugin(&engine, &calling(LOOP), limits).await;
    let mut scope = scope(plugin.effective());
    scope.deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    let report = plugin.call_tool(scope, "t", "{}").await;
    let (name, _, allowed) = limit(&report);
    assert_eq!(name, "deadline");
    assert!(allowed <= 50);
}

#[tokio::test]
async fn dos_004_endless_recursion_traps() {
    let guest = Guest {
        fields: "(func $deep (param i64) (result i64)
            (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (i64.const 1)))"
            .to_owned(),
        ..calling("(drop (call $deep (i64.const 0))) (i32.const 16)")
    };
    let report = once(guest, limits()).await;
    assert!(trap(&report).contains("call stack exhausted"), "{report:?}");
}

#[tokio::test]
async fn dos_005_recursion_of_any_depth_leaves_the_host_alive() {
    let guest = |depth: u32| Guest {
        fields: "(func $deep (param i32) (result i32)
            (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
              (else (i32.add (call $deep (i32.sub (local.get 0) (i32.const 1))) (i32.const 1)))))"
            .to_owned(),
        ..calling(&format!(
            "(drop (call $deep (i32.const {depth}))) (i32.const 16)"
        ))
    };
    assert!(once(guest(1_000), limits()).await.result.is_ok());
    for depth in [20_000, 40_000, 65_000, 130_000, 1_000_000] {
        let report = once(guest(depth), limits()).await;
        assert!(
            matches!(report.result, Ok(_) | Err(Fault::Trap { .. })),
            "{depth}: {report:?}"
        );
    }
}

const GROW: &str = "(loop $more (br_if $more (i32.ne (i32.const -1) (memory.grow (i32.const 1)))))";

#[tokio::test]
async fn dos_006_growing_memory_stops_at_the_limit() {
    let report = once(calling(&format!("{GROW} (i32.const 16)")), limits()).await;
    assert_eq!(report.used.memory_bytes, 4 << 20);
    assert!(
        report.result.is_ok(),
        "a guest that copes with a refusal is fine: {report:?}"
    );
}

#[tokio::test]
async fn dos_006_a_guest_that_dies_of_a_refused_growth_reports_the_memory_limit() {
    let report = once(calling(&format!("{GROW} unreachable")), limits()).await;
    assert_eq!(limit(&report), ("memory", (4 << 20) + 65_536, 4 << 20));
}

#[tokio::test]
async fn dos_006_a_memory_that_starts_over_the_limit_is_refused() {
    let memory = "(memory (export \"memory\") 65)".to_owned();
    let report = once(
        Guest {
            memory,
            ..Guest::default()
        },
        limits(),
    )
    .await;
    assert_eq!(limit(&report), ("memory", 65 << 16, 4 << 20));
}

#[tokio::test]
async fn dos_007_many_memories_share_one_limit() {
    let before = (0..10)
        .map(|n| {
            format!(
                "(core module $x{n} (memory (export \"m\") 6)) (core instance (instantiate $x{n}))"
            )
        })
        .collect::<String>();
    let guest = Guest {
        before,
        ..calling(&format!("{GROW} (i32.const 16)"))
    };
    let report = once(guest.clone(), limits()).await;
    assert_eq!(report.used.memory_bytes, 4 << 20);
    assert!(report.result.is_ok());
    let tight = Limits {
        memory_bytes: 2 << 20,
        ..limits()
    };
    assert_eq!(limit(&once(guest, tight).await).0, "memory");
}

#[tokio::test]
async fn dos_007_more_memories_than_a_component_may_have_are_refused() {
    let before = (0..40)
        .map(|n| format!("(core module $x{n} (memory 1)) (core instance (instantiate $x{n}))"))
        .collect::<String>();
    let engine = engine();
    let loaded = engine
        .load(
            Guest {
                before,
                ..Guest::default()
            }
            .bytes(),
        )
        .await;
    assert!(loaded.is_err(), "{loaded:?}");
}

#[tokio::test]
async fn dos_009_a_table_cannot_outgrow_the_memory_limit() {
    let grow = |fail: &str| Guest {
        fields: "(table $t 1 funcref)".to_owned(),
        ..calling(&format!(
            "(drop (table.grow $t (ref.null func) (i32.const 10000000)))
             (loop $more (br_if $more (i32.ne (i32.const -1)
               (table.grow $t (ref.null func) (i32.const 1000)))))
             {fail}"
        ))
    };
    let tight = Limits {
        memory_bytes: 512 << 10,
        ..limits()
    };
    let report = once(grow("(i32.const 16)"), tight.clone()).await;
    assert!(report.result.is_ok(), "{report:?}");
    assert!(report.used.memory_bytes <= 512 << 10);
    let (name, used, allowed) = limit(&once(grow("unreachable"), tight).await);
    assert_eq!((name, allowed), ("memory", 512 << 10));
    assert!(used >= 80_000_000, "what was asked for is told: {used}");
}

#[tokio::test]
async fn dos_018_a_huge_result_is_refused_before_it_is_copied() {
    let call = "(i32.store offset=24 (i32.const 0) (i32.const 200000000))
        (drop (memory.grow (i32.const 3200))) (i32.const 16)";
    let roomy = Limits {
        memory_bytes: 256 << 20,
        ..limits()
    };
    let report = once(calling(call), roomy).await;
    assert_eq!(limit(&report), ("output", (64 << 10) + 1, 64 << 10));
}

#[tokio::test]
async fn dos_018_a_result_just_over_the_limit_is_refused_too() {
    let call = |bytes: u32| {
        calling(&format!(
            "(i32.store offset=20 (i32.const 0) (i32.const 16384))
             (i32.store offset=24 (i32.const 0) (i32.const {bytes}))
             (memory.fill (i32.const 16384) (i32.const 57) (i32.const {bytes}))
             (memory.fill (i32.const 16384) (i32.const 34) (i32.const 1))
             (memory.fill (i32.const {}) (i32.const 34) (i32.const 1))
             (i32.const 16)",
            16_383 + bytes
        ))
    };
    let limits = Limits {
        output_bytes: 32 << 10,
        ..limits()
    };
    let full = once(call(32 << 10), limits.clone()).await;
    assert_eq!(full.result.unwrap().value.len(), 32 << 10);
    assert_eq!(full.used.output_bytes, 32 << 10);
    let over = once(call((32 << 10) + 1), limits).await;
    assert_eq!(limit(&over), ("output", (32 << 10) + 1, 32 << 10));
}

#[tokio::test]
async fn dos_016_a_list_that_aliases_memory_a_million_times_is_refused() {
    // `describe` at 2048 says: a million descriptors, all over the same bytes.
    let guest = Guest {
        fields: "(data (i32.const 2048) \"\\00\\00\\00\\00\\40\\42\\0f\\00\")".to_owned(),
        memory: "(memory (export \"memory\") 800)".to_owned(),
        ..Guest::default()
    };
    let engine = engine();
    let roomy = Limits {
        memory_bytes: 64 << 20,
        ..limits()
    };
    let plugin = plugin(&engine, &guest, roomy).await;
    let report = plugin.describe_tools(scope(plugin.effective())).await;
    assert_eq!(limit(&report).0, "output");
}

#[tokio::test]
async fn dos_016_a_grant_that_lets_much_be_handed_over_lets_no_list_of_nothing_back() {
    // `describe` at 2048 says: ten thousand descriptors at 64 KiB, where all is zero. None of them has a byte.
    let guest = Guest {
        fields: "(data (i32.const 2048) \"\\00\\00\\01\\00\\10\\27\\00\\00\")".to_owned(),
        memory: "(memory (export \"memory\") 16)".to_owned(),
        ..Guest::default()
    };
    let engine = engine();
    let loaded = engine.load(guest.bytes()).await.unwrap();
    let mut granted = (*effective(limits())).clone();
    granted.grants.state.bytes = 64 << 20;
    let plugin = engine.prepare(&loaded, Arc::new(granted)).unwrap();
    let report = plugin.describe_tools(scope(plugin.effective())).await;
    let (name, used, allowed) = limit(&report);
    assert_eq!((name, allowed), ("output", limits().output_bytes));
    assert!(used > allowed);
}

#[tokio::test]
async fn dos_019_strings_that_are_not_utf_8_or_not_there_trap() {
    let stores = [
        ("(i32.store8 (i32.const 1024) (i32.const 255))", "utf-8"),
        (
            "(i32.store offset=20 (i32.const 0) (i32.const -16))",
            "out of bounds",
        ),
        ("(i32.store offset=24 (i32.const 0) (i32.const -1))", ""),
        (
            "(i32.store offset=20 (i32.const 0) (i32.const 131070))",
            "out of bounds",
        ),
    ];
    for (store, words) in stores {
        let roomy = Limits {
            output_bytes: 1 << 33,
            ..limits()
        };
        let report = once(calling(&format!("{store} (i32.const 16)")), roomy).await;
        assert!(
            trap(&report).to_lowercase().contains(words),
            "{store}: {report:?}"
        );
    }
}

#[tokio::test]
async fn dos_019_an_answer_that_is_misaligned_or_outside_memory_traps() {
    for address in ["17", "-4", "131072", "131068"] {
        let report = once(calling(&format!("(i32.const {address})")), limits()).await;
        assert!(!trap(&report).is_empty(), "{address}");
    }
}

#[tokio::test]
async fn dos_020_an_unknown_discriminant_traps() {
    for store in [
        "(i32.store8 (i32.const 16) (i32.const 2))",
        "(i32.store8 (i32.const 16) (i32.const 1)) (i32.store8 (i32.const 20) (i32.const 9))",
    ] {
        let report = once(calling(&format!("{store} (i32.const 16)")), limits()).await;
        assert!(trap(&report).contains("discriminant"), "{report:?}");
    }
}

#[tokio::test]
async fn dos_021_a_broken_realloc_traps_or_harms_only_its_guest() {
    for realloc in [
        "(i32.const -1)",
        "(i32.const 3)",
        "unreachable",
        "(i32.const 131071)",
        LOOP,
    ] {
        let guest = Guest {
            realloc: realloc.to_owned(),
            ..Guest::default()
        };
        let quick = Limits {
            fuel: 10_000_000,
            ..limits()
        };
        let report = once(guest, quick).await;
        let guests = matches!(
            report.result,
            Ok(_) | Err(Fault::Trap { .. } | Fault::Limit { name: "fuel", .. })
        );
        assert!(guests, "{realloc}: {report:?}");
    }
    // Address 0 for everything: the arguments overlap, which only the guest itself can notice.
    let guest = Guest {
        realloc: "(i32.const 0)".to_owned(),
        ..Guest::default()
    };
    let report = once(guest, limits()).await;
    assert!(!matches!(report.result, Err(Fault::Host(_))), "{report:?}");
}

#[tokio::test]
async fn dos_023_a_start_function_is_under_the_same_limits() {
    let start = |body: &str| Guest {
        fields: format!("(func $start {body}) (start $start)"),
        ..Guest::default()
    };
    let looping = once(start("(loop $l (br $l))"), limits()).await;
    assert_eq!(limit(&looping).0, "fuel");
    let slow = Limits {
        fuel: u64::MAX / 2,
        deadline_ms: 100,
        ..limits()
    };
    assert_eq!(
        limit(&once(start("(loop $l (br $l))"), slow).await).0,
        "deadline"
    );
    assert_eq!(
        limit(&once(start(&format!("{GROW} unreachable")), limits()).await).0,
        "memory"
    );
}

#[tokio::test]
async fn dos_014_resources_in_a_loop_end_at_the_handle_limit() {
    let guest = Guest {
        imports: "(type $r (resource (rep i32))) (core func $new (canon resource.new $r))"
            .to_owned(),
        with: "(with \"host\" (instance (export \"new\" (func $new))))".to_owned(),
        fields: "(import \"host\" \"new\" (func $new (param i32) (result i32)))".to_owned(),
        ..calling("(loop $l (drop (call $new (i32.const 1))) (br $l)) unreachable")
    };
    let report = once(
        guest,
        Limits {
            handles: 100,
            ..limits()
        },
    )
    .await;
    assert_eq!(limit(&report), ("handles", 101, 100));
}

/// Three components in one: the tool makes a resource of the first and hands it to the second without
/// end, which hands it back to the first and then does `after` with its borrow.
fn ping_pong(after: &str) -> String {
    let first = r#"
      (component $A
        (type $t (resource (rep i32)))
        (export $r "r" (type $t))
        (core func $new (canon resource.new $t))
        (core module $m
          (import "h" "new" (func $new (param i32) (result i32)))
          (func (export "make") (result i32) (call $new (i32.const 7)))
          (func (export "see") (param i32)))
        (core instance $i (instantiate $m (with "h" (instance (export "new" (func $new))))))
        (func (export "make") (result (own $r)) (canon lift (core func $i "make")))
        (func (export "see") (param "x" (borrow $r)) (canon lift (core func $i "see"))))
      (instance $a (instantiate $A))
      (alias export $a "r" (type $r))
      (alias export $a "make" (func $make))
      (alias export $a "see" (func $see))"#;
    let second = format!(
        r#"
      (component $B
        (import "r" (type $r (sub resource)))
        (import "see" (func $see (param "x" (borrow $r))))
        (core func $see' (canon lower (func $see)))
        (core func $drop (canon resource.drop $r))
        (core module $m
          (import "h" "see" (func $see (param i32)))
          (import "h" "drop" (func $drop (param i32)))
          (func (export "pass") (param i32) (call $see (local.get 0)) {after}))
        (core instance $i (instantiate $m
          (with "h" (instance (export "see" (func $see')) (export "drop" (func $drop))))))
        (func (export "pass") (param "x" (borrow $r)) (canon lift (core func $i "pass"))))
      (instance $b (instantiate $B (with "r" (type $r)) (with "see" (func $see))))
      (alias export $b "pass" (func $pass))"#
    );
    let tool = Guest {
        imports: r#"
            (import "r" (type $r (sub resource)))
            (import "make" (func $make (result (own $r))))
            (import "pass" (func $pass (param "x" (borrow $r))))
            (core func $make' (canon lower (func $make)))
            (core func $pass' (canon lower (func $pass)))"#
            .to_owned(),
        with:
            r#"(with "h" (instance (export "make" (func $make')) (export "pass" (func $pass'))))"#
                .to_owned(),
        fields: r#"(import "h" "make" (func $make (result i32)))
            (import "h" "pass" (func $pass (param i32)))"#
            .to_owned(),
        ..calling(
            "(local $h i32) (local.set $h (call $make))
             (loop $l (call $pass (local.get $h)) (br $l)) unreachable",
        )
    };
    let tool = tool.text().replacen("(component", "(component $tool", 1);
    let types = types();
    format!(
        r#"(component {types} {first} {second} {tool}
      (instance $t (instantiate $tool
        (with "flowhost:types/types@0.1.0" (instance $types)) (with "r" (type $r))
        (with "make" (func $make)) (with "pass" (func $pass))))
      (export "flowhost:roles/tool@0.1.0" (instance $t "flowhost:roles/tool@0.1.0")))"#
    )
}

/// [`once`] for a component in text form.
async fn once_text(text: &str, limits: Limits) -> CallReport<ToolContent> {
    let engine = engine();
    let bytes: Vec<u8> = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let loaded = engine.load(bytes.into()).await.unwrap();
    let plugin = engine.prepare(&loaded, effective(limits)).unwrap();
    call(&plugin).await
}

#[tokio::test]
async fn dos_015_borrows_that_go_back_and_forth_end_with_the_fuel_and_pile_up_nowhere() {
    let limits = Limits {
        fuel: 20_000_000,
        handles: 10,
        ..limits()
    };
    let honest = ping_pong("(call $drop (local.get 0))");
    let report = once_text(&honest, limits.clone()).await;
    assert_eq!(limit(&report).0, "fuel", "{report:?}");
    assert_eq!(report.used.memory_bytes, 2 * 65_536);
    let report = once_text(&ping_pong(""), limits).await;
    assert!(trap(&report).contains("borrow"), "{report:?}");
}

#[tokio::test]
async fn dos_035_dropping_a_call_at_any_moment_leaves_the_plugin_usable() {
    let engine = engine();
    let limits = Limits {
        fuel: u64::MAX / 2,
        instances: 1,
        ..limits()
    };
    let plugin = plugin(&engine, &calling(LOOP), limits).await;
    for ms in [0, 1, 5, 15, 30] {
        let call = call(&plugin);
        assert!(
            tokio::time::timeout(Duration::from_millis(ms), call)
                .await
                .is_err()
        );
    }
    let mut last = scope(plugin.effective());
    last.deadline = tokio::time::Instant::now() + Duration::from_millis(20);
    assert_eq!(
        limit(&plugin.call_tool(last, "t", "{}").await).0,
        "deadline"
    );
}

#[tokio::test]
async fn dos_036_a_trap_leaves_nothing_behind_for_the_next_call() {
    // The guest traps on its first call of an instance and marks its memory before.
    let guest = Guest {
        fields: "(global $calls (mut i32) (i32.const 0))".to_owned(),
        ..calling(
            "(if (i32.load (i32.const 4096)) (then (return (i32.const 16))))
             (if (global.get $calls) (then (return (i32.const 16))))
             (i32.store (i32.const 4096) (i32.const 1)) (global.set $calls (i32.const 1))
             unreachable",
        )
    };
    let engine = engine();
    let plugin = plugin(&engine, &guest, limits()).await;
    for _ in 0..5 {
        assert!(trap(&call(&plugin).await).contains("unreachable"));
    }
}

#[tokio::test]
async fn calls_over_the_instance_limit_wait_and_a_late_one_reports_the_deadline() {
    let engine = engine();
    let limits = Limits {
        fuel: u64::MAX / 2,
        deadline_ms: 200,
        instances: 1,
        ..limits()
    };
    let plugin = plugin(&engine, &calling(LOOP), limits).await;
    let mut hasty = scope(plugin.effective());
    hasty.deadline = tokio::time::Instant::now() + Duration::from_millis(50);
    let (first, second) = tokio::join!(call(&plugin), plugin.call_tool(hasty, "t", "{}"));
    assert_eq!(limit(&first).0, "deadline");
    assert_eq!(limit(&second).0, "deadline");
    assert!(first.used.fuel > 0);
    assert_eq!(second.used.fuel, 0, "it never ran");
}

#[tokio::test]
async fn dos_013_a_thousand_instances_at_once_wait_for_the_pool() {
    let engine = engine();
    let limits = Limits {
        instances: 10_000,
        ..limits()
    };
    let plugin = plugin(&engine, &Guest::default(), limits).await;
    let calls = (0..1_000).map(|_| call(&plugin));
    let reports = futures::future::join_all(calls).await;
    assert!(reports.iter().all(|report| report.result.is_ok()));
}

#[tokio::test]
async fn what_is_not_json_is_not_an_answer() {
    let guest = calling("(i32.store (i32.const 1024) (i32.const 0x5b5b5b5b)) (i32.const 16)");
    let report = once(guest, limits()).await;
    let Err(Fault::Guest {
        class: "failed",
        message,
    }) = report.result
    else {
        panic!()
    };
    assert!(message.starts_with("its value: not JSON"), "{message}");
}

#[tokio::test]
async fn dos_045_input_over_the_decode_limits_never_reaches_the_guest() {
    let engine = engine();
    let plugin = plugin(&engine, &Guest::default(), limits()).await;
    let report = plugin
        .call_tool(scope(plugin.effective()), "t", &"[".repeat(100_000))
        .await;
    assert!(matches!(
        report.result,
        Err(Fault::Guest {
            class: "invalid",
            ..
        })
    ));
    assert_eq!(report.used.fuel, 0);
}
