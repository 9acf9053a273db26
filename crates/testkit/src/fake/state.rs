//! What the connections of a scripted server share with the test.

use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;

use tokio::sync::broadcast;

use super::script::{Command, Script};

/// Pieces of unasked bytes that a slow connection may have waiting.
const SENDS: usize = 1024;

pub(super) struct State {
    pub(super) script: Mutex<Script>,
    pub(super) received: Mutex<Vec<Command>>,
    pub(super) accepted: AtomicUsize,
    pub(super) open: AtomicUsize,
    pub(super) sends: broadcast::Sender<Vec<u8>>,
}

impl State {
    pub(super) fn new(script: Script) -> Self {
        Self {
            script: Mutex::new(script),
            received: Mutex::default(),
            accepted: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            sends: broadcast::Sender::new(SENDS),
        }
    }
}
