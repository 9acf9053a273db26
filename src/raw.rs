//! Data that handlers get as it is: it crosses beside the text of a drain, as strings of its bytes.

use std::ops::Range;
use std::sync::Arc;

use napi::bindgen_prelude::JsValuesTupleIntoVec;
use napi::{Env, JsValue, Result, sys};
use oxbus_model::delivery::LiveEvent;

/// The data of a drain that crosses like this, until it is taken. It is not copied before.
#[derive(Default)]
pub struct RawData(Vec<(Arc<LiveEvent>, Range<usize>)>);

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
}

/// The strings are the arguments of a call: each that is set in an array takes V8 a look-up of its own.
impl JsValuesTupleIntoVec for RawData {
    /// A character for each byte of the data. V8 copies them into its heap, where a string costs little more than its bytes: an
    /// array buffer for each event takes memory of its own, which is cleared before and freed one by one.
    fn into_vec(self, env: sys::napi_env) -> Result<Vec<sys::napi_value>> {
        let env = Env::from_raw(env);
        let string = |(event, data): (Arc<LiveEvent>, Range<usize>)| {
            let bytes = event.json.as_bytes().get(data).unwrap_or_default();
            Ok(env.create_string_latin1(bytes)?.raw())
        };
        self.0.into_iter().map(string).collect()
    }
}
