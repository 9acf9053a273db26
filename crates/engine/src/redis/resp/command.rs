//! Commands of the publisher, packed by hand: `redis::Cmd` would allocate three times for each.

use bytes::{BufMut, BytesMut};

/// Arguments as they are written, gathered before it is known how many there will be.
#[derive(Default)]
pub(in crate::redis) struct Args {
    bytes: Vec<u8>,
    count: usize,
}

impl Args {
    /// Appends an argument.
    pub(in crate::redis) fn put(&mut self, argument: &[u8]) {
        put_bulk(&mut self.bytes, argument);
        self.count += 1;
    }

    /// Appends a number.
    pub(in crate::redis) fn put_number(&mut self, n: usize) {
        self.put(itoa::Buffer::new().format(n).as_bytes());
    }

    /// Takes them all out again, but keeps the memory for the next ones.
    pub(in crate::redis) fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// Takes out all but those from `mark` on.
    pub(in crate::redis) fn clear_before(&mut self, mark: Mark) {
        self.bytes.drain(..mark.bytes);
        self.count -= mark.count;
    }

    /// Where the next argument will be.
    pub(in crate::redis) fn mark(&self) -> Mark {
        Mark { bytes: self.bytes.len(), count: self.count }
    }

    /// The bytes of the arguments before `mark`.
    pub(in crate::redis) fn before(&self, mark: Mark) -> &[u8] {
        self.bytes.get(..mark.bytes).unwrap_or_default()
    }

    /// The bytes of all arguments.
    pub(in crate::redis) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A place between two arguments; so many are before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::redis) struct Mark {
    pub(in crate::redis) bytes: usize,
    pub(in crate::redis) count: usize,
}

impl Mark {
    /// From an earlier place to this one.
    pub(in crate::redis) fn since(self, earlier: Mark) -> Mark {
        Mark { bytes: self.bytes - earlier.bytes, count: self.count - earlier.count }
    }
}

/// Appends `PUBLISH channel payload`.
pub(in crate::redis) fn append_publish(out: &mut BytesMut, channel: &[u8], payload: &[u8]) {
    out.reserve(channel.len() + payload.len() + 64);
    out.put_slice(b"*3\r\n$7\r\nPUBLISH\r\n");
    put_bulk(out, channel);
    put_bulk(out, payload);
}

/// Appends `SPUBLISH channel payload`; the payload is given in parts.
pub(in crate::redis) fn append_spublish(out: &mut BytesMut, channel: &[u8], payload: &[&[u8]]) {
    let length = payload.iter().map(|part| part.len()).sum();
    out.reserve(channel.len() + length + 64);
    out.put_slice(b"*3\r\n$8\r\nSPUBLISH\r\n");
    put_bulk(out, channel);
    out.put_u8(b'$');
    put_decimal(out, length);
    out.put_slice(b"\r\n");
    payload.iter().for_each(|part| out.put_slice(part));
    out.put_slice(b"\r\n");
}

/// Appends `XADD stream *` with the fields; where a cap is given, with `MAXLEN ~ cap`.
pub(in crate::redis) fn append_xadd(out: &mut BytesMut, stream: &[u8], cap: Option<&[u8]>, fields: &Args) {
    out.reserve(stream.len() + fields.bytes.len() + 96);
    put_count(out, if cap.is_some() { 6 } else { 3 } + fields.count);
    out.put_slice(b"$4\r\nXADD\r\n");
    put_bulk(out, stream);
    if let Some(cap) = cap {
        out.put_slice(b"$6\r\nMAXLEN\r\n$1\r\n~\r\n");
        put_bulk(out, cap);
    }
    out.put_slice(b"$1\r\n*\r\n");
    out.put_slice(&fields.bytes);
}

/// Appends `XTRIM stream MAXLEN ~ cap`.
pub(in crate::redis) fn append_xtrim(out: &mut BytesMut, stream: &[u8], cap: &[u8]) {
    put_count(out, 5);
    put_bulk(out, b"XTRIM");
    put_bulk(out, stream);
    put_bulk(out, b"MAXLEN");
    put_bulk(out, b"~");
    put_bulk(out, cap);
}

/// Appends `WAIT replicas timeout`.
pub(in crate::redis) fn append_wait(out: &mut BytesMut, replicas: u32, timeout: u64) {
    put_count(out, 3);
    put_bulk(out, b"WAIT");
    put_bulk(out, replicas.to_string().as_bytes());
    put_bulk(out, timeout.to_string().as_bytes());
}

/// Appends the number of a command's arguments, its name among them.
pub(in crate::redis) fn put_count(out: &mut impl BufMut, count: usize) {
    out.put_u8(b'*');
    put_decimal(out, count);
    out.put_slice(b"\r\n");
}

/// Appends an argument.
pub(in crate::redis) fn put_bulk(out: &mut impl BufMut, argument: &[u8]) {
    out.put_u8(b'$');
    put_decimal(out, argument.len());
    out.put_slice(b"\r\n");
    out.put_slice(argument);
    out.put_slice(b"\r\n");
}

fn put_decimal(out: &mut impl BufMut, n: usize) {
    out.put_slice(itoa::Buffer::new().format(n).as_bytes());
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;

    #[test]
    fn commands_are_packed_as_the_redis_crate_packs_them() {
        for payload in [&b""[..], b"x", &[b'y'; 1234]] {
            let mut out = BytesMut::new();
            append_publish(&mut out, b"a.b", payload);
            let expected = cmd("PUBLISH").arg(b"a.b").arg(payload).get_packed_command();
            assert_eq!(out, expected);

            let mut fields = Args::default();
            for argument in [b"data", payload, b"n", b"1"] {
                fields.put(argument);
            }
            out.clear();
            for cap in [None, Some(&b"1000"[..])] {
                out.clear();
                append_xadd(&mut out, b"s", cap, &fields);
                let mut expected = cmd("XADD");
                expected.arg("s");
                if let Some(cap) = cap {
                    expected.arg("MAXLEN").arg("~").arg(cap);
                }
                expected.arg("*").arg("data").arg(payload).arg("n").arg(1);
                assert_eq!(out, expected.get_packed_command());
            }
        }
        let mut out = BytesMut::new();
        append_wait(&mut out, 2, 5000);
        assert_eq!(out, cmd("WAIT").arg(2).arg(5000).get_packed_command());
        out.clear();
        append_xtrim(&mut out, b"s", b"1000");
        assert_eq!(out, cmd("XTRIM").arg("s").arg("MAXLEN").arg("~").arg(1000).get_packed_command());
    }

    #[test]
    fn arguments_can_be_cut_at_a_mark() {
        let mut args = Args::default();
        args.put(b"a");
        let mark = args.mark();
        args.put_number(10);
        assert_eq!((args.before(mark), args.count), (&b"$1\r\na\r\n"[..], 2));
        args.clear_before(mark);
        assert_eq!((args.bytes(), args.count), (&b"$2\r\n10\r\n"[..], 1));
        args.clear();
        assert_eq!((args.bytes(), args.count), (&b""[..], 0));
    }
}
