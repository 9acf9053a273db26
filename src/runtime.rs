//! The threads of the addon: one small tokio runtime for all clients of the process.

use once_cell::sync::OnceCell;
use tokio::runtime::{Builder, Handle, Runtime};

/// Made with the first client and kept: joining threads while Node tears an environment down can
/// deadlock with their last call into it, and idle threads cost nothing.
static RUNTIME: OnceCell<Runtime> = OnceCell::new();

/// Links, heartbeats and retries are I/O and timers. A second thread would take tasks from the first and
/// be woken for them, which costs a single publish more than it gains.
const THREADS: usize = 1;

/// The runtime, made on first use.
pub(crate) fn handle() -> std::io::Result<Handle> {
    let make =
        || Builder::new_multi_thread().worker_threads(THREADS).thread_name("oxbus").enable_all().build();
    RUNTIME.get_or_try_init(make).map(|runtime| runtime.handle().clone())
}
