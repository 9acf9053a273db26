//! Redis' wire format (RESP), written and read by hand.
//!
//! Why not `redis-protocol`: the engine decodes with it, so a test that did too would share its faults
//! with what it tests. Besides, it needs to be told RESP2 from RESP3, accepts a bulk string that has no end,
//! bounds no length, and gives maps and sets without their order.

use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// The longest bulk string and the longest array that are accepted: the limit of Redis itself.
const MAX_LENGTH: i64 = 512 * 1024 * 1024;

/// A reply, or a part of one, in RESP2 or RESP3.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `+OK`.
    Simple(String),
    /// `-ERR …`, without the dash.
    Error(String),
    /// `:1`.
    Int(i64),
    /// `,1.5`.
    Double(f64),
    /// `#t`.
    Bool(bool),
    /// A bulk string, or a verbatim one with its format prefix.
    Bulk(Vec<u8>),
    /// An array, or a set.
    Array(Vec<Value>),
    /// A RESP3 map, in order.
    Map(Vec<(Value, Value)>),
    /// A RESP3 push.
    Push(Vec<Value>),
    /// Null, in any of its forms.
    Nil,
}

impl Value {
    /// A bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Self {
        Value::Bulk(bytes.as_ref().to_vec())
    }

    /// The text of a simple or bulk string. Panics on anything else.
    #[track_caller]
    pub fn text(&self) -> String {
        match self {
            Value::Simple(text) => text.clone(),
            Value::Bulk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            other => panic!("not a string: {other:?}"),
        }
    }

    /// The bytes of a bulk string. Panics on anything else.
    #[track_caller]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Value::Bulk(bytes) => bytes,
            other => panic!("not a bulk string: {other:?}"),
        }
    }

    /// The number, also when it is written as a string. Panics on anything else.
    #[track_caller]
    pub fn int(&self) -> i64 {
        match self {
            Value::Int(number) => *number,
            Value::Simple(_) | Value::Bulk(_) => {
                self.text().parse().unwrap_or_else(|_| panic!("not a number: {self:?}"))
            }
            other => panic!("not a number: {other:?}"),
        }
    }

    /// The items of an array or a push. Panics on anything else.
    #[track_caller]
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) | Value::Push(items) => items,
            other => panic!("not an array: {other:?}"),
        }
    }

    /// Appends this value as a server would write it; in RESP2, maps and pushes become arrays.
    pub fn encode(&self, resp3: bool, out: &mut Vec<u8>) {
        match self {
            Value::Simple(text) => put_line(out, b'+', text),
            Value::Error(text) => put_line(out, b'-', text),
            Value::Int(number) => put_line(out, b':', &number.to_string()),
            Value::Double(number) if resp3 => put_line(out, b',', &number.to_string()),
            Value::Double(number) => Value::bulk(number.to_string()).encode(resp3, out),
            Value::Bool(truth) if resp3 => put_line(out, b'#', if *truth { "t" } else { "f" }),
            Value::Bool(truth) => Value::Int(i64::from(*truth)).encode(resp3, out),
            Value::Nil if resp3 => out.extend_from_slice(b"_\r\n"),
            Value::Nil => out.extend_from_slice(b"$-1\r\n"),
            Value::Bulk(bytes) => put_bulk(out, bytes),
            Value::Array(items) => put_all(out, b'*', items, resp3),
            Value::Push(items) => put_all(out, if resp3 { b'>' } else { b'*' }, items, resp3),
            Value::Map(pairs) => {
                let (kind, length) = if resp3 { (b'%', pairs.len()) } else { (b'*', pairs.len() * 2) };
                put_line(out, kind, &length.to_string());
                for (key, value) in pairs {
                    key.encode(resp3, out);
                    value.encode(resp3, out);
                }
            }
        }
    }
}

fn put_line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn put_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    put_line(out, b'$', &bytes.len().to_string());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

fn put_all(out: &mut Vec<u8>, kind: u8, items: &[Value], resp3: bool) {
    put_line(out, kind, &items.len().to_string());
    for item in items {
        item.encode(resp3, out);
    }
}

/// A command as a client writes it.
pub fn encode_command(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut out = Vec::new();
    put_line(&mut out, b'*', &args.len().to_string());
    for arg in args {
        put_bulk(&mut out, arg.as_ref());
    }
    out
}

