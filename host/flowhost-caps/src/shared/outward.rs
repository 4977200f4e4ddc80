//! One request out, for a capability that sends some and is not `http`.
//!
//! Rules, records, look-ups, injected credentials, caps and redaction are the one sender's (`http`): what
//! speaks HTTP for a purpose of its own speaks through it, and never dials. Here stand only the words
//! between the two, because no capability knows another.

use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use flowhost_engine::CallScope;
use futures::Stream;
use tokio::time::Instant;

use super::support::Refusal;

/// A request as it is written down.
pub(crate) struct Ask<'a> {
    pub(crate) method: &'static str,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: Vec<u8>,
    /// When the whole answer must have come.
    pub(crate) deadline: Instant,
    /// Whether the answer is a stream that stays open: it then takes no place among the requests in flight,
    /// or a few such would leave none to anybody else. Whoever asks so bounds how many there are.
    pub(crate) lasting: bool,
}

/// Pieces of a body as they come.
pub(crate) type Pieces = Pin<Box<dyn Stream<Item = Result<Bytes, Refusal>> + Send>>;

/// Secrets that were put into the request and may come back. It sees a text at a time: one that was split
/// over two texts is for the caller to look for.
pub(crate) trait Echoes: Send + Sync {
    /// Places in this text.
    fn hits(&self, text: &[u8]) -> usize;

    /// The text without them; that there were some is on record.
    fn clean(&self, text: &[u8]) -> Result<Vec<u8>, Refusal>;
}

/// An answer whose body is still to be read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Without echoes of secrets.
    pub(crate) headers: Vec<(String, String)>,
    /// As the server sent it, under the rule's cap.
    pub(crate) body: Pieces,
    /// For what is read of the body; none where nothing was put in.
    pub(crate) echoes: Option<Box<dyn Echoes>>,
}

/// The sender.
#[async_trait]
pub(crate) trait Outward: Send + Sync {
    /// Whether the rules of this call let it be asked for. Nothing is decided or recorded by it.
    fn may(&self, scope: &CallScope, method: &'static str, url: &str) -> bool;

    /// Decides, records and sends.
    async fn send(
        &self,
        scope: &CallScope,
        interface: &'static str,
        ask: Ask<'_>,
    ) -> Result<Answer, Refusal>;
}
