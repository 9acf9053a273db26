//! Against `serde_json`.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

fn scan(text: &str) -> Result<&str, Refused> {
    whole(text)
}

fn agrees(text: &str) {
    // As raw JSON, `serde_json` has no limit of depth either.
    let expected = serde_json::from_str::<&RawValue>(text).ok().map(RawValue::get);
    assert_eq!(scan(text).ok(), expected, "{text}");
}

#[test]
fn it_accepts_what_serde_json_accepts() {
    for text in [
        "",
        " ",
        "1",
        "-0",
        "-",
        "01",
        "1.",
        "1.5e+10",
        "1e",
        ".5",
        "+1",
        "true",
        "tru",
        "nul",
        "null ",
        " [ ] ",
        "{}",
        "{",
        "[",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":1,}",
        "{\"a\"}",
        "{a:1}",
        "{\"a\":1}}",
        "[]]",
        "[}",
        "{]",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\t\"",
        "\"é\"",
        "1 1",
        "[[[{\"a\":[{}]}]]]",
        "{\"a\":{\"b\":[1,\"x\",null,true,false]},\"c\":\"\"}",
        "[\"12345678\",\"1234567\\\"\"]",
    ] {
        agrees(text);
    }
}

fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn any_depth_is_accepted() {
    for levels in [63, 64, 65, 127, 128, 129, 10_000] {
        agrees(&nested(levels));
        assert!(scan(&nested(levels)).is_ok());
    }
    // Objects and arrays in turns, with something behind each level.
    let mixed = |n: usize| format!("{}0{}", "{\"a\":[".repeat(n), ",1],\"b\":2}".repeat(n));
    for levels in [31, 32, 33, 64, 65, 5_000] {
        let text = mixed(levels);
        agrees(&text);
        assert!(scan(&text).is_ok());
        for damage in [1, text.len() / 2, text.len() - 1] {
            assert_eq!(scan(&text[..damage]), Err(Refused));
        }
    }
    assert_eq!(scan(&nested(200).replacen("]]", "]}", 1)), Err(Refused));
}

proptest! {
    #[test]
    fn it_agrees_with_serde_json_on_any_text(text in "[\\[\\]{}:,\"\\\\ 0-9.eE+\\-truefalsn\t\u{1f}é]{0,24}") {
        agrees(&text);
    }

    #[test]
    fn it_agrees_with_serde_json_on_damaged_json(value in json(), at in 0usize..200, damage in any::<u8>()) {
        let text = value.to_string();
        agrees(&text);
        let mut bytes = text.into_bytes();
        if let Some(byte) = bytes.get_mut(at) {
            *byte = damage;
        }
        if let Ok(text) = std::str::from_utf8(&bytes) {
            agrees(text);
        }
    }

    #[test]
    fn it_agrees_with_serde_json_on_strings_of_many_blocks(
        parts in prop::collection::vec("[a-zé]{0,150}|\\\\[nu\"\\\\]|\\\\u00e9|\"|\", *\"|\u{1f}", 0..12),
    ) {
        agrees(&format!("[\"{}\"]", parts.concat()));
    }

    #[test]
    fn it_agrees_with_serde_json_on_any_nesting(opened in prop::collection::vec(any::<bool>(), 0..300), wrong in any::<prop::sample::Index>(), swap: bool) {
        let mut text: String = opened.iter().map(|object| if *object { "{\"a\":" } else { "[" }).collect();
        text.push('1');
        let wrong = wrong.index(opened.len() + 1);
        for (at, object) in opened.iter().enumerate().rev() {
            text.push(if *object != (swap && at == wrong) { '}' } else { ']' });
        }
        agrees(&text);
    }

    #[test]
    fn plain_text_is_measured_as_byte_by_byte(bytes: Vec<u8>) {
        let expected = bytes.iter().take_while(|b| **b >= 0x20 && **b != b'"' && **b != b'\\').count();
        prop_assert_eq!(plain_length(&bytes), expected);
    }
}

pub(crate) fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            prop::collection::btree_map(".{0,5}", inner, 0..5)
                .prop_map(|m| serde_json::Value::Object(m.into_iter().collect())),
        ]
    })
}
