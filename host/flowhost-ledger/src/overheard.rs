//! One reading of a ledger for two: somebody hears each record on a thread of its own, and it is handed on.
//!
//! A run that is taken up is read to know where it stands, and its page is made of the same records when it ends.
//! Reading and decoding them is most of either, so it is done once; and each of the two has work of its own with a
//! record, so they do it beside each other. Must never keep more than a few batches: a run has any number of records.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::lent::{LentBatch, LentRecord};
use crate::reader::{LentRecords, ReadError};
use crate::tail::Tail;

/// Batches that wait for whoever takes them. Each has some hundred records.
const BATCHES_MAX: usize = 8;

/// Records of which `listener` has heard when they come.
pub struct Overheard<L> {
    batches: Receiver<Arc<LentBatch>>,
    thread: JoinHandle<Result<(L, Tail), ReadError>>,
}

/// Lets `hear` have each of the records before they are handed on.
///
/// # Errors
/// When the system gives no thread.
///
/// # Examples
///
/// ```
/// # use std::sync::Arc;
/// # use flowhost_ledger::{Fact, HostKey, Kind, Ledger, LedgerOptions, RealDisk, Recorder};
/// # let dir = tempfile::tempdir()?;
/// # let key = Arc::new(HostKey::generate("host.example")?);
/// # let ledger = Ledger::open(&LedgerOptions::new(dir.path(), "default", "run-1", key))?;
/// # ledger.append(Fact::new(Kind::RunStart, "default/host"))?;
/// # ledger.close_blocking()?;
/// let records = flowhost_ledger::read_lent_in(&RealDisk, dir.path())?;
/// let mut batches = flowhost_ledger::overheard(records, 0, |heard, _| *heard += 1)?;
/// let taken: usize = batches.by_ref().map(|batch| batch.len()).sum();
/// let (heard, mut tail) = batches.end()?;
/// assert_eq!((taken, heard), (1, 1));
/// assert!(tail.more(9)?.is_empty());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn overheard<L: Send + 'static>(
    records: LentRecords<'static>,
    listener: L,
    hear: fn(&mut L, &LentRecord<'_>),
) -> io::Result<Overheard<L>> {
    let (to, batches) = sync_channel(BATCHES_MAX);
    let thread = std::thread::Builder::new().name("ledger-hear".to_owned());
    Ok(Overheard {
        batches,
        thread: thread.spawn(move || handed_on(records, listener, hear, &to))?,
    })
}

fn handed_on<L>(
    mut records: LentRecords<'static>,
    mut listener: L,
    hear: fn(&mut L, &LentRecord<'_>),
    to: &SyncSender<Arc<LentBatch>>,
) -> Result<(L, Tail), ReadError> {
    for batch in records.by_ref() {
        let batch = Arc::new(batch?);
        for record in batch.records() {
            hear(&mut listener, &record);
        }
        // Whoever took them may have found that the run cannot go on, and be gone: then nobody wants the rest.
        if to.send(batch).is_err() {
            break;
        }
    }
    Ok((listener, records.tail()))
}

impl<L> Overheard<L> {
    /// The listener once all records were taken, and where the ledger goes on.
    ///
    /// # Errors
    /// [`ReadError`] where the records end with a line that is none.
    pub fn end(self) -> Result<(L, Tail), ReadError> {
        // Lets the thread end where the rest is not wanted.
        drop(self.batches);
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

/// Ends without a word where the ledger cannot be read on: [`Overheard::end`] says so.
impl<L> Iterator for Overheard<L> {
    type Item = Arc<LentBatch>;

    fn next(&mut self) -> Option<Arc<LentBatch>> {
        self.batches.recv().ok()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    reason = "a test alters what lies on the disk"
)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;
    use crate::{
        Fact, HostKey, Kind, Ledger, LedgerOptions, RealDisk, Recorder as _, layout, read_lent_in,
        read_run,
    };

    const RECORDS: usize = 775;

    fn ledger(dir: &Path) -> Ledger {
        let key = Arc::new(HostKey::generate("host.example").unwrap());
        let mut options = LedgerOptions::new(dir, "default", "run-1", key);
        options.segment_bytes_max = 40_000;
        let ledger = Ledger::open(&options).unwrap();
        more(&ledger, RECORDS);
        ledger
    }

    fn more(ledger: &Ledger, records: usize) {
        for number in 0..records {
            let fact = Fact::new(Kind::StepStart, "default/host").with("step", "s");
            let fact = fact.with("path", number.to_string());
            ledger.append(fact).unwrap();
        }
        ledger.checkpoint_blocking().unwrap();
    }

    fn heard(dir: &Path) -> Overheard<Vec<u64>> {
        let records = read_lent_in(&RealDisk, dir).unwrap();
        overheard(records, Vec::new(), |heard, it| heard.push(it.seq)).unwrap()
    }

    #[test]
    fn two_have_each_record_once_and_the_tail_has_what_comes_later() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = ledger(dir.path());
        let mut batches = heard(dir.path());
        let all: Vec<_> = read_run(dir.path()).unwrap().map(Result::unwrap).collect();
        assert!(all.len() >= RECORDS && dir.path().join(layout::segment(1)).exists());
        let taken: Vec<_> = batches.by_ref().collect();
        let taken = taken.iter().flat_map(|batch| batch.records());
        assert_eq!(taken.map(|it| it.to_stored()).collect::<Vec<_>>(), all);
        let (heard, mut tail) = batches.end().unwrap();
        assert_eq!(heard, all.iter().map(|it| it.seq).collect::<Vec<_>>());
        more(&ledger, 300);
        let later: Vec<_> = tail.more(1_000).unwrap();
        let now: Vec<_> = read_run(dir.path()).unwrap().map(Result::unwrap).collect();
        assert_eq!(later, now[all.len()..]);
    }

    #[test]
    fn a_line_that_is_no_record_is_told_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        ledger(dir.path()).close_blocking().unwrap();
        let path = dir.path().join(layout::segment(0));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text.replacen("\"path\":\"5\"", "\"path\":\"6\"", 1)).unwrap();
        let mut batches = heard(dir.path());
        let taken: usize = batches.by_ref().map(|batch| batch.len()).sum();
        // The altered record is in the chain of nobody, which the one behind it says.
        assert!(taken < RECORDS);
        assert!(matches!(batches.end(), Err(ReadError::Record { .. })));
    }

    #[test]
    fn whoever_takes_no_more_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        ledger(dir.path()).close_blocking().unwrap();
        let mut batches = heard(dir.path());
        assert!(batches.next().is_some());
        let (heard, _) = batches.end().unwrap();
        assert!(!heard.is_empty());
    }
}
