//! The fields of the entries of a format that a user describes.

use serde_json::Value;

use super::channels::Template;
use super::entries::{Entries, Field};
use super::own_places::{Places, check_nesting, is_read, map, members, place, source};
use super::source::{Slot, Source};
use super::tree::Tree;
use crate::BusError;
use crate::codec::oxbus;
use crate::options::reader::Reader;

/// The longest name of a field, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// What is written into which field.
type Written = Vec<(Box<str>, Field)>;
/// What stands for the live message.
const MESSAGE: &str = "message";

/// Reads `stream`: `{ write, read }`, and whether entries tell who has published them. `of_message` are the places that a message is
/// read from.
///
/// # Errors
/// `INVALID_CONFIG` with the path of the bad field.
pub(super) fn read(r: &mut Reader, of_message: &Places) -> Result<Option<(Entries, bool)>, BusError> {
    let Some(mut r) = r.object("stream")? else { return Ok(None) };
    let Some(write) = fields_to_write(&mut r)? else { return Err(r.error("write", "is missing")) };
    let given = places_to_read(&mut r)?;
    let at_read = if given.is_some() { "read" } else { "write" };
    let read = given.unwrap_or_else(|| places_of(&write, of_message));
    check_nesting(&r, at_read, &read)?;
    let writes_data = |(_, field): &(Box<str>, Field)| {
        matches!(field, Field::Message | Field::Part(Source::Slot(Slot::Data)))
    };
    if !write.iter().any(writes_data) {
        return Err(r.error("write", "has no field for data or the message: the data would be lost"));
    }
    let has = |wanted: Source| read.iter().any(|(_, source)| *source == wanted);
    if !has(Source::Slot(Slot::Data)) && !has(Source::DataMembers) {
        return Err(r.error(at_read, "has no place for data"));
    }
    if !has(Source::Slot(Slot::Type)) {
        return Err(r.error(at_read, "has no place for type"));
    }
    r.finish()?;
    let writes = |wanted: &Source| {
        let is_there = |field: &Field| match field {
            Field::Part(source) => source == wanted,
            other => matches!(other, Field::Message),
        };
        write.iter().any(|(_, field)| is_there(field))
    };
    let names_publisher = [Source::Slot(Slot::InstanceId), Source::OtherMetadata]
        .into_iter()
        .any(|source| writes(&source) && has(source));
    let read: Vec<(&str, Source)> = read.iter().map(|(path, source)| (&**path, source.clone())).collect();
    Ok(Some((Entries::described(write, Tree::of(&read)), names_publisher)))
}

/// Where the parts of an event are read from, unless it is said: where they are written.
fn places_of(write: &[(Box<str>, Field)], of_message: &Places) -> Places {
    let mut places = Places::new();
    for (name, field) in write {
        match field {
            Field::Part(source) if is_read(source) => places.push((name.to_string(), source.clone())),
            Field::Message => {
                places.extend(of_message.iter().map(|(path, source)| {
                    let path = format!("{name}.{path}");
                    (path.trim_end_matches('.').to_owned(), source.clone())
                }));
            }
            Field::Part(_) | Field::Text(_) => {}
        }
    }
    places
}

/// `write`: what stands in which field.
fn fields_to_write(r: &mut Reader) -> Result<Option<Written>, BusError> {
    let Some(entries) = map(r, "write")? else { return Ok(None) };
    let mut fields = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let at = format!("write.{name}");
        check_name(r, &at, &name)?;
        let field = match &value {
            Value::String(text) if text == MESSAGE => Field::Message,
            Value::String(text) if text.contains('{') => {
                let template = Template::new(text);
                Field::Text(template.map_err(|message| r.error(&at, format_args!("{text:?}: {message}")))?)
            }
            Value::String(text) => Field::Part(source(r, &at, text, &["message"])?),
            Value::Object(constant) if constant.len() == 1 && constant.contains_key("value") => {
                Field::Part(Source::Constant(constant["value"].to_string().into()))
            }
            other => return Err(r.mismatch(&at, "a string or { value }", other)),
        };
        fields.push((name.into(), field));
    }
    Ok(Some(fields))
}

/// `read`: in which field, and where in its JSON, what stands.
fn places_to_read(r: &mut Reader) -> Result<Option<Places>, BusError> {
    let Some(entries) = map(r, "read")? else { return Ok(None) };
    let mut places = Places::new();
    for (name, value) in entries {
        let at = format!("read.{name}");
        let Value::String(path) = &value else { return Err(r.mismatch(&at, "a string", &value)) };
        let source = source(r, &at, &name, &[])?;
        if !is_read(&source) {
            return Err(r.error(&at, "a member of data is not read by itself: name 'data'"));
        }
        let steps = place(r, &at, path, &source)?;
        check_name(r, &at, steps.split('.').next().unwrap_or_default())?;
        places.push((steps, members(path, source)));
    }
    Ok(Some(places))
}

