//! The filter of a subscription: conditions on an event that must all hold before JavaScript wakes.

use serde_json::{Map, Value};

use crate::error::{BusError, ErrorKind};

/// Conditions on the fields of an event.
///
/// Each names a field by its path from the root of the event, such as `data.status` or `type`, and the
/// value it must have. A path separates names by dots, so a name with a dot in it cannot be reached;
/// a number indexes an array. Values are equal as JSON, numbers as JavaScript sees them: `1` equals
/// `1.0`. An array is a choice of values; to ask for an array itself, put it in another. A field that
/// is missing matches nothing, not even `null`. A filter without conditions matches everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    path: Vec<String>,
    any_of: Vec<Value>,
}

impl Filter {
    /// Reads the `filter` option.
    ///
    /// # Errors
    ///
    /// `INVALID_OPTIONS` at `filter.<path>` for a path that is empty or has an empty name in it.
    pub fn parse(conditions: &Map<String, Value>) -> Result<Filter, BusError> {
        let conditions = conditions.iter().map(|(path, expected)| Condition::parse(path, expected));
        Ok(Filter { conditions: conditions.collect::<Result<_, _>>()? })
    }

    /// Whether every condition holds for `event`.
    pub fn matches(&self, event: &Value) -> bool {
        self.conditions.iter().all(|condition| condition.holds(event))
    }
}

impl Condition {
    fn parse(path: &str, expected: &Value) -> Result<Condition, BusError> {
        let names: Vec<String> = path.split('.').map(str::to_owned).collect();
        if names.iter().any(String::is_empty) {
            return Err(BusError::at(
                ErrorKind::InvalidOptions,
                format!("filter.{path}"),
                "not a path of names separated by dots",
            ));
        }
        let any_of = match expected {
            Value::Array(choices) => choices.clone(),
            single => vec![single.clone()],
        };
        Ok(Condition { path: names, any_of })
    }

    fn holds(&self, event: &Value) -> bool {
        let field = self.path.iter().try_fold(event, |value, name| child(value, name));
        field.is_some_and(|found| self.any_of.iter().any(|expected| equal(expected, found)))
    }
}

fn child<'a>(value: &'a Value, name: &str) -> Option<&'a Value> {
    match value {
        Value::Object(members) => members.get(name),
        Value::Array(items) => items.get(index(name)?),
        _ => None,
    }
}

/// The index that `name` writes as JavaScript would: digits without a leading zero.
fn index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = name == "0" || !name.starts_with('0');
    (digits && canonical).then(|| name.parse().ok()).flatten()
}

fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // As doubles, because the filter comes from JavaScript and the handler would compare so.
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn filter(conditions: Value) -> Filter {
        Filter::parse(conditions.as_object().unwrap()).unwrap()
    }

    fn event() -> Value {
        json!({
            "id": "1", "type": "photo.failed",
            "data": { "status": "failed", "count": 1, "none": null, "tags": ["x", { "k": 2.0 }], "point": { "x": 1, "y": 2 } },
            "metadata": { "source": "a" },
        })
    }

    #[track_caller]
    fn check(conditions: Value, expected: bool) {
        assert_eq!(filter(conditions.clone()).matches(&event()), expected, "{conditions}");
    }

    #[test]
    fn all_conditions_must_hold() {
        check(json!({ "data.status": "failed", "metadata.source": ["a", "b"] }), true);
        check(json!({ "data.status": "failed", "metadata.source": ["b", "c"] }), false);
        check(json!({ "type": "photo.failed" }), true);
        check(json!({}), true);
    }

    #[test]
    fn numbers_compare_by_value() {
        check(json!({ "data.count": 1.0 }), true);
        check(json!({ "data.tags.1.k": 2 }), true);
        check(json!({ "data.count": "1" }), false);
        check(json!({ "data.count": true }), false);
        let exact: Value = serde_json::from_str(r#"{"n": 9007199254740993}"#).unwrap();
        assert!(
            filter(json!({ "n": 9_007_199_254_740_992_u64 })).matches(&exact),
            "one double in JavaScript"
        );
    }

    #[test]
    fn what_is_missing_does_not_match() {
        check(json!({ "data.none": null }), true);
        check(json!({ "data.nothing": null }), false);
        check(json!({ "data.status.length": 6 }), false);
        check(json!({ "data.status": [] }), false);
    }

    #[test]
    fn numbers_index_arrays() {
        check(json!({ "data.tags.0": "x" }), true);
        for path in ["data.tags.2", "data.tags.00", "data.tags.+0", "data.tags.99999999999999999999"] {
            check(json!({ path: "x" }), false);
        }
    }

    #[test]
    fn objects_and_arrays_compare_deeply() {
        check(json!({ "data.point": { "y": 2.0, "x": 1 } }), true);
        check(json!({ "data.point": { "x": 1 } }), false);
        check(json!({ "data.tags": [["x", { "k": 2 }]] }), true);
        check(json!({ "data.tags": ["x", { "k": 2 }] }), false);
    }

    #[test]
    fn bad_paths_are_named() {
        for path in ["", "data.", ".data", "a..b"] {
            let error = Filter::parse(json!({ path: 1 }).as_object().unwrap()).unwrap_err();
            assert_eq!(error.kind, ErrorKind::InvalidOptions);
            assert_eq!(error.path, Some(format!("filter.{path}")));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_or_an_error(path in ".{0,20}") {
            if let Ok(filter) = Filter::parse(json!({ &path: 1 }).as_object().unwrap()) {
                filter.matches(&event());
            }
        }
    }
}
