//! Code mode: what a program may not do, what it is told when it is wrong, and then what it does; and
//! `examples/code-agent`, which does one task by calls and by a program.

use serde_json::{Value, json};

use super::again::replays;
use super::examples::example;
use super::{plan, tool};
use crate::support::{Home, script_plugin};

/// Small enough that a program without end is ended soon.
const FUEL: u64 = 1_000_000_000;

/// A folder in which `ok_tools` has programs run one after the other, and may itself call these tools.
fn running(may: &[&str], programs: &[Value]) -> Home {
    let home = Home::new();
    home.warm();
    home.guest("ok_tools");
    let may = json!(may);
    home.file(
        "policies/caller.toml",
        format!(
            "version = 1\nname = \"caller\"\n[limits]\ndeadline = \"5m\"\n[tools]\ncall = {may}\n"
        ),
    );
    home.file(
        "policies/code.toml",
        format!(
            "version = 1\nname = \"code\"\n[limits]\nfuel = {FUEL}\n[tools]\ncall = [\"books/*\"]\n"
        ),
    );
    let plugins = format!(
        "{}  code: {{ kind: tool, source: \"builtin:code\", profile: code }}\n  \
         books: {{ kind: tool, source: \"builtin:books-sample\", profile: deny-all }}\n",
        tool("ok_tools", "caller")
    );
    let call = |program: &Value| json!({ "op": "call", "name": "code/run", "input": program });
    let cases: Vec<Value> = programs.iter().map(call).collect();
    let steps = format!(
        "  only: {{ uses: ok_tools/run, timeout: 5m, with: {{ cases: {} }} }}\n\
         outputs: {{ only: \"${{{{ steps.only.output }}}}\" }}\n",
        json!(cases)
    );
    home.file("plan.yaml", plan(&plugins, &steps));
    home
}

fn outcomes(home: &Home) -> Vec<Value> {
    let ran = home.flowhost(&["run", "plan.yaml", "--json"]).expect(0);
    let outcomes = ran.json()["outputs"]["only"].clone();
    let outcomes = outcomes.as_array().cloned();
    outcomes.unwrap_or_else(|| panic!("{}", ran.all()))
}

fn source(text: &str) -> Value {
    json!({ "source": text })
}

#[test]
fn cap_014_a_program_calls_no_tool_that_its_caller_may_not() {
    if !script_plugin("code") {
        return;
    }
    let program = r#"
        const seen = tools.search("count rates customers").map((tool) => tool.name);
        let refused;
        try {
          await tools.books.customers_count({});
        } catch (error) {
          refused = [error.kind, error.message.includes("books/customers_count")];
        }
        return { seen, refused, rate: (await tools.books.rates_get({ id: "GBP" })).eur };"#;
    let home = running(&["code/run", "books/rates_get"], &[source(program)]);
    let [outcome] = outcomes(&home).try_into().unwrap();
    assert_eq!(
        outcome["ok"]["value"]["result"],
        json!({ "seen": ["books/rates_get"], "refused": ["denied", true], "rate": 1.25 }),
        "{outcome:#}"
    );
    let records = home.records();
    let denied = records
        .iter()
        .find(|record| record["decision"] == "deny")
        .unwrap();
    assert!(
        denied["actor"].as_str().unwrap().ends_with("/code"),
        "{denied:#}"
    );
    assert_eq!(replays(&home)["same"], true);
}

#[test]
fn a_caller_that_may_call_nothing_else_still_has_a_program_compute() {
    if !script_plugin("code") {
        return;
    }
    let home = running(
        &["code/run"],
        &[source("6 * 7"), source("tools.search('rates')")],
    );
    let outcomes = outcomes(&home);
    assert_eq!(outcomes[0]["ok"]["value"]["result"], 42, "{outcomes:#?}");
    assert_eq!(
        outcomes[1]["ok"]["value"]["result"],
        json!([]),
        "{outcomes:#?}"
    );
}

