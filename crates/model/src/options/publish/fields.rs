//! The members of the options, by their names.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The name of a member.
#[derive(serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
pub(super) enum Field {
    Id,
    Timestamp,
    Source,
    CorrelationId,
    CausationId,
    UserId,
    OrganizationId,
    Traceparent,
    Tracestate,
    Key,
    Metadata,
    Timeout,
    Audience,
    Channels,
    Stream,
    LocalOnly,
    RedisOnly,
    Deduplicate,
    Replicas,
    Durable,
    Other(String),
}

/// The names that a caller may give.
pub(super) const NAMES: [&str; 19] = [
    "id",
    "timestamp",
    "source",
    "correlationId",
    "causationId",
    "userId",
    "organizationId",
    "traceparent",
    "tracestate",
    "key",
    "metadata",
    "timeout",
    "channels",
    "stream",
    "localOnly",
    "redisOnly",
    "deduplicate",
    "replicas",
    "durable",
];

/// The members of the object with their values still as text, so that each error can name its field.
pub(super) struct Fields<'a>(Vec<(Field, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// The members, in their order.
    pub(super) fn into_members(self) -> Vec<(Field, &'a RawValue)> {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct FieldsVisitor;
        impl<'de> Visitor<'de> for FieldsVisitor {
            type Value = Fields<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::with_capacity(4);
                while let Some(entry) = map.next_entry()? {
                    fields.push(entry);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(FieldsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_a_field() {
        for name in NAMES {
            let field: Field = serde_json::from_value(name.into()).unwrap();
            assert!(!matches!(field, Field::Other(_)), "{name}");
        }
    }
}
