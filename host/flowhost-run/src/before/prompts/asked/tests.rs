//! What is asked for in vain, held against what the template engine makes of it.

use serde_json::json;

use super::*;

/// What is asked for in vain: path, line, and whether it is sure.
fn asked(text: &str, input: &Value) -> Vec<(String, usize, bool)> {
    let found = Template::read(text).asked(&Given::Value(input), &mut 1_000_000);
    found
        .into_iter()
        .map(|it| (it.path, it.line, it.is_sure))
        .collect()
}

fn sure(path: &str) -> Vec<(String, usize, bool)> {
    vec![(path.to_owned(), 1, true)]
}

fn unsure(path: &str) -> Vec<(String, usize, bool)> {
    vec![(path.to_owned(), 1, false)]
}

fn input() -> Value {
    json!({ "t": "text", "n": 3, "none": null, "l": [{ "b": 1 }, "x"], "o": { "k": { "m": 1 } }, "empty": "" })
}

/// How the plugin's engine renders it.
fn renders(text: &str, input: &Value) -> bool {
    let mut environment = minijinja::Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    let values = json!({ "input": input, "role": "r", "yes": true, "no": false, "list": [1] });
    let values = minijinja::Value::from(minijinja::value::Serde(values));
    let template = environment.template_from_str(text).unwrap();
    template.render(values).is_ok()
}

#[test]
fn nothing_is_told_of_what_comes_right() {
    for text in [
        "{{ input.t }} {{ input['t'] }} {{ input.l[0].b }} {{ input.l.0.b }} {{ input.l[-1] }}",
        "{{ input.o.k.m }}{{ input }}{{ input.t[0] }}",
        "{% for it in input.l %}{{ it }}{% endfor %}",
        "{% if input.x is defined %}{{ input.x }}{% endif %}",
        "{% if input.x is defined and input.x %}{{ input.x }}{% endif %}",
        "{% if input.x is undefined or input.x %}none{% endif %}",
        "{% if not input.x is defined %}none{% else %}{{ input.x }}{% endif %}",
        "{{ input.x if input.x is defined else 'none' }}",
        "{% if input.t == 'other' %}{{ input.x }}{% endif %}",
        "{% if input.t != 'text' %}{{ input.x }}{% endif %}",
        "{% if input.none %}{{ input.x }}{% elif input.empty %}{{ input.y }}{% endif %}",
        "{% if true %}{{ input.t }}{% else %}{{ input.x }}{% endif %}",
        "{% set x = input.x %}{% if x is defined %}{{ x }}{% endif %}",
        "{% set input = {'x': 1} %}{{ input.x }}",
        "{% with input = input.o %}{{ input.k }}{% endwith %}",
        "{% set x = [input.x] %}",
        "{% raw %}{{ input.x }}{% endraw %}",
        "{% if no %}{% set input = 3 %}{% endif %}",
    ] {
        let told = asked(text, &input());
        assert!(told.is_empty(), "{text}: {told:?}");
        assert!(renders(text, &input()), "{text}");
    }
}

#[test]
fn what_is_surely_come_to_and_not_there_is_told_and_fails() {
    for (text, path) in [
        ("{{ input.x }}", "input.x"),
        ("{{ input['x'] }}", "input.x"),
        ("{{ input.x.y }}", "input.x"),
        ("{{ input.x.y is defined }}", "input.x"),
        ("{{ input.t.y }}", "input.t.y"),
        ("{{ input.n.y }}", "input.n.y"),
        ("{{ input.none.y }}", "input.none.y"),
        ("{{ input.n[0] }}", "input.n[0]"),
        ("{{ input.o.k.x }}", "input.o.k.x"),
        ("{{ input.l[0].a }}", "input.l[0].a"),
        ("{{ input.l.0.a }}", "input.l[0].a"),
        ("{{ input.l[2].a }}", "input.l[2]"),
        ("{{ input.l[-3] }}", "input.l[-3]"),
        ("{{ input.l[1].a }}", "input.l[1].a"),
        ("{{ input.l.name }}", "input.l.name"),
        ("{% if input.x %}{% endif %}", "input.x"),
        ("{% if input.x and no %}{% endif %}", "input.x"),
        ("{% if not input.x %}{% endif %}", "input.x"),
        ("{{ 1 if input.x else 2 }}", "input.x"),
        ("{% for it in input.x %}{% endfor %}", "input.x"),
        ("{{ input.x ~ 'a' }}", "input.x"),
        ("{{ input.x == 1 }}", "input.x"),
        ("{{ 1 < input.n < input.x }}", "input.x"),
        ("{% set x = input.o %}{{ x.y }}", "input.o.y"),
        ("{% with x = input.x %}{{ x }}{% endwith %}", "input.x"),
        (
            "{% if input.t == 'text' %}{{ input.x }}{% endif %}",
            "input.x",
        ),
        ("{% if input.o %}{{ input.x }}{% endif %}", "input.x"),
        ("{{ input.x[1:] }}", "input.x"),
        ("{{ input.x | safe }}", "input.x"),
        ("{{ input.x() }}", "input.x"),
    ] {
        let path = match text {
            // A comparison in a chain is come to only where those before it hold.
            "{{ 1 < input.n < input.x }}" => unsure(path),
            // A method is the engine's to know.
            "{{ input.x() }}" => Vec::new(),
            _ => sure(path),
        };
        assert_eq!(asked(text, &input()), path, "{text}");
        assert!(!renders(text, &input()), "{text}");
    }
}

