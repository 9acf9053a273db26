//! The formats on Redis, and what they ask of the rest of the configuration.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::mode::Mode;
use super::redis::Servers;
use crate::codec::wires::{Wire, Wires};
use crate::codec::{Codec, NAMES, Traits};
use crate::options::reader::{Reader, type_name};
use crate::{BusError, ErrorKind};

/// The most formats that are read, or written.
const MAX_WIRES: usize = 8;

/// The longest channel prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 256;

/// A format as it was given.
pub(super) struct Given {
    codec: Codec,
    /// The prefix of its own.
    prefix: Option<String>,
    /// Its path, for errors.
    path: String,
}

/// The formats as they were given.
pub(super) struct GivenWires {
    read: Vec<Given>,
    write: Vec<Given>,
}

/// Reads `wire`: one format, or `{ read, write }` with lists of them.
pub(super) fn read_wire(r: &mut Reader) -> Result<GivenWires, BusError> {
    let path = r.path_of("wire");
    let one = |codec| {
        let given = |codec| vec![Given { codec, prefix: None, path: path.clone() }];
        GivenWires { read: given(Codec::clone(&codec)), write: given(codec) }
    };
    match r.take("wire") {
        None => Ok(one(Codec::Oxbus)),
        Some(Value::Object(fields)) if is_several(&fields) => {
            let mut r = Reader::of(r.kind(), path, fields);
            let (read, write) = (list(&mut r, "read")?, list(&mut r, "write")?);
            r.finish()?;
            Ok(GivenWires { read, write })
        }
        Some(value) => format(r.kind(), &path, value).map(one),
    }
}

/// Whether an object has lists of formats, and is none itself.
fn is_several(fields: &Map<String, Value>) -> bool {
    !fields.contains_key("fields") && (fields.contains_key("read") || fields.contains_key("write"))
}

/// Reads a format: its name, or one that is described.
fn format(kind: ErrorKind, path: &str, value: Value) -> Result<Codec, BusError> {
    match value {
        Value::String(name) => Codec::named(&name).ok_or_else(|| {
            let names = NAMES.map(|name| format!("'{name}'")).join(" or ");
            let message = format!("expected {names}, or a format of your own, got {name:?}");
            BusError::at(kind, path, message)
        }),
        Value::Object(fields) => {
            let json = Value::Object(fields.clone()).to_string();
            Codec::described(Reader::of(kind, path.to_owned(), fields), json)
        }
        other => {
            let message = format!("expected a name or an object, got {}", type_name(&other));
            Err(BusError::at(kind, path, message))
        }
    }
}

/// Reads a list of formats, each alone or as `{ format, channelPrefix }`.
fn list(r: &mut Reader, key: &str) -> Result<Vec<Given>, BusError> {
    let kind = r.kind();
    let given = r.list(key, |path, value| match value {
        Value::Object(fields) if fields.contains_key("format") => {
            let mut r = Reader::of(kind, path.clone(), fields);
            let value = r.take("format").unwrap_or_default();
            let codec = format(kind, &r.path_of("format"), value)?;
            let prefix = channel_prefix(&mut r)?;
            r.finish()?;
            Ok(Given { codec, prefix, path })
        }
        value => Ok(Given { codec: format(kind, &path, value)?, prefix: None, path }),
    })?;
    match given {
        None => {
            Err(r.error(key, "is missing: wire has a list of formats to read, and one of those to write"))
        }
        Some(given) if given.is_empty() => Err(r.error(key, "must not be empty")),
        Some(given) if given.len() > MAX_WIRES => {
            Err(r.error(key, format_args!("has at most {MAX_WIRES} formats, not {}", given.len())))
        }
        Some(given) => Ok(given),
    }
}

impl GivenWires {
    /// The format that is written first.
    pub(super) fn traits(&self) -> Traits {
        self.write.first().map(|given| given.codec.traits()).unwrap_or_default()
    }

    /// Whether any of them publishes live.
    pub(super) fn are_live(&self) -> bool {
        self.write.iter().any(|given| given.codec.traits().live)
    }

    /// The wires, with the prefix of the client where it has one, and that of all other names.
    ///
    /// # Errors
    /// `INVALID_CONFIG` with the path of a format that cannot be one of several.
    pub(super) fn resolve(self, client: Option<String>) -> Result<(Wires, String), BusError> {
        let prefix_of = |given: &Given| {
            let own = given.prefix.as_deref().or(client.as_deref());
            Arc::from(own.unwrap_or(given.codec.traits().channel_prefix))
        };
        let wires = |given: &[Given]| -> Result<Vec<Wire>, BusError> {
            let wire = |it: &Given| {
                let prefix: Arc<str> = prefix_of(it);
                Ok(Wire { codec: it.codec.clone().under(&prefix)?, prefix })
            };
            given.iter().map(wire).collect()
        };
        let (read, write) = (wires(&self.read)?, wires(&self.write)?);
        for (given, wires) in [(&self.read, &read), (&self.write, &write)] {
            check_twice(given, wires)?;
        }
        if write.len() > 1 {
            check_written(&self.write, &write)?;
        }
        let wires = Wires::new(read, write);
        let prefix = client.unwrap_or_else(|| wires.first_prefix().to_owned());
        Ok((wires, prefix))
    }
}

