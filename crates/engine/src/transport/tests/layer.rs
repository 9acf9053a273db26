//! A layer between a transport and its client: it records what is reported, and can spoil it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use oxbus_model::consumer::{GroupKey, ReceivedEntry};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::Missed;
use oxbus_model::{BusError, ErrorKind};

use crate::host::Notice;
use crate::transport::events::{ContinuityChange, PublishReport, Refused, TakeMessage, TransportEvents};
use crate::transport::inbound::{InboundBatch, OwnEvents};
use crate::transport::link_id::LinkId;

pub(super) struct Layer {
    inner: Arc<dyn TransportEvents>,
    calls: Mutex<Vec<String>>,
    loses: AtomicBool,
}

impl Layer {
    pub(super) fn over(inner: Arc<dyn TransportEvents>) -> Layer {
        Layer { inner, calls: Mutex::default(), loses: AtomicBool::new(false) }
    }

    /// Whether messages get lost from now on.
    pub(super) fn lose_messages(&self, loses: bool) {
        self.loses.store(loses, Ordering::Release);
    }

    /// Reports a fault that the transport does not have.
    pub(super) fn report_down(&self) {
        let error = BusError::new(ErrorKind::ConnectionLost, "as the test wants");
        self.inner.link_down(&LinkId::Memory, &error);
    }

    /// What was reported, in order.
    pub(super) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    fn called(&self, what: impl Into<String>) -> &dyn TransportEvents {
        self.calls.lock().unwrap().push(what.into());
        &*self.inner
    }
}

impl TransportEvents for Layer {
    fn link_needed(&self, link: &LinkId) {
        self.called(format!("link_needed {link}")).link_needed(link);
    }

    fn link_up(&self, link: &LinkId) {
        self.called(format!("link_up {link}")).link_up(link);
    }

    fn link_alive(&self, link: &LinkId, now: u64) {
        self.called(format!("link_alive {link}")).link_alive(link, now);
    }

    fn link_down(&self, link: &LinkId, error: &BusError) {
        self.called(format!("link_down {link}")).link_down(link, error);
    }

    fn link_reconnecting(&self, link: &LinkId, attempt: u32, delay: u64, error: BusError) {
        self.called(format!("link_reconnecting {link}")).link_reconnecting(link, attempt, delay, error);
    }

    fn link_gone(&self, link: &LinkId) {
        self.called(format!("link_gone {link}")).link_gone(link);
    }

    fn messages(&self, read: &mut dyn FnMut(&mut TakeMessage<'_>)) {
        if self.loses.load(Ordering::Acquire) {
            self.called("messages lost");
            return read(&mut |_, _, _| {});
        }
        self.called("messages").messages(read);
    }

    fn own_events(&self) -> OwnEvents<'_> {
        self.called("own_events").own_events()
    }

    fn accept_own(&self, batch: &mut InboundBatch) -> Vec<u32> {
        self.called("accept_own").accept_own(batch)
    }

    fn confirmed(&self, server_subscription: &ServerSubscription) {
        // A subscription has two: that of its pattern, and that of broadcasts.
        if !self.calls().iter().any(|call| call == "confirmed") {
            self.called("confirmed");
        }
        self.inner.confirmed(server_subscription);
    }

    fn refused(&self, server_subscription: &ServerSubscription, error: &BusError) -> Refused {
        self.called("refused").refused(server_subscription, error)
    }

    fn subscriptions_pending(&self, link: &LinkId, pending: bool) {
        self.called("subscriptions_pending").subscriptions_pending(link, pending);
    }

    fn subscriptions_refused(&self, link: &LinkId, refused: &[ServerSubscription]) {
        self.called("subscriptions_refused").subscriptions_refused(link, refused);
    }

    fn continuity(&self, change: ContinuityChange<'_>) {
        self.called("continuity").continuity(change);
    }

    fn published(&self, report: &mut PublishReport) {
        self.called("published").published(report);
    }

    fn reader_up(&self, group: GroupKey) {
        self.called("reader_up").reader_up(group);
    }

    fn reader_down(&self, group: GroupKey, error: &BusError) {
        self.called("reader_down").reader_down(group, error);
    }

    fn entries(&self, group: GroupKey, entries: Vec<ReceivedEntry>) {
        self.called("entries").entries(group, entries);
    }

    fn missed(&self, stream: Arc<str>, group: Arc<str>, missed: Missed) {
        self.called("missed").missed(stream, group, missed);
    }

    fn hand_backs_heard(&self, heard: bool) {
        self.called("hand_backs_heard").hand_backs_heard(heard);
    }

    fn handed_back(&self, stream: &str, group: &str) {
        self.called("handed_back").handed_back(stream, group);
    }

    fn read_interrupted(&self, group: GroupKey, error: BusError) {
        self.called("read_interrupted").read_interrupted(group, error);
    }

    fn notice(&self, notice: Notice) {
        self.called("notice").notice(notice);
    }
}
