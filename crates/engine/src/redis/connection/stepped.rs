//! A task that whoever hands it something may drive a step further, on his own thread.
//!
//! To hand something to a task and let its thread be woken costs two system calls and a change of threads before a byte is
//! written: most of what a single publish waits for. A task that has nothing to do is polled by the one who hands the input
//! over instead. Whatever wakes the task meanwhile is passed on to its thread afterwards, so nothing is lost, and where the task is
//! being polled already, its thread is woken as ever.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use tokio::runtime::Handle;

use crate::transport::Boxed;

/// Nobody but its thread polls the task.
const FREE: u8 = 0;
/// Another thread hands something over, or polls.
const STEPPED: u8 = 1;
/// The same, and the task was woken meanwhile.
const WOKEN: u8 = 2;

/// So often a step polls the task: again, if it was woken meanwhile, such as by a socket that has just been written to. To look
/// once more takes less than to wake its thread.
const POLLS: usize = 2;

/// The future of a task, which its thread and others poll in turns.
pub(in crate::redis) struct Stepped {
    /// `None` when it is over.
    future: Mutex<Option<Boxed<'static, ()>>>,
    waker: Arc<TaskWaker>,
    /// Whether the task says that a step is short: it waits for inputs and has nothing else to do.
    is_idle: Arc<AtomicBool>,
    runtime: Handle,
}

impl Stepped {
    /// `future` sets `is_idle`. It runs in `runtime`, whoever polls it.
    pub(in crate::redis) fn new(
        future: impl Future<Output = ()> + Send + 'static,
        is_idle: Arc<AtomicBool>,
        runtime: Handle,
    ) -> Arc<Stepped> {
        let waker = Arc::new(TaskWaker { state: AtomicU8::new(FREE), of_thread: Mutex::new(None) });
        Arc::new(Stepped { future: Mutex::new(Some(Box::pin(future))), waker, is_idle, runtime })
    }

    /// What its thread runs.
    pub(in crate::redis) fn task(self: &Arc<Self>) -> impl Future<Output = ()> + Send + use<> {
        Task(self.clone())
    }

    /// Hands something over by `give`, which wakes the task, and drives the task until it waits again. Where that cannot be
    /// done at once, `give` is all that happens, and the thread of the task does the rest.
    pub(in crate::redis) fn step<T>(&self, give: impl FnOnce() -> T) -> T {
        if !self.is_idle.load(Ordering::Acquire) {
            return give();
        }
        let Ok(mut future) = self.future.try_lock() else { return give() };
        let step = Step::begin(&self.waker);
        let given = give();
        let _runtime = self.runtime.enter();
        for _ in 0..POLLS {
            step.look_anew();
            if poll(&mut future, &self.waker).is_ready() {
                step.end_with_wake();
                break;
            }
            if !step.is_woken() {
                break;
            }
        }
        drop(future);
        given
    }
}

/// Polls a future that is not over. Whoever polls it has looked at everything that has woken it before.
fn poll(future: &mut Option<Boxed<'static, ()>>, waker: &Arc<TaskWaker>) -> Poll<()> {
    let Some(running) = future.as_mut() else { return Poll::Ready(()) };
    let polled = running.as_mut().poll(&mut Context::from_waker(&waker.clone().into()));
    if polled.is_ready() {
        *future = None;
    }
    polled
}

struct Task(Arc<Stepped>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Stepped { future, waker, .. } = &*self.0;
        waker.belongs_to(cx.waker());
        if let Ok(mut future) = future.try_lock() {
            return poll(&mut future, waker);
        }
        if waker.is_stepped() {
            // The end of the step wakes this thread again, which has other tasks meanwhile.
            return Poll::Pending;
        }
        poll(&mut future.lock().unwrap_or_else(PoisonError::into_inner), waker)
    }
}

/// Wakes the thread of the task, or tells the one who makes a step.
struct TaskWaker {
    state: AtomicU8,
    of_thread: Mutex<Option<Waker>>,
}

