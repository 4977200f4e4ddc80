//! The report page beside a ledger, made anew after something was erased: from what is on the disk, its
//! hash entered into the ledger.
//!
//! An erasure is several writes, and a kill may come between any two of them: the payload would be gone and
//! the page would still quote it. So a mark stands in the state folder from before the first until after the
//! last of them, and whoever finds one finishes the work.

use std::path::PathBuf;
use std::sync::Arc;

use flowhost_evidence::{html, story};
use flowhost_flow::Exit;
use flowhost_ledger::{
    Disk as _, HostKey, Ledger, LedgerOptions, RealDisk, Recorder as _, Source as _,
};
use flowhost_run::view_fact;

use crate::ambient::Ambient;
use crate::failure::Failure;
use crate::report::problems::unreadable_of;
use crate::state::State;

/// An erasure that has begun and is not yet done.
#[derive(Debug)]
pub struct Mark(PathBuf);

/// Where the marks of a tenant are, one by the name of each run.
fn marks(state: &State) -> PathBuf {
    state.tenant_dir().join("erasing")
}

impl Mark {
    /// Marks a run, before anything of it is erased.
    ///
    /// # Errors
    /// When the mark cannot be written; nothing may be erased then.
    pub fn set(state: &State, run: &str, ambient: &Ambient) -> Result<Self, Failure> {
        let folder = marks(state);
        ambient.create_dir(&folder)?;
        let path = folder.join(run);
        // Nothing in it: its name is the run, and what is left to do is read from the run's own files.
        ambient.write(&path, b"")?;
        // Whole, because it is removed without the ambient that knows the folder.
        Ok(Self(ambient.resolve(&path)))
    }

    /// Takes the mark away, when nothing is left to do.
    pub fn clear(self) {
        // One that stays makes a later command look once more, and find nothing to do.
        let _stays = RealDisk.remove(&self.0);
    }
}

/// Finishes the erasures that a kill cut off: each page is made anew and what is unsigned is signed. Gives the
/// runs that it finished; one that another process is at work on is left to it, and the mark of one that is not there
/// waits for it.
pub fn finish(state: &State, ambient: &Ambient, key: &Arc<HostKey>) -> Vec<String> {
    // No folder, no marks; one that cannot be read is told by the command that erases, and must not keep this one
    // from its own work.
    let marked = ambient.list(&marks(state)).unwrap_or_default();
    let mut finished = Vec::new();
    for run in marked {
        let options = LedgerOptions::new(&state.run_dir(&run), state.tenant(), &run, key.clone());
        // Opening takes the run's lock: where that is not to be had, somebody is at work on the run. And it makes no
        // ledger: where the run's folder was moved away or removed, an empty one would pass for the run.
        let Ok(ledger) = Ledger::reopen(&options) else {
            continue;
        };
        let anew = rewrite(&ledger, state, &run, ambient);
        // Closed even where the page failed: what the ledger took meanwhile must be signed. The mark then stays.
        let sealed = ledger.close_blocking();
        if anew.is_ok() && sealed.is_ok() {
            Mark(ambient.resolve(&marks(state).join(&run))).clear();
            finished.push(run);
        }
    }
    finished
}

/// Writes the page of `run`. Everything that it is to tell must have reached the disk before.
fn write(ledger: &Ledger, state: &State, run: &str, ambient: &Ambient) -> Result<(), Failure> {
    let dir = state.run_dir(run);
    let page =
        html::page(&story::read(&ambient.resolve(&dir)).map_err(unreadable_of(run))?).into_bytes();
    ledger
        .append(view_fact(state.tenant(), html::FILE, &page))
        .map_err(|error| {
            Failure::new(Exit::Internal, "the ledger takes no more").caused_by(&error)
        })?;
    // The record first: a page that is not there is told and harmless, one that no record names is not.
    ambient.write(&dir.join(html::FILE), &page)?;
    Ok(())
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
    // Overwritten where it lies: a new file in its place would leave the old bytes on the disk.
    let wiped = RealDisk
        .len(&path)
        .and_then(|len| RealDisk.wipe(&path, 0, len));
    wiped.map_err(|error| {
        Failure::new(Exit::Internal, "the old report cannot be overwritten").caused_by(&error)
    })?;
    // After the wipe, so that a page that cannot be made leaves nothing that quotes; and before the page, which is
    // made of what is on the disk.
    ledger.checkpoint_blocking().map_err(|error| {
        Failure::new(Exit::Internal, "the ledger cannot be signed").caused_by(&error)
    })?;
    write(ledger, state, run, ambient)?;
    Ok(true)
}
