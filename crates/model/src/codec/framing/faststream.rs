//! A message of FastStream: its binary frame, version 1, and the other forms that its subscribers take.
//!
//! A frame is eight bytes that nothing else begins with, the version (16 bits), where the headers begin and where the data begins
//! (32 bits each), how many headers there are (16 bits), the headers, each name and value with its length before it (16 bits),
//! and the data. All numbers are big-endian.

use super::text::string;
use crate::codec::decoded::Foreign;
use crate::codec::json::{Scanner, members, quoted, text_of, whole};
use crate::codec::new_event::NewEvent;
use crate::{BusError, ErrorKind};

/// The field of an entry that has a message.
pub(super) const ENTRY_FIELD: &str = "__data__";

const IDENTITY: [u8; 8] = *b"\x89BIN\r\n\x1a\n";
const VERSION: u16 = 1;
/// Where the headers begin: behind the identity, the version and two places.
const HEADERS: u32 = 18;

const CONTENT_TYPE: &str = "content-type";
const MESSAGE_ID: &str = "message_id";
const CORRELATION_ID: &str = "correlation_id";
const EVENT_TYPE: &str = "event_type";
/// The header of ours.
const OURS: &str = "oxbus";

/// Names and values, in their order.
type Headers = Vec<(String, String)>;

/// Accepts an event.
///
/// # Errors
/// `INVALID_DATA` where its metadata is longer than a header can be.
pub(super) fn check(_event: &NewEvent<'_>, ours: &str) -> Result<(), BusError> {
    if ours.len() > usize::from(u16::MAX) {
        let message = format!("has {} bytes as JSON, and a header of this wire 65535 at most", ours.len());
        return Err(BusError::at(ErrorKind::InvalidData, "metadata", message));
    }
    Ok(())
}

/// Appends a frame.
pub(super) fn write(out: &mut Vec<u8>, event: &NewEvent<'_>, ours: &str) {
    let correlation_id = event.metadata.and_then(|m| m.correlation_id).unwrap_or(event.id);
    let headers = [
        (CORRELATION_ID, correlation_id),
        (CONTENT_TYPE, "application/json"),
        (MESSAGE_ID, event.id),
        (EVENT_TYPE, event.event_type),
        (OURS, ours),
    ];
    let length: usize = headers.iter().map(|(name, value)| 4 + name.len() + value.len()).sum();
    let data_at = u32::try_from(length).unwrap_or_default() + HEADERS + 2;
    out.reserve(usize::try_from(data_at).unwrap_or_default() + event.data.len());
    out.extend_from_slice(&IDENTITY);
    out.extend_from_slice(&VERSION.to_be_bytes());
    out.extend_from_slice(&HEADERS.to_be_bytes());
    out.extend_from_slice(&data_at.to_be_bytes());
    out.extend_from_slice(&[0, headers.len() as u8]);
    for text in headers.iter().flat_map(|(name, value)| [*name, *value]) {
        out.extend_from_slice(&u16::try_from(text.len()).unwrap_or_default().to_be_bytes());
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(event.data.as_bytes());
}

/// What a message says: `{"type","id","correlationId","ours","headers","data"}`, as far as it does.
pub(super) fn open(message: &[u8]) -> Result<String, Foreign> {
    if let Some(frame) = message.strip_prefix(&IDENTITY) {
        let (headers, data) = opened(frame).ok_or(Foreign::Malformed)?;
        let of_type = headers.iter().find(|(name, _)| name == CONTENT_TYPE).map(|(_, value)| value.as_str());
        return Ok(object(&headers, &body(data, of_type)?));
    }
    let text = std::str::from_utf8(message).map_err(|_| Foreign::NotText)?;
    // The form of older versions: the data is a text, beside the headers.
    if let Ok(([Some(data), Some(headers)], _)) = members(&mut Scanner::new(text), ["data", "headers"])
        && let (Some(data), true) = (text_of(data), headers.starts_with('{'))
    {
        let headers = texts(headers);
        let of_type = headers.iter().find(|(name, _)| name == CONTENT_TYPE).map(|(_, value)| value.as_str());
        return Ok(object(&headers, &body(data.as_bytes(), of_type)?));
    }
    Ok(object(&[], &body(message, None)?))
}

/// The headers and the data of a frame, which is given without its identity.
fn opened(frame: &[u8]) -> Option<(Headers, &[u8])> {
    let (version, rest) = frame.split_first_chunk::<2>()?;
    let (headers_at, rest) = rest.split_first_chunk::<4>()?;
    let (data_at, _) = rest.split_first_chunk::<4>()?;
    let place = |at: &[u8; 4]| usize::try_from(u32::from_be_bytes(*at)).ok()?.checked_sub(IDENTITY.len());
    if u16::from_be_bytes(*version) != VERSION {
        return None;
    }
    let data_at = place(data_at)?;
    let data = frame.get(data_at..)?;
    let (count, mut rest) = frame.get(place(headers_at)?..data_at)?.split_first_chunk::<2>()?;
    let mut next = || -> Option<String> {
        let (length, behind) = rest.split_first_chunk::<2>()?;
        let (text, behind) = behind.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = behind;
        Some(String::from_utf8_lossy(text).into_owned())
    };
    let mut headers = Vec::new();
    for _ in 0..u16::from_be_bytes(*count) {
        // Version 0.7.8 counts the letters of a header and not its bytes, so those behind one with other letters than ASCII
        // cannot be found. The data can.
        let (Some(name), Some(value)) = (next(), next()) else { break };
        headers.push((name, value));
    }
    Some((headers, data))
}

/// Data as JSON: what it says to be, or else what it looks like.
fn body(data: &[u8], content_type: Option<&str>) -> Result<String, Foreign> {
    let text = std::str::from_utf8(data).map_err(|_| Foreign::NotText)?;
    if content_type == Some("text/plain") {
        return Ok(string(text));
    }
    Ok(whole(text).map_or_else(|_| string(text), str::to_owned))
}

/// The members of an object that are texts.
fn texts(json: &str) -> Headers {
    let mut texts = Vec::new();
    let read = Scanner::new(json).object(|scanner, name| {
        let value = scanner.value()?;
        texts.extend(text_of(value).map(|value| (name.lossy().into_owned(), value.into_owned())));
        Ok(())
    });
    // It was scanned before.
    read.map(|()| texts).unwrap_or_default()
}

/// One object of headers and data. Headers without a place of their own are metadata.
fn object(headers: &[(String, String)], data: &str) -> String {
    let mut others = String::new();
    let mut json = String::from("{");
    for (name, value) in headers {
        let place = match &**name {
            MESSAGE_ID => "\"id\":",
            CORRELATION_ID => "\"correlationId\":",
            EVENT_TYPE => "\"type\":",
            OURS if value.starts_with('{') && whole(value).is_ok() => {
                json.extend(["\"ours\":", value, ","]);
                continue;
            }
            CONTENT_TYPE => continue,
            _ => {
                if !others.is_empty() {
                    others.push(',');
                }
                others.extend([&*quoted(name), ":", &*quoted(value)]);
                continue;
            }
        };
        json.extend([place, &*quoted(value), ","]);
    }
    json.extend(["\"headers\":{", &*others, "},\"data\":", data, "}"]);
    json
}
