//! Waits for several futures at once.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// A result, or the future that is to give it.
type Joined<F> = (Option<<F as Future>::Output>, Option<Pin<Box<F>>>);

/// Waits until all are done; the results are in the order of the futures.
pub(crate) async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut open: Vec<Joined<F>> = futures.into_iter().map(|future| (None, Some(Box::pin(future)))).collect();
    poll_fn(|cx| {
        let mut is_done = true;
        for (result, future) in &mut open {
            let Some(waiting) = future else { continue };
            match waiting.as_mut().poll(cx) {
                Poll::Ready(value) => (*result, *future) = (Some(value), None),
                Poll::Pending => is_done = false,
            }
        }
        if is_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    open.into_iter().filter_map(|(result, _)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_come_in_the_order_of_the_futures() {
        let one = |n: u32| async move {
            for _ in 0..4 - n {
                tokio::task::yield_now().await;
            }
            n
        };
        assert_eq!(join_all((0..4).map(one)).await, [0, 1, 2, 3]);
        assert!(join_all(Vec::<std::future::Ready<u8>>::new()).await.is_empty());
    }
}
