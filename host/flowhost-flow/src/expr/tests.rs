//! What expressions refuse, cost and give.

use serde_json::{Value, json};

use super::{EvalError, Expr, Names, Template};
use crate::effort::Limits;

mod language;

fn eval(source: &str) -> Result<Value, String> {
    let inputs = json!({
        "n": 3, "half": 0.5, "name": "Ada", "list": [3, 1, 2], "deep": {"a": {"b": [true]}},
        "words": ["x", "yy"], "nothing": null, "long": vec![0; 2_000],
    });
    let expr = Expr::compile(source)?;
    expr.eval(&Names::new(&[("inputs", &inputs)]))
        .map_err(|error| error.to_string())
}

#[test]
fn refuses_what_it_cannot_evaluate() {
    for (source, message) in [
        ("", "empty"),
        ("1 +", "Syntax error"),
        ("size([1]", "the expression ends, and `)` is missing"),
        ("length('a')", "did you mean `size`?"),
        ("b'x'", "JSON has no bytes"),
        ("foo(1)", "`foo` is not a known function"),
        ("inputs.list.sizee()", "did you mean `size`?"),
        ("size(1, 2)", "does not take 2 values"),
        ("a.b.Message{x: 1}", "messages are not part"),
        ("getenv('HOME')", "`getenv` is not a known function"),
        ("'a'.matches('(')", "the pattern cannot be used"),
        ("type(1)", "`type` is not a known function"),
    ] {
        let error = Expr::compile(source).unwrap_err();
        assert!(error.contains(message), "{source}: {error}");
    }
}

#[test]
fn refuses_what_is_too_long_or_too_deep_without_parsing_it() {
    let deep = format!("{}1{}", "(".repeat(1_000), ")".repeat(1_000));
    assert!(Expr::compile(&deep).unwrap_err().contains("nests deeper"));
    assert!(
        Expr::compile(&"1+".repeat(2_000))
            .unwrap_err()
            .contains("2048")
    );
    let ternaries = format!("{}1", "true?1:".repeat(100));
    assert!(
        Expr::compile(&ternaries)
            .unwrap_err()
            .contains("nests deeper")
    );
    for operator in ["!", "-", "- "] {
        let _ = Expr::compile(&format!("{}1", operator.repeat(1_000))).map(|expr| {
            let _ = expr.eval(&Names::new(&[]));
        });
    }
    let chain = format!("a{}", ".b".repeat(1_000));
    assert!(Expr::compile(&chain).is_err());
    assert!(Expr::compile(&format!("1{}", "+1".repeat(500))).is_err());
}

#[test]
fn the_deepest_nesting_allowed_fits_in_half_of_a_thread_stack() {
    let depth = super::EXPR_DEPTH_MAX;
    let nested = [
        format!("{}1{}", "(".repeat(depth), ")".repeat(depth)),
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth)),
        format!("{}1{}", "{'a':".repeat(depth), "}".repeat(depth)),
        format!("{}[1]{}", "size(".repeat(depth - 1), ")".repeat(depth - 1)),
        format!("{}1", "true ? 1 : ".repeat(depth)),
        format!(
            "{}[]{}",
            "[1].map(x, ".repeat(depth / 2),
            ")".repeat(depth / 2)
        ),
        "a.b(".repeat(depth),
        "[1, {'a': (".repeat(depth / 3),
    ];
    let small = std::thread::Builder::new().stack_size(1 << 20);
    let run = move || {
        for source in nested {
            if let Ok(expr) = Expr::compile(&source) {
                let _ = expr.eval(&Names::new(&[]));
            }
        }
    };
    small.spawn(run).unwrap().join().unwrap();
}

#[test]
fn stops_at_the_cost_bound() {
    let nested = "inputs.long.map(a, inputs.long.map(b, a + b))";
    assert_eq!(eval(nested).unwrap_err(), EvalError::Cost.to_string());
    let copies = "inputs.long.map(a, inputs.long)";
    assert_eq!(eval(copies).unwrap_err(), EvalError::Cost.to_string());
    let absorbed = "inputs.long.exists(a, inputs.long.exists(b, inputs.long.exists(c, c > 1)))";
    assert_eq!(eval(absorbed).unwrap_err(), EvalError::Cost.to_string());
}

