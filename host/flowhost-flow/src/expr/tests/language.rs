//! The language as this crate has it: a table of expressions in our own words, denials first.

use serde_json::{Value, json};

use super::super::functions::Function;
use super::super::lower::MACROS;
use super::super::{Expr, Names};

fn eval(source: &str) -> Result<Value, String> {
    let data = json!({
        "big": 18_446_744_073_709_551_615_u64, "one": 1, "people": {"ada": 36, "bob": 17},
        "files": ["b.md", "a.txt", "c.md"], "text": "grün und blau", "none": null,
    });
    let expr = Expr::compile(source)?;
    expr.eval(&Names::new(&[("d", &data)]))
        .map_err(|error| error.to_string())
}

#[test]
fn refuses_what_has_no_meaning() {
    for (source, message) in [
        ("has(d.text.length)", "text has no member `length`"),
        ("has(d.one.x)", "a number has no member `x`"),
        (
            "[1, 2][0.5]",
            "there is nothing at a number with a fraction",
        ),
        ("[1, 2][-1]", "a list of 2 has no element -1"),
        ("[1, 2][true]", "a list of 2 has no element true"),
        (
            "{'a': 1}[null]",
            "an index is text, a whole number, true or false, not null",
        ),
        (
            "{1.5: 'a'}",
            "the keys of an object are text, whole numbers, true or false, not a number",
        ),
        ("{1: 'a', 1u: 'b'}", "the key `1` is given twice"),
        ("{true: 1, 'true': 2}", "the key `true` is given twice"),
        ("int(0.0 / 0.0)", "the number is out of range"),
        ("int(1e19)", "the number is out of range"),
        ("uint(-1)", "the number is out of range"),
        ("int(d.big)", "the number is out of range"),
        ("0u - 1u", "the number is too large"),
        ("-(1u)", "`-` does not go with an unsigned number"),
        ("bool('yes')", "the text is neither `true` nor `false`"),
        ("bool('tRUE')", "the text is neither `true` nor `false`"),
        ("'abc'.charAt(4)", "`charAt`: 4 is out of range"),
        ("'abc'.substring(2, 1)", "`substring` ends before it starts"),
        ("'abc'.substring(0, 9)", "`substring`: 9 is out of range"),
        ("'abc'.indexOf('a', -1)", "`indexOf`: -1 is out of range"),
        ("[1, 2].slice(1, 3)", "`slice`: 3 is out of range"),
        (
            "[1, 'a'].sort()",
            "only numbers, texts or booleans of one kind can be sorted",
        ),
        (
            "[[1]].sort()",
            "only numbers, texts or booleans of one kind can be sorted",
        ),
        ("[1, 'a'].sum()", "`sum` adds numbers, not text"),
        (
            "math.greatest([])",
            "an empty list has neither a greatest nor a least number",
        ),
        ("math.abs('a')", "`math.abs` does not go with text"),
        ("math.bitShiftLeft(1, -1)", "a shift: -1 is out of range"),
        (
            "'%d'.format([1.5])",
            "`%d` and `%o` take a whole number, not a number",
        ),
        (
            "'%d %d'.format([1])",
            "`format` has more clauses than values",
        ),
        (
            "'%.101f'.format([1.0])",
            "`format` writes at most 100 digits after the point",
        ),
        (
            "'%y'.format([1])",
            "a clause in `format` is %s, %d, %f, %e, %b, %x, %X, %o or %%",
        ),
        ("optional.none().value()", "the optional value has no value"),
        (
            "d.?people",
            "the result is an optional value; say what holds without one: `.orValue(…)`",
        ),
        ("d.text.?x", "text has no member `x`"),
        ("[?1]", "`?` takes an optional value, not a number"),
        (
            "'a'.matches('(' + 'b')",
            "the pattern `(b` cannot be used: it is not a regular expression of RE2",
        ),
        ("[1, 2].all(i, v, v / i > 0)", "division by zero"),
        (
            "d.files.transformMapEntry(i, f, {'a': f})",
            "the key `a` is given twice",
        ),
        ("1.0 % 2.0", "`%` goes with whole numbers only"),
        (
            "'a-b'.split('-', '1')",
            "`split` does not go with text and text and text",
        ),
    ] {
        assert_eq!(eval(source).unwrap_err(), message, "{source}");
    }
    for source in [
        "[1].map(x.y, 1)",
        "cel.bind(1, 2, 3)",
        "[1].all(1, v, true)",
        "a.?b()",
    ] {
        assert!(Expr::compile(source).is_err(), "{source}");
    }
}

