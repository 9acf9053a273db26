//! A connection that is logged in, and the questions of a login.

use bytes::{Buf, BytesMut};
use oxbus_model::BusError;
use oxbus_model::config::Address;
use oxbus_model::stream_store::KeyLayout;
use redis::Cmd;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::host::Notice;
use crate::redis::connection::failures::{closed_at_login, lost, not_redis};
use crate::redis::connection::stream::Stream;
use crate::redis::resp::reply::{Protocol, Reply, decode};

/// A connection that is ready for commands.
pub(crate) struct OpenConnection {
    pub(crate) stream: Box<dyn Stream>,
    /// Bytes that the server sent behind its replies.
    pub(crate) buffer: BytesMut,
    pub(crate) protocol: Protocol,
    /// Whether `ROLE` may be asked: access rules can forbid it, and some servers do not have it.
    pub(crate) role_known: bool,
    pub(super) encrypted: bool,
    /// How the keys are named on the server.
    pub(crate) layout: KeyLayout,
    /// What the host is to be told of it.
    pub(crate) notice: Option<Notice>,
    /// The server.
    pub(crate) address: Address,
}

impl OpenConnection {
    pub(super) fn new(stream: Box<dyn Stream>, address: &Address, encrypted: bool) -> OpenConnection {
        OpenConnection {
            stream,
            buffer: BytesMut::new(),
            protocol: Protocol::Resp3,
            role_known: false,
            encrypted,
            layout: KeyLayout::Plain,
            notice: None,
            address: address.clone(),
        }
    }

    /// Writes commands.
    pub(in crate::redis) async fn send(
        &mut self,
        commands: impl IntoIterator<Item = &Cmd>,
    ) -> Result<(), BusError> {
        let packed: Vec<u8> = commands.into_iter().flat_map(Cmd::get_packed_command).collect();
        self.stream.write_all(&packed).await.map_err(|e| lost(&self.address, &e, self.encrypted))?;
        self.stream.flush().await.map_err(|e| lost(&self.address, &e, self.encrypted))
    }

    /// Waits for the next reply, and has it read.
    pub(in crate::redis) async fn answer<T>(
        &mut self,
        read: impl FnOnce(Reply<'_>) -> T,
    ) -> Result<T, BusError> {
        loop {
            let decoded = decode(self.protocol, &self.buffer);
            if let Some((reply, len)) = decoded.map_err(|_| not_redis(&self.address, &self.buffer))? {
                let result = read(reply);
                self.buffer.advance(len);
                return Ok(result);
            }
            if self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .map_err(|e| lost(&self.address, &e, self.encrypted))?
                == 0
            {
                return Err(closed_at_login(&self.address, self.encrypted));
            }
        }
    }
}