/// Accepts the name of a field of an entry.
pub(super) fn check_name(r: &Reader, at: &str, name: &str) -> Result<(), BusError> {
    let refused = |message: &str| Err(r.error(at, message));
    if name.is_empty() || name == "*" || name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return refused("a field has a name of 1 to 256 bytes without control characters, which is not '*'");
    }
    if name.contains('.') {
        return refused("the name of a field has no '.'");
    }
    if name == oxbus::entry::ONLY_GROUP || name.starts_with(oxbus::dead_letter::PREFIX) {
        return refused(
            "the field 'group' and those that begin with 'dlq-' are Oxbus's own: for which group an entry is, and why it is a dead letter",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::mapped::tests::{Rig, event, with_all_metadata};
    use crate::codec::mapped::{Format, read_own};
    use crate::codec::new_event::NewEvent;
    use crate::error::ErrorKind;

    fn format(stream: Value) -> Result<Format, BusError> {
        let fields =
            json!({"write": {"head.uid": "id", "head.kind": "type", "payload": "data", "more": "metadata"}});
        let Value::Object(all) = json!({"fields": fields, "stream": stream}) else { unreachable!() };
        read_own(Reader::of(ErrorKind::InvalidConfig, "wire".to_owned(), all), "own".to_owned())
    }

    fn rig(stream: Value) -> Rig {
        Rig::new(format(stream).unwrap())
    }

    fn several() -> Value {
        let write = json!({
            "type": "type", "eid": "id", "payload": "data", "timestamp": "timestampMs", "key": "metadata.key",
            "of": "data.x", "v": {"value": 2}, "subject": "orders/{type}", "more": "metadata",
        });
        json!({ "write": write })
    }

    #[test]
    fn it_is_known_whether_an_entry_tells_who_has_published_it() {
        let tells = |stream| format(stream).unwrap().traits().kept_names_publisher;
        assert!(tells(several()) && tells(json!({"write": {"event": "message"}})));
        let plain = json!({"type": "type", "eid": "id", "payload": "data"});
        assert!(!tells(json!({ "write": plain })));
        let named = json!({"type": "type", "payload": "data", "by": "metadata.instanceId"});
        assert!(tells(json!({ "write": named })));
        assert!(!tells(json!({ "write": named, "read": {"type": "type", "data": "payload"} })));
        let more = json!({"write": {"event": "message"}, "read": {"type": "event.head.kind", "data": "event.payload"}});
        assert!(!tells(more));
    }

    fn pairs(fields: &[(String, String)]) -> Vec<(&str, &str)> {
        fields.iter().map(|(name, value)| (&**name, &**value)).collect()
    }

    #[test]
    fn an_entry_has_the_fields_that_are_named() {
        let fields = rig(several()).fields(&event("a.b", r#"{"x":"é"}"#));
        let expected = [
            ("type", "a.b"),
            ("eid", "id-1"),
            ("payload", r#"{"x":"é"}"#),
            ("timestamp", "1795230245678"),
            ("key", ""),
            ("of", "é"),
            ("v", "2"),
            ("subject", "orders/a.b"),
            ("more", r#"{"source":"api","instanceId":"i-1","correlationId":"id-1"}"#),
        ];
        let mut sorted = pairs(&fields);
        sorted.sort_by_key(|(name, _)| expected.iter().position(|(known, _)| known == name));
        assert_eq!(sorted, expected);
        let message = rig(json!({"write": {"event": "message"}})).fields(&event("a.b", "null"));
        let text = r#"{"head":{"kind":"a.b","uid":"id-1"},"more":{"timestamp":"2026-11-21T03:04:05.678Z","source":"api","instanceId":"i-1","correlationId":"id-1"},"payload":null}"#;
        assert_eq!(pairs(&message), [("event", text)]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for stream in [several(), json!({"write": {"event": "message", "kind": "type"}})] {
            let check = |event: &NewEvent<'_>| {
                let rig = rig(stream.clone());
                let mut own = Vec::new();
                let origin = crate::codec::new_event::Origin::new("api", "i-1");
                crate::codec::oxbus::message::write(&mut own, &origin, event);
                let read = rig.entry(&pairs(&rig.fields(event))).unwrap();
                let value = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap();
                assert_eq!(value(read.as_bytes()), value(&own), "{stream}");
            };
            with_all_metadata(check);
            check(&event("a.b", r#"{"x":[{"y":null}],"text":"\"é"}"#));
        }
    }

    #[test]
    fn entries_of_others_are_read() {
        let rig = rig(several());
        let read = |fields: &[(&str, &str)]| rig.entry(fields);
        let expected = |data: &str, time: &str| {
            format!(
                r#"{{"id":"1000-1","type":"a","data":{data},"metadata":{{"timestamp":"{time}","source":"unknown","correlationId":"1000-1"}}}}"#
            )
        };
        let time = "2026-11-27T22:42:16.674Z";
        // A number, a text, nothing; fields that nobody knows.
        for (written, told) in
            [("1795819336674", time), ("2026-11-27T22:42:16.674Z", time), ("", "1970-01-01T00:00:01.000Z")]
        {
            let fields = [("type", "a"), ("payload", " {\"y\": 1} "), ("timestamp", written), ("other", "x")];
            assert_eq!(read(&fields).unwrap(), expected("{\"y\": 1}", told));
        }
        assert_eq!(
            read(&[("type", "a"), ("timestamp", "x")]).unwrap(),
            expected("null", "1970-01-01T00:00:01.000Z")
        );
        for (fields, reason) in [
            (vec![("payload", "1")], "its type is missing or not text"),
            (vec![("type", "a"), ("body", "1")], "it has no data, but members that no event has"),
            (vec![("type", "a"), ("payload", "{")], "the field payload is not JSON"),
        ] {
            assert_eq!(read(&fields).unwrap_err(), reason);
        }
        // Those of Oxbus, on the same stream.
        let ours = [("eventId", "1"), ("eventType", "a"), ("data", "{}"), ("meta", "{}")];
        assert!(read(&ours).unwrap().starts_with(r#"{"id":"1","type":"a","data":{}"#));
    }

    #[test]
    fn fields_with_names_of_oxbus_are_those_of_the_format() {
        let rig = rig(json!({"write": {"eventType": "type", "data": "data", "uid": "id"}}));
        let theirs = [("eventType", "a"), ("data", "1"), ("uid", "u")];
        assert!(rig.entry(&theirs).unwrap().starts_with(r#"{"id":"u","type":"a","data":1"#));
        let ours = [("eventId", "1"), ("eventType", "a"), ("data", "{}"), ("meta", "{}")];
        assert!(rig.entry(&ours).unwrap().starts_with(r#"{"id":"1","type":"a","data":{}"#));
        assert!(rig.entry(&[("eventType", "a"), ("data", "{")]).is_err());
    }

    #[test]
    fn the_fields_with_the_type_are_told() {
        let with = |stream, told: &[&str]| assert_eq!(format(stream).unwrap().type_fields(), told);
        with(several(), &["type", "eventType"]);
        // Inside the JSON of a field it takes the codec.
        with(json!({"write": {"event": "message"}}), &["eventType"]);
    }

    #[test]
    fn what_a_text_needs_must_be_there() {
        let rig = rig(json!({"write": {"event": "message", "of": "o/{data.orderId}"}}));
        let error = rig.check(&event("a", "{}")).unwrap_err();
        assert_eq!((error.kind, error.path.as_deref()), (ErrorKind::InvalidData, Some("data.orderId")));
        assert!(error.message.contains("the field of of this event"), "{}", error.message);
        assert!(rig.check(&event("a", r#"{"orderId":7}"#)).is_ok());
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        let ok = json!({"type": "type", "payload": "data"});
        let with = |name: &str, value: Value| {
            let mut write = ok.clone();
            write[name] = value;
            json!({ "write": write })
        };
        for (stream, path) in [
            (json!(1), "wire.stream"),
            (json!({}), "wire.stream.write"),
            (json!({"write": {}}), "wire.stream.write"),
            (json!({"write": {"type": "type"}}), "wire.stream.write"),
            (json!({"write": {"payload": "data"}}), "wire.stream.write"),
            (json!({"write": ok, "read": {"data": "payload"}}), "wire.stream.read"),
            (json!({"write": ok, "read": {"type": "type"}}), "wire.stream.read"),
            (json!({"write": ok, "read": {"typ": "type"}}), "wire.stream.read.typ"),
            (json!({"write": ok, "read": {"data.x": "payload.x"}}), "wire.stream.read.data.x"),
            (json!({"write": ok, "read": {"data": "*"}}), "wire.stream.read.data"),
            (json!({"write": ok, "read": {"data": "a..b"}}), "wire.stream.read.data"),
            (json!({"write": ok, "read": {"type": "group"}}), "wire.stream.read.type"),
            (json!({"write": ok, "read": {"type": "a", "data": "a"}}), "wire.stream.read"),
            (json!({"write": ok, "more": 1}), "wire.stream.more"),
            (with("x", json!("body")), "wire.stream.write.x"),
            (with("x", json!(1)), "wire.stream.write.x"),
            (with("x", json!("{body}")), "wire.stream.write.x"),
            (with("x", json!("{type")), "wire.stream.write.x"),
            (with("a.b", json!("id")), "wire.stream.write.a.b"),
            (with("group", json!("metadata.key")), "wire.stream.write.group"),
            (with("dlq-id", json!("id")), "wire.stream.write.dlq-id"),
            (with("", json!("id")), "wire.stream.write."),
            (with("*", json!("data")), "wire.stream.write.*"),
        ] {
            let error = format(stream.clone()).unwrap_err();
            assert_eq!(
                (error.kind, error.path.as_deref()),
                (ErrorKind::InvalidConfig, Some(path)),
                "{stream}"
            );
        }
    }
}
