//! What the callers of administration give, each read strictly.

use oxbus_model::options::names::check_pattern;
use oxbus_model::options::reader::Reader;
use oxbus_model::options::unknown_key;
use oxbus_model::stream_store::{EntryId, Position};
use oxbus_model::{BusError, ErrorKind, time};
use serde_json::Value;

/// The most items of one answer.
pub(super) const MAX_LIMIT: u32 = 10_000;
/// How many items an answer has unless it is said.
const LIMIT: usize = 100;
/// The largest whole number that JavaScript writes exactly.
const MAX_NUMBER: u64 = (1 << 53) - 1;
const KIND: ErrorKind = ErrorKind::InvalidOptions;
const TIME: &str = "a Date, milliseconds or ISO 8601";
const TIME_OR_ID: &str = "a Date, milliseconds, ISO 8601 or a message id";
const POSITION: &str = "'new', 'beginning', a message id or a Date";

/// A point of a stream's history, as a caller names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeOrId {
    /// A time, Unix milliseconds.
    Time(i64),
    /// An entry.
    Entry(EntryId),
}

impl TimeOrId {
    /// The first entry of a range that begins here.
    pub(super) fn first(self) -> EntryId {
        match self {
            TimeOrId::Time(ms) => EntryId::first_of(u64::try_from(ms).unwrap_or(0)),
            TimeOrId::Entry(id) => id,
        }
    }

    /// The last entry of a range that ends here.
    pub(super) fn last(self) -> EntryId {
        match self {
            // No entry has this id, so a range up to before 1970 is empty.
            TimeOrId::Time(ms) => u64::try_from(ms).map_or(EntryId::MIN, EntryId::last_of),
            TimeOrId::Entry(id) => id,
        }
    }

    /// The last moment that it stands for, Unix milliseconds.
    pub(super) fn time(self) -> i64 {
        match self {
            TimeOrId::Time(ms) => ms,
            TimeOrId::Entry(id) => i64::try_from(id.ms).unwrap_or(i64::MAX),
        }
    }
}

/// The arguments of one call. What is not read is refused by [`Arguments::finish`].
pub(super) struct Arguments(Reader);

impl Arguments {
    /// The arguments as the host gives them: one object, or nothing. Only the `declared` ones may be there.
    pub(super) fn of(args: Value, declared: &[&str]) -> Result<Arguments, BusError> {
        let fields = match args {
            Value::Object(fields) => fields,
            Value::Null => serde_json::Map::new(),
            _ => return Err(BusError::new(KIND, "the arguments must be an object")),
        };
        match fields.keys().find(|key| !declared.contains(&key.as_str())) {
            Some(key) => Err(BusError::at(KIND, key, unknown_key::message(KIND, "", key, declared))),
            None => Ok(Arguments(Reader::of(KIND, String::new(), fields))),
        }
    }

    pub(super) fn finish(self) -> Result<(), BusError> {
        self.0.finish()
    }

    pub(super) fn error(&self, key: &str, message: &str) -> BusError {
        self.0.error(key, message)
    }

    /// A name, if it is given.
    pub(super) fn name(&mut self, key: &str) -> Result<Option<String>, BusError> {
        self.0.identifier(key)
    }

    /// A name that must be given.
    pub(super) fn needed(&mut self, key: &str) -> Result<String, BusError> {
        self.name(key)?.ok_or_else(|| self.0.error(key, "is missing"))
    }

    /// Any text, which must be given.
    pub(super) fn text(&mut self, key: &str) -> Result<String, BusError> {
        self.0.string(key)?.ok_or_else(|| self.0.error(key, "is missing"))
    }

    /// A pattern of event types.
    pub(super) fn pattern(&mut self, key: &str) -> Result<Option<String>, BusError> {
        let pattern = self.0.string(key)?;
        if let Some(pattern) = &pattern {
            check_pattern(pattern).map_err(|e| BusError::at(e.kind, key, e.message))?;
        }
        Ok(pattern)
    }

