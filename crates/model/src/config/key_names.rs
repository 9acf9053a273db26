//! The names of keys that a format may say.

use std::borrow::Cow;

use crate::codec::Codec;
use crate::stream_store::{NameTemplate, keys};

/// The names of keys that a format may say. The default is that of Oxbus.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyNames {
    /// The key of a stream, from the name in the configuration; `None`: the name itself.
    stream: Option<NameTemplate>,
    /// The key of an event that is kept by its id.
    pub events: NameTemplate,
    /// The stream of all events that are kept.
    pub history: String,
}

impl KeyNames {
    /// The names of Oxbus for a client with this prefix.
    pub fn plain(prefix: &str) -> KeyNames {
        KeyNames { stream: None, events: keys::events(prefix), history: keys::history(prefix) }
    }

    /// Those that a format says for a client with this prefix.
    pub(super) fn of(codec: &Codec, prefix: &str) -> KeyNames {
        let plain = KeyNames::plain(prefix);
        let Some(texts) = codec.keys() else { return plain };
        KeyNames {
            stream: texts.stream.as_ref().map(|text| text.under(prefix)),
            events: texts.event.as_ref().map_or(plain.events, |text| text.under(prefix)),
            history: texts.history.as_ref().map_or(plain.history, |text| text.name_under(prefix)),
        }
    }

    /// The key of a stream. A name that has the form of a key already is one.
    pub fn of_stream<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match &self.stream {
            Some(template) if template.name_in(name).is_none() => template.of(name).into(),
            _ => name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_key_stays_as_it_is() {
        let names = KeyNames { stream: Some(NameTemplate::new("app:", "")), ..KeyNames::plain("p:") };
        assert_eq!(
            (&*names.of_stream("orders"), &*names.of_stream("app:orders")),
            ("app:orders", "app:orders")
        );
        assert_eq!(KeyNames::plain("p:").of_stream("orders"), "orders");
        assert_eq!((names.events.of("1"), &*names.history), ("p:event:1".to_owned(), "p:history"));
    }
}
