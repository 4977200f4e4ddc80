//! The way every step and message travels: sealed envelopes on subjects, over a bus that is bounded
//! everywhere.
//!
//! [`Bus`] is what callers know; [`LocalBus`] is the one inside a process. A broker can take its
//! place because nothing here relies on sharing memory: envelopes stand alone (a [`Body`] that stays what
//! it is within the process is JSON for whoever reads the envelope elsewhere), deliveries are
//! acknowledged, and what is not acknowledged comes again. This crate must never look into a
//! payload, mint a time or an id, or keep anything without a bound.

mod bus;
mod envelope;
mod json;
mod local;
mod subject;

pub use bus::{Bus, BusError, Delivery, Receipt, Settle, SubscribeOptions, Subscription};
pub use envelope::{Body, Envelope, EnvelopeError, Head};
pub use json::{DEPTH_MAX, INTEGER_MAX, canonical_text};
pub use local::{LocalBus, LocalConfig};
pub use subject::{Pattern, SUBJECT_BYTES_MAX, Subject, SubjectError, TOKEN_BYTES_MAX};
/// The id of an envelope: 48 bits of milliseconds, 80 bits of the sender's choice.
pub use ulid::Ulid;