#[test]
fn members_and_keys() {
    holds(&[
        ("'ada' in d.people && !('eve' in d.people)", json!(true)),
        (
            "1 in {1: 'a'} && 1.0 in {1: 'a'} && 1u in {1: 'a'}",
            json!(true),
        ),
        (
            "1.5 in {1: 'a'} || null in {1: 'a'} || [1] in {1: 'a'}",
            json!(false),
        ),
        ("true in {true: 1}", json!(true)),
        ("{1: 'a', 2u: 'b', true: 'c'}[2.0]", json!("b")),
        (
            "{1: 'a', true: 'b', 'x': 'c'}",
            json!({"1": "a", "true": "b", "x": "c"}),
        ),
        ("[7, 8, 9][1.0] + [7, 8, 9][2u]", json!(17)),
        ("{'a-b': 1}.`a-b`", json!(1)),
        ("nosuch(1) || true", json!(true)),
        ("false && d.nosuch()", json!(false)),
        ("{'a': 1} == {'a': 1.0} && {1: 2} == {1u: 2u}", json!(true)),
        ("d.people.map(name, name)", json!(["ada", "bob"])),
    ]);
}

#[test]
fn numbers() {
    holds(&[
        ("d.big", json!(18_446_744_073_709_551_615_u64)),
        (
            "d.big == 18446744073709551615u && d.big > 9223372036854775807",
            json!(true),
        ),
        ("d.big - 1 < d.big", json!(true)),
        ("3u * 4u + 1", json!(13)),
        ("9007199254740993 == 9007199254740992.0", json!(false)),
        ("9223372036854775807 < 9223372036854775808.0", json!(true)),
        (
            "cel.bind(nan, 0.0 / 0.0, nan < 1.0 || nan >= 1.0 || nan == nan)",
            json!(false),
        ),
        ("1 == 1.0 && 1 == 1u && 1 != 1.5", json!(true)),
        ("int(-7.9) + int('12') + int(3u)", json!(8)),
        ("uint(3.9) == 3u", json!(true)),
        (
            "string(1.5) + string(1e21) + string(2.0)",
            json!("1.510000000000000000000002"),
        ),
        (
            "bool('T') && bool('1') && !bool('False') && !bool('f')",
            json!(true),
        ),
        ("math.greatest(1, 2.5, 2) + math.least([3, -1])", json!(1.5)),
        (
            "math.round(-2.5) == -3.0 && math.ceil(1.2) == 2.0 && math.trunc(-1.9) == -1.0",
            json!(true),
        ),
        ("math.floor(2)", json!(2.0)),
        (
            "math.abs(-3) + math.sign(-9) + math.bitAnd(6, 3) + math.bitOr(4, 1) + math.bitXor(7, 2)",
            json!(14),
        ),
        (
            "math.bitNot(0) == -1 && math.bitShiftRight(-1, 63) == 1 && math.bitShiftLeft(1, 64) == 0",
            json!(true),
        ),
        (
            "math.isNaN(0.0 / 0.0) && math.isInf(1.0 / 0.0) && math.isFinite(1.0)",
            json!(true),
        ),
        ("math.sqrt(81)", json!(9.0)),
        ("dyn(1) + 1", json!(2)),
    ]);
}

