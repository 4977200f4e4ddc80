//! The promise that the cost of an expression bounds its time and its memory, tried with expressions
//! that are made to break it.
//!
//! An allocator counts per thread what an evaluation holds at most; the kernel says how much processor
//! time it took. Both are compared with what the evaluation was charged.
#![expect(
    unsafe_code,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an allocator is unsafe to write, the kernel's count of processor time is a file, and helpers \
              of tests may fail loudly"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use flowhost_flow::expr::{COST_MAX, EvalError, Expr, Limits, Names, Template};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Bytes held at once for one unit: what `expr/meter.rs` promises.
const BYTES_PER_UNIT: u64 = 48;
/// Bytes that an evaluation may hold whatever it costs: automata of patterns, and small change.
const BYTES_FREE: u64 = 4 << 20;
/// Nanoseconds of one unit, without optimisation. With it, it is a tenth. On a quiet machine none takes over 700; where
/// others use the same caches, one of 1,000 was seen. A bomb takes a hundred times as much.
const NANOS_PER_UNIT: u64 = 2_000;
/// Time that an evaluation may take whatever it costs.
const NANOS_FREE: u64 = 30_000_000;

struct Counting;

thread_local! {
    static HELD: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    let held = HELD.get() + bytes;
    HELD.set(held);
    if held > MOST.get() {
        MOST.set(held);
    }
}

// SAFETY: everything is handed on to the system's allocator; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // Old and new exist side by side while the contents move.
        count(size as i64);
        count(-(layout.size() as i64));
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Processor time of this thread, where the kernel tells it.
fn nanos() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split(' ').next()?.parse().ok()
}

fn data() -> Value {
    let text = "abc def ".repeat(12_500);
    let words: Vec<String> = (0..2_000).map(|n| format!("word-{}", n % 700)).collect();
    let map: serde_json::Map<String, Value> = (0..2_000)
        .map(|n| (format!("key-{n}"), json!({ "n": n })))
        .collect();
    json!({
        "text": text, "long": vec![0; 20_000], "words": words, "map": map,
        "same": format!("{}y", text), "nested": vec![json!([[1, 2], ["a"]]); 500],
    })
}

/// What an evaluation did: units, bytes held at most, nanoseconds.
fn weigh(source: &str, data: &Value) -> Option<(u64, u64, Option<u64>)> {
    let expr = Expr::compile(source).ok()?;
    let names = [("inputs", data)];
    let (held, started) = (HELD.get(), nanos());
    MOST.set(held);
    let limits = Limits {
        cost: COST_MAX,
        stop: &|| false,
    };
    let (cost, value) = expr.cost_within(&Names::new(&names), &limits);
    let bytes = u64::try_from(MOST.get() - held).unwrap_or(0);
    let nanos = nanos().zip(started).map(|(now, then)| now - then);
    drop(value);
    Some((cost, bytes, nanos))
}

fn check(source: &str, data: &Value) {
    let Some((cost, bytes, nanos)) = weigh(source, data) else {
        return;
    };
    if std::env::var_os("FLOWHOST_WEIGH").is_some() {
        let per_unit = |all: u64| all / cost.max(1);
        println!(
            "{:>9} units {:>9} KiB ({:>4} B/unit) {:>6} ms ({:>5} ns/unit) {source}",
            cost,
            bytes / 1024,
            per_unit(bytes),
            nanos.unwrap_or(0) / 1_000_000,
            per_unit(nanos.unwrap_or(0)),
        );
        return;
    }
    assert!(
        bytes <= BYTES_FREE + BYTES_PER_UNIT * cost,
        "{bytes} bytes for {cost} units: {source}"
    );
    if let Some(nanos) = nanos {
        assert!(
            nanos <= NANOS_FREE + NANOS_PER_UNIT * cost,
            "{nanos} ns for {cost} units: {source}"
        );
    }
}

