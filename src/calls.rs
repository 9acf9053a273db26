//! The shapes that a call from JavaScript has. Each runs the call so that no panic crosses the boundary.

use napi::Error;
use oxbus_engine::Client;
use oxbus_engine::panics::catch_panic_in;
use oxbus_model::BusError;
use serde::Serialize;

use crate::values;

/// A call without an answer of its own; what it asks for may be answered by its ticket. A panic is reported as an
/// `error` event of the client.
pub(crate) fn tell(client: &Client, name: &str, call: impl FnOnce(&Client)) {
    ask(client, name, (), call);
}

/// A call that answers with a value, or with `fallback` after a panic, which is reported as an `error` event.
pub(crate) fn ask<T>(client: &Client, name: &str, fallback: T, call: impl FnOnce(&Client) -> T) -> T {
    catch_panic_in(name, || call(client)).unwrap_or_else(|fault| {
        // Reporting takes the locks that the fault may have left in disorder, so it is guarded as well.
        let _ = catch_panic_in(name, || client.report(fault));
        fallback
    })
}

/// A call that can fail: it answers with `NativeResult<T>` as JSON. A panic becomes an `INTERNAL` error.
pub(crate) fn result<T: Serialize>(name: &str, call: impl FnOnce() -> Result<T, BusError>) -> String {
    values::result(catch_panic_in(name, call).and_then(|result| result))
}

/// A call without a client or an answer to put an error in: a panic becomes an exception.
pub(crate) fn throwing<T>(name: &str, call: impl FnOnce() -> T) -> napi::Result<T> {
    catch_panic_in(name, call).map_err(|fault| exception(&fault))
}

/// An error as an exception. JavaScript gives what can only fail by a fault of Oxbus itself.
pub(crate) fn exception(error: &impl ToString) -> Error {
    Error::from_reason(error.to_string())
}
