//! Serves plans and tools to MCP clients: over the standard streams of this process, and over HTTP on
//! this machine.
//!
//! A client never changes policy: it chooses among what the operator offers and fills in inputs. Each
//! call of a plan is a run of its own, and the calls of tools of one session are steps of one run that stays open
//! for them; either is under the profiles of its plan and leaves signed evidence. What is offered
//! and how a run begins is a [`Shelf`], which the binary brings; nothing in here opens a file or
//! knows a command line.

mod answer;
mod call;
mod http;
mod pace;
mod peer;
mod runs;
mod server;
mod session;
mod shelf;
mod stdio;
mod through;

pub use answer::plan_schema;
pub use http::{Front, HttpServer, Token};
pub use server::{CALLS_MAX, Server};
pub use shelf::{DOCUMENT_BYTES_MAX, Document, Handed, Hints, Kind, Offer, PromptText, Shelf};
pub use stdio::serve_streams;
