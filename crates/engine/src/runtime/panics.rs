//! Keeps a panic where it happened: a loop that panics reports it and starts again.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use oxbus_model::{BusError, ErrorKind};

/// Runs `future`; a panic in it becomes an INTERNAL error.
pub(crate) async fn catch_panic<T>(name: &str, future: impl Future<Output = T>) -> Result<T, BusError> {
    let mut future = pin!(future);
    poll_fn(|cx| {
        // What the future borrows is repaired by its owner, which sees the error.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(value)) => Poll::Ready(Ok(value)),
            Err(panic) => Poll::Ready(Err(internal(name, &*panic))),
        }
    })
    .await
}

/// Runs `call`; a panic in it becomes an INTERNAL error.
pub fn catch_panic_in<T>(name: &str, call: impl FnOnce() -> T) -> Result<T, BusError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| internal(name, &*panic))
}

fn internal(name: &str, panic: &(dyn Any + Send)) -> BusError {
    let text = panic
        .downcast_ref::<&str>()
        .map(|s| (*s).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    BusError::new(ErrorKind::Internal, format!("a fault in {name}: {text}"))
}
