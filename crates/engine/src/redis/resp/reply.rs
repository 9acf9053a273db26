//! Replies of RESP2 and RESP3, borrowed from the read buffer.

use oxbus_model::{BusError, ErrorKind};
use redis_protocol::error::RedisProtocolError;
use redis_protocol::{resp2, resp3};

use crate::redis::resp::head::{Head, head};

/// The protocol version of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Resp2,
    Resp3,
}

impl Protocol {
    /// The name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Protocol::Resp2 => "RESP2",
            Protocol::Resp3 => "RESP3",
        }
    }
}

/// One reply. Both versions' kinds are brought to the same few.
#[derive(Debug, PartialEq)]
pub(crate) enum Reply<'a> {
    /// A simple, bulk or verbatim string, or a big number.
    Text(&'a [u8]),
    Error(&'a str),
    Int(i64),
    Nil,
    /// An array, a set, or a map as keys and values in turn.
    Array(Vec<Reply<'a>>),
    /// Sent by the server unasked. RESP2 has no such kind: there, messages are arrays.
    Push(Vec<Reply<'a>>),
}

impl<'a> Reply<'a> {
    /// The text of a string.
    pub(crate) fn text(&self) -> Option<&'a [u8]> {
        match self {
            Reply::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// A published message, as the server pushes it.
#[derive(Debug, PartialEq)]
pub(crate) struct Message<'a> {
    /// The pattern that it came for, if not for the channel itself.
    pub(crate) pattern: Option<&'a [u8]>,
    pub(crate) channel: &'a [u8],
    pub(crate) payload: &'a [u8],
}

/// The message at the start of `buffer` and its length in bytes; `None` when there is none or it is
/// not whole, which [`decode`] then tells apart.
///
/// Under load nearly everything that a subscriber reads is one of these four forms. The general
/// decoder took a fifth of the reading thread's time (`docs/design/receiving.md`).
pub(crate) fn message(buffer: &[u8]) -> Option<(Message<'_>, usize)> {
    let push = buffer.strip_prefix(b">").or_else(|| buffer.strip_prefix(b"*"))?;
    let (with_pattern, mut rest) = match push.strip_prefix(b"4\r\n$8\r\npmessage\r\n") {
        Some(rest) => (true, rest),
        None => (false, push.strip_prefix(b"3\r\n$7\r\nmessage\r\n")?),
    };
    let pattern = if with_pattern { Some(bulk(&mut rest)?) } else { None };
    let channel = bulk(&mut rest)?;
    let payload = bulk(&mut rest)?;
    Some((Message { pattern, channel, payload }, buffer.len() - rest.len()))
}

/// Takes a bulk string off the start of `rest`.
pub(in crate::redis) fn bulk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (b'$', Ok(Some(Head::Bulk(len)))) = (rest.first()?, head(rest)) else { return None };
    let (data, end) = rest.split_at_checked(len)?;
    *rest = end.strip_prefix(b"\r\n")?;
    Some(data)
}

/// The reply at the start of `buffer` and its length in bytes; `None` while it is not whole.
pub(crate) fn decode(protocol: Protocol, buffer: &[u8]) -> Result<Option<(Reply<'_>, usize)>, BusError> {
    match protocol {
        Protocol::Resp2 => {
            let frame = resp2::decode::decode_range(buffer).map_err(|e| malformed(&e))?;
            Ok(frame.map(|(frame, len)| (from_resp2(&frame, buffer), len)))
        }
        Protocol::Resp3 => {
            let frame = resp3::decode::complete::decode_range(buffer).map_err(|e| malformed(&e))?;
            Ok(frame.map(|(frame, len)| (from_resp3(&frame, buffer), len)))
        }
    }
}

fn malformed(error: &RedisProtocolError) -> BusError {
    BusError::new(ErrorKind::ConnectionLost, format!("the server's reply is malformed: {error}"))
}

fn slice(buffer: &[u8], (start, end): (usize, usize)) -> &[u8] {
    buffer.get(start..end).unwrap_or_default()
}

fn error_text(buffer: &[u8], range: (usize, usize)) -> &str {
    std::str::from_utf8(slice(buffer, range)).unwrap_or("ERR an error that is not text")
}

fn from_resp2<'a>(frame: &resp2::types::RangeFrame, buffer: &'a [u8]) -> Reply<'a> {
    use resp2::types::RangeFrame as Frame;
    match frame {
        Frame::SimpleString(range) | Frame::BulkString(range) => Reply::Text(slice(buffer, *range)),
        Frame::Error(range) => Reply::Error(error_text(buffer, *range)),
        Frame::Integer(n) => Reply::Int(*n),
        Frame::Array(items) => Reply::Array(items.iter().map(|f| from_resp2(f, buffer)).collect()),
        Frame::Null => Reply::Nil,
    }
}

fn from_resp3<'a>(frame: &resp3::types::RangeFrame, buffer: &'a [u8]) -> Reply<'a> {
    use resp3::types::RangeFrame as Frame;
    let all = |items: &[Frame]| items.iter().map(|f| from_resp3(f, buffer)).collect();
    match frame {
        Frame::BlobString { data, .. }
        | Frame::SimpleString { data, .. }
        | Frame::BigNumber { data, .. }
        | Frame::VerbatimString { data, .. } => Reply::Text(slice(buffer, *data)),
        Frame::SimpleError { data, .. } | Frame::BlobError { data, .. } => {
            Reply::Error(error_text(buffer, *data))
        }
        Frame::Number { data, .. } => Reply::Int(*data),
        Frame::Boolean { data, .. } => Reply::Int(i64::from(*data)),
        Frame::Array { data, .. } => Reply::Array(all(data)),
        Frame::Push { data, .. } => Reply::Push(all(data)),
        Frame::Set { data, .. } => Reply::Array(data.iter().map(|f| from_resp3(f, buffer)).collect()),
        Frame::Map { data, .. } => Reply::Array(
            data.iter().flat_map(|(k, v)| [from_resp3(k, buffer), from_resp3(v, buffer)]).collect(),
        ),
        // No command that Oxbus sends is answered with these.
        Frame::Null | Frame::Double { .. } | Frame::Hello { .. } | Frame::ChunkedString(_) => Reply::Nil,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(t: &str) -> Reply<'_> {
        Reply::Text(t.as_bytes())
    }

    #[test]
    fn both_versions_come_to_the_same() {
        let cases: [(&str, &str, Reply<'_>); 6] = [
            ("+OK\r\n", "+OK\r\n", text("OK")),
            ("$2\r\nhi\r\n", "$2\r\nhi\r\n", text("hi")),
            (":-7\r\n", ":-7\r\n", Reply::Int(-7)),
            ("-ERR no\r\n", "-ERR no\r\n", Reply::Error("ERR no")),
            ("$-1\r\n", "_\r\n", Reply::Nil),
            (
                "*2\r\n$1\r\na\r\n:1\r\n",
                "%1\r\n$1\r\na\r\n:1\r\n",
                Reply::Array(vec![text("a"), Reply::Int(1)]),
            ),
        ];
        for (two, three, expected) in cases {
            assert_eq!(decode(Protocol::Resp2, two.as_bytes()).unwrap().unwrap(), (expected, two.len()));
            let three_reply = decode(Protocol::Resp3, three.as_bytes()).unwrap().unwrap();
            assert_eq!(three_reply.0, decode(Protocol::Resp2, two.as_bytes()).unwrap().unwrap().0);
        }
        let push = ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n";
        let expected = Reply::Push(vec![text("message"), text("c"), text("m")]);
        assert_eq!(decode(Protocol::Resp3, push.as_bytes()).unwrap().unwrap().0, expected);
        let verbatim = "=15\r\ntxt:Some string\r\n";
        assert_eq!(decode(Protocol::Resp3, verbatim.as_bytes()).unwrap().unwrap().0, text("Some string"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(Protocol::Resp2, &bytes);
            let _ = decode(Protocol::Resp3, &bytes);
        }

        #[test]
        fn the_short_way_reads_messages_as_the_general_decoder_does(
            pattern: Option<Vec<u8>>, channel: Vec<u8>, payload: Vec<u8>, cut in 0usize..80, old: bool,
        ) {
            let kind: &[u8] = if pattern.is_some() { b"pmessage" } else { b"message" };
            let parts: Vec<&[u8]> =
                [Some(kind), pattern.as_deref(), Some(&channel), Some(&payload)].into_iter().flatten().collect();
            let mut wire = format!("{}{}\r\n", if old { '*' } else { '>' }, parts.len()).into_bytes();
            for part in &parts {
                wire.extend(format!("${}\r\n", part.len()).bytes());
                wire.extend(*part);
                wire.extend(b"\r\n");
            }
            let protocol = if old { Protocol::Resp2 } else { Protocol::Resp3 };
            let (short, len) = message(&wire).unwrap();
            let (general, general_len) = decode(protocol, &wire).unwrap().unwrap();
            let texts: Vec<Reply<'_>> = parts.iter().map(|p| Reply::Text(p)).collect();
            prop_assert_eq!(general, if old { Reply::Array(texts) } else { Reply::Push(texts) });
            prop_assert_eq!(len, general_len);
            prop_assert_eq!(short, Message { pattern: pattern.as_deref(), channel: &channel, payload: &payload });
            if let Some(part) = wire.get(..cut.min(wire.len() - 1)) {
                prop_assert_eq!(message(part), None);
            }
        }

        #[test]
        fn a_reply_cut_anywhere_is_incomplete(cut in 0usize..36) {
            let whole = b">4\r\n$8\r\npmessage\r\n$1\r\n*\r\n$1\r\nc\r\n$0\r\n\r\n";
            prop_assert!(decode(Protocol::Resp3, &whole[..cut]).unwrap().is_none());
        }
    }
}