#[test]
fn names_outside_of_reach_are_errors() {
    assert_eq!(
        eval("env.HOME").unwrap_err(),
        "the name `env` is not in reach here"
    );
}

#[test]
fn errors_say_what_does_not_fit() {
    for (source, message) in [
        ("inputs.missing", "an object has no member `missing`"),
        ("inputs.name.x", "text has no member `x`"),
        ("inputs.list[7]", "a list of 3 has no element 7"),
        (
            "inputs.n + inputs.name",
            "`+` does not go with a number and text",
        ),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "the number is too large"),
        ("1 ? 2 : 3", "expected true or false, not a number"),
        (
            "inputs.n.map(x, x)",
            "a loop goes over a list or an object, not a number",
        ),
        ("{'a': 1, 'a': 2}", "the key `a` is given twice"),
        ("1.0 / 0.0", "the result is not a finite number"),
        ("int('x')", "the text is not a whole number of 64 bits"),
        ("[1].join()", "`join` joins texts, not a number"),
    ] {
        assert_eq!(eval(source).unwrap_err(), message, "{source}");
    }
}

#[test]
fn evaluates_what_plans_need() {
    for (source, value) in [
        ("inputs.n * 2 + 1", json!(7)),
        ("inputs.n + inputs.half", json!(3.5)),
        ("7 / 2", json!(3)),
        ("7 % 4", json!(3)),
        ("-inputs.n", json!(-3)),
        ("inputs.name + '!'", json!("Ada!")),
        ("inputs.list + [4]", json!([3, 1, 2, 4])),
        ("inputs['deep']['a'].b[0]", json!(true)),
        ("has(inputs.deep.x) ? 1 : 2", json!(2)),
        ("has(inputs.nothing)", json!(true)),
        ("2 in inputs.list && 'a' in inputs.deep", json!(true)),
        ("1 == 1.0 && 1 < 1.5", json!(true)),
        ("inputs.list == [3, 1, 2]", json!(true)),
        ("inputs.deep == {'a': {'b': [true]}}", json!(true)),
        ("inputs.deep != {'a': {'b': [false]}}", json!(true)),
        ("inputs.list.all(x, x > 0)", json!(true)),
        ("inputs.list.exists(x, x > 2)", json!(true)),
        ("inputs.list.exists_one(x, x == 2)", json!(true)),
        ("inputs.list.map(x, x * x)", json!([9, 1, 4])),
        ("inputs.list.map(x, x > 1, x + 10)", json!([13, 12])),
        ("inputs.list.filter(x, x != 1)", json!([3, 2])),
        (
            "inputs.list.map(x, inputs.list.filter(y, y < x))",
            json!([[1, 2], [], [1]]),
        ),
        ("{'b': 1, 'a': 2}.map(k, k)", json!(["a", "b"])),
        ("size(inputs.name) + inputs.words.size()", json!(5)),
        ("inputs.words.join(', ')", json!("x, yy")),
        ("'a,b'.split(',')", json!(["a", "b"])),
        ("[[1], [2, 3], 4].flatten()", json!([1, 2, 3, 4])),
        ("' Hi '.trim().lowerAscii().replace('h', 'H')", json!("Hi")),
        ("int('42') + int(2.9)", json!(44)),
        ("string(1.5) + string(true)", json!("1.5true")),
        ("bool('true') && double('1.5') == 1.5", json!(true)),
        (
            "inputs.name.startsWith('A') && inputs.name.contains('d')",
            json!(true),
        ),
    ] {
        assert_eq!(eval(source), Ok(value), "{source}");
    }
}

#[test]
fn an_error_does_not_matter_when_the_other_side_decides() {
    assert_eq!(eval("inputs.missing || true"), Ok(json!(true)));
    assert_eq!(eval("inputs.missing && false"), Ok(json!(false)));
    assert!(eval("inputs.missing || false").is_err());
    assert_eq!(eval("[1, 'a', 3].exists(x, x > 2)"), Ok(json!(true)));
    assert!(eval("['a'].exists(x, x > 2)").is_err());
    assert!(eval("['a', 3].all(x, x > 2)").is_err());
}

