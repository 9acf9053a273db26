//! A transport without a server: it confirms everything, and sends back what is published.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::WantedPattern;
use oxbus_model::{BusError, ErrorKind, Outcome};

use super::NoStore;
use crate::host::{Failed, Published};
use crate::publish::encoder::{Encoder, Stamp};
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;
use crate::transport::link_id::LinkId;
use crate::transport::store::Store;
use crate::transport::{Boxed, Probe, Submission, Transport};

pub(super) struct Scripted {
    context: TransportContext,
    encoder: Mutex<Encoder>,
    subscribed: Mutex<Vec<ServerSubscription>>,
    lost: AtomicBool,
}

impl Scripted {
    pub(super) fn new(context: TransportContext) -> Scripted {
        Scripted {
            encoder: Mutex::new(Encoder::new(&context)),
            context,
            subscribed: Mutex::default(),
            lost: AtomicBool::new(false),
        }
    }

    pub(super) fn lose_connection(&self) {
        self.lost.store(true, Ordering::Release);
        self.context.events.link_down(&LinkId::Publisher, &lost());
    }
}

fn lost() -> BusError {
    BusError::new(ErrorKind::ConnectionLost, "as the test wants").with_outcome(Outcome::NotSent)
}

impl Transport for Scripted {
    fn start(&self) {
        self.context.events.link_needed(&LinkId::Publisher);
        self.context.events.link_up(&LinkId::Publisher);
    }

    fn publish(&self, submission: Submission) {
        let Submission { batch, count, records } = submission;
        let (mut encoder, mut report) = (self.encoder.lock().unwrap(), PublishReport::default());
        let stamp = Stamp::now(&self.context.clock);
        for (index, record) in (0..count).zip(records.iter()) {
            if self.lost.load(Ordering::Acquire) {
                report.failed.push(Failed { batch, index, error: lost(), message_id: None });
                continue;
            }
            let event = encoder.encode(record, &stamp).unwrap();
            let subscribed = self.subscribed.lock().unwrap();
            let (channel, payload) = event.messages.first();
            let matching: Vec<_> = subscribed.iter().filter(|it| it.matches(channel.as_bytes())).collect();
            self.context.events.messages(&mut |take| {
                for server_subscription in &matching {
                    take((*server_subscription).into(), channel.as_bytes(), payload);
                }
            });
            report.count(event.stream, event.type_number);
            report.published.push(Published {
                batch,
                first: index,
                timestamp: stamp.text.clone(),
                items: vec![(event.id, matching.len() as i64)],
                stored: None,
            });
        }
        report.release(count as usize, records.bytes());
        self.context.events.published(&mut report);
        assert!(report.is_empty());
    }

    fn cancel(&self, _batch: u32, _index: u32) {}

    fn subscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        for server_subscription in server_subscriptions {
            self.subscribed.lock().unwrap().push(server_subscription.clone());
            self.context.events.confirmed(&server_subscription);
        }
    }

    fn unsubscribe(&self, _server_subscriptions: Vec<ServerSubscription>) {}

    fn probe(&self, _timeout: u64) -> Boxed<'_, Probe> {
        Box::pin(async { Probe::default() })
    }

    fn flush(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn close(&self) {}

    fn ended(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(NoStore)
    }

    fn wanted(&self) -> Boxed<'_, Result<Vec<WantedPattern>, BusError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn may_have_group(&self, _stream: Arc<str>, _group: Arc<str>) -> Boxed<'_, bool> {
        Box::pin(async { true })
    }

    fn join(&self, group: GroupKey, _name: Arc<str>) {
        self.context.events.reader_up(group);
    }

    fn read(&self, read: Read) {
        self.context.events.reader_down(read.key, &lost());
    }

    fn unblock_read(&self, _group: GroupKey) {}

    fn leave(&self, _group: GroupKey) -> Boxed<'static, ()> {
        Box::pin(async {})
    }
}
