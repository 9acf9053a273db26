//! A minimal RESP client, independent of the code under test.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::resp::{Value, encode_command, read_value};

/// How long a connection attempt or a reply may take, unless told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// One connection to a server, for a test that asks or attacks it without the code under test.
pub struct RespClient {
    stream: BufReader<Box<dyn Duplex>>,
    timeout: Duration,
}

impl RespClient {
    /// Connects over TCP, within [`DEFAULT_TIMEOUT`].
    pub async fn connect(address: impl Into<SocketAddr>) -> io::Result<Self> {
        let stream = timeout(DEFAULT_TIMEOUT, TcpStream::connect(address.into())).await??;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    /// Connects to a Unix socket, within [`DEFAULT_TIMEOUT`].
    #[cfg(unix)]
    pub async fn connect_unix(path: impl AsRef<std::path::Path>) -> io::Result<Self> {
        Ok(Self::over(timeout(DEFAULT_TIMEOUT, tokio::net::UnixStream::connect(path)).await??))
    }

    /// Speaks over a stream that is connected already, such as a TLS one.
    pub fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        Self { stream: BufReader::new(Box::new(stream)), timeout: DEFAULT_TIMEOUT }
    }

    /// Changes how long each send and each read may take.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Writes a command without waiting for its reply.
    pub async fn send(&mut self, args: &[impl AsRef<[u8]>]) -> io::Result<()> {
        self.send_raw(&encode_command(args)).await
    }

    /// Writes bytes as they are.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let write = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        timeout(self.timeout, write).await?
    }

    /// Reads the next reply or push. After `TimedOut` the connection is in the middle of a value: drop it.
    pub async fn read(&mut self) -> io::Result<Value> {
        timeout(self.timeout, read_value(&mut self.stream)).await?
    }

    /// Sends a command and reads its reply; an error reply is `Ok(Value::Error(_))`.
    pub async fn call(&mut self, args: &[impl AsRef<[u8]>]) -> io::Result<Value> {
        self.send(args).await?;
        self.read().await
    }
}
