//! Data that handlers get as it is: it crosses beside the text of a drain, as strings of its bytes.

use std::ops::Range;
use std::sync::Arc;

use napi::bindgen_prelude::Array;
use napi::{Env, JsString, Result};
use oxbus_model::delivery::LiveEvent;

/// The data of a drain that crosses like this, until it is taken. It is not copied before.
#[derive(Default)]
pub(crate) struct RawData(Vec<(Arc<LiveEvent>, Range<usize>)>);

impl RawData {
    /// Adds the data of an event, which stands there in its JSON. Returns its index, which takes its place in the text.
    pub(crate) fn add(&mut self, event: &Arc<LiveEvent>, data: Range<usize>) -> usize {
        self.0.push((event.clone(), data));
        self.0.len() - 1
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The strings: a character for each byte of the data. V8 copies them into its heap, where a string costs little more than
    /// its bytes: an array buffer for each event takes memory of its own, which is cleared before and freed one by one.
    pub(crate) fn into_strings(self, env: &Env) -> Result<Array<'_>> {
        let mut strings = env.create_array(u32::try_from(self.0.len()).unwrap_or(u32::MAX))?;
        for (index, (event, data)) in (0..).zip(self.0) {
            let text: JsString<'_> =
                env.create_string_latin1(event.json.as_bytes().get(data).unwrap_or_default())?;
            strings.set(index, text)?;
        }
        Ok(strings)
    }
}
