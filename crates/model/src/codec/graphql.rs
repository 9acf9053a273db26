//! The format of `graphql-redis-subscriptions`: the payload and nothing else. The channel is the type.

use crate::codec::mapped::{Format, Parts, Traits};

/// The data alone.
pub(super) fn format() -> Format {
    let traits = Traits { names_publisher: false, names_id: false, names_type: false, ..Traits::default() };
    Format::new(Parts { name: "graphql", type_from_channel: true, traits, ..Parts::default() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event};

    #[test]
    fn a_message_is_its_payload() {
        let rig = Rig::new(format());
        assert_eq!(rig.written(&event("order.placed", r#"{"orderId":"o-1"}"#)), r#"{"orderId":"o-1"}"#);
        let of = |data: &str| {
            format!(
                r#"{{"id":"new","type":"order.placed","data":{data},"metadata":{{"timestamp":"1970-01-01T00:00:01.000Z","source":"unknown","correlationId":"new"}}}}"#
            )
        };
        rig.reads_on("order.placed", r#" {"orderId":"o-1"} "#, &of(r#"{"orderId":"o-1"}"#));
        rig.reads_on("order.placed", "null", &of("null"));
        rig.reads_on("order.placed", "no \"JSON\"\n", &of(r#""no \"JSON\"\n""#));
        rig.refuses("1");
    }
}