fn malformed(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

/// Reads one value; `UnexpectedEof` when the peer closed, at a boundary or in the middle of one.
pub(crate) fn read_value<'a, R>(
    reader: &'a mut R,
) -> Pin<Box<dyn Future<Output = io::Result<Value>> + Send + 'a>>
where
    R: AsyncBufRead + Unpin + Send,
{
    Box::pin(async move {
        let line = read_line(reader).await?;
        let (kind, rest) = line.split_at_checked(1).ok_or_else(|| malformed("an empty line"))?;
        Ok(match kind {
            "+" => Value::Simple(rest.into()),
            "-" => Value::Error(rest.into()),
            ":" => Value::Int(number(rest)?),
            "," => Value::Double(rest.parse().map_err(|_| malformed(line.clone()))?),
            "#" => Value::Bool(rest == "t"),
            "_" => Value::Nil,
            // A big number, which no command of the tests answers, is kept as its digits.
            "(" => Value::Bulk(rest.as_bytes().to_vec()),
            "$" | "=" | "!" => match read_bulk(reader, length(rest)?).await? {
                None => Value::Nil,
                Some(bytes) if kind == "!" => Value::Error(String::from_utf8_lossy(&bytes).into_owned()),
                Some(bytes) => Value::Bulk(bytes),
            },
            "*" | "~" | ">" => match length(rest)? {
                -1 => Value::Nil,
                length => {
                    let mut items = Vec::new();
                    for _ in 0..length {
                        items.push(read_value(reader).await?);
                    }
                    if kind == ">" { Value::Push(items) } else { Value::Array(items) }
                }
            },
            "%" => {
                let mut pairs = Vec::new();
                for _ in 0..length(rest)? {
                    let key = read_value(reader).await?;
                    pairs.push((key, read_value(reader).await?));
                }
                Value::Map(pairs)
            }
            _ => return Err(malformed(format!("not RESP: {line:?}"))),
        })
    })
}

async fn read_line<R: AsyncBufRead + Unpin>(reader: &mut R) -> io::Result<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).await?;
    match line.strip_suffix(b"\r\n") {
        Some(text) => String::from_utf8(text.to_vec()).map_err(|_| malformed("a line is not UTF-8")),
        None if line.ends_with(b"\n") => Err(malformed("a line ends without a carriage return")),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn read_bulk<R: AsyncBufRead + Unpin>(reader: &mut R, length: i64) -> io::Result<Option<Vec<u8>>> {
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| malformed("a length beyond this machine"))?;
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).await?;
    if !bytes.ends_with(b"\r\n") {
        return Err(malformed("a bulk string without its end"));
    }
    bytes.truncate(length);
    Ok(Some(bytes))
}

fn number(text: &str) -> io::Result<i64> {
    text.parse().map_err(|_| malformed(format!("not a number: {text:?}")))
}

/// A length; -1 stands for null.
fn length(text: &str) -> io::Result<i64> {
    match number(text)? {
        length @ -1..=MAX_LENGTH => Ok(length),
        _ => Err(malformed(format!("not a length: {text:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Value {
        Value::Map(vec![
            (Value::bulk("a"), Value::Array(vec![Value::Int(-3), Value::Nil, Value::Bool(true)])),
            (Value::Simple("b".into()), Value::Error("ERR x".into())),
            (Value::Double(1.5), Value::Push(vec![Value::bulk(b"\r\n\0")])),
        ])
    }

    #[tokio::test]
    async fn reads_what_it_writes() {
        let mut bytes = Vec::new();
        sample().encode(true, &mut bytes);
        assert_eq!(read_value(&mut bytes.as_slice()).await.unwrap(), sample());
        let mut reader = encode_command(&["GET", "k"]);
        reader.extend_from_slice(b"*-1\r\n$-1\r\n");
        let mut reader = reader.as_slice();
        let command = read_value(&mut reader).await.unwrap();
        assert_eq!(command.items(), [Value::bulk("GET"), Value::bulk("k")]);
        assert_eq!(read_value(&mut reader).await.unwrap(), Value::Nil);
        assert_eq!(read_value(&mut reader).await.unwrap(), Value::Nil);
    }

    #[tokio::test]
    async fn refuses_halves_and_garbage() {
        for (bytes, kind) in [
            (&b""[..], io::ErrorKind::UnexpectedEof),
            (b"$3\r\nab", io::ErrorKind::UnexpectedEof),
            (b"*2\r\n:1\r\n", io::ErrorKind::UnexpectedEof),
            (b"hello\r\n", io::ErrorKind::InvalidData),
            (b"$x\r\n", io::ErrorKind::InvalidData),
            (b"$1\r\nabc", io::ErrorKind::InvalidData),
            (b"$-2\r\n", io::ErrorKind::InvalidData),
            (b"$999999999999\r\n", io::ErrorKind::InvalidData),
        ] {
            assert_eq!(read_value(&mut &*bytes).await.unwrap_err().kind(), kind, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn resp2_has_no_maps_and_no_pushes() {
        let mut bytes = Vec::new();
        Value::Map(vec![(Value::bulk("k"), Value::Nil)]).encode(false, &mut bytes);
        Value::Push(vec![Value::Bool(true)]).encode(false, &mut bytes);
        assert_eq!(bytes, b"*2\r\n$1\r\nk\r\n$-1\r\n*1\r\n:1\r\n");
    }
}
