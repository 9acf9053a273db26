//! The text of a submission, taken out of V8 in one pass.

use std::cell::RefCell;
use std::ptr;

use napi::bindgen_prelude::{FromNapiValue, TypeName, ValidateNapiValue};
use napi::{Result, ValueType, check_status, sys};

/// UTF-8 bytes that one UTF-16 unit can take at the most.
const BYTES_PER_UNIT: usize = 3;

/// How large a buffer a thread keeps between submissions, in bytes.
const MAX_BUFFER: usize = 1024 * 1024;

thread_local! {
    /// Memory to write into: large enough for the worst case, and used again.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A string of JavaScript as UTF-8.
///
/// The usual conversion goes through the text twice, first to measure it. With room for the worst case
/// V8 writes it at once, which for events of 10 KB was a sixth of the cost of publishing.
pub struct RecordText(pub(crate) String);

impl TypeName for RecordText {
    fn type_name() -> &'static str {
        "String"
    }

    fn value_type() -> ValueType {
        ValueType::String
    }
}

impl ValidateNapiValue for RecordText {}

impl FromNapiValue for RecordText {
    unsafe fn from_napi_value(env: sys::napi_env, value: sys::napi_value) -> Result<Self> {
        let mut units = 0;
        // SAFETY: `env` and `value` are those of the call that is being converted; without a buffer only the
        // length is written.
        check_status!(unsafe {
            sys::napi_get_value_string_utf16(env, value, ptr::null_mut(), 0, &mut units)
        })?;
        BUFFER.with_borrow_mut(|buffer| {
            // One more for the NUL that Node-API appends.
            let room = units * BYTES_PER_UNIT + 1;
            if buffer.len() < room {
                buffer.resize(room, 0);
            }
            let mut written = 0;
            // SAFETY: as above; the buffer is initialised and has `room` bytes, which Node-API does not exceed.
            check_status!(unsafe {
                sys::napi_get_value_string_utf8(env, value, buffer.as_mut_ptr().cast(), room, &mut written)
            })?;
            let text = String::from_utf8_lossy(buffer.get(..written).unwrap_or_default()).into_owned();
            if buffer.len() > MAX_BUFFER {
                *buffer = Vec::new();
            }
            Ok(RecordText(text))
        })
    }
}
