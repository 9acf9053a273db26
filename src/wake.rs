//! The one function that Rust calls in JavaScript.

use std::sync::{PoisonError, RwLock};

use napi::bindgen_prelude::{Function, Unknown};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Result, Status, check_status, sys};
use oxbus_engine::Host;

/// Weak: by itself it does not keep the process alive. One call may be outstanding, so a queue of one is enough.
type WakeFunction = ThreadsafeFunction<(), Unknown<'static>, (), Status, false, true, 1>;

/// Calls JavaScript's `wake` from any thread.
pub(crate) struct Wake {
    /// Gone once the client is destroyed: until then Node counts it as an open handle.
    function: RwLock<Option<WakeFunction>>,
}

impl Wake {
    pub(crate) fn new(function: Function<'_, (), Unknown<'static>>) -> Result<Self> {
        let function = function
            .build_threadsafe_function()
            .callee_handled::<false>()
            .weak::<true>()
            .max_queue_size::<1>()
            .build()?;
        Ok(Wake { function: RwLock::new(Some(function)) })
    }

    /// Calls JavaScript no more.
    pub(crate) fn end(&self) {
        let function = self.function.write().unwrap_or_else(PoisonError::into_inner).take();
        drop(function);
    }

    /// Sets whether the function keeps the process alive. Setting it to what it is changes nothing.
    pub(crate) fn set_referenced(&self, env: &Env, referenced: bool) -> Result<()> {
        let function = self.function.read().unwrap_or_else(PoisonError::into_inner);
        let Some(function) = function.as_ref().filter(|function| !function.aborted()) else { return Ok(()) };
        // SAFETY: called on the thread of `env`, so its teardown does not run meanwhile; `end` cannot take the
        // function while the lock is held; it is not aborted. So the handle is valid. Both calls are idempotent.
        let status = unsafe {
            if referenced {
                sys::napi_ref_threadsafe_function(env.raw(), function.raw())
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), function.raw())
            }
        };
        check_status!(status)
    }
}

impl Host for Wake {
    fn wake(&self) {
        // A full queue means that a call is on its way; a closing environment needs none.
        if let Some(function) = &*self.function.read().unwrap_or_else(PoisonError::into_inner) {
            function.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }
}
