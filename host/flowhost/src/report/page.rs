//! The report page beside a ledger, made anew after something was erased: from what is on the disk, its
//! hash entered into the ledger.

use flowhost_evidence::{html, story};
use flowhost_flow::Exit;
use flowhost_ledger::{Disk as _, Ledger, RealDisk, Recorder as _, Source as _};
use flowhost_run::view_fact;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::report::problems::unreadable;
use crate::state::State;

/// Writes the page of `run`. Everything that it is to tell must have reached the disk before.
fn write(ledger: &Ledger, state: &State, run: &str, ambient: &Ambient) -> Result<(), Failure> {
    let dir = state.run_dir(run);
    let page = html::page(&story::read(&ambient.resolve(&dir)).map_err(unreadable)?).into_bytes();
    ambient.write(&dir.join(html::FILE), &page)?;
    let entered = ledger.append(view_fact(state.tenant(), html::FILE, &page));
    entered
        .map(drop)
        .map_err(|error| Failure::new(Exit::Internal, "the ledger takes no more").caused_by(&error))
}

/// Writes the page of `run` anew if there is one, after a payload was erased: what the page quoted
/// of it must go, too. The old bytes are overwritten before they are let go. Gives whether there was
/// a page.
///
/// # Errors
/// When the ledger or the page cannot be read or written; the old page is gone then.
pub fn rewrite(
    ledger: &Ledger,
    state: &State,
    run: &str,
    ambient: &Ambient,
) -> Result<bool, Failure> {
    let path = ambient.resolve(&state.run_dir(run).join(html::FILE));
    if !ambient.is_file(&path) {
        return Ok(false);
    }
    let wiped = RealDisk
        .len(&path)
        .and_then(|len| RealDisk.wipe(&path, 0, len));
    wiped.map_err(|error| {
        Failure::new(Exit::Internal, "the old report cannot be overwritten").caused_by(&error)
    })?;
    let covered = ledger.checkpoint_blocking();
    covered.map_err(|error| {
        Failure::new(Exit::Internal, "the ledger cannot be signed").caused_by(&error)
    })?;
    write(ledger, state, run, ambient)?;
    Ok(true)
}
