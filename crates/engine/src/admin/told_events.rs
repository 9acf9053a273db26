//! The events of an answer, in the form that the host has asked for.

use std::borrow::Cow;
use std::sync::{Arc, MutexGuard};

use oxbus_model::BusError;
use oxbus_model::codec::Codec;
use oxbus_model::codec::decoded::{Decoded, Missing};
use oxbus_model::codec::outline::Shapes;
use oxbus_model::delivery::LiveEvent;
use oxbus_model::stream_store::StoredEntry;
use serde_json::Value;

use crate::admin::arguments::Arguments;
use crate::admin::context::Context;
use crate::host::Answer;

/// In which form the host wants events.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// As JSON texts in the answer.
    Text,
    /// Beside the answer.
    Beside,
    /// Beside the answer, to be built by shapes.
    Shapes,
}

/// The events of an answer.
pub(super) struct ToldEvents {
    form: Form,
    beside: Vec<Arc<LiveEvent>>,
}

impl ToldEvents {
    /// Reads the argument `events`: `text`, which is the default, `beside` or `shapes`.
    pub(super) fn read(args: &mut Arguments) -> Result<ToldEvents, BusError> {
        let words = [("text", Form::Text), ("beside", Form::Beside), ("shapes", Form::Shapes)];
        let form = args.choice("events", &words, Form::Text)?;
        Ok(ToldEvents { form, beside: Vec::new() })
    }

    /// The shapes to read an event with that will be added, if the host builds it by shapes. Hold them for one event only: who
    /// receives events waits for them.
    pub(super) fn shapes<'c>(&self, context: &'c Context) -> Option<MutexGuard<'c, Shapes>> {
        (self.form == Form::Shapes).then(|| context.shapes.lock_for_answer()).flatten()
    }

    /// As `shapes`, for an entry whose event is added only if its type is `wanted`.
    pub(super) fn shapes_for<'c>(
        &self,
        context: &'c Context,
        entry: &StoredEntry,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Option<MutexGuard<'c, Shapes>> {
        let fields = entry.fields.iter().map(|(name, value)| (&**name, &**value));
        context.config.codec.entry_type(fields).is_some_and(wanted).then(|| self.shapes(context)).flatten()
    }

    /// Adds an event. Returns what stands in its place in the answer.
    pub(super) fn add(&mut self, event: Decoded<'_>) -> Value {
        match self.form {
            Form::Text => event.json.into_owned().into(),
            Form::Beside | Form::Shapes => self.put_beside(event),
        }
    }

    /// As `add`, for an event that is there as JSON.
    pub(super) fn add_json(&mut self, context: &Context, json: String) -> Value {
        if self.form == Form::Text {
            return json.into();
        }
        let shapes = self.shapes(context);
        let missing = || Missing { id: String::new(), timestamp_ms: 0 };
        let read =
            Codec::OF_EVENT_JSON.read_message(json.as_bytes(), b"", missing, { shapes }.as_deref_mut());
        // What was read once can be read again.
        let (event_type, json) = (Cow::default(), json.as_str().into());
        self.put_beside(read.unwrap_or(Decoded {
            json,
            event_type,
            published_ms: None,
            instance_id: None,
            key: None,
            parts: None,
            outlined: None,
        }))
    }

    fn put_beside(&mut self, event: Decoded<'_>) -> Value {
        self.beside.push(Arc::new(LiveEvent::of(event, None, false)));
        (self.beside.len() - 1).into()
    }

    /// The answer, in whose value these events have their places.
    pub(super) fn with(self, value: Value) -> Answer {
        Answer { value, events: (self.form != Form::Text).then_some(self.beside) }
    }
}
