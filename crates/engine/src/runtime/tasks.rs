//! Tasks of a client: each logs to the log of its client, wherever it runs.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::{JoinHandle, JoinSet};
use tracing::dispatcher::DefaultGuard;
use tracing::instrument::{WithDispatch, WithSubscriber};
use tracing::{Dispatch, dispatcher};

/// Starts the tasks of one client. Nothing else in the engine starts a task, which `clippy.toml` sees to: a task that
/// was started otherwise would log to nobody.
#[derive(Clone)]
pub(crate) struct Tasks {
    runtime: Handle,
    log: Dispatch,
}

impl Tasks {
    /// Tasks on `runtime` that log to `log`.
    pub(crate) fn new(runtime: Handle, log: &Dispatch) -> Tasks {
        Tasks { runtime, log: log.clone() }
    }

    /// Tasks on the runtime of the caller, which must be in one.
    pub(crate) fn current(log: &Dispatch) -> Tasks {
        Tasks::new(Handle::current(), log)
    }

    /// What the tasks run in.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.runtime
    }

    /// Starts a task.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.spawn_carried(self.carry(work))
    }

    /// Makes work log to the log of the client, whoever polls it.
    pub(crate) fn carry<F: Future>(&self, work: F) -> WithDispatch<F> {
        work.with_subscriber(self.log.clone())
    }

    /// Starts a task of work that was made with [`Tasks::carry`].
    #[allow(clippy::disallowed_methods)]
    pub(crate) fn spawn_carried<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(work)
    }

    /// Starts a task of `set`.
    pub(crate) fn spawn_in<T: Send + 'static>(
        &self,
        set: &mut JoinSet<T>,
        work: impl Future<Output = T> + Send + 'static,
    ) {
        set.spawn_on(self.carry(work), &self.runtime);
    }

    /// What this thread logs until the guard is dropped goes to the log of the client: for calls of the host.
    pub(crate) fn log(&self) -> DefaultGuard {
        dispatcher::set_default(&self.log)
    }
}
