//! A writer that is made to be killed: it appends for ever and prints the number of each record
//! that was acknowledged. `tests/ledger/crash.rs` kills it and looks at what is left.
//!
//! Usage: `crash_writer DIR SEED`

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use flowhost_ledger::records::{Budget, RecordKind as _};
use flowhost_ledger::{HostKey, Ledger, LedgerOptions, Recorder as _};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(dir), Some(seed)) = (arguments.next(), arguments.next()) else {
        return Err("usage: crash_writer DIR SEED".into());
    };
    let mut random: u64 = seed.parse()?;
    let key = Arc::new(HostKey::from_seed("host.example", [1; 32])?);
    let mut options = LedgerOptions::new(Path::new(&dir), "t", "r", key);
    options.segment_bytes_max = 24 * 1024;
    options.checkpoints.records = 16;
    let ledger = Ledger::open(&options)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let mut out = std::io::stdout().lock();
    loop {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut last = 0;
        for step in 0..=(random >> 33) % 5 {
            let number = ledger.size();
            let record = Budget {
                used: Some(number),
                ..Budget::default()
            };
            let mut fact = record.by("t/agent");
            if step % 2 == 1 {
                fact = fact.payload(format!("payload {number}").into_bytes());
            }
            last = ledger.append(fact)?;
        }
        runtime.block_on(ledger.durable(last))?;
        writeln!(out, "{last}")?;
        out.flush()?;
        if (random >> 40).is_multiple_of(29) && last > 20 {
            ledger.erase_blocking([last - 20].into(), "crash test")?;
        }
    }
}
