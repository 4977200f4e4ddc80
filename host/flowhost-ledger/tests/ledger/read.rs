//! Reading records one by one: in their order, however many threads look at them, and as far as they are sound.

use flowhost_ledger::{Kind, Ledger, ReadError, Recorder as _, StoredRecord, read_run};

use crate::{ended, options, saying};

const SEGMENT: &str = "seg-00000000.jsonl";

/// Records of a ledger that is read by threads: 2 MB of them.
const MANY: u64 = 3_000;

fn long_ledger() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&options(dir.path())).unwrap();
    for number in 0..MANY {
        let text = format!("{number} {}", "x".repeat(500 + number as usize % 200));
        ledger.append(saying(&text)).unwrap();
    }
    ledger.append(ended("ok")).unwrap();
    ledger.close_blocking().unwrap();
    dir
}

#[test]
fn a_long_ledger_is_read_in_its_order() {
    let dir = long_ledger();
    let records: Result<Vec<StoredRecord>, ReadError> = read_run(dir.path()).unwrap().collect();
    let records = records.unwrap();
    let stored = std::fs::read(dir.path().join(SEGMENT)).unwrap();
    let lines: Vec<&[u8]> = stored.split(|byte| *byte == b'\n').collect();
    assert_eq!(records.len() as u64, MANY + 1);
    for (number, (record, line)) in (0_u64..).zip(records.iter().zip(&lines)) {
        assert_eq!(record.seq, number);
        assert_eq!(record, &StoredRecord::parse(line).unwrap());
    }
    assert_eq!(records.last().unwrap().kind(), Some(Kind::RunEnd));
}

#[test]
fn whoever_wants_the_first_record_of_a_long_ledger_is_done_with_it() {
    let dir = long_ledger();
    let first = read_run(dir.path()).unwrap().next().unwrap().unwrap();
    assert_eq!(first.seq, 0);
    // Somebody who stops in the middle leaves no thread that waits for them.
    let some = read_run(dir.path()).unwrap().take(1_500);
    assert_eq!(some.map(Result::unwrap).last().unwrap().seq, 1_499);
}

#[test]
fn a_long_ledger_is_read_up_to_what_is_wrong_with_it() {
    let dir = long_ledger();
    let path = dir.path().join(SEGMENT);
    let sound = std::fs::read_to_string(&path).unwrap();
    let swapped = |line: &str| line.replace("\"seq\":\"2001\"", "\"seq\":\"2002\"");
    let open = |line: &str| line.replacen('}', "", 1);
    let other = |line: &str| line.replacen("xx", "x", 1);
    let changes: [(&dyn Fn(&str) -> String, u64, &str); 3] = [
        (&swapped, 2_001, "expected seq 2001, found 2002"),
        (&open, 1_700, "not in canonical form"),
        // Its own line is sound; the next one names another before it.
        (
            &other,
            1_999,
            "prev is not the hash of the record before it",
        ),
    ];
    for (change, at, what) in changes {
        let lines = sound.lines().zip(0_u64..);
        let lines = lines.map(|(line, number)| {
            let changed = if number == at {
                change(line)
            } else {
                line.to_owned()
            };
            changed + "\n"
        });
        std::fs::write(&path, lines.collect::<String>()).unwrap();
        let mut good = 0;
        let mut wrong = None;
        for record in read_run(dir.path()).unwrap() {
            match record {
                Ok(record) => {
                    assert_eq!(record.seq, good);
                    good += 1;
                }
                Err(error) => wrong = Some(error),
            }
        }
        let told = wrong.expect("something is wrong").to_string();
        let faulty = if what.starts_with("prev") { at + 1 } else { at };
        let place = format!("line {} (record {faulty})", faulty + 1);
        assert!(told.contains(&place) && told.contains(what), "{told}");
        assert_eq!(good, faulty);
    }
}
