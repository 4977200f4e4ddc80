//! A story that is heard while somebody else reads the records is the one that is read from them, and so is its page.

use std::sync::Arc;

use flowhost_ledger::records::{RecordKind as _, ViewWrite};
use flowhost_ledger::{
    HostKey, Ledger, LedgerOptions, Payloads, RealDisk, Recorder as _, overheard, read_lent_in,
};

use sha2::{Digest as _, Sha256};

use super::*;
use crate::html;

#[test]
fn a_story_that_was_heard_is_the_one_that_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(HostKey::generate("host.example").unwrap());
    let run = "01KBGHJKMNPQRSTVWXYZ012345";
    let options = LedgerOptions::new(dir.path(), "default", run, key);
    let ledger = Ledger::open(&options).unwrap();
    for fact in audit().facts() {
        ledger.append(fact).unwrap();
    }
    ledger.checkpoint_blocking().unwrap();
    let records = read_lent_in(&RealDisk, dir.path()).unwrap();
    let mut payloads = Payloads::open(&RealDisk, dir.path()).unwrap();
    let hear = |gathering: &mut Gathering, record: &LentRecord<'_>| gathering.hear(record);
    let mut batches = overheard(records, Gathering::default(), hear).unwrap();
    let before: usize = batches.by_ref().map(|batch| batch.len()).sum();
    let (mut gathering, mut tail) = batches.end().unwrap();
    // What the process adds that reads them.
    for fact in audit().facts() {
        ledger.append(fact).unwrap();
    }
    let sealed = ledger.close_blocking().unwrap();
    for record in tail.more(10_000).unwrap() {
        gathering.hear(&record.lent());
    }
    payloads.more().unwrap();
    let signed = Sealed {
        size: sealed.size,
        root: sealed.root,
    };
    let heard = gathering
        .told(dir.path(), signed.clone(), &payloads, None)
        .unwrap();
    let read = read_signed(dir.path(), signed).unwrap();
    assert_eq!(read.seal.records, 2 * before as u64);
    // The page shows all of a story; what lies in it in no order is only looked up.
    assert_eq!(html::page(&heard), html::page(&read));
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test keeps a plan as a run does"
)]
fn a_plan_that_somebody_has_parsed_is_drawn_as_the_one_that_was_kept() {
    let dir = tempfile::tempdir().unwrap();
    let key = Arc::new(HostKey::generate("host.example").unwrap());
    let run = "01KBGHJKMNPQRSTVWXYZ012345";
    let options = LedgerOptions::new(dir.path(), "default", run, key);
    let ledger = Ledger::open(&options).unwrap();
    let text = "flowhost: v1\nkind: workflow\nname: t\nplugins:\n  say: { kind: tool, source: ./say.wasm, \
                profile: tool-pure }\nsteps:\n  a: { uses: say }\n  b: { uses: say, needs: [a] }\n";
    let files = serde_json::json!([{ "name": "plan.yaml", "text": text }]);
    let bundle = serde_json::json!({ "plan": "plan.yaml", "files": files }).to_string();
    std::fs::write(dir.path().join(BUNDLE), &bundle).unwrap();
    let view = ViewWrite {
        path: BUNDLE.to_owned(),
        sha256: hex::encode(Sha256::digest(&bundle)),
        ..ViewWrite::default()
    };
    ledger.append(view.by("default/host")).unwrap();
    let sealed = ledger.close_blocking().unwrap();
    let payloads = Payloads::open(&RealDisk, dir.path()).unwrap();
    let page = |parsed: Option<(&str, &Plan)>| {
        let mut gathering = Gathering::default();
        for batch in read_lent_in(&RealDisk, dir.path()).unwrap() {
            for record in batch.unwrap().records() {
                gathering.hear(&record);
            }
        }
        let signed = Sealed {
            size: sealed.size,
            root: sealed.root.clone(),
        };
        let story = gathering.told(dir.path(), signed, &payloads, parsed);
        let story = story.unwrap();
        assert!(story.graph.is_some());
        html::page(&story)
    };
    let kept = page(None);
    let plan = Plan::parse(text, "plan.yaml").unwrap();
    assert_eq!(page(Some((text, &plan))), kept);
    // What somebody has parsed may be another plan.
    let text = text.replace("b:", "c:");
    let other = Plan::parse(&text, "plan.yaml").unwrap();
    assert_eq!(page(Some((text.as_str(), &other))), kept);
}
