//! Replies that outlive the read buffer, and reading them strictly.

use oxbus_model::stream_store::EntryId;
use oxbus_model::{BusError, ErrorKind};

use crate::redis::resp::reply::Reply;

/// A [`Reply`] that owns its bytes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::redis) enum RespValue {
    Text(Box<[u8]>),
    Int(i64),
    Nil,
    Array(Vec<RespValue>),
    /// Inside an array; the error of a whole command is an error of the call.
    Error(String),
}

impl From<Reply<'_>> for RespValue {
    fn from(reply: Reply<'_>) -> Self {
        match reply {
            Reply::Text(text) => RespValue::Text(text.into()),
            Reply::Error(error) => RespValue::Error(error.to_owned()),
            Reply::Int(n) => RespValue::Int(n),
            Reply::Nil => RespValue::Nil,
            Reply::Array(items) | Reply::Push(items) => {
                RespValue::Array(items.into_iter().map(RespValue::from).collect())
            }
        }
    }
}

impl RespValue {
    /// The items of an array.
    pub(in crate::redis) fn items(self) -> Result<Vec<RespValue>, BusError> {
        match self {
            RespValue::Array(items) => Ok(items),
            other => Err(other.unexpected("an array")),
        }
    }

    /// The items of an array of that length.
    pub(in crate::redis) fn parts<const N: usize>(self) -> Result<[RespValue; N], BusError> {
        self.items()?
            .try_into()
            .map_err(|items| RespValue::Array(items).unexpected(&format!("an array of {N}")))
    }

    /// Each item of an array, read.
    pub(in crate::redis) fn all<T>(
        self,
        read: impl FnMut(RespValue) -> Result<T, BusError>,
    ) -> Result<Vec<T>, BusError> {
        self.items()?.into_iter().map(read).collect()
    }

    /// Reads a value that may be absent; `None` for nil.
    pub(in crate::redis) fn maybe<T>(
        self,
        read: impl FnOnce(RespValue) -> Result<T, BusError>,
    ) -> Result<Option<T>, BusError> {
        if self == RespValue::Nil { Ok(None) } else { read(self).map(Some) }
    }

    /// The bytes of a string.
    pub(in crate::redis) fn bytes(self) -> Result<Box<[u8]>, BusError> {
        match self {
            RespValue::Text(text) => Ok(text),
            other => Err(other.unexpected("a string")),
        }
    }

    /// A string. What is not text in it is replaced: names may be anything.
    pub(in crate::redis) fn text(self) -> Result<String, BusError> {
        Ok(String::from_utf8_lossy(&self.bytes()?).into_owned())
    }

    /// A number that is not negative, also as a string.
    pub(in crate::redis) fn count(self) -> Result<u64, BusError> {
        let number = match &self {
            RespValue::Int(n) => u64::try_from(*n).ok(),
            RespValue::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| self.unexpected("a number"))
    }

    /// A count that fits into 32 bits; larger ones are cut to the largest.
    pub(in crate::redis) fn small_count(self) -> Result<u32, BusError> {
        Ok(u32::try_from(self.count()?).unwrap_or(u32::MAX))
    }

    /// The id of an entry.
    pub(in crate::redis) fn id(self) -> Result<EntryId, BusError> {
        let id = match &self {
            RespValue::Text(text) => EntryId::from_bytes(text),
            _ => None,
        };
        id.ok_or_else(|| self.unexpected("the id of an entry"))
    }

    /// Fails as this is not what was expected.
    pub(in crate::redis) fn unexpected(&self, expected: &str) -> BusError {
        let found: String = format!("{self:?}").chars().take(200).collect();
        BusError::new(ErrorKind::Internal, format!("the server's reply should hold {expected}: {found}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> RespValue {
        RespValue::Text(text.as_bytes().into())
    }

    #[test]
    fn what_is_expected_is_read_and_anything_else_is_a_fault() {
        assert_eq!(text("12").count(), Ok(12));
        assert_eq!(RespValue::Int(7).small_count(), Ok(7));
        assert_eq!(text("5-1").id(), Ok(EntryId { ms: 5, seq: 1 }));
        assert_eq!(RespValue::Nil.maybe(RespValue::id), Ok(None));
        assert_eq!(
            RespValue::Array(vec![RespValue::Nil, text("a")]).parts(),
            Ok([RespValue::Nil, text("a")])
        );
        assert_eq!(RespValue::Array(vec![RespValue::Int(1)]).all(RespValue::count), Ok(vec![1]));
        for error in [
            RespValue::Int(-1).count().err(),
            text("5").id().err(),
            RespValue::Nil.items().err(),
            RespValue::Array(vec![]).parts::<1>().err(),
            RespValue::Error("ERR no".to_owned()).bytes().err(),
        ] {
            assert_eq!(error.map(|e| e.kind), Some(ErrorKind::Internal));
        }
    }
}
