//! The format on Redis, and what it asks of the rest of the configuration.

use serde_json::Value;

use super::mode::Mode;
use super::redis::Servers;
use crate::codec::{Codec, NAMES};
use crate::options::reader::{NOT_AVAILABLE, Reader};
use crate::{BusError, ErrorKind};

/// Reads `wire`: the name of a format, or one that is described.
pub(super) fn read_wire(r: &mut Reader) -> Result<Codec, BusError> {
    match r.take("wire") {
        None => Ok(Codec::Oxbus),
        Some(Value::String(name)) => Codec::named(&name).ok_or_else(|| {
            let names = NAMES.map(|name| format!("'{name}'")).join(" or ");
            r.error("wire", format_args!("expected {names}, or a format of your own, got {name:?}"))
        }),
        Some(Value::Object(fields)) if fields.contains_key("read") || fields.contains_key("write") => {
            Err(r.error("wire", format_args!("more than one format is {NOT_AVAILABLE}")))
        }
        Some(Value::Object(fields)) => {
            let json = Value::Object(fields.clone()).to_string();
            Codec::described(Reader::of(r.kind(), r.path_of("wire"), fields), json)
        }
        Some(other) => Err(r.mismatch("wire", "a name or an object", &other)),
    }
}

/// Refuses what a format cannot carry. In memory mode nobody else reads, and the format is that of Oxbus.
pub(super) fn settle(
    codec: Codec,
    (mode, servers): (Mode, &Servers),
    pubsub: Option<bool>,
    keeps: bool,
) -> Result<Codec, BusError> {
    let (name, traits) = (codec.name(), codec.traits());
    let refused = |path: &str, message: String| Err(BusError::at(ErrorKind::InvalidConfig, path, message));
    if servers.lanes().is_some() && !matches!(codec, Codec::Oxbus) {
        return refused("wire", "only clients of Oxbus hear sharded pub/sub: use 'broadcast'".to_owned());
    }
    if !traits.live && pubsub == Some(true) {
        return refused("pubsub", format!("the wire '{name}' publishes nothing live"));
    }
    if !traits.names_publisher && mode == Mode::Hybrid {
        let message = "its messages do not say who has published them, which hybrid mode needs";
        return refused("wire", message.to_owned());
    }
    if !traits.names_type && keeps {
        return refused(
            "persistence",
            "messages of this wire do not say their type, so they are not kept".to_owned(),
        );
    }
    Ok(if mode == Mode::Memory { Codec::Oxbus } else { codec })
}