#[test]
fn no_bomb_takes_more_time_or_memory_than_it_is_charged() {
    let data = data();
    for source in [
        "[inputs.text + 'y'].map(t, inputs.long.all(i, t >= t))",
        "inputs.long.all(i, inputs.same >= inputs.text)",
        "inputs.long.all(i, inputs.text + 'y' == inputs.same)",
        "inputs.long.map(i, inputs.text)",
        "inputs.long.map(i, inputs.text + 'x').size()",
        "inputs.long.map(i, inputs.words)",
        "inputs.long.map(i, inputs.map)",
        "inputs.long.map(i, {'a': i})",
        "inputs.long.map(i, {'a': {'b': {'c': {'d': {'e': i}}}}})",
        "inputs.long.map(i, [i])",
        "inputs.long.map(i, [[[[[i]]]]])",
        "inputs.long.map(i, string(i))",
        "inputs.long.map(i, string(1e300))",
        "inputs.long.map(i, '%.100f'.format([1e300]))",
        "inputs.long.map(i, '%.100e'.format([1e300])).size()",
        "inputs.long.map(i, '%s %s'.format([i, inputs.text]))",
        "inputs.text.split('')",
        "inputs.text.split('').map(c, c + c)",
        "inputs.long.map(i, inputs.text.split('a').size())",
        "inputs.text.split('').join(inputs.text)",
        "inputs.text.replace('', inputs.text)",
        "inputs.text.replace('a', inputs.text)",
        "inputs.long.map(i, inputs.text.replace('a', 'b').size())",
        "inputs.long.exists(i, inputs.missing[i])",
        "inputs.long.exists(i, inputs[inputs.text] == 1)",
        "inputs.long.exists(i, inputs.map[inputs.text] == 1)",
        "inputs.long.exists(i, int(inputs.text) == 1)",
        "inputs.long.exists(i, inputs.text.matches('(a+b*)+c$'))",
        "inputs.long.exists(i, inputs.text.matches('(a|b|c|d|e|f| )*x(a|b|c|d|e|f| ){40}'))",
        "inputs.words.exists(w, w.matches(w + '{20}'))",
        "inputs.words.exists(w, 'a'.matches('[a-z]{1,90}' + w))",
        "inputs.words.exists(w, 'a'.matches('\\\\pL{20}' + w))",
        "inputs.words.exists(w, 'a'.matches('(?i)[\\\\pL\\\\pN\\\\pS]' + w))",
        "inputs.long.map(i, inputs.text.contains('abc abc'))",
        "inputs.long.map(i, inputs.text.indexOf('zzz'))",
        "inputs.long.map(i, inputs.text.lastIndexOf('zzz', 50000))",
        "inputs.long.map(i, inputs.text.substring(i, 90000))",
        "inputs.long.map(i, inputs.text.charAt(90000))",
        "inputs.long.map(i, inputs.text.trim().size())",
        "inputs.long.map(i, inputs.text.reverse().size())",
        "inputs.long.map(i, inputs.text.lowerAscii().size())",
        "inputs.long.map(i, strings.quote(inputs.text).size())",
        "inputs.long.map(i, '%x'.format([inputs.text]).size())",
        "inputs.long.map(i, '%s'.format([inputs.nested]).size())",
        "inputs.long.map(i, '%s'.format([inputs.map]).size())",
        "inputs.long.map(i, inputs.long.sort().size())",
        "inputs.long.map(i, inputs.words.sort().size())",
        "inputs.long.map(i, inputs.words.sortBy(w, w.reverse()).size())",
        "inputs.long.map(i, inputs.words.distinct().size())",
        "inputs.nested.map(n, inputs.nested.distinct().size())",
        "inputs.long.map(i, inputs.nested.flatten(3).size())",
        "inputs.long.map(i, inputs.long.slice(0, 20000).size())",
        "inputs.long.map(i, inputs.long.reverse().size())",
        "inputs.long.map(i, inputs.long.sum())",
        "inputs.long.map(i, inputs.long + inputs.long).size()",
        "inputs.long.map(i, math.greatest(inputs.long))",
        "inputs.long.map(i, range(20000).size())",
        "range(100000000)",
        "inputs.long.map(i, inputs.long == inputs.long)",
        "inputs.long.map(i, inputs.map == inputs.map)",
        "inputs.long.map(i, 'x' in inputs.words)",
        "inputs.long.map(i, inputs.map.map(k, k).size())",
        "inputs.long.map(i, inputs.map.transformMap(k, v, v).size())",
        "inputs.long.map(i, inputs.words.transformMap(k, v, k).size())",
        "inputs.words.transformMapEntry(i, w, {w + string(2000 - i): i})",
        "inputs.long.map(i, inputs.map.?a.?b.orValue(1))",
        "inputs.long.map(i, optional.of(optional.of(i)).hasValue())",
        "inputs.long.map(a, inputs.long.map(b, a + b))",
        "inputs.long.exists(a, inputs.long.exists(b, inputs.long.exists(c, c > 1)))",
        "cel.bind(a, inputs.text + inputs.text, cel.bind(b, a + a, cel.bind(c, b + b, cel.bind(d, c + c, \
         cel.bind(e, d + d, cel.bind(f, e + e, cel.bind(g, f + f, cel.bind(h, g + g, h + h))))))))",
        "cel.bind(a, [1,1,1,1,1,1,1,1], cel.bind(b, [a,a,a,a,a,a,a,a], cel.bind(c, [b,b,b,b,b,b,b,b], \
         cel.bind(d, [c,c,c,c,c,c,c,c], cel.bind(e, [d,d,d,d,d,d,d,d], cel.bind(f, [e,e,e,e,e,e,e,e], \
         cel.bind(g, [f,f,f,f,f,f,f,f], [g,g,g,g,g,g,g,g])))))))",
        "cel.bind(a, [1,1,1,1,1,1,1,1], cel.bind(b, [a,a,a,a,a,a,a,a], cel.bind(c, [b,b,b,b,b,b,b,b], \
         cel.bind(d, [c,c,c,c,c,c,c,c], cel.bind(e, [d,d,d,d,d,d,d,d], cel.bind(f, [e,e,e,e,e,e,e,e], \
         f == f || '%s'.format([f]) == ''))))))",
    ] {
        Expr::compile(source).unwrap_or_else(|error| panic!("{error}"));
        check(source, &data);
    }
}

