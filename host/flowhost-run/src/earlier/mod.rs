//! What is done with a run that is on record: it is resumed, replayed, taken results from, or gone on with from
//! another step. Each reads the ledger alone.

pub(crate) mod family;
pub(crate) mod fork;
pub(crate) mod replay;
pub(crate) mod resume;
pub(crate) mod reuse;
