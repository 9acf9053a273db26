//! A client's connections to Redis: the publisher from the start, the subscriber from the first subscription,
//! the consumer from the first request to a stream, and a reader for each group.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::Mode;
use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::{BusError, ErrorKind, Outcome};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout as time_limit;

use crate::host::Failed;
use crate::redis::connection::handshake::Endpoint;
use crate::redis::connection::link;
use crate::redis::connection::link::Handle;
use crate::redis::connection::server_info;
use crate::redis::publisher::hybrid::Hybrid;
use crate::redis::publisher::replicated::Replicated;
use crate::redis::publisher::session;
use crate::redis::publisher::session::Publisher;
use crate::redis::publisher::streams_ready::StreamsReady;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::group_reader::Reader;
use crate::redis::streams::store::RedisStore;
use crate::redis::subscriber;
use crate::redis::subscriber::Subscriber;
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;
use crate::transport::link_id::LinkId;
use crate::transport::store::Store;
use crate::transport::{Boxed, Probe, Submission, Transport};

pub(crate) struct RedisTransport {
    context: Arc<TransportContext>,
    runtime: tokio::runtime::Handle,
    endpoint: Arc<Endpoint>,
    commander: Arc<CommandLink>,
    store: Arc<RedisStore>,
    replicated: Arc<Replicated>,
    ready: Arc<StreamsReady>,
    hybrid: Option<Mutex<Hybrid>>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    publisher: Option<Handle<session::Input>>,
    subscriber: Option<Handle<subscriber::Input>>,
    readers: HashMap<GroupKey, Reader>,
    closed: bool,
    /// Links that are ending.
    ending: Vec<JoinHandle<()>>,
}

impl RedisTransport {
    pub(crate) fn new(context: TransportContext, runtime: tokio::runtime::Handle) -> Self {
        let context = Arc::new(context);
        let config = &context.config;
        let ready = Arc::new(StreamsReady::new(&config.streams));
        let endpoint = Endpoint::new(&config.redis, &config.service_name, config.require_no_eviction);
        let commander = CommandLink::new(context.clone(), endpoint.clone(), runtime.clone());
        let store = Arc::new(RedisStore::new(commander.clone(), context.config.codec));
        let replicated = Replicated::new(context.clone(), ready.clone(), endpoint.clone(), runtime.clone());
        let hybrid = (config.mode == Mode::Hybrid)
            .then(|| Mutex::new(Hybrid::new(context.clone(), replicated.clone())));
        RedisTransport {
            context,
            runtime,
            endpoint,
            commander,
            store,
            replicated,
            ready,
            hybrid,
            links: Mutex::default(),
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes to this client's own subscriptions at once, and to the server.
    fn publish_on_both_sides(&self, hybrid: &Mutex<Hybrid>, submission: Submission) {
        let mut hybrid = hybrid.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(composed) = hybrid.publish(submission) else { return };
        // Sent under the lock, so that events go out in the order in which they were taken here.
        match &self.links().publisher {
            Some(link) => drop(link.send(session::Input::PreparedBatch(Box::new(composed)))),
            None => composed.refuse(&*self.context.events),
        }
    }

    fn send(&self, input: session::Input) -> bool {
        self.links().publisher.as_ref().is_some_and(|link| link.send(input))
    }

    /// One round trip on the publisher, by asking for what the report needs.
    async fn probe_publisher(&self) -> Result<(String, f64), BusError> {
        let (sender, answer) = oneshot::channel();
        let started = std::time::Instant::now();
        let gone = || BusError::new(ErrorKind::ConnectionLost, "not connected");
        if !self.send(session::Input::Ask(redis::cmd("INFO"), sender)) {
            return Err(gone());
        }
        let info = answer.await.map_err(|_| gone())??;
        Ok((info, started.elapsed().as_secs_f64() * 1000.0))
    }

    async fn probe_subscriber(&self) {
        let (sender, answer) = oneshot::channel();
        let sent =
            self.links().subscriber.as_ref().is_some_and(|link| link.send(subscriber::Input::Probe(sender)));
        if sent {
            // The age of its last answer, in the report, tells whether it came.
            let _ = answer.await;
        }
    }
}

impl Transport for RedisTransport {
    fn start(&self) {
        let mut links = self.links();
        if links.publisher.is_none() && !links.closed {
            let session = Publisher::new(self.context.clone(), self.ready.clone(), self.replicated.clone());
            links.publisher =
                Some(link::start(session, self.context.clone(), self.endpoint.clone(), &self.runtime));
        }
    }

    fn publish(&self, submission: Submission) {
        if let Some(hybrid) = &self.hybrid {
            return self.publish_on_both_sides(hybrid, submission);
        }
        let (batch, count, bytes) = (submission.batch, submission.count, submission.text.len());
        if !self.send(session::Input::Publish(submission)) {
            let error =
                BusError::new(ErrorKind::Closed, "the client is closed").with_outcome(Outcome::NotSent);
            let refused = |index| Failed { batch, index, error: error.clone(), message_id: None };
            let mut report =
                PublishReport { failed: (0..count).map(refused).collect(), ..PublishReport::default() };
            report.release(count as usize, bytes);
            self.context.events.published(&mut report);
        }
    }

    fn cancel(&self, batch: u32, index: u32) {
        self.send(session::Input::Cancel { batch, index });
    }

    fn subscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        let mut links = self.links();
        if links.closed {
            return;
        }
        let subscriber = links.subscriber.get_or_insert_with(|| {
            let session = Subscriber::new(self.context.clone());
            link::start(session, self.context.clone(), self.endpoint.clone(), &self.runtime)
        });
        subscriber.send(subscriber::Input::Want(server_subscriptions));
    }

    fn unsubscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        if let Some(subscriber) = &self.links().subscriber
            && !server_subscriptions.is_empty()
        {
            subscriber.send(subscriber::Input::Unwant(server_subscriptions));
        }
    }

