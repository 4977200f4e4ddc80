//! What travels: envelopes, and the subjects they travel on.

use flowhost_bus::{Envelope, EnvelopeError, Pattern, Subject, SubjectError};
use sha2::{Digest as _, Sha256};

use super::text;
use crate::{Outcome, Target};

pub(crate) const ENVELOPE: Target = Target {
    name: "envelope",
    run: envelope,
    words: &[
        "\"hash\":\"sha256:",
        "\"envelope\":{",
        "\"payload\":",
        "null",
        "9007199254740993",
        "1e400",
        "-0",
        "-0.0",
        "\\ud800",
        "[[[[[[[[",
        "{\"a\":{\"a\":",
    ],
};

pub(crate) const SUBJECT: Target = Target {
    name: "subject",
    run: subject,
    words: &[
        ".", "*", ">", "..", "*.>", ".>", "%", "%2E", "\u{e9}", "default", "run", "topic", "\n",
    ],
};

/// Accepted means: what is sent on is what came in, byte for byte from the first time on.
fn envelope(bytes: &[u8]) -> Outcome {
    let read = Envelope::from_slice(bytes);
    if let Ok(envelope) = &read {
        let sent = envelope.to_vec();
        let again = sent.as_deref().map(Envelope::from_slice);
        assert_eq!(again, Ok(read.clone()));
        assert_eq!(
            again.ok().and_then(Result::ok).map(|e| e.to_vec()),
            Some(sent)
        );
    }
    // The hash is the sender's word; the content below it has to stand on its own as well.
    let inner = serde_json::from_slice::<serde_json::Value>(bytes).ok();
    let inner = inner.as_ref().and_then(|wire| wire.get("envelope"));
    if let Some(Ok(sealed)) = inner.map(rehashed) {
        let again = sealed.to_vec().and_then(|sent| Envelope::from_slice(&sent));
        assert_eq!(again, Ok(sealed));
    }
    Outcome::of(&read)
}

/// The content under the hash that belongs to it.
fn rehashed(content: &serde_json::Value) -> Result<Envelope, EnvelopeError> {
    let canonical = serde_json_canonicalizer::to_vec(content).unwrap_or_default();
    let hash = format!("sha256:{}", hex::encode(Sha256::digest(canonical)));
    let wire = serde_json::json!({ "hash": hash, "envelope": content });
    Envelope::from_slice(wire.to_string().as_bytes())
}

/// The lines are a tenant, a run, and a topic or pattern. Nobody reaches a neighbour's subjects.
fn subject(bytes: &[u8]) -> Outcome {
    let text = text(bytes);
    let mut lines = text.splitn(3, '\n');
    let [tenant, run, rest] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let neighbour = Subject::of("default", "run", &["topic", "a"]);
    assert!(neighbour.is_ok(), "{neighbour:?}");
    let patterns = [
        Pattern::of(tenant, run, rest),
        Pattern::topics(tenant, run, rest),
    ];
    for pattern in patterns.iter().flatten() {
        let reached = neighbour.as_ref().is_ok_and(|other| pattern.matches(other));
        assert!(!reached || (tenant, run) == ("default", "run"), "{pattern}");
    }
    if let (Ok(all), Ok(other)) = (Pattern::all_runs(tenant, rest), &neighbour) {
        assert!(!all.matches(other) || tenant == "default", "{all}");
    }
    let subjects = [
        Subject::of(tenant, run, &[rest]),
        Subject::topic(tenant, run, rest),
    ];
    for subject in subjects.iter().flatten() {
        travels(subject);
    }
    names_differ(tenant, run, rest);
    let taken = patterns.iter().any(Result::is_ok) || subjects.iter().any(Result::is_ok);
    Outcome::of(&if taken { Ok(()) } else { Err(()) })
}

fn travels(subject: &Subject) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-%.".contains(c);
    assert!(subject.as_str().chars().all(plain), "{subject}");
    assert!(subject.as_str().split('.').all(|token| !token.is_empty()));
    let exactly = Pattern::exactly(subject);
    assert!(exactly.is_exact() && exactly.matches(subject), "{subject}");
}

/// Two lists of names never share a subject.
fn names_differ(tenant: &str, run: &str, rest: &str) {
    let of = |names: &[&str]| -> Result<Subject, SubjectError> { Subject::of(tenant, run, names) };
    let (whole, split) = (of(&[rest]), of(&rest.split('.').collect::<Vec<_>>()));
    if let (Ok(whole), Ok(split)) = (whole, split) {
        assert_eq!(whole == split, !rest.contains('.'), "{whole}");
    }
}