#[test]
fn texts() {
    holds(&[
        (
            "size(d.text) == 13 && d.text.charAt(2) == 'ü' && d.text.charAt(13) == ''",
            json!(true),
        ),
        (
            "d.text.substring(5) + d.text.substring(0, 4)",
            json!("und blaugrün"),
        ),
        (
            "[d.text.indexOf('und'), d.text.indexOf('u', 7), d.text.lastIndexOf('u'), d.text.lastIndexOf('u', 9)]",
            json!([5, 12, 12, 5]),
        ),
        ("d.text.indexOf('x') + d.text.lastIndexOf('x')", json!(-2)),
        ("'ÄbC'.lowerAscii() + 'äbC'.upperAscii()", json!("ÄbcäBC")),
        (
            "'a-b-c'.split('-', 2) + 'ab'.split('') + ''.split('')",
            json!(["a", "b-c", "a", "b"]),
        ),
        (
            "'aaa'.replace('a', 'b', 2) + 'ab'.replace('', '.')",
            json!("bba.a.b."),
        ),
        ("'[({'.size() + \"}]\".size()", json!(5)),
        (
            "'((((((((((((((((((((((((((((((((((((((((((((((' != ''",
            json!(true),
        ),
        ("'über'.reverse() + '\\u00e4 '.trim()", json!("rebüä")),
        ("strings.quote('a\\n\"')", json!("\"a\\n\\\"\"")),
        (
            "'%s is %d, %.2f, %x'.format(['n', 7, 1.255, 255])",
            json!("n is 7, 1.25, ff"),
        ),
        (
            "'%s|%s'.format([[1, 'a', null], {'k': true}])",
            json!("[1, a, null]|{k: true}"),
        ),
        (
            "'%e %b %o %X %%'.format([1234.5, 5, 8, 'hi'])",
            json!("1.234500e+03 101 10 6869 %"),
        ),
        (
            "'a@b.example'.matches('^[^@]+@[^@]+$') && !'a'.matches('^b')",
            json!(true),
        ),
        (
            "d.files.filter(f, f.matches('[.]md$'))",
            json!(["b.md", "c.md"]),
        ),
        (
            "d.files.exists(f, 'c.md'.matches('^' + f.replace('.', '[.]') + '$'))",
            json!(true),
        ),
    ]);
}

#[test]
fn lists_and_loops() {
    holds(&[
        (
            "d.files.sort() + d.files.sortBy(f, -f.indexOf('.')).slice(0, 1)",
            json!(["a.txt", "b.md", "c.md", "b.md"]),
        ),
        (
            "['bb', 'a', 'ccc'].sortBy(w, size(w))",
            json!(["a", "bb", "ccc"]),
        ),
        (
            "[1, 1.0, 1u, '1', [1], [1.0], {'a': 1}, {'a': 1}].distinct()",
            json!([1, "1", [1], {"a": 1}]),
        ),
        (
            "[[1, [2]], 3].flatten(2) + [[1, [2]]].flatten()",
            json!([1, 2, 3, 1, [2]]),
        ),
        ("[1, 2, 3.5].sum() + [].sum()", json!(6.5)),
        (
            "range(3) + lists.range(2) + range(3).reverse()",
            json!([0, 1, 2, 0, 1, 2, 1, 0]),
        ),
        (
            "d.files.first().orValue('') + [].last().orValue('none')",
            json!("b.mdnone"),
        ),
        (
            "d.files.all(i, f, size(f) > i) && d.people.exists(k, v, k == 'bob' && v < 18)",
            json!(true),
        ),
        (
            "[5, 7].existsOne(i, v, v == 7 && i == 1) && [1, 2].existsOne(v, v > 1)",
            json!(true),
        ),
        (
            "d.files.transformList(i, f, i > 0, f + string(i))",
            json!(["a.txt1", "c.md2"]),
        ),
        (
            "d.people.transformMap(k, v, v + 1)",
            json!({"ada": 37, "bob": 18}),
        ),
        (
            "d.people.transformMap(k, v, v > 18, k)",
            json!({"ada": "ada"}),
        ),
        (
            "d.people.transformMapEntry(k, v, {string(v): k})",
            json!({"36": "ada", "17": "bob"}),
        ),
        (
            "d.files.transformMap(i, f, f)",
            json!({"0": "b.md", "1": "a.txt", "2": "c.md"}),
        ),
        (
            "cel.bind(x, d.one + 1, [x, x].map(y, x * y))",
            json!([4, 4]),
        ),
        (
            "[1, 2].map(x, cel.bind(y, x * 10, [3].map(z, x + y + z)))",
            json!([[14], [25]]),
        ),
        ("['a', 3].exists(i, v, v > 2)", json!(true)),
        ("[].all(i, v, v > i) && ![].exists(i, v, true)", json!(true)),
    ]);
}