    fn probe(&self, timeout: u64) -> Boxed<'_, Probe> {
        Box::pin(async move {
            let limit = Duration::from_millis(timeout);
            // That of what is replicated may wait for replicas for as long as it was told: its age tells.
            let (publisher, subscriber, consumer) = tokio::join!(
                time_limit(limit, self.probe_publisher()),
                time_limit(limit, self.probe_subscriber()),
                time_limit(limit, self.commander.probe()),
            );
            let asked = vec![
                (LinkId::Publisher, publisher.is_ok()),
                (LinkId::Subscriber, subscriber.is_ok()),
                (LinkId::Consumer, consumer.is_ok()),
            ];
            let probe = match publisher {
                Ok(Ok((info, latency))) => {
                    let now = self.context.clock.wall_ms();
                    server_info::of(&info, latency, now, !self.context.config.streams.is_empty())
                }
                Ok(Err(error)) if error.kind == ErrorKind::PermissionDenied => {
                    // It answered: the link is well, and only its details are secret.
                    Probe { server: json!({ "connected": true }), ..Probe::default() }
                }
                Ok(Err(error)) => failed(error),
                Err(_) => failed(BusError::new(ErrorKind::CommandTimeout, "no answer in time")),
            };
            Probe { asked, ..probe }
        })
    }

    fn streams_ready(&self) {
        if self.ready.set() {
            // The link looks again, and sends what it has held back.
            self.send(session::Input::StreamsReady);
            self.replicated.tell(session::Input::StreamsReady);
        }
    }

    fn flush(&self) -> Boxed<'_, ()> {
        Box::pin(async move {
            let (sender, flushed) = oneshot::channel();
            if self.send(session::Input::Flush(sender)) {
                // An error means that the link has ended, and with it everything in flight.
                let _ = flushed.await;
            }
            // What the publisher has handed on by now.
            let (sender, flushed) = oneshot::channel();
            if self.replicated.tell(session::Input::Flush(sender)) {
                let _ = flushed.await;
            }
        })
    }

    fn close(&self) {
        let mut links = self.links();
        links.closed = true;
        let publisher = links.publisher.take().map(Handle::end);
        let subscriber = links.subscriber.take().map(Handle::end);
        let readers: Vec<_> = links.readers.drain().map(|(_, reader)| reader.end()).collect();
        links.ending.extend(publisher.into_iter().chain(subscriber).chain(readers));
        links.ending.extend(self.commander.end().into_iter().chain(self.replicated.end()));
    }

    fn ended(&self) -> Boxed<'_, ()> {
        let ending = std::mem::take(&mut self.links().ending);
        Box::pin(async move {
            for link in ending {
                // A link does not panic and is not cancelled; if it were, it would have ended too.
                let _ = link.await;
            }
        })
    }

    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    fn join(&self, group: GroupKey, name: Arc<str>) {
        let mut links = self.links();
        if !links.closed {
            let start = || Reader::start(group, name, &self.context, self.endpoint.clone(), &self.runtime);
            links.readers.entry(group).or_insert_with(start);
        }
    }

    fn unblock_read(&self, group: GroupKey) {
        if let Some(reader) = self.links().readers.get(&group) {
            reader.unblock_read(self.commander.clone(), &self.runtime);
        }
    }

    fn read(&self, read: Read) {
        let key = read.key;
        let sent = self.links().readers.get(&key).is_some_and(|reader| reader.read(read));
        if !sent {
            self.context.events.reader_down(key, &BusError::new(ErrorKind::Closed, "the reader has left"));
        }
    }

    fn leave(&self, group: GroupKey) -> Boxed<'static, ()> {
        let reader = self.links().readers.remove(&group);
        let commander = self.commander.clone();
        Box::pin(async move {
            if let Some(reader) = reader {
                reader.leave(commander).await;
            }
        })
    }

    #[cfg(feature = "failpoints")]
    fn inject_panic(&self, loop_name: &str) {
        let links = self.links();
        match loop_name {
            "publisher" => links.publisher.iter().for_each(Handle::inject_panic),
            "subscriber" => links.subscriber.iter().for_each(Handle::inject_panic),
            "consumer" => self.commander.inject_panic(),
            "replicated" => self.replicated.inject_panic(),
            _ => links.readers.values().for_each(Reader::inject_panic),
        }
    }
}

fn failed(error: BusError) -> Probe {
    Probe { server: json!({ "connected": false }), error: Some(error), ..Probe::default() }
}
