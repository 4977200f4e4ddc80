//! The shipped plugins as a user runs them: what each refuses, and then what it gives.

use serde_json::{Value, json};

use crate::support::{Home, Ran};

/// Runs a plan whose one step reads a front matter of JSON, with a guardrail over what comes out.
fn guarded(guardrail: &str, with: &str, value: &Value) -> Ran {
    let home = Home::new();
    home.warm();
    home.file("text.md", format!("---\n{value}\n---\n"));
    home.file(
        "plan.yaml",
        format!(
            "flowhost: v1\nkind: workflow\nname: under-test\ninputs:\n  text: {{ type: file, path: text.md }}\n\
             plugins:\n  markdown: {{ kind: tool, source: builtin:markdown, profile: deny-all }}\n  \
             guard: {{ kind: guardrail, source: builtin:{guardrail}, profile: deny-all }}\nsteps:\n  only:\n    \
             uses: markdown/front-matter\n    with: {{ text: \"${{{{ inputs.text }}}}\" }}\n    guardrails:\n      \
             after: [{{ uses: guard, with: {with}, on_fail: halt }}]\noutputs: {{ seen: \"${{{{ steps.only.output.value }}}}\" }}\n"
        ),
    );
    home.flowhost(&["run", "plan.yaml", "--json"])
}

#[test]
fn keyword_scan_halts_at_a_banned_word_in_any_script_and_form() {
    let banned = "{ banned: [\"\u{673a}\u{5bc6}\", secret, \"caf\u{e9}\"] }";
    for text in [
        "\u{8fd9}\u{662f}\u{673a}\u{5bc6}\u{6587}\u{4ef6}",
        "\u{4eca}\u{65e5}\u{306e}secret\u{3092}\u{898b}\u{308b}",
        "the Cafe\u{301}",
    ] {
        guarded("keyword-scan", banned, &json!({ "a": text })).expect(4);
    }
    let fits = json!({ "a": "secretary, cafeteria" });
    let report = guarded("keyword-scan", banned, &fits).expect(0).json();
    assert_eq!(report["outputs"]["seen"], fits);
}

#[test]
fn schema_check_halts_at_what_does_not_fit_and_counts_in_decimals() {
    let schema =
        "{ schema: { properties: { value: { additionalProperties: { multipleOf: 0.01 } } } } }";
    let wrong = guarded("schema-check", schema, &json!({ "price": 19.999 })).expect(4);
    assert!(
        wrong.all().contains("is not a multiple of 0.01"),
        "{}",
        wrong.all()
    );
    let fits = json!({ "price": 19.99, "sum": 1_070_468.14, "x": 600.03 });
    guarded("schema-check", schema, &fits).expect(0);
}

#[test]
fn redact_takes_out_what_should_not_leave_and_nothing_else() {
    let value = json!({
        "dsn": "postgres://svc:S3cretPassw0rd@db:5432/app",
        "basic": "Authorization: Basic dXNlcjpwYXNzd29yZDEyMw==",
        "mail": "ann&#64;example.org",
        "tel": "call 020 7946 0958",
        "unit": "Failed to start user@1000.service",
        "remote": "git@github.com:acme/widgets.git",
        "product": "attn = q@k.transpose(-2, -1)",
        "hunk": "@@ -1,5 +12345678,9 @@",
    });
    let report = guarded("redact", "{}", &value).expect(0).json();
    let wanted = json!({
        "dsn": "postgres://svc:[redacted:url-password]@db:5432/app",
        "basic": "Authorization: Basic [redacted:basic-auth]",
        "mail": "[redacted:email]",
        "tel": "call [redacted:phone]",
        "unit": value["unit"], "remote": value["remote"],
        "product": value["product"], "hunk": value["hunk"],
    });
    assert_eq!(report["outputs"]["seen"], wanted);
    guarded("redact", "{ mode: deny }", &value).expect(4);
}

const PROFILE: &str = "version = 1\nname = \"reminders\"\nconfig = true\n[state]\nnamespaces = [\"reminders\"]\nbytes = \"64KiB\"\n";