#[test]
fn what_is_wrong_with_a_program_is_told_with_its_line() {
    if !script_plugin("code") {
        return;
    }
    let cases = [
        ("return 1 +", "invalid", "line 1, column"),
        ("const a = 1;\n\nconst = 3;", "invalid", "line 3, column 7"),
        ("import fs from 'fs';", "invalid", "no modules"),
        ("await import('fs');", "invalid", "`import`"),
        ("for await (const x of []) {}", "invalid", "`for await`"),
        ("async function* f() {}", "invalid", "async generators"),
        (
            "class A { async m() { return super.m(); } }",
            "invalid",
            "`super`",
        ),
        ("const f = async () => arguments;", "invalid", "`arguments`"),
        ("\nreturn input.a.b;", "failed", "line 2: TypeError"),
        (
            "const f = async () => {\n  await null;\n  throw new Error('here');\n};\nawait f();",
            "failed",
            "line 3: here",
        ),
        (
            "console.log('before');\nnull.x",
            "failed",
            "console: before",
        ),
        ("await new Promise(() => {});", "failed", "nobody resolves"),
        ("return Date.now();", "failed", "a program has no clock"),
        (
            "return new Date().getTime();",
            "failed",
            "a program has no clock",
        ),
        (
            "return Math.random();",
            "failed",
            "a program has no random numbers",
        ),
        (
            "return await fetch('http://127.0.0.1/');",
            "failed",
            "ReferenceError",
        ),
        ("return { a: 1 / 0 };", "failed", "JSON cannot say"),
        ("await tools.books.rate_get({});", "failed", "line 1"),
        (
            "tools.describe('books/rate_get')",
            "failed",
            "books/rates_get",
        ),
        ("while (true) {}", "limit", "fuel"),
    ];
    let programs: Vec<Value> = cases.iter().map(|(text, ..)| source(text)).collect();
    let outcomes = outcomes(&running(&["code/*", "books/*"], &programs));
    for ((text, case, says), outcome) in cases.iter().zip(&outcomes) {
        assert_eq!(outcome["error"]["case"], *case, "{text}: {outcome:#}");
        assert!(
            outcome["error"].to_string().contains(says),
            "{text}: {outcome:#}"
        );
    }
}

#[test]
fn a_program_longer_than_64_kib_is_refused_before_it_runs() {
    if !script_plugin("code") {
        return;
    }
    let long = |count: usize, of: &str| source(&format!("/*{}*/ 1", of.repeat(count)));
    let programs = [
        long(70_000, "x"),
        long(30_000, "\u{20ac}"),
        long(60_000, "x"),
    ];
    let outcomes = outcomes(&running(&["code/*"], &programs));
    for outcome in &outcomes[..2] {
        assert_eq!(outcome["error"]["case"], "invalid", "{outcome:#}");
    }
    assert_eq!(outcomes[2]["ok"]["value"]["result"], 1, "{:#}", outcomes[2]);
}

#[test]
fn a_program_awaits_joins_and_returns() {
    if !script_plugin("code") {
        return;
    }
    let cases = [
        ("1 + 1", json!(2)),
        ("async () => 7", json!(7)),
        ("(given) => given.n", json!(4)),
        (
            "[1, 2].map((x) => x * 2); // the last expression\n",
            json!([2, 4]),
        ),
        ("let x = 3;", Value::Null),
        (
            "const twice = async (n) => 2 * (await n);\n\
             const o = { k: 3, async m(a) { return this.k + (await a); }, async ['c' + 1]() { return 9; } };\n\
             async function f(first, ...rest) { let sum = await first; for (const x of rest) sum += await x; return sum; }\n\
             const caught = await (async () => { try { await Promise.reject(new Error('x')) } catch (e) { return e.message } })();\n\
             return [await twice(Promise.resolve(4)), await o.m(1), await o.c1(), await f(1, twice(2), 3), caught,\n\
               await Promise.all([1, 2].map(async x => x + 1)), await\n 5];",
            json!([8, 4, 9, 8, "x", [2, 3], 5]),
        ),
        (
            "class A { #n = 1; static async make() { return new A(); } async up() { await null; return ++this.#n; } }\n\
             return await (await A.make()).up();",
            json!(2),
        ),
        (
            "interface Row { id: string }\nconst n: number = input.n as number;\n\
             const id = <T extends Row>(row: T): string => row.id;\nreturn [n satisfies number, id({ id: 'a' })];",
            json!([4, "a"]),
        ),
        (
            "return [[3, 1, 2].toSorted(), [1, 2, 3].findLast((x) => x < 3), 'ab'.at(-1)];",
            json!([[1, 2, 3], 2, "b"]),
        ),
        (
            "const [a, b] = await tools.all([tools.books.rates_get({ id: 'EUR' }), () => tools.call('books/rates_get', { id: 'USD' })]);\n\
             return [a.eur, b.eur];",
            json!([1, 0.875]),
        ),
        (
            "tools.describe('books/rates_get')",
            json!(
                "/** Gives one rate by its id; exchange rates: what one unit of a currency is worth in euro; the id is the currency. */\n\
                tools.books.rates_get(args: { id: string }): Promise<{ eur: number; id: string }>;"
            ),
        ),
    ];
    let programs: Vec<Value> = cases
        .iter()
        .map(|(text, _)| json!({ "source": text, "input": { "n": 4 } }))
        .collect();
    let home = running(&["code/*", "books/*"], &programs);
    let outcomes = outcomes(&home);
    for ((text, wanted), outcome) in cases.iter().zip(&outcomes) {
        assert_eq!(
            outcome["ok"]["value"]["result"], *wanted,
            "{text}: {outcome:#}"
        );
    }
    let said = running(
        &["code/*"],
        &[source(
            "console.log('a', { b: 1 }); for (let i = 0; i < 999; i++) console.log(i); 1",
        )],
    );
    let [said] = self::outcomes(&said).try_into().unwrap();
    let lines = said["ok"]["value"]["console"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[0]), (101, &json!("a {\"b\":1}")));
}

