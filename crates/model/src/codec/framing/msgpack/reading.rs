//! From MessagePack to JSON.

use rmp::Marker;

use super::MAX_DEPTH;
use crate::codec::framing::text::string;
use crate::time;

/// The extension type of a time, which the specification reserves.
const TIMESTAMP: i8 = -1;

/// Why bytes are not read: they are no MessagePack, end too early, nest too deep, or have what JSON has not.
#[derive(Debug, PartialEq)]
pub(in crate::codec::framing) struct Unreadable;

/// Reads values from the start of a text of bytes.
pub(in crate::codec::framing) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(in crate::codec::framing) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Unreadable> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Unreadable)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn bytes(&mut self, length: u32) -> Result<&'a [u8], Unreadable> {
        let length = usize::try_from(length).map_err(|_| Unreadable)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Unreadable)?;
        self.rest = rest;
        Ok(taken)
    }

    fn marker(&mut self) -> Result<Marker, Unreadable> {
        let [byte] = self.take()?;
        Ok(Marker::from_u8(byte))
    }

    fn length<const N: usize>(&mut self) -> Result<u32, Unreadable> {
        Ok(self.take::<N>()?.iter().fold(0, |length, byte| length << 8 | u32::from(*byte)))
    }

    /// Whether nothing is left.
    pub(in crate::codec::framing) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Reads the head of an array: how many items follow.
    pub(in crate::codec::framing) fn array(&mut self) -> Result<u32, Unreadable> {
        match self.marker()? {
            Marker::FixArray(items) => Ok(items.into()),
            Marker::Array16 => self.length::<2>(),
            Marker::Array32 => self.length::<4>(),
            _ => Err(Unreadable),
        }
    }

    /// Reads the head of a map: how many members follow.
    pub(in crate::codec::framing) fn map(&mut self) -> Result<u32, Unreadable> {
        match self.marker()? {
            Marker::FixMap(members) => Ok(members.into()),
            Marker::Map16 => self.length::<2>(),
            Marker::Map32 => self.length::<4>(),
            _ => Err(Unreadable),
        }
    }

    /// Reads any value, as JSON.
    pub(in crate::codec::framing) fn json(&mut self) -> Result<String, Unreadable> {
        let mut out = String::new();
        self.value(&mut out, MAX_DEPTH)?;
        Ok(out)
    }

    fn value(&mut self, out: &mut String, depth: usize) -> Result<(), Unreadable> {
        match self.marker()? {
            Marker::Null => out.push_str("null"),
            Marker::True => out.push_str("true"),
            Marker::False => out.push_str("false"),
            Marker::FixPos(number) => out.push_str(&number.to_string()),
            Marker::FixNeg(number) => out.push_str(&number.to_string()),
            Marker::U8 => out.push_str(&u8::from_be_bytes(self.take()?).to_string()),
            Marker::U16 => out.push_str(&u16::from_be_bytes(self.take()?).to_string()),
            Marker::U32 => out.push_str(&u32::from_be_bytes(self.take()?).to_string()),
            Marker::U64 => out.push_str(&u64::from_be_bytes(self.take()?).to_string()),
            Marker::I8 => out.push_str(&i8::from_be_bytes(self.take()?).to_string()),
            Marker::I16 => out.push_str(&i16::from_be_bytes(self.take()?).to_string()),
            Marker::I32 => out.push_str(&i32::from_be_bytes(self.take()?).to_string()),
            Marker::I64 => out.push_str(&i64::from_be_bytes(self.take()?).to_string()),
            Marker::F32 => out.push_str(&number(f32::from_be_bytes(self.take()?).into())),
            Marker::F64 => out.push_str(&number(f64::from_be_bytes(self.take()?))),
            Marker::FixStr(length) => self.text(out, length.into())?,
            Marker::Str8 => self.length::<1>().and_then(|length| self.text(out, length))?,
            Marker::Str16 => self.length::<2>().and_then(|length| self.text(out, length))?,
            Marker::Str32 => self.length::<4>().and_then(|length| self.text(out, length))?,
            Marker::Bin8 => self.length::<1>().and_then(|length| self.buffer(out, length))?,
            Marker::Bin16 => self.length::<2>().and_then(|length| self.buffer(out, length))?,
            Marker::Bin32 => self.length::<4>().and_then(|length| self.buffer(out, length))?,
            Marker::FixArray(items) => self.items(out, items.into(), depth)?,
            Marker::Array16 => self.length::<2>().and_then(|items| self.items(out, items, depth))?,
            Marker::Array32 => self.length::<4>().and_then(|items| self.items(out, items, depth))?,
            Marker::FixMap(members) => self.members(out, members.into(), depth)?,
            Marker::Map16 => self.length::<2>().and_then(|members| self.members(out, members, depth))?,
            Marker::Map32 => self.length::<4>().and_then(|members| self.members(out, members, depth))?,
            Marker::FixExt1 => self.extension(out, 1)?,
            Marker::FixExt2 => self.extension(out, 2)?,
            Marker::FixExt4 => self.extension(out, 4)?,
            Marker::FixExt8 => self.extension(out, 8)?,
            Marker::FixExt16 => self.extension(out, 16)?,
            Marker::Ext8 => self.length::<1>().and_then(|length| self.extension(out, length))?,
            Marker::Ext16 => self.length::<2>().and_then(|length| self.extension(out, length))?,
            Marker::Ext32 => self.length::<4>().and_then(|length| self.extension(out, length))?,
            Marker::Reserved => return Err(Unreadable),
        }
        Ok(())
    }

    fn text(&mut self, out: &mut String, length: u32) -> Result<(), Unreadable> {
        // JavaScript may write halves of surrogate pairs, which are no UTF-8.
        out.push_str(&string(&String::from_utf8_lossy(self.bytes(length)?)));
        Ok(())
    }

    /// Bytes: what a `Buffer` is in JSON.
    fn buffer(&mut self, out: &mut String, length: u32) -> Result<(), Unreadable> {
        out.push_str("{\"type\":\"Buffer\",\"data\":[");
        for (index, byte) in self.bytes(length)?.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str(&byte.to_string());
        }
        out.push_str("]}");
        Ok(())
    }

    fn items(&mut self, out: &mut String, items: u32, depth: usize) -> Result<(), Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable)?;
        out.push('[');
        for index in 0..items {
            if index > 0 {
                out.push(',');
            }
            self.value(out, depth)?;
        }
        out.push(']');
        Ok(())
    }

    fn members(&mut self, out: &mut String, members: u32, depth: usize) -> Result<(), Unreadable> {
        let depth = depth.checked_sub(1).ok_or(Unreadable)?;
        out.push('{');
        for index in 0..members {
            if index > 0 {
                out.push(',');
            }
            let start = out.len();
            self.value(out, 0)?;
            // JavaScript has no other names than texts; numbers as names become texts there.
            match out.as_bytes().get(start) {
                Some(b'"') => {}
                Some(b'-' | b'0'..=b'9') => {
                    out.insert(start, '"');
                    out.push('"');
                }
                _ => return Err(Unreadable),
            }
            out.push(':');
            self.value(out, depth)?;
        }
        out.push('}');
        Ok(())
    }

    /// A time, as the ISO text that it is in JSON; what JavaScript calls undefined; others are not read.
    fn extension(&mut self, out: &mut String, length: u32) -> Result<(), Unreadable> {
        let [kind] = self.take()?;
        let bytes = self.bytes(length)?;
        let ms = match (i8::from_be_bytes([kind]), bytes) {
            (0, [_]) => {
                out.push_str("null");
                return Ok(());
            }
            (TIMESTAMP, &[a, b, c, d]) => i64::from(u32::from_be_bytes([a, b, c, d])) * 1000,
            (TIMESTAMP, &[a, b, c, d, e, f, g, h]) => {
                let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
                let (nanoseconds, seconds) = (both >> 34, both & 0x3_ffff_ffff);
                i64::try_from(seconds * 1000 + nanoseconds / 1_000_000).map_err(|_| Unreadable)?
            }
            (TIMESTAMP, &[n0, n1, n2, n3, a, b, c, d, e, f, g, h]) => {
                let nanoseconds = i64::from(u32::from_be_bytes([n0, n1, n2, n3]));
                let seconds = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
                let whole = seconds.checked_mul(1000).ok_or(Unreadable)?;
                whole.checked_add(nanoseconds / 1_000_000).ok_or(Unreadable)?
            }
            _ => return Err(Unreadable),
        };
        // Years 0 to 9999, as JSON has them.
        if !(-62_167_219_200_000..253_402_300_800_000).contains(&ms) {
            return Err(Unreadable);
        }
        out.push_str(&string(&time::to_iso(ms)));
        Ok(())
    }
}

/// A number as V8 writes it, as far as whole ones go; null for what JSON has not.
fn number(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 {
        return (value as i64).to_string();
    }
    serde_json::Number::from_f64(value).map_or_else(|| "null".to_owned(), |number| number.to_string())
}
