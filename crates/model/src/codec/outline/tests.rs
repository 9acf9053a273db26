//! What columns say, read as the host reads them, is what `serde_json` reads.

mod host;

use std::hash::RandomState;

use proptest::prelude::*;
use serde_json::{Number, Value};

use super::repeats::Coming;
use super::shapes::{AGE, MAX_SHAPES};
use super::word::{Kind, kind};
use super::{Columns, Shapes};
use crate::codec::json::Scanner;
use crate::codec::json::tests::json;
use host::Host;

fn shapes() -> Shapes {
    Shapes::new(RandomState::new())
}

/// Reads texts as the data of events that come one after the other, each in a drain. Returns how many objects of the last one
/// had a shape.
fn come(shapes: &mut Shapes, host: &mut Host, texts: &[&str]) -> usize {
    let mut shaped = 0;
    for text in texts {
        let mut scanner = Scanner::new(text);
        let (value, outline) = shapes.read(&mut scanner, "test").unwrap();
        assert_eq!(value, *text);
        let mut columns = Columns::default();
        columns.data(text, outline.as_ref(), shapes.generation());
        columns.finish();
        host.learn(shapes.take_changes());
        let (values, reading) = host.read(&columns);
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(same_numbers(values), same_numbers(vec![expected]), "{text}");
        shaped = reading.shaped;
    }
    shaped
}

/// Every number as `f64`, as the host has it.
fn same_numbers(values: Vec<Value>) -> Vec<Value> {
    let each = |value| match value {
        Value::Number(n) => n.as_f64().and_then(Number::from_f64).map_or(Value::Null, Value::Number),
        Value::Array(items) => Value::Array(same_numbers(items)),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (key, same_numbers(vec![value]).remove(0))).collect()
        }
        other => other,
    };
    values.into_iter().map(each).collect()
}

#[test]
fn an_object_that_comes_again_has_a_shape() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let text = r#"{"id":"a","n":-7,"price":1.5,"tags":["x",""],"none":null,"yes":true,"no":false,"of":{"w":1},"e":{}}"#;
    assert_eq!(come(&mut shapes, &mut host, &[text]), 0);
    assert_eq!(come(&mut shapes, &mut host, &[text]), 2);
    // Values of other types and white space make no difference.
    let other = "{ \"id\" : 1 ,\n\"n\":\"7\",\"price\":{\"w\":\"é\"},\"tags\":0,\"none\":[],\"yes\":1,\"no\":2,\"of\":3,\"e\":\"\"}";
    assert_eq!(come(&mut shapes, &mut host, &[other]), 2);
    // More, fewer and other keys do.
    for text in [r#"{"id":"a","n":-7}"#, &text.replace("\"n\"", "\"m\""), &text.replace("{}}", "{},\"f\":1}")]
    {
        assert_eq!(come(&mut shapes, &mut host, &[text]), 0);
        assert_eq!(come(&mut shapes, &mut host, &[text]), 1 + usize::from(text.contains("\"of\"")));
    }
}

#[test]
fn keys_that_an_object_orders_or_treats_otherwise_have_no_shape() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"b":1,"12":2}"#, r#"{"__proto__":1}"#, r#"{"\u0061":1}"#] {
        let (mut shapes, mut host) = (shapes(), Host::default());
        assert_eq!(come(&mut shapes, &mut host, &[text; 4]), 0, "{text}");
    }
    for text in [r#"{"constructor":1}"#, r#"{"é😀":1}"#, r#"{"":1}"#, r#"{"+1":1,"01a":2,"a b":3}"#] {
        let (mut shapes, mut host) = (shapes(), Host::default());
        assert_eq!(come(&mut shapes, &mut host, &[text; 4]), 1, "{text}");
    }
}

