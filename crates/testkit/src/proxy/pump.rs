//! Moving the bytes of one direction.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::ending::Ending;
use super::lane::{Lane, until};

/// Chunks on their way in each direction; with [`CHUNK`] this bounds what a delay or a freeze keeps in memory.
pub(super) const CHUNKS: usize = 64;
const CHUNK: usize = 16 * 1024;

pub(super) enum Parcel {
    Bytes(Instant, Vec<u8>),
    /// All before it was written: cut the connection.
    Cut,
}

/// Reads until the peer closes. `admit` gives how many of the bytes are forwarded, and whether to cut then.
pub(super) async fn read_side(
    lane: &Lane,
    mut from: ReadHalf<'_>,
    parcels: mpsc::Sender<Parcel>,
    admit: impl Fn(&[u8]) -> (usize, bool),
) {
    let mut held = lane.held.subscribe();
    let mut chunk = vec![0; CHUNK];
    loop {
        until(&mut held, false).await;
        // Biased: once held, not one more byte is read.
        let read = tokio::select! {
            biased;
            () = until(&mut held, true) => continue,
            read = from.read(&mut chunk) => read,
        };
        let length = match read {
            // The writing side passes the close on after what is under way.
            Ok(0) => return,
            Ok(length) => length,
            Err(_) => return lane.endings.end(Ending::Cut),
        };
        lane.read.fetch_add(length as u64, SeqCst);
        let (admitted, cut) = admit(&chunk[..length]);
        let delay = Duration::from_micros(lane.traffic.delay_micros.load(SeqCst));
        if admitted > 0 {
            let bytes = chunk[..admitted].to_vec();
            if parcels.send(Parcel::Bytes(Instant::now() + delay, bytes)).await.is_err() {
                return;
            }
        }
        if cut {
            let _ = parcels.send(Parcel::Cut).await;
            return std::future::pending().await;
        }
    }
}

/// Writes what was read, when it is due and while nothing holds it back.
pub(super) async fn write_side(lane: &Lane, mut to: WriteHalf<'_>, mut parcels: mpsc::Receiver<Parcel>) {
    let mut held = lane.held.subscribe();
    while let Some(parcel) = parcels.recv().await {
        let Parcel::Bytes(due, bytes) = parcel else { return lane.endings.end(Ending::AfterLimit) };
        sleep_until(due).await;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            until(&mut held, false).await;
            let (piece, split) = match lane.traffic.largest_write.load(SeqCst) {
                0 => (rest, false),
                largest => (&rest[..rest.len().min(largest)], true),
            };
            let written = tokio::select! {
                biased;
                () = until(&mut held, true) => continue,
                written = to.write(piece) => written,
            };
            let Ok(written) = written else { return lane.endings.end(Ending::Cut) };
            lane.written.fetch_add(written as u64, SeqCst);
            rest = &rest[written..];
            if split {
                // Gives the reader a chance to read this part alone.
                tokio::task::yield_now().await;
            }
        }
    }
    until(&mut held, false).await;
    let _ = to.shutdown().await;
}
