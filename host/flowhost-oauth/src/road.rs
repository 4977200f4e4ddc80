//! How requests leave: by somebody who knows which addresses may be dialled, follows no redirect, and bounds time and
//! bytes.

use async_trait::async_trait;
use http::{Request, Response};

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Its head: the body may be a stream without an end.
    Head,
    /// All of it.
    Whole,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RoadError(pub String);

/// Sends requests with absolute addresses.
#[async_trait]
pub trait Road: Send + Sync {
    /// Sends one request. A redirect is handed back as it came.
    ///
    /// # Errors
    /// Why no answer came: the address may not be asked, nobody is there, or it is too large.
    async fn send(
        &self,
        request: Request<Vec<u8>>,
        reads: Reads,
    ) -> Result<Response<Vec<u8>>, RoadError>;
}