#[test]
fn a_template_is_charged_as_one() {
    let data = json!({ "text": "x".repeat(1_000_000) });
    let names = [("inputs", &data)];
    let part = "${{ inputs.text }}";
    assert!(render(&json!([part, part]), &names).is_ok());
    let text = part.repeat(60);
    let bombs = [
        json!(vec![part; 100]),
        json!({ "a": vec![json!({ "b": part }); 100] }),
        Value::String(text),
        json!(vec!["${{ inputs.text.replace('x', 'yy').size() }}"; 100]),
    ];
    for bomb in bombs {
        let held = HELD.get();
        MOST.set(held);
        assert_eq!(render(&bomb, &names), Err(EvalError::Cost));
        let bytes = MOST.get() - held;
        assert!(bytes < 64 << 20, "{bytes} bytes");
    }
}

fn render(template: &Value, names: &[(&str, &Value)]) -> Result<Value, EvalError> {
    let template = Template::compile(template.clone()).expect("it compiles");
    template.render(&Names::new(names))
}

#[test]
fn a_deadline_is_heard_in_the_middle() {
    let data = data();
    let names = [("inputs", &data)];
    let asked = Cell::new(0);
    let stop = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let limits = Limits {
        cost: COST_MAX,
        stop: &stop,
    };
    let expr =
        Expr::compile("inputs.long.all(a, inputs.long.all(b, a == b))").expect("it compiles");
    let (cost, value) = expr.cost_within(&Names::new(&names), &limits);
    assert_eq!(value, Err(EvalError::Stopped));
    assert!(cost < 20_000, "{cost} units before the stop");
}

fn text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("inputs.text".to_owned()),
        Just("inputs.same".to_owned()),
        Just("t".to_owned()),
        Just("'ab'".to_owned()),
        Just("''".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("{a}.replace({b}, {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.split({b}).join({a})")),
            inner.clone().prop_map(|a| format!("{a}.reverse()")),
            inner.clone().prop_map(|a| format!("{a}.substring(1)")),
            inner.clone().prop_map(|a| format!("strings.quote({a})")),
            (inner.clone(), inner).prop_map(|(a, b)| format!("'%s %s'.format([{a}, [{b}]])")),
        ]
    })
}

fn list() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("inputs.long".to_owned()),
        Just("inputs.words".to_owned()),
        Just("inputs.nested".to_owned()),
        Just("inputs.map.map(k, k)".to_owned()),
        Just("range(3000)".to_owned()),
        text().prop_map(|a| format!("{a}.split('')")),
        text().prop_map(|a| format!("[{a}]")),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.map(x, {b})")),
            (inner.clone(), text()).prop_map(|(a, b)| format!("{a}.map(t, {b})")),
            (inner.clone(), text()).prop_map(|(a, b)| format!("{a}.map(x, {{'k': {b}}})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}.filter(x, x in {b})")),
            (inner.clone(), text(), text())
                .prop_map(|(a, b, c)| format!("{a}.transformList(i, t, {b} >= {c}, i)")),
            (inner.clone(), text()).prop_map(|(a, b)| format!("{a}.sortBy(t, {b})")),
            inner.clone().prop_map(|a| format!("{a}.flatten(2)")),
            inner.clone().prop_map(|a| format!("{a}.distinct()")),
            inner.prop_map(|a| format!("{a}.sort().reverse()")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_expression_takes_more_time_or_memory_than_it_is_charged(
        source in prop_oneof![
            text(),
            list(),
            (list(), list()).prop_map(|(a, b)| format!("{a} == {b}")),
            (text(), list()).prop_map(|(a, b)| format!("cel.bind(t, {a}, {b})")),
            (list(), text()).prop_map(|(a, b)| format!("{a}.exists(t, {b}.matches('(a|b)*c'))")),
        ]
    ) {
        check(&source, &data());
    }
}