/// A folder with a plan of these steps, each a call of `sync`.
fn reminders(config: &str, steps: &[(&str, &str)]) -> Home {
    let home = Home::new();
    home.warm();
    home.file("policies/reminders.toml", PROFILE);
    let mut plan = format!(
        "flowhost: v1\nkind: workflow\nname: under-test\nplugins:\n  reminders: {{ kind: tool, source: \
         builtin:reminder-sync-stub, profile: reminders{config} }}\nsteps:\n"
    );
    let mut before = String::new();
    for (name, with) in steps {
        plan.push_str(&format!(
            "  {name}: {{{before} uses: reminders/sync, with: {with} }}\n"
        ));
        before = format!(" needs: [{name}],");
    }
    plan.push_str("outputs: { first: \"${{ steps.a.output }}\" }\n");
    home.file("plan.yaml", plan);
    home
}

const REQUEST: &str = "{ device_id: d1, scenario_id: s1, reminder_payload: { title: water the plants, trigger_at: \"2026-03-01T09:00:00Z\", priority: high } }";

fn run(home: &Home) -> Ran {
    home.flowhost(&["run", "plan.yaml", "--json"])
}

#[test]
fn reminders_refuse_an_invalid_payload_by_its_field_and_old_names_with_the_new_ones() {
    let wrong_time = REQUEST.replace("2026-03-01T09:00:00Z", "tomorrow");
    let old = "{ device_id: d1, scenario_id: s1, title: water, due: \"2026-03-01T09:00:00Z\" }";
    for (with, said) in [
        (
            wrong_time.as_str(),
            "400 invalid payload: `reminder_payload.trigger_at`",
        ),
        (old, "is now called `reminder_payload."),
    ] {
        let ran = run(&reminders("", &[("a", with)])).expect(8);
        assert!(ran.all().contains(said), "{}", ran.all());
    }
}

#[test]
fn reminders_refuse_a_duplicate_within_a_run_as_a_conflict() {
    let ran = run(&reminders("", &[("a", REQUEST), ("b", REQUEST)])).expect(8);
    assert!(
        ran.all().contains("409 conflict: scenario `s1`"),
        "{}",
        ran.all()
    );
}

#[test]
fn reminders_refuse_a_duplicate_within_a_step_and_take_the_same_call_again() {
    // Accepted by the tool both times, and refused by the step.
    let again = format!(
        "{REQUEST}, retry: {{ max_attempts: 2, backoff: {{ initial: 1ms }}, retry_on: [output] }}, output: {{ schema: \
         {{ type: object, properties: {{ sync_id: {{ type: string, maxLength: 1 }} }} }} }}"
    );
    let ran = run(&reminders("", &[("a", &again)]));
    assert_ne!(ran.code, 0, "{}", ran.all());
    assert!(!ran.all().contains("409 conflict"), "{}", ran.all());
    assert_eq!(ran.json()["steps"]["a"]["attempts"], 2, "{}", ran.all());

    let home = Home::new();
    home.warm();
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    home.file("policies/reminders.toml", PROFILE);
    home.file(
        "policies/asker.toml",
        "version = 1\nname = \"asker\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = [\"mock/*\"]\n\
         tokens = 100_000\nusd = 1.0\n[tools]\ncall = [\"reminders/sync\"]\n",
    );
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: twice\nplugins:\n  reminders: { kind: tool, source: \
         builtin:reminder-sync-stub, profile: reminders }\n  asker: { kind: agent, source: builtin:llm-agent, \
         profile: asker, config: { role: clerk, model: mock/asker, prompt: Go. } }\nsteps:\n  ask: { uses: asker }\n",
    );
    let sync = |title: &str| {
        json!([{ "name": "reminders/sync", "arguments": { "device_id": "d1", "scenario_id": "s1",
            "reminder_payload": { "title": title, "trigger_at": "2026-03-01T09:00:00Z", "priority": "high" } } }])
    };
    // The model comes to an end only if it was told of the conflict.
    let script = json!([
        { "when": { "turn": 0 }, "tool_calls": sync("water the plants") },
        { "when": { "turn": 1, "contains": "accepted" }, "tool_calls": sync("feed the cat") },
        { "when": { "turn": 2, "contains": "409 conflict: scenario `s1`" }, "content": "One was there." },
    ]);
    home.file("scripts/asker.json", script.to_string());
    home.flowhost(&["run", "plan.yaml"]).expect(0);
}

