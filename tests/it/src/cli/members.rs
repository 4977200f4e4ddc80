//! Members that nothing has are told before a run, with what was probably meant: of the run, of failures and of what steps
//! give.

use super::plan;
use super::preflight::{asked, refused_alike};
use crate::support::Home;

const MD: &str = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }";

fn of(text: impl AsRef<[u8]>) -> Home {
    let home = Home::new();
    home.file("plan.yaml", text);
    home
}

/// The problems of a plan, as all three commands tell them.
fn told(text: impl AsRef<[u8]>) -> String {
    refused_alike(&of(text))
}

#[test]
fn a_member_of_an_output_that_nobody_gives_is_refused_by_all_three() {
    let home = Home::new();
    home.file(
        "below.yaml",
        plan(
            "  r: { kind: guardrail, source: \"builtin:redact\", profile: deny-all }",
            "  b: { emit: { subject: done, payload: {} } }",
        ) + "outputs: { sum: 1 }\n",
    );
    let plugin = "  md: { kind: tool, source: \"builtin:markdown\", profile: deny-all }\n";
    let steps = |more: &str| {
        format!(
            "  a: {{ uses: md/headings, with: {{ text: x }} }}\n  sub: {{ uses: \"plan:below.yaml\" }}\n{more}"
        )
    };
    let wrong = steps(
        "  b:\n    needs: [a, sub]\n    when: \"${{ size(steps.a.output.headngs) > 0 }}\"\n    \
         uses: md/headings\n    with: { text: \"${{ steps.sub.output.total }}\" }\n    \
         checks: [{ id: some, that: \"size(output.heading) > 0\" }]\n\
         outputs: { o: \"${{ steps.a.output.headings }}\" }\n",
    );
    home.file("plan.yaml", plan(plugin, &wrong));
    let said = refused_alike(&home);
    for part in [
        "has 3 problems",
        "step `a`: `md/headings` gives no `headngs`",
        "did you mean `headings`?",
        "step `sub`: the plan `below.yaml` gives no `total`",
        "it gives `sum`",
        "step `b`: `md/headings` gives no `heading`",
        "plan.yaml:14:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    // Who asks whether it is there goes on without it.
    let asks = steps(
        "  b:\n    needs: [a, sub]\n    when: \"${{ has(steps.a.output.headngs) }}\"\n    uses: md/headings\n    \
         with: { text: \"${{ steps.sub.output.?total.orValue('x') }}\" }\n",
    );
    home.file("plan.yaml", plan(plugin, &asks));
    for ran in asked(&home) {
        ran.expect(0);
    }
}

#[test]
fn a_member_that_nothing_has_is_told_with_what_was_meant() {
    let at = |more: &str| {
        format!(
            "  a: {{ uses: md/headings, with: {{ text: x }} }}\n  b: {{ needs: [a], uses: md/headings, {more} }}"
        )
    };
    let with = |expr: &str| at(&format!("with: {{ text: \"${{{{ {expr} }}}}\" }}"));
    let closed = "output: { schema: { type: object, additionalProperties: false, properties: { headings: {} } } }";
    for (steps, words, cure) in [
        (
            at("with: { text: x }, when: \"run.cost.usd > 1.0\""),
            "`run.cost.usd > 1.0`: `run.cost` has no member `usd`",
            "known members: `calls`, `fuel`, `tokens`, `total_usd`",
        ),
        (
            with("run.planhash"),
            "`run` has no member `planhash`",
            "did you mean `plan_hash`?",
        ),
        (
            at("with: { text: x }, on_failure: { run: tell }")
                + "\nhandlers: { tell: { uses: md/headings, with: { text: \"${{ failure.clas }}\" } } }",
            "`failure` has no member `clas`",
            "did you mean `class`?",
        ),
        (
            with("steps.a.outptu.headings"),
            "`steps.a` has no `outptu`",
            "did you mean `output`? it has `output` and `status`",
        ),
        (
            at(&format!(
                "with: {{ text: x }}, {closed}, checks: [{{ id: c, that: \"output.nope == 1\" }}]"
            )),
            "step `b`: the schema of its `output` leaves room for no `nope`",
            "it gives `headings`",
        ),
    ] {
        let said = told(plan(MD, &steps)).replace("\n  │ ", " ");
        for part in ["has 1 problem\n", words, cure] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
}

#[test]
fn a_state_machines_ways_are_held_against_what_its_tools_give() {
    let machine = |when: &str| {
        format!(
            "flowhost: v1\nkind: fsm\nname: m\nplugins:\n{MD}\ninitial_state: look\nfinal_states: [end]\nstates:\n  \
             look:\n    uses: md/headings\n    with: {{ text: x }}\n    transitions: [{{ when: \"{when}\", to: end }}]\n    \
             on_success: end\n  end: {{}}\n"
        )
    };
    let said = told(machine("size(output.hedings) > 0"));
    for part in [
        "step `look`: `md/headings` gives no `hedings`",
        "did you mean `headings`?",
        "plan.yaml:12:",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = told(machine("output.headings"));
    assert!(said.contains("gives a list, not true or false"), "{said}");
    of(machine("size(output.headings) > 0"))
        .flowhost(&["validate", "plan.yaml"])
        .expect(0);
}

#[test]
fn what_a_gate_does_not_give_is_told_before_anybody_is_asked() {
    let after = |wants: &str, expr: &str| {
        let steps = format!(
            "  ask: {{ wait_for: {wants}, timeout: 1h }}\n  b: {{ needs: [ask], uses: md/headings, with: {{ text: \
             \"${{{{ {expr} }}}}\" }} }}"
        );
        plan(MD, &steps)
    };
    for (wants, expr, words, cure) in [
        (
            "approval",
            "steps.ask.output.aproved ? 'y' : 'n'",
            "`steps.ask.output` has no member `aproved`",
            "did you mean `approved`?",
        ),
        (
            "signal",
            "steps.ask.output.note",
            "`steps.ask.output` has no member `note`",
            "known members: `payload`, `timed_out`",
        ),
    ] {
        let said = told(after(wants, expr)).replace("\n  │ ", " ");
        for part in ["has 1 problem\n", words, cure] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    for (wants, expr) in [
        (
            "approval",
            "steps.ask.output.by + steps.ask.output.note + string(steps.ask.output.approved)",
        ),
        ("signal", "string(steps.ask.output.payload.any.thing)"),
        ("signal", "string(steps.ask.output.timed_out)"),
        ("signal", "steps.ask.output.?note.orValue('none')"),
    ] {
        of(after(wants, expr))
            .flowhost(&["validate", "plan.yaml"])
            .expect(0);
    }
}

#[test]
fn a_member_that_no_item_and_no_element_of_a_foreach_has_is_told() {
    let each = |items: &str, text: &str, after: &str| {
        let steps = format!(
            "  each: {{ foreach: {{ items: {items}, as: n }}, uses: md/headings, with: {{ text: \"${{{{ {text} }}}}\" }} \
             }}\n  g: {{ needs: [each], uses: md/headings, with: {{ text: \"${{{{ {after} }}}}\" }} }}"
        );
        plan(MD, &steps)
    };
    let right = "string(size(steps.each.outputs[0].headings))";
    for (items, text, after, words, cure) in [
        (
            "[x, y]",
            "n",
            "string(steps.each.outputs[0].heading)",
            "step `each`: `md/headings` gives no `heading`",
            "did you mean `headings`?",
        ),
        (
            "[{ title: x }]",
            "n.titel",
            right,
            "`n` has no member `titel`",
            "did you mean `title`?",
        ),
        (
            "[{ title: x }, { title: y }]",
            "item.titel",
            right,
            "`item` has no member `titel`",
            "did you mean `title`?",
        ),
    ] {
        let said = told(each(items, text, after)).replace("\n  │ ", " ");
        for part in ["has 1 problem\n", words, cure] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    // One item has it, or who asks goes on without it.
    for (items, text, after) in [
        ("[{ title: x }, { other: y }]", "n.title", right),
        ("[{ title: x }, y]", "n.other", right),
        ("[{ title: x }]", "n.?titel.orValue('x')", right),
        (
            "[x]",
            "n",
            "has(steps.each.outputs[0].heading) ? string(steps.each.outputs[0].heading) : 'none'",
        ),
    ] {
        of(each(items, text, after))
            .flowhost(&["validate", "plan.yaml"])
            .expect(0);
    }
}