    /// How many items are asked for; 100 unless it is said.
    pub(super) fn limit(&mut self, key: &str) -> Result<usize, BusError> {
        self.limit_or(key, LIMIT)
    }

    /// How many items are asked for.
    pub(super) fn limit_or(&mut self, key: &str, default: usize) -> Result<usize, BusError> {
        Ok(self.0.size(key, 1..=MAX_LIMIT)?.unwrap_or(default))
    }

    /// True or false; false unless it is said.
    pub(super) fn flag(&mut self, key: &str) -> Result<bool, BusError> {
        Ok(self.0.boolean(key)?.unwrap_or(false))
    }

    /// A count without a bound of its own.
    pub(super) fn count(&mut self, key: &str, least: u64) -> Result<Option<u64>, BusError> {
        self.0.integer(key, least..=MAX_NUMBER)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &str,
        words: &[(&str, T)],
        default: T,
    ) -> Result<T, BusError> {
        Ok(self.0.choice(key, words)?.unwrap_or(default))
    }

    /// The id of an entry.
    pub(super) fn entry(&mut self, key: &str) -> Result<Option<EntryId>, BusError> {
        let Some(text) = self.0.string(key)? else { return Ok(None) };
        text.parse().map(Some).map_err(|e: BusError| self.0.error(key, e.message))
    }

    /// A time or the id of an entry.
    pub(super) fn time_or_id(&mut self, key: &str) -> Result<Option<TimeOrId>, BusError> {
        self.time_or_id_as(key, TIME_OR_ID)
    }

    fn time_or_id_as(&mut self, key: &str, expected: &str) -> Result<Option<TimeOrId>, BusError> {
        let Some(value) = self.0.take(key) else { return Ok(None) };
        let read = match &value {
            // In the range of what JavaScript calls a time; the cast of any other would saturate.
            Value::Number(ms) => {
                ms.as_f64().filter(|ms| ms.abs() <= 8.64e15).map(|ms| TimeOrId::Time(ms.floor() as i64))
            }
            Value::String(text) => parse(text),
            _ => return Err(self.0.mismatch(key, expected, &value)),
        };
        read.map(Some).ok_or_else(|| self.0.error(key, format_args!("expected {expected}")))
    }

    /// A time.
    pub(super) fn time(&mut self, key: &str) -> Result<Option<TimeOrId>, BusError> {
        match self.time_or_id_as(key, TIME)? {
            Some(TimeOrId::Entry(_)) => Err(self.0.error(key, format_args!("expected {TIME}"))),
            other => Ok(other),
        }
    }

    /// Where a group is to go on.
    pub(super) fn position(&mut self, key: &str) -> Result<Position, BusError> {
        for (word, position) in [("new", Position::New), ("beginning", Position::Beginning)] {
            if self.0.is(key, word) {
                self.0.take(key);
                return Ok(position);
            }
        }
        match self.time_or_id_as(key, POSITION)? {
            Some(TimeOrId::Entry(id)) => Ok(Position::After(id)),
            Some(time) => Ok(Position::After(time.first().previous())),
            None => Err(self.0.error(key, format_args!("is missing: expected {POSITION}"))),
        }
    }
}