#[test]
fn reminders_are_accepted_with_an_id_and_again_in_the_next_run_unless_the_scope_is_the_scenario() {
    let home = reminders("", &[("a", REQUEST)]);
    let first = run(&home).expect(0).json()["outputs"]["first"].clone();
    assert_eq!(
        (&first["status"], &first["estimated_latency_ms"]),
        (&json!("accepted"), &json!(50))
    );
    assert_eq!(first["sync_id"].as_str().map(str::len), Some(36), "{first}");
    assert_eq!(
        first.as_object().map(serde_json::Map::len),
        Some(3),
        "{first}"
    );
    run(&home).expect(0);
    let home = reminders(", config: { scope: scenario }", &[("a", REQUEST)]);
    run(&home).expect(0);
    let ran = run(&home).expect(8);
    assert!(ran.all().contains("409 conflict"), "{}", ran.all());
}

#[test]
fn a_release_or_host_outside_of_what_was_asked_for_is_refused_before_anything_runs() {
    let home = Home::new();
    home.guest("ok_echo");
    home.file(
        "ok_echo.toml",
        "version = 1\nname = \"echo\"\nkind = \"tool\"\nrelease = \"1.2.0\"\nhosts = \">=9\"\n",
    );
    let plan = |wanted: &str| {
        format!(
            "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  echo: {{ kind: tool, source: ./ok_echo.wasm, \
             profile: deny-all, release: \"{wanted}\" }}\nsteps:\n  a: {{ uses: echo/run }}\n"
        )
    };
    home.file("plan.yaml", plan("^2"));
    let refused = home.flowhost(&["run", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("plan.yaml:5:"), "{refused}");
    assert!(refused.contains("is for hosts `>=9`"), "{refused}");
    assert!(
        refused.contains("not a release that the plan takes: `^2`"),
        "{refused}"
    );
    home.file("plan.yaml", plan("two"));
    let refused = home.flowhost(&["validate", "plan.yaml"]).expect(1).stderr;
    assert!(refused.contains("range of versions"), "{refused}");
    let fits = Home::new();
    fits.warm();
    fits.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: p\nplugins:\n  markdown: { kind: tool, source: builtin:markdown, \
         profile: deny-all, release: \"^0.1\" }\nsteps:\n  a: { uses: markdown/headings, with: { text: \"# A\" } }\n",
    );
    fits.flowhost(&["validate", "plan.yaml"]).expect(0);
}

#[test]
fn an_agent_with_a_schema_for_its_answer_pays_for_that_schema_and_not_for_those_of_all_drafts() {
    let home = Home::new();
    home.warm();
    home.file(
        "flowhost.toml",
        "[models.providers.mock]\nkind = \"mock\"\nscripts = \"scripts\"\n",
    );
    home.file(
        "scripts/asker.json",
        json!([
            { "tool_calls": [{ "name": "markdown/headings", "arguments": { "text": "# One\n" } }] },
            { "json": { "count": "one" } },
            { "json": { "count": 1, "of": "headings" } },
        ])
        .to_string(),
    );
    home.file(
        "policies/asker.toml",
        "version = 1\nname = \"asker\"\nlog = true\nconfig = true\nbudget = true\n[model]\nallow = [\"mock/*\"]\n\
         tokens = 100_000\nusd = 1.0\n[tools]\ncall = [\"markdown/headings\"]\n",
    );
    home.file(
        "plan.yaml",
        "flowhost: v1\nkind: workflow\nname: counts\nplugins:\n  \
         markdown: { kind: tool, source: builtin:markdown, profile: deny-all }\n  asker: { kind: agent, source: \
         builtin:llm-agent, profile: asker, config: { role: counter, model: mock/asker, prompt: Count., tools: \
         [markdown/headings] } }\nsteps:\n  ask:\n    uses: asker\n    output: { schema: { type: object, required: \
         [count], additionalProperties: false, properties: { count: { type: integer, minimum: 0 }, of: { enum: \
         [headings, lines] } } } }\noutputs: { counted: \"${{ steps.ask.output }}\" }\n",
    );
    let report = home
        .flowhost(&["run", "plan.yaml", "--json"])
        .expect(0)
        .json();
    // The answer that does not fit is told to the model, so the schema is at work.
    assert_eq!(
        report["outputs"]["counted"],
        json!({ "count": 1, "of": "headings" })
    );
    let fuel = report["steps"]["ask"]["used"]["fuel"].as_u64();
    assert!(fuel.is_some_and(|fuel| fuel <= 2_000_000), "{fuel:?}");
}
