//! What a run leaves behind: records, the evidence of its stages, what agents remember, and the report. Secrets are
//! taken out here, whoever said them.

pub mod document;
pub mod memory;
pub mod specs;

pub(crate) mod books;
pub(crate) mod finished;
pub(crate) mod journal;
pub(crate) mod page;
pub(crate) mod revealed;
pub(crate) mod stages;