fn parse(text: &str) -> Option<TimeOrId> {
    match text.parse::<EntryId>() {
        // Digits alone stand for the whole millisecond, as in XRANGE.
        Ok(id) if !text.contains('-') => i64::try_from(id.ms).ok().map(TimeOrId::Time),
        Ok(id) => Some(TimeOrId::Entry(id)),
        Err(_) => time::from_iso(text).map(TimeOrId::Time),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read<T>(
        value: Value,
        read: impl Fn(&mut Arguments, &str) -> Result<T, BusError>,
    ) -> Result<T, String> {
        let mut args = Arguments::of(json!({ "x": value }), &["x"]).unwrap();
        let read = read(&mut args, "x").map_err(|e| {
            assert_eq!((e.kind, e.path.as_deref()), (KIND, Some("x")));
            e.message
        })?;
        args.finish().unwrap();
        Ok(read)
    }

    #[test]
    fn places_are_times_and_ids() {
        let id = EntryId { ms: 5, seq: 7 };
        for (given, first, last) in [
            (json!(5), EntryId::first_of(5), EntryId::last_of(5)),
            (json!(5.9), EntryId::first_of(5), EntryId::last_of(5)),
            (json!("5"), EntryId::first_of(5), EntryId::last_of(5)),
            (json!("1970-01-01T00:00:00.005Z"), EntryId::first_of(5), EntryId::last_of(5)),
            (json!("5-7"), id, id),
            (json!(-5), EntryId::MIN, EntryId::MIN),
            (json!("18446744073709551615-18446744073709551615"), EntryId::MAX, EntryId::MAX),
        ] {
            let point = read(given.clone(), Arguments::time_or_id).unwrap().unwrap();
            assert_eq!((point.first(), point.last()), (first, last), "{given}");
        }
    }

    #[test]
    fn what_is_no_place_is_refused_with_its_path() {
        let expected = format!("x: expected {TIME_OR_ID}");
        for bad in [json!("yesterday"), json!("5-"), json!("5-7-9"), json!(""), json!("$"), json!(1e300)] {
            assert_eq!(read(bad, Arguments::time_or_id).unwrap_err(), expected);
        }
        for (bad, got) in [(json!(null), "null"), (json!([]), "an array"), (json!(true), "a boolean")] {
            assert_eq!(read(bad, Arguments::time_or_id).unwrap_err(), format!("{expected}, got {got}"));
        }
        for bad in ["5-1", "soon"] {
            assert_eq!(read(json!(bad), Arguments::time).unwrap_err(), format!("x: expected {TIME}"));
        }
    }

    #[test]
    fn positions() {
        let id = EntryId { ms: 5, seq: 7 };
        for (given, expected) in [
            (json!("new"), Position::New),
            (json!("beginning"), Position::Beginning),
            (json!("5-7"), Position::After(id)),
            (json!(5), Position::After(EntryId::last_of(4))),
            (json!(0), Position::After(EntryId::MIN)),
        ] {
            assert_eq!(read(given, Arguments::position), Ok(expected));
        }
        assert_eq!(read(json!("newest"), Arguments::position), Err(format!("x: expected {POSITION}")));
    }

    #[test]
    fn the_rest_is_strict() {
        assert_eq!(
            read(json!(10_001), Arguments::limit),
            Err("x: expected an integer from 1 to 10000, got 10001".into())
        );
        assert_eq!(read(json!(7), Arguments::name), Err("x: expected a string, got a number".into()));
        assert_eq!(read(json!(""), Arguments::needed), Err("x: must not be empty".into()));
        assert!(read(json!("5"), Arguments::entry).is_ok() && read(json!("*"), Arguments::entry).is_err());
        let mut args = Arguments::of(json!({ "limti": 5 }), &["limit", "limti"]).unwrap();
        assert_eq!(args.limit("limit"), Ok(LIMIT));
        assert_eq!(args.finish().unwrap_err().message, "limti: unknown key: did you mean 'limit'?");
        let refused = |args| Arguments::of(args, &["limit"]).map(|_| ()).unwrap_err();
        assert_eq!(
            refused(json!({ "limit": 1, "limti": 5 })).message,
            "limti: unknown key: did you mean 'limit'?"
        );
        assert_eq!(refused(json!([])).kind, KIND);
        assert_eq!(
            read(json!("yes"), Arguments::flag),
            Err("x: expected true or false, got a string".into())
        );
        let empty = Arguments::of(json!({ "x": "" }), &["x"]).unwrap().pattern("x").unwrap_err();
        assert_eq!(
            (empty.kind, empty.message.as_str()),
            (ErrorKind::InvalidPattern, "x: a pattern must not be empty")
        );
    }
}
