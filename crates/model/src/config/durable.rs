//! Which events must be stored (`durable`).

use serde_json::Value;

use super::streams::check_pattern;
use crate::error::BusError;
use crate::options::reader::Reader;
use crate::routing::pattern::matches;

/// Which events must be stored: a publish of one of them is refused where no stream stores its type.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Durable {
    /// None. The default.
    #[default]
    Nothing,
    /// All.
    All,
    /// Those whose type matches one of these patterns.
    Matching(Vec<String>),
}

impl Durable {
    /// Whether events of this type must be stored.
    pub fn includes(&self, event_type: &str) -> bool {
        match self {
            Durable::Nothing => false,
            Durable::All => true,
            Durable::Matching(patterns) => {
                patterns.iter().any(|pattern| matches(pattern.as_bytes(), event_type.as_bytes()))
            }
        }
    }
}

/// Reads `durable`: `true`, `false`, or patterns.
pub(super) fn read_durable(r: &mut Reader) -> Result<Durable, BusError> {
    match r.get("durable") {
        None | Some(Value::Array(_)) => {}
        Some(Value::Bool(_)) => {
            let all = r.boolean("durable")?.unwrap_or(false);
            return Ok(if all { Durable::All } else { Durable::Nothing });
        }
        Some(other) => return Err(r.mismatch("durable", "true, false or an array of patterns", other)),
    }
    Ok(r.texts("durable", check_pattern)?.map_or(Durable::Nothing, Durable::Matching))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::error::ErrorKind;

    fn read(value: Value) -> Result<Durable, BusError> {
        read_durable(&mut Reader::parse(
            "test",
            &json!({ "durable": value }).to_string(),
            ErrorKind::InvalidConfig,
        )?)
    }

    #[test]
    fn what_must_be_stored() {
        assert_eq!((read(json!(true)), read(json!(false))), (Ok(Durable::All), Ok(Durable::Nothing)));
        let some = read(json!(["order.*", "mail"])).unwrap();
        let includes = |durable: &Durable| ["order.paid", "mail", "mails"].map(|name| durable.includes(name));
        assert_eq!(includes(&some), [true, true, false]);
        assert_eq!((includes(&Durable::All), includes(&Durable::Nothing)), ([true; 3], [false; 3]));
        for bad in [json!("order.*"), json!([]), json!([1]), json!([""]), json!(1)] {
            assert_eq!(read(bad).unwrap_err().kind, ErrorKind::InvalidConfig);
        }
    }
}