#[test]
fn tools_are_found_by_words_and_named_without_any() {
    if !script_plugin("code") {
        return;
    }
    let home = running(&["code/*", "books/*"], &[]);
    let search = |query: &str, limit: u64| json!({ "op": "call", "name": "code/search", "input": { "query": query, "limit": limit } });
    let cases = json!([
        search("find overdue invoice", 1),
        search("", 8),
        search("zebra", 8)
    ]);
    let text = home
        .read("plan.yaml")
        .replace("cases: []", &format!("cases: {cases}"));
    home.file("plan.yaml", text);
    let outcomes = outcomes(&home);
    let text = |at: usize| outcomes[at]["ok"]["texts"][0].as_str().unwrap().to_owned();
    assert!(
        text(0).contains("tools.books.invoices_find(args: {"),
        "{}",
        text(0)
    );
    assert!(text(0).contains("more fit; of 60 tools"), "{}", text(0));
    assert!(
        text(1).starts_with("60 tools: books/contracts_columns, "),
        "{}",
        text(1)
    );
    assert!(
        text(2).starts_with("No tool fits \"zebra\". 60 tools: "),
        "{}",
        text(2)
    );
}

#[test]
fn a_call_of_a_program_is_a_call_like_any_other() {
    if !script_plugin("code") {
        return;
    }
    let program = "const rows = await tools.books.rates_list({}); return rows.total;";
    let home = running(&["code/run", "books/*"], &[source(program)]);
    outcomes(&home);
    let records = home.records();
    let calls: Vec<&Value> = records
        .iter()
        .filter(|record| record["kind"] == "tool.call")
        .collect();
    let of = |caller: &str| calls.iter().find(|call| call["caller"] == caller).unwrap();
    let (program, nested) = (of("ok_tools"), of("code"));
    let below = format!("{}.", program["call"].as_str().unwrap());
    assert!(
        nested["call"].as_str().unwrap().starts_with(&below),
        "{nested:#}"
    );
    assert_eq!(
        program["said"]["source"],
        "const rows = await tools.books.rates_list({}); return rows.total;"
    );
    home.flowhost(&["verify", "latest"]).expect(0);
    replays(&home);
}

#[test]
fn the_example_answers_the_same_by_a_program_for_a_fifth_of_the_tokens() {
    if !script_plugin("code") {
        return;
    }
    let home = example("code-agent");
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    assert_eq!(report["outputs"]["same"], true, "{report:#}");
    let records = home.records();
    let tokens = |agent: &str| -> u64 {
        let of = |record: &&Value| {
            record["kind"] == "model.result" && record["actor"].as_str().unwrap().ends_with(agent)
        };
        let used = |record: &Value| {
            ["prompt_tokens", "completion_tokens"]
                .map(|key| {
                    record[key]
                        .as_u64()
                        .or_else(|| record[key].as_str()?.parse().ok())
                        .unwrap()
                })
                .iter()
                .sum::<u64>()
        };
        records.iter().filter(of).map(used).sum()
    };
    let (calls, program) = (tokens("/by-calls"), tokens("/by-program"));
    assert!(program > 0 && program * 5 <= calls, "{program} of {calls}");
    // What the program gave is what the scripted model then says, so the answer is the program's own.
    let ran = records
        .iter()
        .find(|record| record["kind"] == "tool.result" && record["tool"] == "run")
        .unwrap();
    assert_eq!(
        ran["said"]["value"]["result"], report["outputs"]["customers"],
        "{ran:#}"
    );
    assert_eq!(ran["said"]["value"]["calls"], 5);
    let page = home
        .flowhost(&["runs", "report", "latest"])
        .expect(0)
        .stdout;
    for shown in [
        "1 program made 5 tool calls",
        "tokens saved",
        "const [invoices, tickets, customers, people, rates] = await tools.all([",
    ] {
        assert!(page.contains(shown), "the report does not show `{shown}`");
    }
    replays(&home);
}