#[test]
fn what_has_no_shape_is_json_among_what_has_one() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let mut last = 0;
    for n in 0..6 {
        let text =
            format!(r#"{{"by":{{"user-{n}":{{"w":1,"h":2}}}},"list":[{{"k{n}":1}},{{"w":1,"h":2}}]}}"#);
        last = come(&mut shapes, &mut host, &[&text]);
    }
    assert_eq!(last, 2);
}

#[test]
fn an_array_of_objects_without_a_shape_is_json_as_a_whole() {
    let mut shapes = shapes();
    let mut scanner = Scanner::new(r#"[1,{"a":1},{"b":2}]"#);
    assert_eq!(shapes.read(&mut scanner, "").unwrap().1, None);
}

#[test]
fn deep_values_are_json() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let text = format!("{}1{}", "{\"a\":[".repeat(50), "]}".repeat(50));
    assert_eq!(come(&mut shapes, &mut host, &[text.as_str(); 3]), 32);
}

#[test]
fn numbers_are_rounded_as_in_javascript() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    for text in [
        "0",
        "-0",
        "-0.0",
        "1e400",
        "-1e400",
        "268435455",
        "268435456",
        "-268435456",
        "-268435457",
        "1e0",
        "1E2",
        "9007199254740993",
        "123456789012345678",
        "0.1",
        "5e-324",
        "2e-324",
        "1.7976931348623159e308",
    ] {
        let mut scanner = Scanner::new(text);
        let (_, outline) = shapes.read(&mut scanner, "").unwrap();
        let mut columns = Columns::default();
        columns.data(text, outline.as_ref(), shapes.generation());
        columns.finish();
        let (word, expected) = (columns.words[0], text.parse::<f64>().unwrap());
        let read = match kind(word) {
            Kind::Integer => f64::from(word.cast_signed() >> 3),
            _ => columns.doubles[0],
        };
        assert_eq!(read.to_bits(), expected.to_bits(), "{text}");
        if expected.is_finite() {
            come(&mut shapes, &mut host, &[text]);
        }
    }
}

