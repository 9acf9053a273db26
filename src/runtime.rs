//! The threads of the addon: one small tokio runtime for all clients of the process.

use std::fmt::Display;
use std::thread;

use once_cell::sync::OnceCell;
use oxbus_engine::panics::catch_panic_in;
use oxbus_model::{BusError, ErrorKind};
use tokio::runtime::{Builder, Handle, Runtime};

/// Made with the first client and kept: joining threads while Node tears an environment down can
/// deadlock with their last call into it, and idle threads cost nothing.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Links, heartbeats and retries are I/O and timers. A second thread would take tasks from the first and
/// be woken for them, which costs a single publish more than it gains.
const THREADS: usize = 1;

/// The runtime, made on first use. Fails with `NO_THREAD` when the system starts none; a later call tries again.
pub(crate) fn handle() -> Result<Handle, BusError> {
    RUNTIME.get_or_try_init(start).map(|runtime| runtime.handle().clone())
}

fn start() -> Result<Runtime, BusError> {
    // tokio panics when its first thread does not start, so another one is started before, whose failure is a value.
    let tried = thread::Builder::new().name("oxbus".to_owned()).spawn(|| ()).map_err(|e| no_thread(&e))?;
    tried.join().map_err(|_| no_thread(&"it ended by a fault"))?;
    let build =
        || Builder::new_multi_thread().worker_threads(THREADS).thread_name("oxbus").enable_all().build();
    // The thread that was free may have been taken meanwhile.
    catch_panic_in("the start of the runtime", build)
        .map_err(|fault| no_thread(&fault))?
        .map_err(|e| no_thread(&e))
}

fn no_thread(reason: &dyn Display) -> BusError {
    BusError::new(ErrorKind::NoThread, format!("the threads of the bus do not start: {reason}"))
}
