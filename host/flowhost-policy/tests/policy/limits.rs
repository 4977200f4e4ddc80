//! The list of limits, walked.

use flowhost_policy::{LIMITS, Limits, Profile};

fn with(key: &str, value: &str) -> Result<Profile, String> {
    let text = format!("version = 1\nname = \"x\"\n[limits]\n{key} = {value}\n");
    Profile::parse(&text, "x.toml").map_err(|problems| problems[0].message.clone())
}

/// `64MiB` needs quotes, a count does not.
fn written(spec: &flowhost_policy::LimitSpec, value: u64) -> String {
    let shown = spec.show(value);
    if shown.ends_with(|c: char| c.is_ascii_digit()) {
        shown
    } else {
        format!("\"{shown}\"")
    }
}

#[test]
fn every_limit_is_refused_one_over_its_ceiling_and_one_under_its_floor() {
    for spec in &LIMITS {
        assert!(
            with(spec.key, &written(spec, spec.ceiling + 1)).is_err(),
            "{}",
            spec.key
        );
        assert!(
            with(spec.key, &written(spec, spec.floor - 1)).is_err(),
            "{}",
            spec.key
        );
    }
}

#[test]
fn every_limit_is_accepted_up_to_its_ceiling_and_down_to_its_floor() {
    for spec in &LIMITS {
        for value in [spec.floor, spec.ceiling, spec.default()] {
            let profile = with(spec.key, &written(spec, value)).expect(spec.key);
            assert_eq!(spec.get(&profile.limits), value, "{}", spec.key);
        }
    }
}

#[test]
fn every_limit_has_a_reason_and_a_default_within_its_bounds() {
    for spec in &LIMITS {
        assert!(spec.doc.len() > 20, "{}", spec.key);
        assert!(
            (spec.floor..=spec.ceiling).contains(&spec.default()),
            "{}",
            spec.key
        );
        assert!(spec.floor > 0, "{} cannot be switched off", spec.key);
    }
}

#[test]
fn a_profile_without_limits_has_all_of_them() {
    let profile = Profile::parse("version = 1\nname = \"x\"\n", "x.toml").unwrap();
    assert_eq!(profile.limits, Limits::default());
}

#[test]
fn reads_and_writes_every_unit() {
    for (key, text, value) in [
        ("memory", "\"65536B\"", 65_536),
        ("memory", "\"64KiB\"", 65_536),
        ("memory", "\"1_024MiB\"", 1 << 30),
        ("memory", "\"4GiB\"", 4 << 30),
        ("deadline", "\"100ms\"", 100),
        ("deadline", "\"30s\"", 30_000),
        ("deadline", "\"10m\"", 600_000),
        ("deadline", "\"24h\"", 86_400_000),
        ("fuel", "2_000", 2_000),
        ("fuel", "0x10", 16),
    ] {
        let profile = with(key, text).expect(text);
        let spec = LIMITS.iter().find(|spec| spec.key == key).unwrap();
        assert_eq!(spec.get(&profile.limits), value, "{text}");
    }
}
