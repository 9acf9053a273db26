//! Where no asynchronous context of JavaScript reaches.

use std::ptr;

use napi::bindgen_prelude::{Function, Object, Unknown};
use napi::{Env, JsValue, Result, check_status, sys};
use napi_derive::napi;

/// Calls a function in no asynchronous context, and returns what it returns: an `AsyncLocalStorage` that the caller has
/// entered has no store there. In Bun the context of the caller stays. The function must not throw.
#[napi(ts_generic_types = "T", ts_args_type = "run: () => T", ts_return_type = "T")]
pub fn without_context(env: Env, run: Function<'_, (), Unknown<'static>>) -> Result<Unknown<'static>> {
    let receiver = Object::new(&env)?;
    let mut result = ptr::null_mut();
    // SAFETY: called on the thread of `env`, with values of the running call. Node-API takes no context (null) as the
    // empty one, which is entered with the receiver and left again before this returns.
    let status = unsafe {
        sys::napi_make_callback(
            env.raw(),
            ptr::null_mut(),
            receiver.raw(),
            run.raw(),
            0,
            ptr::null(),
            &mut result,
        )
    };
    check_status!(status)?;
    // SAFETY: the call succeeded, so this is a value of the running call, which returns it.
    Ok(unsafe { Unknown::from_raw_unchecked(env.raw(), result) })
}
