use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn written(json: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_json(&mut out, json);
    out
}

fn read(bytes: &[u8]) -> Result<String, Unreadable> {
    let mut reader = Reader::new(bytes);
    let json = reader.json()?;
    if reader.is_at_end() { Ok(json) } else { Err(Unreadable) }
}

#[test]
fn values_have_the_shortest_bytes() {
    for (json, bytes) in [
        ("null", &[0xc0][..]),
        (" true ", &[0xc3]),
        ("false", &[0xc2]),
        ("0", &[0]),
        ("127", &[0x7f]),
        ("128", &[0xcc, 0x80]),
        ("-1", &[0xff]),
        ("-33", &[0xd0, 0xdf]),
        ("65536", &[0xce, 0, 1, 0, 0]),
        ("18446744073709551615", &[0xcf, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("9.5", &[0xcb, 0x40, 0x23, 0, 0, 0, 0, 0, 0]),
        ("1e999", &[0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0]),
        ("\"\"", &[0xa0]),
        ("\"\\u00e9\\n\"", &[0xa3, 0xc3, 0xa9, 0x0a]),
        ("[]", &[0x90]),
        ("[ 1 , [ ] ]", &[0x92, 1, 0x90]),
        ("{ }", &[0x80]),
        ("{\"a\": {\"b\" : [null]}}", &[0x81, 0xa1, b'a', 0x81, 0xa1, b'b', 0x91, 0xc0]),
    ] {
        assert_eq!(written(json), bytes, "{json}");
    }
    let long = format!("[{}]", vec!["[0]"; 70_000].join(","));
    assert_eq!(written(&long)[..7], [0xdd, 0, 1, 0x11, 0x70, 0x91, 0]);
    assert_eq!(read(&written(&long)).unwrap(), long);
}

#[test]
fn half_a_pair_becomes_a_replacement_character() {
    assert_eq!(read(&written(r#""\ud83d""#)).unwrap(), "\"\u{fffd}\"");
    // Three bytes of a half, as JavaScript libraries write them.
    assert!(read(&[0xa3, 0xed, 0xa0, 0xbd]).unwrap().contains('\u{fffd}'));
}

#[test]
fn what_json_has_not_is_read_as_javascript_makes_json_of_it() {
    for (bytes, json) in [
        (&[0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0][..], "null"),
        (&[0xca, 0x3f, 0xc0, 0, 0], "1.5"),
        (&[0xcb, 0x40, 0x24, 0, 0, 0, 0, 0, 0], "10"),
        (&[0xc4, 2, 1, 255], r#"{"type":"Buffer","data":[1,255]}"#),
        (&[0xd4, 0, 0], "null"),
        (&[0xd6, 0xff, 0, 0, 0, 1], r#""1970-01-01T00:00:01.000Z""#),
        (&[0xd7, 0xff, 0x77, 0x35, 0x94, 0, 0, 0, 0, 1], r#""1970-01-01T00:00:01.500Z""#),
        (
            &[0xc7, 12, 0xff, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255],
            r#""1969-12-31T23:59:59.000Z""#,
        ),
        (&[0x81, 1, 0xa1, b'a'], r#"{"1":"a"}"#),
    ] {
        assert_eq!(read(bytes).unwrap(), json, "{bytes:x?}");
    }
}

#[test]
fn what_is_no_message_pack_is_refused() {
    for bytes in [
        &[][..],
        &[0xc1],
        &[0xa5, b'a'],
        &[0xdd, 255, 255, 255, 255, 0],
        &[0xdf, 255, 255, 255, 255],
        &[0x81, 0x90, 1],
        &[0xd4, 5, 0],
        &[0xc7, 12, 0xff, 0, 0, 0, 0, 127, 255, 255, 255, 255, 255, 255, 255],
    ] {
        assert_eq!(read(bytes), Err(Unreadable), "{bytes:x?}");
    }
}

#[test]
fn nesting_has_a_bound_both_ways() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(depth(&nested(7)), 7);
    assert_eq!(depth(r#"{"a[\"[{": [1, {"b": []}], "c": "]"}"#), 4);
    let deepest = nested(MAX_DEPTH);
    assert_eq!(read(&written(&deepest)).unwrap(), deepest);
    assert_eq!(written(&nested(MAX_DEPTH + 1)), [0xc0]);
    let mut bytes = vec![0x91; 1_000_000];
    bytes.push(0xc0);
    assert_eq!(read(&bytes), Err(Unreadable));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1.0e12..1.0e12).prop_map(|number: f64| json!(number + 0.5)),
        ".{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::from),
            prop::collection::btree_map(".{0,12}", inner, 0..20)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(value in any_json()) {
        let read: Value = serde_json::from_str(&read(&written(&value.to_string())).unwrap()).unwrap();
        prop_assert!(same(&read, &value), "{} is read as {}", value, read);
    }

    #[test]
    fn any_bytes_are_json_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(json) = read(&bytes) {
            prop_assert!(crate::codec::json::whole(&json).is_ok(), "{}", json);
        }
    }
}

/// Whether two values are the same but for how whole numbers are written.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            let same_in_b = |(name, value)| b.get(name).is_some_and(|other| same(value, other));
            a.len() == b.len() && a.iter().all(same_in_b)
        }
        _ => a == b,
    }
}
