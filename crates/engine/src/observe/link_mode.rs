//! How events travel at the moment, and what hybrid mode says when that changes.

use std::sync::PoisonError;

use oxbus_model::config::Mode;
use oxbus_model::observe::stats::LinkMode;

use crate::host::Notice;
use crate::state::ClientState;
use crate::transport::link_id::LinkId;

/// The warning that events stay in this client.
pub(crate) const LOCAL_ONLY: &str = "LOCAL_ONLY";

impl ClientState {
    /// How events travel.
    pub(crate) fn link_mode(&self) -> LinkMode {
        match self.config.mode {
            Mode::Memory => LinkMode::Memory,
            Mode::Redis => LinkMode::RedisOnly,
            Mode::Hybrid if self.lifecycle.is_whole() => LinkMode::Hybrid,
            Mode::Hybrid => LinkMode::LocalOnly,
        }
    }

    /// In hybrid mode: a link has changed. Says so, once, when events stay here by that, or no longer do; and
    /// those that wait for subscriptions which the server cannot confirm now wait no longer.
    pub(crate) fn follow_mode(&self) {
        if self.config.mode != Mode::Hybrid {
            return;
        }
        // Held until it is said, so that what is said last is what is so.
        let mut told = self.told_local_only.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = self.lifecycle.fault();
        if let Some((link, why)) = &fault
            && !*told
        {
            *told = true;
            let message = format!("events stay in this client for now: {link}: {why}");
            self.notice(Notice::Warning { code: LOCAL_ONLY, message });
        } else if *told && self.lifecycle.is_whole() {
            *told = false;
            let message = "events go through Redis again".to_owned();
            self.notice(Notice::Warning { code: "HYBRID_RESTORED", message });
        }
        drop(told);
        if self.lifecycle.is_cut_off(&LinkId::Subscriber) {
            self.wait_no_longer();
        }
    }

    /// Those that wait for subscriptions go on without the server's answer: they work here.
    fn wait_no_longer(&self) {
        let waiting = self.unconfirmed().all();
        waiting.into_iter().for_each(|subscription| self.end_wait(subscription, Ok(())));
    }

    /// Whether hybrid mode is without its server, as far as it knows.
    pub(crate) fn is_local_only(&self) -> bool {
        self.config.mode == Mode::Hybrid && self.lifecycle.fault().is_some()
    }
}