/// Refuses a wire that is in a list twice.
fn check_twice(given: &[Given], wires: &[Wire]) -> Result<(), BusError> {
    let again = (1..wires.len()).find(|index| wires[..*index].contains(&wires[*index]));
    match again.and_then(|index| given.get(index)) {
        Some(given) => Err(BusError::at(ErrorKind::InvalidConfig, &*given.path, "is there twice")),
        None => Ok(()),
    }
}

/// Refuses what cannot be written beside other wires.
fn check_written(given: &[Given], wires: &[Wire]) -> Result<(), BusError> {
    for (index, (given, wire)) in given.iter().zip(wires).enumerate() {
        let (name, traits) = (wire.codec.name(), wire.codec.traits());
        let refused = |message: String| Err(BusError::at(ErrorKind::InvalidConfig, &*given.path, message));
        if !traits.live {
            if index == 0 {
                continue;
            }
            return refused(format!(
                "the wire '{name}' publishes nothing live, and streams are written in the first format of the list: put it first"
            ));
        }
        if !traits.names_id {
            return refused(format!(
                "messages of the wire '{name}' have no id, by which an event that is written in several wires is told to be one"
            ));
        }
        let other =
            wires[..index].iter().find(|other| other.codec.traits().live && other.prefix == wire.prefix);
        if let Some(other) = other {
            return refused(format!(
                "its channels can be those of the wire '{}': give it a prefix of its own, {{ format, channelPrefix }}",
                other.codec.name()
            ));
        }
    }
    Ok(())
}

/// Reads a prefix of channels.
pub(super) fn channel_prefix(r: &mut Reader) -> Result<Option<String>, BusError> {
    let Some(prefix) = r.string("channelPrefix")? else { return Ok(None) };
    if prefix.len() > MAX_PREFIX_BYTES {
        let message = format!("has at most {MAX_PREFIX_BYTES} bytes, not {}", prefix.len());
        return Err(r.error("channelPrefix", message));
    }
    if prefix.chars().any(char::is_control) {
        return Err(r.error("channelPrefix", "must not hold control characters"));
    }
    Ok(Some(prefix))
}

/// Refuses what a format cannot carry. In memory mode nobody else reads, and the format is that of Oxbus.
pub(super) fn settle(
    wires: Wires,
    (mode, servers): (Mode, &Servers),
    pubsub: Option<bool>,
    keeps: bool,
) -> Result<Wires, BusError> {
    let refused = |path: &str, message: String| Err(BusError::at(ErrorKind::InvalidConfig, path, message));
    let is_ours = |wire: &Wire| matches!(wire.codec, Codec::Oxbus);
    let is_one = wires.read.len() == 1 && wires.write.len() == 1;
    if servers.lanes().is_some() && !(is_one && wires.read.iter().chain(&*wires.write).all(is_ours)) {
        return refused("wire", "only clients of Oxbus hear sharded pub/sub: use 'broadcast'".to_owned());
    }
    if !wires.are_live() && pubsub == Some(true) {
        let name = wires.write.first().map_or("", |wire| wire.codec.name());
        return refused("pubsub", format!("the wire '{name}' publishes nothing live"));
    }
    if mode == Mode::Hybrid {
        if !wires.know_own() {
            let message = "its messages do not say who has published them, which hybrid mode needs";
            return refused("wire", message.to_owned());
        }
        let is_read = |written: &Wire| wires.read.iter().any(|read| read.prefix == written.prefix);
        if wires.write.iter().find(|wire| wire.codec.traits().live).is_some_and(|wire| !is_read(wire)) {
            let message = "hybrid mode reads the first wire that it writes: add it to read";
            return refused("wire.read", message.to_owned());
        }
    }
    if keeps && wires.write.iter().any(|wire| wire.codec.traits().live && !wire.codec.traits().names_type) {
        return refused(
            "persistence",
            "messages of this wire do not say their type, so they are not kept".to_owned(),
        );
    }
    Ok(if mode == Mode::Memory { Wires::one(Codec::Oxbus, wires.first_prefix()) } else { wires })
}
