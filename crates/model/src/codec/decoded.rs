//! Events that were read, from a message or from an entry.

use std::borrow::Cow;

use crate::codec::outline::Outline;
use crate::codec::parts::{Parts, Span};

/// Why a message is not an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It is not UTF-8.
    NotText,
    /// It is not one JSON object.
    NotObject,
    /// It has no member `type` that is text.
    NoType,
    /// It has no member `data`, but members that no event has: whatever it carries would be lost.
    NoData,
    /// It asks for an answer, which is for the library that it was sent to.
    Request,
    /// It is the answer to a request.
    Answer,
    /// Its bytes do not have the form that messages of this wire have.
    Malformed,
    /// It is for the members of rooms, and came on the channel of all.
    ForRooms,
}

impl Foreign {
    /// The reason in words.
    pub fn reason(self) -> &'static str {
        match self {
            Foreign::NotText => "it is not UTF-8",
            Foreign::NotObject => "it is not a JSON object",
            Foreign::NoType => "its type is missing or not text",
            Foreign::NoData => "it has no data, but members that no event has",
            Foreign::Request => "it is a request",
            Foreign::Answer => "it is the answer to a request",
            Foreign::Malformed => "its bytes do not have the form that messages of this wire have",
            Foreign::ForRooms => "it is for several rooms, and came on the channel of all",
        }
    }
}

/// An event that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Decoded<'a> {
    /// The event as JSON, `{"id","type","data","metadata"}`: the message itself where it was complete.
    pub json: Cow<'a, str>,
    /// The type of the event.
    pub event_type: Cow<'a, str>,
    /// When the event was published, in Unix milliseconds by the publisher's clock; `None` when it does not say.
    pub published_ms: Option<i64>,
    /// The client start that published the event.
    pub instance_id: Option<Cow<'a, str>>,
    /// The key of the event.
    pub key: Option<Cow<'a, str>>,
    /// Where the parts of the event stand in `json`, when it has only those that every event of Oxbus has.
    pub parts: Option<Parts>,
    /// What stands in its data, and where the data stands in `json`.
    pub outlined: Option<(Span, Outline)>,
}

impl Decoded<'_> {
    /// The same event, which owns its texts.
    pub fn into_owned(self) -> Decoded<'static> {
        let Decoded { json, event_type, published_ms, instance_id, key, parts, outlined } = self;
        Decoded {
            json: json.into_owned().into(),
            event_type: event_type.into_owned().into(),
            published_ms,
            instance_id: instance_id.map(|id| id.into_owned().into()),
            key: key.map(|key| key.into_owned().into()),
            parts,
            outlined,
        }
    }
}

/// An event that was read from a stream entry.
#[derive(Debug)]
pub struct DecodedEntry<'a> {
    /// The event.
    pub event: Decoded<'a>,
    /// The only group that the entry is for; `None` when it is for all groups.
    pub only_group: Option<&'a str>,
}

/// What completes a message whose publisher left it out.
#[derive(Clone, Debug, Default)]
pub struct Missing {
    /// An id for the event.
    pub id: String,
    /// The time of receipt, in Unix milliseconds.
    pub timestamp_ms: i64,
}
