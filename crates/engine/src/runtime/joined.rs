//! Waits for several futures at once.

use std::convert::Infallible;
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

/// Waits until all are done, of which at most `at_once` are under way at the same time; the results are in the order of the
/// futures.
pub(crate) async fn join_bounded<F: Future>(at_once: usize, futures: Vec<F>) -> Vec<F::Output> {
    let each = futures.into_iter().map(|future| async move { Ok::<_, Infallible>(future.await) });
    match try_join_bounded(at_once, each.collect()).await {
        Ok(all) => all,
        Err(never) => match never {},
    }
}

/// As [`join_bounded`], until one fails: then the others are dropped. Of several that fail at the same time it is the first
/// one in the order of the futures.
pub(crate) async fn try_join_bounded<F, T, E>(at_once: usize, futures: Vec<F>) -> Result<Vec<T>, E>
where
    F: Future<Output = Result<T, E>>,
{
    let mut results: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let mut waiting = futures.into_iter().enumerate();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    poll_fn(|cx| {
        loop {
            let mut at = 0;
            while let Some((place, future)) = running.get_mut(at) {
                match future.as_mut().poll(cx) {
                    Poll::Ready(Ok(value)) => {
                        if let Some(result) = results.get_mut(*place) {
                            *result = Some(value);
                        }
                        running.remove(at);
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => at += 1,
                }
            }
            let room = at_once.max(1).saturating_sub(running.len());
            let started: Vec<_> = waiting.by_ref().take(room).collect();
            if started.is_empty() {
                return if running.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            running.extend(started.into_iter().map(|(place, future)| (place, Box::pin(future))));
        }
    })
    .await?;
    Ok(results.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::Relaxed;

    use super::*;

    #[tokio::test]
    async fn so_many_are_under_way_at_once_and_the_results_are_in_order() {
        let (under_way, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let one = |n: usize| {
            let (under_way, most) = (&under_way, &most);
            async move {
                most.fetch_max(under_way.fetch_add(1, Relaxed) + 1, Relaxed);
                for _ in 0..10 - n {
                    tokio::task::yield_now().await;
                }
                under_way.fetch_sub(1, Relaxed);
                n
            }
        };
        let all: Vec<usize> = (0..10).collect();
        assert_eq!(join_bounded(3, all.iter().copied().map(one).collect()).await, all);
        assert_eq!(most.load(Relaxed), 3);
        assert_eq!(join_bounded(0, vec![one(1)]).await, [1]);
        assert!(join_bounded(3, Vec::<std::future::Ready<u8>>::new()).await.is_empty());
    }

    #[tokio::test]
    async fn the_first_that_fails_ends_it_and_no_other_is_begun() {
        let begun = AtomicUsize::new(0);
        let one = |n: usize| {
            let begun = &begun;
            async move {
                begun.fetch_add(1, Relaxed);
                match n {
                    0 => std::future::pending().await,
                    1 | 2 => Err(n),
                    _ => Ok(n),
                }
            }
        };
        assert_eq!(try_join_bounded(3, (0..10).map(one).collect()).await, Err(1));
        assert_eq!(begun.load(Relaxed), 2);
    }

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