impl TaskWaker {
    fn belongs_to(&self, waker: &Waker) {
        let mut known = self.of_thread.lock().unwrap_or_else(PoisonError::into_inner);
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Whether another thread makes a step; then its end wakes the thread of the task.
    fn is_stepped(&self) -> bool {
        let woken = self.state.compare_exchange(STEPPED, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        matches!(woken, Ok(_) | Err(WOKEN))
    }

    fn wake_thread(&self) {
        // Not under the lock: the thread that wakes takes it first.
        let waker = self.of_thread.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Until its thread has polled it for the first time, it is to be polled anyway.
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // The end of a step passes it on.
        if !self.is_stepped() {
            self.wake_thread();
        }
    }
}

/// A step of a thread that is not the task's. Its end, also by a panic, passes on what has woken the task since.
struct Step<'a>(&'a TaskWaker);

impl<'a> Step<'a> {
    fn begin(waker: &'a TaskWaker) -> Self {
        waker.state.store(STEPPED, Ordering::Release);
        Step(waker)
    }

    /// What has woken the task until now is looked at by the poll that follows.
    fn look_anew(&self) {
        self.0.state.swap(STEPPED, Ordering::AcqRel);
    }

    fn is_woken(&self) -> bool {
        self.0.state.load(Ordering::Acquire) == WOKEN
    }

    /// The task has ended, which its thread must see.
    fn end_with_wake(&self) {
        self.0.state.store(WOKEN, Ordering::Release);
    }
}

impl Drop for Step<'_> {
    fn drop(&mut self) {
        if self.0.state.swap(FREE, Ordering::AcqRel) == WOKEN {
            self.0.wake_thread();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use tokio::runtime::Builder;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    /// A task that adds what it is given, on a runtime of its own; and whether it is idle.
    fn adding() -> (tokio::runtime::Runtime, Arc<Stepped>, tokio::sync::mpsc::UnboundedSender<usize>, Sums) {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, mut receiver) = unbounded_channel();
        let (sum, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let is_idle = Arc::new(AtomicBool::new(true));
        let (adds, tells) = (sum.clone(), told.clone());
        let future = async move {
            while let Some(number) = receiver.recv().await {
                adds.fetch_add(number, Ordering::AcqRel);
                tells.lock().unwrap().push(thread::current().id());
            }
        };
        let stepped = Stepped::new(future, is_idle.clone(), runtime.handle().clone());
        runtime.spawn(stepped.task());
        (runtime, stepped, sender, Sums { sum, told, is_idle })
    }

    struct Sums {
        sum: Arc<AtomicUsize>,
        told: Arc<Mutex<Vec<thread::ThreadId>>>,
        is_idle: Arc<AtomicBool>,
    }

    impl Sums {
        fn wait_for(&self, sum: usize) {
            let deadline = std::time::Instant::now() + Duration::from_secs(10);
            while self.sum.load(Ordering::Acquire) != sum {
                assert!(std::time::Instant::now() < deadline, "{}", self.sum.load(Ordering::Acquire));
                thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn an_idle_task_does_what_it_is_given_before_the_call_returns() {
        let (_runtime, stepped, sender, sums) = adding();
        for sum in 1..=100 {
            stepped.step(|| sender.send(1)).unwrap();
            // Its first poll may be under way, on its own thread.
            sums.wait_for(sum);
        }
        let own = thread::current().id();
        assert!(sums.told.lock().unwrap().iter().filter(|id| **id == own).count() >= 99);
    }

    #[test]
    fn a_task_that_is_not_idle_is_left_to_its_thread() {
        let (_runtime, stepped, sender, sums) = adding();
        sums.is_idle.store(false, Ordering::Release);
        stepped.step(|| sender.send(1)).unwrap();
        sums.wait_for(1);
        assert!(!sums.told.lock().unwrap().contains(&thread::current().id()));
    }

    #[test]
    fn nothing_is_lost_when_several_threads_hand_over() {
        let (_runtime, stepped, sender, sums) = adding();
        thread::scope(|scope| {
            for steps in [true, false, true] {
                let (stepped, sender) = (&stepped, sender.clone());
                scope.spawn(move || {
                    for _ in 0..20_000 {
                        let sent = if steps { stepped.step(|| sender.send(1)) } else { sender.send(1) };
                        sent.unwrap();
                    }
                });
            }
        });
        sums.wait_for(60_000);
    }

    #[test]
    fn its_end_in_a_step_ends_the_task() {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, mut receiver) = unbounded_channel::<()>();
        let (told, tells) = mpsc::channel();
        let future = async move { assert!(receiver.recv().await.is_none()) };
        let stepped = Stepped::new(future, Arc::new(AtomicBool::new(true)), runtime.handle().clone());
        let task = stepped.task();
        runtime.spawn(async move {
            task.await;
            told.send(()).unwrap();
        });
        stepped.step(|| drop(sender));
        tells.recv_timeout(Duration::from_secs(10)).unwrap();
    }
}
