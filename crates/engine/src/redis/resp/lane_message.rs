//! Messages of sharded pub/sub, as a server pushes them.

use crate::redis::resp::reply::bulk;

/// What the message at the start of `buffer` says, and its length in bytes; `None` when there is none or it is not whole.
///
/// The channel is that of a lane, which nobody needs to know. See [`super::reply::message`] for why this is not left to the
/// general decoder.
pub(in crate::redis) fn lane_message(buffer: &[u8]) -> Option<(&[u8], usize)> {
    let push = buffer.strip_prefix(b">").or_else(|| buffer.strip_prefix(b"*"))?;
    let mut rest = push.strip_prefix(b"3\r\n$8\r\nsmessage\r\n")?;
    bulk(&mut rest)?;
    let payload = bulk(&mut rest)?;
    Some((payload, buffer.len() - rest.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_when_it_is_whole() {
        for kind in [">", "*"] {
            let wire = format!("{kind}3\r\n$8\r\nsmessage\r\n$6\r\nlane:1\r\n$5\r\n1:c{{}}\r\n");
            assert_eq!(lane_message(wire.as_bytes()), Some((&b"1:c{}"[..], wire.len())));
            assert!((0..wire.len()).all(|cut| lane_message(&wire.as_bytes()[..cut]).is_none()));
        }
        assert_eq!(lane_message(b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n"), None);
    }
}