fn render(template: Value) -> Result<Value, String> {
    let item = json!({"id": 7, "tags": ["a"], "ok": null});
    let template = Template::compile(template).map_err(|errors| format!("{errors:?}"))?;
    template
        .render(&Names::new(&[("item", &item)]))
        .map_err(|error| error.to_string())
}

#[test]
fn one_expression_keeps_its_type_and_text_is_interpolated() {
    let rendered = render(json!({
        "id": "${{ item.id }}", "name": "dev-${{ item.id }}", "tags": "${{item.tags}}",
        "text": "${{ item.tags }} ${{ item.ok }}", "map": "${{ {'a': {'b': '}}'}} }}",
        "literal": "$${{ item.id }}", "list": [1, "${{ item.id + 1 }}"], "fixed": {"x": [1]},
    }));
    let expected = json!({
        "id": 7, "name": "dev-7", "tags": ["a"], "text": "[\"a\"] null",
        "map": {"a": {"b": "}}"}}, "literal": "${{ item.id }}", "list": [1, 8],
        "fixed": {"x": [1]},
    });
    assert_eq!(rendered, Ok(expected));
}

#[test]
fn a_template_reports_all_its_errors_with_their_places() {
    let source = json!({"a/b": "${{ 1 + }}", "c": ["${{ open"]});
    let errors = Template::compile(source).unwrap_err();
    let places: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(places, ["/a~1b", "/c/0"]);
}

#[test]
fn references_are_found_without_running() {
    let expr = Expr::compile(
        "steps.a.output.x[0] + steps['b'].status + inputs.list.map(i, i + steps[i].output)",
    )
    .unwrap();
    let found: Vec<_> = expr
        .references()
        .iter()
        .map(|reference| format!("{}:{}", reference.root, reference.path.join("/")))
        .collect();
    assert_eq!(
        found,
        [
            "inputs:list",
            "steps:",
            "steps:a/output/x",
            "steps:b/status"
        ]
    );
}

mod properties {
    use proptest::prelude::*;

    use super::{Expr, Names, Template, json};

    proptest! {
        #[test]
        fn compiling_never_panics(source in "[a-z0-9 ().\\[\\]{}+*/!?:'\"&|<>=,$-]{0,120}") {
            if let Ok(expr) = Expr::compile(&source) {
                let _ = expr.eval(&Names::new(&[]));
            }
            let _ = Template::compile(json!(source));
        }

        #[test]
        fn evaluation_is_deterministic(a in -99_i64..99, list in prop::collection::vec(-9_i64..9, 0..9)) {
            let inputs = json!({"a": a, "list": list});
            let names = [("inputs", &inputs)];
            let source = "inputs.list.map(x, x * inputs.a).filter(x, x > 3)";
            let expr = Expr::compile(source).unwrap();
            let expected: Vec<i64> = list.iter().map(|x| x * a).filter(|x| *x > 3).collect();
            prop_assert_eq!(expr.eval(&Names::new(&names)).unwrap(), json!(expected));
        }
    }
}

#[test]
fn a_sort_that_runs_out_of_units_says_so_wherever_that_is() {
    // The first half holds both ends of the order, so that a merge that contradicts itself is found out.
    let place = |at: usize| match at {
        0..8 => at,
        8..16 => at + 16,
        _ => at - 8,
    };
    let texts: Vec<String> = (0..32)
        .map(|at| format!("{}{:02}", "x".repeat(6_400), place(at)))
        .collect();
    let inputs = json!({ "texts": texts });
    let expr = Expr::compile("inputs.texts.sort()[31]").unwrap();
    let mut sorted = 0;
    for cost in (0..60_000).step_by(37) {
        let limits = Limits {
            cost,
            stop: &|| false,
        };
        match expr.eval_within(&Names::new(&[("inputs", &inputs)]), &limits) {
            Ok(last) => {
                assert_eq!(last, texts[15]);
                sorted += 1;
            }
            Err(error) => assert_eq!(error, EvalError::Cost),
        }
    }
    assert!(sorted > 0, "the largest of these costs is enough");
}
