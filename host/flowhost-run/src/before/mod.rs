//! What is asked of a plan before anything of it runs: missing rights, functions, names and agents, and what it will
//! cost. Must start nothing and record nothing.

pub mod agents;
pub mod estimate;
pub mod functions;
pub mod offers;

pub(crate) mod guesses;
pub(crate) mod kinds;
pub(crate) mod preflight;
pub(crate) mod prompts;
pub(crate) mod reached;
pub(crate) mod reads;
pub(crate) mod rights;
