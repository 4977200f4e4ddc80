//! The one place that dials, and only what was checked.

use std::{io, net::SocketAddr};

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

/// A byte stream to a server.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Opens a stream to one address. Implementations take no name, so they cannot look one up.
#[async_trait]
pub trait Connector: Send + Sync + 'static {
    /// Connects to exactly `address`, which the policy has checked.
    ///
    /// # Errors
    /// What the socket says.
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>>;
}

/// TCP, straight to the address. Proxy variables of the environment are not read by anything here.
#[derive(Debug, Clone, Copy, Default)]
pub struct TcpConnector;

#[async_trait]
impl Connector for TcpConnector {
    async fn connect(&self, address: SocketAddr) -> io::Result<Box<dyn Stream>> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that dials, after decision, record and address check"
        )]
        let stream = TcpStream::connect(address).await?;
        // Head and body are written apart: a small body would else wait for the head's
        // acknowledgement.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}
