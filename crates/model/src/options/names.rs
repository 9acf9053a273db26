//! The names that users choose: event types, patterns and identifiers, and what is allowed in them.

use crate::error::{BusError, ErrorKind};
use crate::routing::channel::{BROADCAST, ROOM, USER};

/// The longest event type, in characters.
pub const MAX_TYPE_LENGTH: usize = 256;
/// The longest identifier (event id, correlation id, user id, key …), in characters.
pub const MAX_IDENTIFIER_LENGTH: usize = 512;
/// The longest pattern, in bytes.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// The longest name of a room, a user or a member, in bytes.
pub const MAX_NAME_BYTES: usize = 1024;

/// Which bytes an event type may hold.
const TYPE_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-' | b'/');
        byte += 1;
    }
    table
};

/// Accepts an event type: 1–256 of `A-Z a-z 0-9 . _ : - /`, not beginning with `room:` or `user:`,
/// and not `broadcast`.
///
/// # Errors
/// `INVALID_TYPE`.
pub fn check_event_type(event_type: &str) -> Result<(), BusError> {
    let bytes = event_type.as_bytes();
    let fits = !bytes.is_empty() && bytes.len() <= MAX_TYPE_LENGTH;
    if fits && bytes.iter().all(|&b| TYPE_BYTES[usize::from(b)]) && !is_reserved(event_type) {
        return Ok(());
    }
    Err(BusError {
        path: Some("type".to_owned()),
        ..BusError::new(ErrorKind::InvalidType, type_fault(event_type))
    })
}

fn is_reserved(event_type: &str) -> bool {
    // Only these first letters can begin a reserved name; most types are done after one comparison.
    matches!(event_type.as_bytes().first(), Some(b'r' | b'u' | b'b'))
        && (event_type == BROADCAST || event_type.starts_with(ROOM) || event_type.starts_with(USER))
}

#[cold]
fn type_fault(event_type: &str) -> String {
    if event_type.is_empty() {
        return "an event type must not be empty".to_owned();
    }
    let wrong = event_type.chars().enumerate().find(|(_, c)| !c.is_ascii() || !TYPE_BYTES[*c as usize]);
    if let Some((at, c)) = wrong {
        return format!("an event type must not hold {c:?} (at {at}); allowed are A-Z a-z 0-9 . _ : - /");
    }
    if event_type.len() > MAX_TYPE_LENGTH {
        return format!("an event type has at most {MAX_TYPE_LENGTH} characters, not {}", event_type.len());
    }
    if event_type == BROADCAST {
        return "'broadcast' is reserved; broadcast() sends to everyone".to_owned();
    }
    "an event type must not begin with 'room:' or 'user:'".to_owned()
}

/// Accepts an identifier: 1–512 characters, none of them a control character.
///
/// # Errors
/// `kind`, at `path`.
pub fn check_identifier(path: &str, text: &str, kind: ErrorKind) -> Result<(), BusError> {
    let plain = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if plain && (1..=MAX_IDENTIFIER_LENGTH).contains(&text.len()) {
        return Ok(());
    }
    if text.is_empty() {
        return Err(BusError::at(kind, path, "must not be empty"));
    }
    let length = text.chars().count();
    if length > MAX_IDENTIFIER_LENGTH {
        let message = format!("has at most {MAX_IDENTIFIER_LENGTH} characters, not {length}");
        return Err(BusError::at(kind, path, message));
    }
    if text.chars().any(char::is_control) {
        return Err(BusError::at(kind, path, "must not hold control characters"));
    }
    Ok(())
}

/// Accepts a subscription pattern: 1–1024 bytes, any characters.
///
/// # Errors
/// `INVALID_PATTERN`.
pub fn check_pattern(pattern: &str) -> Result<(), BusError> {
    let message = match pattern.len() {
        0 => "a pattern must not be empty".to_owned(),
        1..=MAX_PATTERN_BYTES => return Ok(()),
        long => format!("a pattern has at most {MAX_PATTERN_BYTES} bytes, not {long}"),
    };
    Err(BusError { path: Some("pattern".to_owned()), ..BusError::new(ErrorKind::InvalidPattern, message) })
}

/// Accepts the name of a room, a user or a member: 1–1024 bytes, any characters.
///
/// # Errors
/// `INVALID_OPTIONS`, at `path`.
pub fn check_name(path: &str, name: &str) -> Result<(), BusError> {
    let message = match name.len() {
        0 => "must not be empty".to_owned(),
        1..=MAX_NAME_BYTES => return Ok(()),
        long => format!("has at most {MAX_NAME_BYTES} bytes, not {long}"),
    };
    Err(BusError::at(ErrorKind::InvalidOptions, path, message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn types_that_are_allowed() {
        let long = "x".repeat(MAX_TYPE_LENGTH);
        for good in
            ["photo.uploaded", "a", "A/b:c_d-e.9", "rooms:1", "room", "broadcast.sent", "users", &long]
        {
            assert_eq!(check_event_type(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn types_that_are_refused_say_why() {
        let long = "x".repeat(MAX_TYPE_LENGTH + 1);
        for (bad, why) in [
            ("", "empty"),
            ("photo uploaded", "' ' (at 5)"),
            ("photo.*", "'*' (at 6)"),
            ("caf\u{e9}", "'é' (at 3)"),
            ("a\nb", "'\\n' (at 1)"),
            ("room:1", "begin with"),
            ("user:1", "begin with"),
            ("broadcast", "reserved"),
            (&long, "at most 256"),
        ] {
            let error = check_event_type(bad).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidType);
            assert!(error.message.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn identifiers_are_counted_in_characters() {
        let kind = ErrorKind::InvalidOptions;
        assert_eq!(check_identifier("id", &"é".repeat(512), kind), Ok(()));
        for (bad, why) in
            [("", "empty"), ("a\u{7}", "control"), ("a\u{85}", "control"), ("a\u{7f}", "control")]
        {
            let error = check_identifier("id", bad, kind).unwrap_err();
            assert!(error.message.starts_with("id: ") && error.message.contains(why), "{error}");
        }
        assert!(check_identifier("id", &"é".repeat(513), kind).is_err());
        assert!(check_identifier("id", &"e".repeat(513), kind).is_err());
    }

    #[test]
    fn patterns_are_counted_in_bytes() {
        assert_eq!(check_pattern(&"é".repeat(512)), Ok(()));
        for bad in [String::new(), "é".repeat(513)] {
            assert_eq!(check_pattern(&bad).unwrap_err().kind, ErrorKind::InvalidPattern);
        }
    }

    proptest! {
        #[test]
        fn a_type_is_judged_by_its_characters(text in "\\PC{0,12}") {
            let listed = |c: char| c.is_ascii_alphanumeric() || "._:-/".contains(c);
            let reserved = text == BROADCAST || text.starts_with("room:") || text.starts_with("user:");
            let good = !text.is_empty() && text.chars().all(listed) && !reserved;
            prop_assert_eq!(check_event_type(&text).is_ok(), good);
        }
    }
}
