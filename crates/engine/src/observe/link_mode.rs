//! How events travel at the moment, and what hybrid mode says when that changes.

use std::sync::{Arc, Mutex, PoisonError};

use oxbus_model::config::Mode;
use oxbus_model::observe::stats::LinkMode;

use crate::host::Notice;
use crate::state::ClientState;
use crate::transport::link_id::LinkId;

/// The warning that events stay in this client.
pub(crate) const LOCAL_ONLY: &str = "LOCAL_ONLY";

/// How events travel.
pub(crate) fn link_mode(state: &ClientState) -> LinkMode {
    match state.config.mode {
        Mode::Memory => LinkMode::Memory,
        Mode::Redis => LinkMode::RedisOnly,
        Mode::Hybrid if state.lifecycle.is_whole() => LinkMode::Hybrid,
        Mode::Hybrid => LinkMode::LocalOnly,
    }
}

/// Whether hybrid mode is without its server, as far as it knows.
pub(crate) fn is_local_only(state: &ClientState) -> bool {
    state.config.mode == Mode::Hybrid && state.lifecycle.fault().is_some()
}

/// Follows, in hybrid mode, whether events reach the server.
pub(crate) struct LinkModeWatch {
    state: Arc<ClientState>,
    /// Whether it was reported that events stay here.
    reported_local_only: Mutex<bool>,
}

impl LinkModeWatch {
    pub(crate) fn new(state: Arc<ClientState>) -> Self {
        LinkModeWatch { state, reported_local_only: Mutex::new(false) }
    }

    /// A link has changed. In hybrid mode the host is warned, once, when events stay here by that, or no longer do; and
    /// those that wait for subscriptions which the server cannot confirm now wait no longer.
    pub(crate) fn follow(&self) {
        let state = &self.state;
        if state.config.mode != Mode::Hybrid {
            return;
        }
        // The lock is held until the warning is given, so that the last warning is true.
        let mut reported = self.reported_local_only.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = state.lifecycle.fault();
        if let Some((link, why)) = &fault
            && !*reported
        {
            *reported = true;
            let message = format!("events stay in this client for now: {link}: {why}");
            state.notice(Notice::Warning { code: LOCAL_ONLY, message });
        } else if *reported && state.lifecycle.is_whole() {
            *reported = false;
            let message = "events go through Redis again".to_owned();
            state.notice(Notice::Warning { code: "HYBRID_RESTORED", message });
        }
        drop(reported);
        if state.lifecycle.is_cut_off(&LinkId::Subscriber) {
            // Their subscriptions work here without the server's answer.
            state.confirmations.end_all(&Ok(()));
        }
    }
}
