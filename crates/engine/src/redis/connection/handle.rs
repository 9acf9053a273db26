//! The handle of a link: what its inputs are sent by, and what ends it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::redis::connection::stepped::Stepped;
use crate::runtime::tasks::Tasks;

/// What the task of a link is sent.
pub(super) enum LinkMessage<I> {
    Input(I),
    #[cfg(feature = "failpoints")]
    Panic,
}

/// The handle of a link; dropping it ends the link.
pub(crate) struct Handle<I> {
    messages: UnboundedSender<LinkMessage<I>>,
    task: JoinHandle<()>,
    /// The same task, for those who may drive it a step further.
    stepped: Option<Arc<Stepped>>,
}

/// What is sent to the handle of a link, for what works as one and is none itself.
pub(in crate::redis) struct Inputs<I>(UnboundedReceiver<LinkMessage<I>>);

impl<I> Inputs<I> {
    /// The next input; `None` when the handle was dropped.
    pub(in crate::redis) async fn next(&mut self) -> Option<I> {
        match self.0.recv().await? {
            LinkMessage::Input(input) => Some(input),
            #[cfg(feature = "failpoints")]
            #[allow(clippy::panic)]
            LinkMessage::Panic => panic!("injected by a test"),
        }
    }
}

impl<I: Send + 'static> Handle<I> {
    /// A handle of a task that takes inputs as a link does.
    pub(in crate::redis) fn of_task<F: Future<Output = ()> + Send + 'static>(
        tasks: &Tasks,
        run: impl FnOnce(Inputs<I>) -> F,
    ) -> Handle<I> {
        let (messages, receiver) = unbounded_channel();
        Handle { messages, task: tasks.spawn(run(Inputs(receiver))), stepped: None }
    }

    /// The handle of a link, which sets `is_idle`.
    pub(super) fn of_link(
        messages: UnboundedSender<LinkMessage<I>>,
        tasks: &Tasks,
        run: impl Future<Output = ()> + Send + 'static,
        is_idle: Arc<AtomicBool>,
    ) -> Handle<I> {
        let stepped = Stepped::new(tasks.carry(run), is_idle, tasks.runtime().clone());
        Handle { messages, task: tasks.spawn_carried(stepped.task()), stepped: Some(stepped) }
    }
}

impl<I> Handle<I> {
    /// Hands an input to the session. What may be in flight is bounded by the client's admission.
    /// False when the link has ended.
    pub(crate) fn send(&self, input: I) -> bool {
        self.messages.send(LinkMessage::Input(input)).is_ok()
    }

    /// What sends to the link without the handle, which may be behind a lock.
    pub(crate) fn sender(&self) -> Sender<I> {
        Sender { messages: self.messages.clone(), stepped: self.stepped.clone() }
    }

    /// Ends the link. The task is over when everything that the session held is settled.
    pub(crate) fn end(self) -> JoinHandle<()> {
        self.task
    }

    #[cfg(feature = "failpoints")]
    pub(crate) fn inject_panic(&self) {
        let _ = self.messages.send(LinkMessage::Panic);
    }
}

/// Sends to a link. The link lives as long as its handle, or this.
pub(crate) struct Sender<I> {
    messages: UnboundedSender<LinkMessage<I>>,
    stepped: Option<Arc<Stepped>>,
}

impl<I> Sender<I> {
    /// As [`Handle::send`]. A link that is idle takes the input, and writes what follows from it, on the thread of the caller,
    /// who must hold no lock that the reports of a session may need.
    pub(crate) fn step(&self, input: I) -> bool {
        let send = || self.messages.send(LinkMessage::Input(input)).is_ok();
        match &self.stepped {
            Some(stepped) => stepped.step(send),
            None => send(),
        }
    }
}