#[test]
fn what_may_be_left_out_is_told_as_such() {
    for text in [
        "{% if yes %}{{ input.x }}{% endif %}",
        "{% if yes %}{% else %}{{ input.x }}{% endif %}",
        "{% for it in list %}{{ input.x }}{% endfor %}",
        "{% for it in list %}{% else %}{{ input.x }}{% endfor %}",
        "{{ yes and input.x }}",
        "{{ input.x if yes else 1 }}",
    ] {
        assert_eq!(asked(text, &input()), unsure("input.x"), "{text}");
    }
    // What is come to once is sure.
    let twice = "{% if yes %}{{ input.x }}{% endif %}{{ input.x }}";
    assert_eq!(asked(twice, &input()), sure("input.x"));
    // What a branch set is not known behind it.
    let set = "{% if yes %}{% set input = list %}{% endif %}{{ input.x }}";
    assert!(asked(set, &input()).is_empty());
}

#[test]
fn says_where_it_stands_and_what_is_there() {
    let value = input();
    let read = Template::read("one\n\n{{ input.o.x }}{{ input.t.y }}{{ input.l[7] }}");
    let found = read.asked(&Given::Value(&value), &mut 1_000);
    let told: Vec<(usize, Why)> = found.into_iter().map(|it| (it.line, it.why)).collect();
    let all = [
        Why::Short("input.l".to_owned(), 2),
        Why::Lacks(["input.o.k".to_owned()].into()),
        Why::Is("input.t".to_owned(), "text"),
    ];
    assert_eq!(told, all.map(|why| (3, why)));
}

#[test]
fn of_what_is_not_known_nothing_is_told() {
    let members = [
        ("a", Given::Anything),
        ("t", Given::Text),
        ("l", Given::Elements),
        ("k", Given::List(vec![Given::Plain])),
    ];
    let given = Given::Object(members.into());
    let asked = |text: &str| Template::read(text).asked(&given, &mut 1_000).len();
    assert_eq!(
        asked("{{ input.a.b.c[0] }}{{ input.t[9] }}{{ input.l[9].a }}"),
        0
    );
    assert_eq!(asked("{{ input.k[0][1] }}{% if input.t %}{% endif %}"), 0);
    assert_eq!(
        asked("{{ input.t.b }}{{ input.l.b }}{{ input.k[0].b }}{{ input.k[1] }}"),
        4
    );
    let unknown = Template::read("{{ input.x }}").asked(&Given::Anything, &mut 9);
    assert!(unknown.is_empty());
}

#[test]
fn a_template_that_is_too_intricate_or_not_sound_is_left_to_the_run() {
    let chain = format!("{{{{ input.x{} }}}}", " ~ 1".repeat(200_000));
    let branches = format!(
        "{{% if no %}}{}{{% endif %}}",
        "{% elif no %}".repeat(50_000)
    );
    let members = format!("{{{{ input{} }}}}", ".x".repeat(200_000));
    for text in [chain.as_str(), &branches, &members, "{{ input.x"] {
        assert!(asked(text, &input()).is_empty());
    }
    let read = Template::read("{{ input.x }}");
    assert!(read.asked(&Given::Value(&input()), &mut 1).is_empty());
}

#[test]
fn what_stands_far_down_long_names_is_left_to_the_run() {
    let deep = |len: usize| {
        let name = "k".repeat(len);
        let input = json!({ name.as_str(): { "a": 1, "b": 2 } });
        asked(&format!("{{{{ input.{name}.c }}}}"), &input).len()
    };
    assert_eq!(deep(PATH_BYTES_MAX / 2), 1);
    assert_eq!(deep(PATH_BYTES_MAX), 0);
}

#[test]
fn members_with_long_names_are_more_to_look_at() {
    let steps = |len: usize| {
        let input = json!({ "a".repeat(len): 1 });
        let mut left = 10_000;
        let text = "{{ input.x }}";
        let asked = Template::read(text).asked(&Given::Value(&input), &mut left);
        assert_eq!(asked.len(), 1);
        10_000 - left
    };
    assert_eq!(steps(100 * NAMES_BYTES), steps(1) + 100);
}
