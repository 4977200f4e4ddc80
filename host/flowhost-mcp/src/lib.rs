//! The words of the Model Context Protocol: frames, revisions, what a request says of itself, headers.
//!
//! Pure, and for both ends: the host's server and the client that runs inside the sandbox read with the
//! same code, because what one accepts and the other does not is where attacks begin. It knows no socket,
//! process, clock or plugin; what a method *means* is its callers' business
//! ([ADR 0011](../../../docs/adr/0011-the-words-of-mcp-are-ours.md)).
//!
//! Two eras: *legacy* revisions (to 2025-11-25) open with `initialize`; *modern* ones (from 2026-07-28)
//! say revision and capabilities in every request.

mod events;
mod frame;
mod header;
mod meta;
mod once;
mod route;
mod version;

pub use events::{Event, EventFault, Events};
pub use frame::{
    Code, FRAME_DEPTH_MAX, Id, Message, Notification, Refusal, Reply, Request, RpcError, read,
};
pub use header::{
    MIRRORED_NAME_MAX, check as check_headers, decode as decode_header, encode as encode_header,
    name_of,
};
pub use meta::{
    CLIENT_CAPABILITIES, CLIENT_INFO, Modern, PROTOCOL_VERSION, SERVER_INFO, modern,
    progress_token, unspoken,
};
pub use route::{Route, route};
pub use version::{LEGACY, MODERN, SUPPORTED, is_modern, is_supported, negotiate};
