//! The tree of a JSON text that only V8 can read as a whole.

use serde_json::{Map, Number, Value};

use super::{Refused, Scanner};

/// How deep the tree goes, as deep as those of `serde_json`: it is built and dropped by recursion.
const MAX_DEPTH: u32 = 127;

/// The tree of a JSON text, as near to what V8 makes of it as a [`Value`] gets: U+FFFD stands for half of a
/// surrogate pair, the greatest number for one beyond it, and `null` for what nests deeper than 127 levels.
/// `None` when the text is not JSON.
pub fn tree(text: &str) -> Option<Value> {
    let mut scanner = Scanner::new(text);
    scanner.space();
    let value = value(&mut scanner, 0).ok()?;
    scanner.end().ok()?;
    Some(value)
}

fn value(scanner: &mut Scanner<'_>, depth: u32) -> Result<Value, Refused> {
    match scanner.peek() {
        Some(b'{' | b'[') if depth == MAX_DEPTH => scanner.value().map(|_| Value::Null),
        Some(b'{') => {
            let mut members = Map::new();
            scanner.object(|scanner, name| {
                members.insert(name.lossy().into_owned(), value(scanner, depth + 1)?);
                Ok(())
            })?;
            Ok(Value::Object(members))
        }
        Some(b'[') => array(scanner, depth + 1).map(Value::Array),
        Some(b'"') => Ok(scanner.string()?.lossy().into()),
        _ => {
            let text = scanner.value()?;
            let greatest = || Number::from_f64(if text.starts_with('-') { f64::MIN } else { f64::MAX });
            Ok(serde_json::from_str(text).unwrap_or_else(|_| greatest().into()))
        }
    }
}

fn array(scanner: &mut Scanner<'_>, depth: u32) -> Result<Vec<Value>, Refused> {
    let mut items = Vec::new();
    scanner.eat(b'[')?;
    scanner.space();
    if scanner.eat(b']').is_ok() {
        return Ok(items);
    }
    loop {
        items.push(value(scanner, depth)?);
        scanner.space();
        if scanner.eat(b']').is_ok() {
            return Ok(items);
        }
        scanner.eat(b',')?;
        scanner.space();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::codec::json::tests::json;

    #[test]
    fn what_serde_json_refuses_is_there() {
        let text = r#" {"a":["\ud83d", 1e999, -1e999 ,{}, []],"\ude00":true,"a\\ud83d":null,"b":1,"b":2} "#;
        assert!(serde_json::from_str::<Value>(text).is_err());
        assert_eq!(
            tree(text),
            Some(
                json!({"a": ["\u{fffd}", f64::MAX, f64::MIN, {}, []], "\u{fffd}": true, "a\\ud83d": null, "b": 2})
            )
        );
        for text in ["", "{", "[1,]", "[1 2]", "{\"a\":1,}", "1 1", "[\"\\x\"]"] {
            assert_eq!(tree(text), None, "{text}");
        }
    }

    #[test]
    fn the_tree_is_cut_where_it_is_too_deep() {
        let nested = |n: usize, leaf: &str| format!("{}{leaf}{}", "[".repeat(n), "]".repeat(n));
        assert_eq!(tree(&nested(127, "1")), serde_json::from_str(&nested(127, "1")).ok());
        assert!(serde_json::from_str::<Value>(&nested(128, "1")).is_err());
        let cut = serde_json::from_str(&nested(127, "null")).ok();
        assert!(cut.is_some());
        assert_eq!(tree(&nested(128, "1")), cut);
        assert_eq!(tree(&nested(10_000, "1")), cut);
        assert_eq!(tree(&nested(10_000, "x")), None);
    }

    proptest! {
        #[test]
        fn it_is_that_of_serde_json_where_there_is_one(expected in json()) {
            prop_assert_eq!(tree(&expected.to_string()), serde_json::from_str(&expected.to_string()).ok());
        }
    }
}
