//! Subjects and patterns from the outside (MSG-014).

use flowhost_bus::{Pattern, SUBJECT_BYTES_MAX, Subject, SubjectError, TOKEN_BYTES_MAX};
use proptest::prelude::*;

#[test]
fn msg_014_a_name_never_reaches_into_another_subject() {
    for name in ["a.b", "*", ">", "a b", "a.>", "%2E", "ä", "..", "$SYS"] {
        let subject = Subject::of(name, "R", &["x"]).unwrap();
        assert_eq!(subject.as_str().split('.').count(), 3, "{subject}");
        assert!(
            !subject.as_str().contains(['*', '>', ' ', '$']),
            "{subject}"
        );
    }
}

#[test]
fn msg_014_refuses_control_characters_and_empty_names() {
    for name in ["a\nb", "a\0", "\u{7f}", "\u{85}"] {
        let made = Subject::of("default", name, &[]);
        assert!(matches!(made, Err(SubjectError::Control(_))), "{name:?}");
    }
    let empty = Subject::of("", "R", &[]);
    assert!(matches!(empty, Err(SubjectError::Empty)));
}

#[test]
fn msg_014_refuses_a_topic_with_wildcards_spaces_or_empty_tokens() {
    for topic in ["a.*", ">", "a b", "a\tb", "a%2Eb", "ü", "a\u{202e}b"] {
        let made = Subject::topic("default", "R", topic);
        assert!(
            matches!(made, Err(SubjectError::Character { .. })),
            "{topic:?}"
        );
    }
    for topic in ["", ".", "a..b", ".a", "a."] {
        let made = Subject::topic("default", "R", topic);
        assert!(matches!(made, Err(SubjectError::Empty)), "{topic:?}");
    }
}

#[test]
fn refuses_what_is_too_long() {
    let token = "x".repeat(TOKEN_BYTES_MAX + 1);
    let long = Subject::of("default", "R", &[&token]);
    assert!(matches!(long, Err(SubjectError::Long { .. })));
    let topic = vec!["x"; SUBJECT_BYTES_MAX].join(".");
    let long = Subject::topic("default", "R", &topic);
    assert!(matches!(long, Err(SubjectError::Long { .. })));
}

#[test]
fn refuses_a_rest_wildcard_in_the_middle_and_half_wildcards() {
    let middle = Pattern::of("default", "R", "a.>.b");
    assert!(matches!(middle, Err(SubjectError::Rest(_))));
    for rest in ["a*", "a.b>", "**"] {
        assert!(Pattern::of("default", "R", rest).is_err(), "{rest}");
    }
}

#[test]
fn a_pattern_takes_its_own_run_only() {
    let pattern = Pattern::of("default", "R", ">").unwrap();
    let subject = |tenant, run| Subject::of(tenant, run, &["a"]).unwrap();
    assert!(pattern.matches(&subject("default", "R")));
    assert!(!pattern.matches(&subject("default", "S")));
    assert!(!pattern.matches(&subject("other", "R")));
    let all = Pattern::all_runs("default", "a").unwrap();
    assert!(all.matches(&subject("default", "S")));
    assert!(!all.matches(&subject("other", "S")));
}

#[test]
fn matches_as_the_table_says() {
    for (pattern, topic, wanted) in [
        ("a.b", "a.b", true),
        ("a.b", "a.c", false),
        ("a.*", "a.b", true),
        ("a.*", "a", false),
        ("a.*", "a.b.c", false),
        ("*.b", "a.b", true),
        ("a.>", "a", false),
        ("a.>", "a.b.c", true),
        (">", "a", true),
    ] {
        let subject = Subject::topic("default", "R", topic).unwrap();
        let matched = Pattern::topics("default", "R", pattern).unwrap();
        assert_eq!(matched.matches(&subject), wanted, "{pattern} {topic}");
    }
}

#[test]
fn refuses_a_carriers_text_that_no_subject_has() {
    for text in [
        "", "a..b", "a.*", "a.>", "a.%2e", "a.%41", "a.%", "a.%2", "a. b", "a.\u{e9}",
    ] {
        assert!(Subject::parse(text).is_err(), "{text}");
    }
    for text in ["*.b", ">", "a.>.b", "a.b*", "", "a..b"] {
        assert!(Pattern::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_pattern_comes_back_from_a_carrier_as_it_was() {
    for pattern in [
        Pattern::of("default", "R", "step.*.end").unwrap(),
        Pattern::all_runs("a.b", "step.>").unwrap(),
    ] {
        assert_eq!(Pattern::parse(pattern.as_str()).unwrap(), pattern);
    }
}

proptest! {
    #[test]
    fn a_subject_comes_back_from_a_carrier_as_it_was(name in "\\PC{1,12}") {
        let subject = Subject::of("default", &name, &["x"]).unwrap();
        prop_assert_eq!(Subject::parse(subject.as_str()).unwrap(), subject);
    }

    #[test]
    fn a_subject_lies_within_its_own_run_and_in_no_other(one in "\\PC{1,12}", two in "\\PC{1,12}") {
        let subject = Subject::of("default", &one, &["x"]).unwrap();
        prop_assert!(subject.is_within("default", &one));
        prop_assert_eq!(subject.is_within("default", &two), one == two);
        prop_assert!(!subject.is_within(&one, "default") || one == "default");
        prop_assert!(!Subject::of("default", &one, &[]).unwrap().is_within("default", &one));
    }

    #[test]
    fn two_names_never_share_a_subject(one in "\\PC{1,12}", two in "\\PC{1,12}") {
        prop_assume!(one != two);
        let subject = |name: &str| Subject::of("default", name, &["x"]).unwrap();
        prop_assert_ne!(subject(&one), subject(&two));
    }

    #[test]
    fn no_topic_leaves_its_run(topic in "[a-c.*> %]{0,12}") {
        if let Ok(subject) = Subject::topic("default", "R", &topic) {
            prop_assert!(Pattern::of("default", "R", "topic.>").unwrap().matches(&subject));
        }
    }
}