#[test]
fn halves_of_surrogate_pairs_cross() {
    let mut columns = Columns::default();
    let (text, mut shapes) = (r#""a\ud800\n\u00e9\\\/\"\b\f\r\t""#, shapes());
    let (_, outline) = shapes.read(&mut Scanner::new(text), "").unwrap();
    columns.data(text, outline.as_ref(), shapes.generation());
    columns.finish();
    let units: Vec<u16> = columns.text.chunks(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    assert_eq!(units, [0x61, 0xd800, 10, 0xe9, 0x5c, 0x2f, 0x22, 8, 12, 13, 9]);
}

#[test]
fn no_string_keeps_much_more_than_itself_alive() {
    let mut columns = Columns::default();
    let lengths = [36, 3, 500, 36, 36, 36, 36, 36, 36, 36, 1, 200, 100, 90, 80, 5000, 20, 2000];
    lengths.iter().for_each(|length| columns.text(&"x".repeat(*length)));
    columns.text(&"é".repeat(100));
    columns.text(&"€".repeat(100));
    columns.finish();
    let sizes = columns.chunks.iter().map(|chunk| ((chunk >> 1) << (chunk & 1)) as usize);
    let mut strings = lengths.into_iter().chain([100, 200]);
    for size in sizes {
        let mut left = size;
        while left > 0 {
            let own = strings.next().unwrap();
            assert!(size - own <= 256.max(2 * own) - 40, "{own} in {size}");
            left -= own;
        }
    }
    assert_eq!(strings.next(), None);
}

#[test]
fn lists_of_keys_and_strings_that_come_in_turn_all_get_a_number() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let texts: Vec<String> =
        (0..500).map(|n| format!(r#"{{"key-{n}":"string number {n}","n":{n}}}"#)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    come(&mut shapes, &mut host, &[&texts[..], &texts[..]].concat());
    let shaped = texts.iter().filter(|text| come(&mut shapes, &mut host, &[text]) == 1).count();
    assert!(shaped > 490, "{shaped} shapes");
    assert!(host.strings.len() > 490, "{} strings", host.strings.len());
}

#[test]
fn a_full_table_makes_room_once_a_minute() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let common = r#"{"common":1}"#;
    assert_eq!(come(&mut shapes, &mut host, &[common; 3]), 1);
    // Somebody fills the table.
    for n in 0..MAX_SHAPES {
        let text = format!(r#"{{"k{n}":1}}"#);
        come(&mut shapes, &mut host, &[&text, &text, common]);
    }
    let later = r#"{"later":1}"#;
    assert_eq!(come(&mut shapes, &mut host, &[later; 5]), 0);
    let mut scanner = Scanner::new(common);
    let (_, before) = shapes.read(&mut scanner, "test").unwrap();
    shapes.age(AGE - 1);
    assert_eq!(come(&mut shapes, &mut host, &[later; 5]), 0);
    shapes.age(AGE);
    // An event that waited since before goes as JSON.
    let mut columns = Columns::default();
    columns.data(common, before.as_ref(), shapes.generation());
    assert_eq!(columns.json(), common);
    assert_eq!(come(&mut shapes, &mut host, &[common]), 1, "what is used most stays");
    assert_eq!(come(&mut shapes, &mut host, &[later; 5]), 1);
    assert_eq!(host.keys.len(), MAX_SHAPES);
    assert_eq!(host.keys.iter().flatten().count(), MAX_SHAPES / 2 + 1);
    // Nothing ages while all have a place.
    shapes.age(3 * AGE);
    assert_eq!(host.keys.iter().flatten().count(), MAX_SHAPES / 2 + 1);
    assert!(shapes.take_changes().shapes.is_empty());
}

/// What the outline of an object is made of that comes again and again.
fn account() -> String {
    let long = "long ".repeat(40);
    format!(
        r#"{{"name":"Ann","note":"{long}","quoted":"\"","empty":"","score":0.5,"tags":["a",{{"deep":{{"n":1}}}}],"é":"é"}}"#
    )
}

#[test]
fn an_object_that_comes_again_as_it_was_is_taken_over() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let account = account();
    let taken = |shapes: &mut Shapes, depth| {
        let place = super::keys::place("account");
        shapes.repeats.take(place, depth, account.as_bytes(), 0, &mut Vec::new())
    };
    let event = |pad: usize| format!(r#"{{"pad":"{}","account":{account},"n":{pad}}}"#, "p".repeat(pad));
    assert_eq!(taken(&mut shapes, 1), Coming::Other);
    come(&mut shapes, &mut host, &[&event(0)]);
    assert_eq!(taken(&mut shapes, 1), Coming::Again);
    come(&mut shapes, &mut host, &[&event(1)]);
    assert_eq!(taken(&mut shapes, 1), Coming::Taken(account.len()));
    assert_eq!(taken(&mut shapes, 2), Coming::Other, "what is deeper there may be JSON");
    // Its offsets count from where it stands now.
    assert_eq!(come(&mut shapes, &mut host, &[&event(300), &event(2)]), 4);
    // One that begins in the same way is another one, and takes its place.
    let other = event(0).replace("\"é\"}", "\"e\"}");
    assert_ne!(other, event(0));
    come(&mut shapes, &mut host, &[&other, &other, &other]);
    assert_eq!(taken(&mut shapes, 1), Coming::Other);
}

#[test]
fn what_stands_in_objects_that_are_taken_over_counts_as_used() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let event = format!(r#"{{"account":{}}}"#, account());
    for _ in 0..100 {
        come(&mut shapes, &mut host, &[&event]);
    }
    for n in 0..MAX_SHAPES {
        let text = format!(r#"{{"k{n}":1}}"#);
        come(&mut shapes, &mut host, &[&text, &text, &text]);
    }
    shapes.age(AGE);
    assert_eq!(come(&mut shapes, &mut host, &[&event]), 4, "its shapes have stayed");
}

#[test]
fn objects_that_come_once_are_kept_within_bounds() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    for n in 0..2_000 {
        let long = "x".repeat(15_000);
        let text = format!(r#"{{"key-{n}":{{"a":"{long}","n":{n}}},"k{n}":{{"b":"{long}","n":{n}}}}}"#);
        come(&mut shapes, &mut host, &[&text]);
        assert!(shapes.repeats.size() <= 512 * 1024);
    }
    assert!(shapes.repeats.size() > 400 * 1024);
}

#[test]
fn shapes_are_seldom_looked_for_under_a_name_that_never_has_any() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let known = r#"{"known":1}"#;
    assert_eq!(come(&mut shapes, &mut host, &[known; 3]), 1);
    for n in 0..9_000 {
        come(&mut shapes, &mut host, &[&format!(r#"{{"k{n}":1}}"#)]);
    }
    let (_, other) = shapes.read(&mut Scanner::new(known), "another name").unwrap();
    assert!(other.is_some());
    let looked_at = (1..=16).find(|_| come(&mut shapes, &mut host, &[known]) == 1);
    assert!(looked_at.is_some_and(|nth| nth > 1), "{looked_at:?}");
    assert_eq!(come(&mut shapes, &mut host, &[known]), 1, "one that has a shape changes that");
}

#[test]
fn a_string_that_was_put_out_is_expected_no_more() {
    let (mut shapes, mut host) = (shapes(), Host::default());
    let event = |name: &str| format!(r#"{{"name":"{name}"}}"#);
    come(&mut shapes, &mut host, &[&event("Ann"), &event("Ann"), &event("Ann")]);
    // Others take all places for strings, and then there are more.
    let others: Vec<String> = (0..12_000).map(|n| format!(r#"["number {n}"]"#)).collect();
    for other in &others {
        come(&mut shapes, &mut host, &[other, other, other, other]);
    }
    let before = shapes.generation();
    shapes.age(AGE);
    assert_ne!(shapes.generation(), before);
    come(&mut shapes, &mut host, &[&event(""), &event("Ann"), &event("")]);
}

#[test]
fn what_is_no_json_is_refused() {
    let mut shapes = shapes();
    for text in [
        "",
        "{",
        "[1",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[1 2]",
        "{a:1}",
        "01x",
        "tru",
        "\"\t\"",
        "{\"a\":1",
    ] {
        let mut scanner = Scanner::new(text);
        let read = shapes.read(&mut scanner, "").is_ok() && scanner.end().is_ok();
        assert!(!read, "{text}");
    }
}

proptest! {
    #[test]
    fn it_says_what_serde_json_says(values in prop::collection::vec(json(), 1..5)) {
        let (mut shapes, mut host) = (shapes(), Host::default());
        let texts: Vec<String> = values.iter().map(Value::to_string).collect();
        for round in 0..4 {
            for text in &texts {
                // The same value in other places, so that objects come again as they were.
                let within = format!(r#"{{"before":"{}","of":{text}}}"#, "x".repeat(round));
                come(&mut shapes, &mut host, &[text, &within]);
            }
        }
    }

    #[test]
    fn it_accepts_what_the_scanner_accepts(text in "[\\[\\]{}:,\"\\\\ 0-9.eE+\\-truefalsn\t\u{1f}é]{0,24}", damaged in json(), at in 0usize..200, damage in any::<u8>()) {
        let mut bytes = damaged.to_string().into_bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = damage;
        }
        let damaged = String::from_utf8_lossy(&bytes);
        let mut shapes = shapes();
        for text in [&*text, &damaged, &text] {
            let (mut one, mut other) = (Scanner::new(text), Scanner::new(text));
            let read = shapes.read(&mut one, "").map(|(text, _)| text);
            prop_assert_eq!(read, other.value());
            if read.is_ok() {
                prop_assert_eq!(one.position(), other.position());
            }
        }
    }
}