#[test]
fn optional_values() {
    holds(&[
        (
            "d.?people.?ada.orValue(0) + d.?people.?eve.orValue(1)",
            json!(37),
        ),
        ("d.?people.eve.orValue('nobody')", json!("nobody")),
        (
            "d.files[?1].orValue('') + d.files[?9].orValue('!')",
            json!("a.txt!"),
        ),
        ("[?d.people.?ada, ?d.people.?eve, 2]", json!([36, 2])),
        (
            "{?'a': d.people.?ada, ?'b': optional.none()}",
            json!({"a": 36}),
        ),
        ("optional.of(2).optMap(x, x * 2).value()", json!(4)),
        (
            "optional.none().optMap(x, x.missing).hasValue()",
            json!(false),
        ),
        ("d.?people.optFlatMap(p, p.?bob).orValue(0)", json!(17)),
        (
            "optional.ofNonZeroValue('').or(optional.of('x')).value()",
            json!("x"),
        ),
        (
            "optional.of(1) == optional.of(1.0) && optional.none() != optional.of(null)",
            json!(true),
        ),
        ("has(d.?people.ada) && !has(d.?people.eve)", json!(true)),
    ]);
}

#[test]
fn network_addresses() {
    for (source, message) in [
        ("ip('10.0.0')", "the text is not an IP address"),
        ("ip('::ffff:10.0.0.1')", "the text is not an IP address"),
        (
            "cidr('10.0.0.0/33')",
            "the text is not a network such as 10.0.0.0/8",
        ),
        (
            "cidr('10.0.0.0/+8')",
            "the text is not a network such as 10.0.0.0/8",
        ),
        (
            "cidr('10.0.0.0/8').isLoopback()",
            "`isLoopback` does not go with a network",
        ),
    ] {
        assert_eq!(eval(source).unwrap_err(), message, "{source}");
    }
    holds(&[
        ("ip('::1')", json!("::1")),
        ("ip('::ffff:a00:1') == ip('10.0.0.1')", json!(true)),
        (
            "isIP('10.0.0.1') && !isIP('10.0.0.0/8') && isCIDR('::/0')",
            json!(true),
        ),
        (
            "cidr('10.0.0.0/8').containsIP('10.255.0.1') && !cidr('10.0.0.0/8').containsIP('11.0.0.1')",
            json!(true),
        ),
        (
            "cidr('0.0.0.0/0').containsCIDR('10.0.0.0/8') && !cidr('10.0.0.0/8').containsCIDR('10.0.0.0/7')",
            json!(true),
        ),
        ("cidr('10.1.2.3/8').masked()", json!("10.0.0.0/8")),
        (
            "string(cidr('::1/64').ip()) + string(cidr('::1/64').prefixLength())",
            json!("::164"),
        ),
        (
            "ip('fe80::1').isLinkLocalUnicast() && ip('224.0.0.9').isLinkLocalMulticast()",
            json!(true),
        ),
        (
            "ip('8.8.8.8').isGlobalUnicast() && !ip('0.0.0.0').isGlobalUnicast()",
            json!(true),
        ),
        ("ip('10.0.0.1').family() + ip('::').family()", json!(10)),
        (
            "ip.isCanonical('::1') && !ip.isCanonical('0:0::1')",
            json!(true),
        ),
    ]);
}

fn holds(cases: &[(&str, Value)]) {
    for (source, value) in cases {
        assert_eq!(eval(source).as_ref(), Ok(value), "{source}");
    }
}

#[test]
fn the_page_on_expressions_names_every_function_and_macro() {
    let page = include_str!("../../../../../docs/expressions.md");
    let functions = Function::ALL.iter().map(|function| function.name());
    for name in functions.chain(MACROS.iter().copied()) {
        let named = name.starts_with('@') || page.contains(&format!("{name}("));
        assert!(named, "docs/expressions.md does not name `{name}`");
    }
}
