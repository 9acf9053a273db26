//! A client's connections to Redis: the publisher from the start, the subscriber from the first subscription,
//! the consumer from the first request to a stream, and a reader for each group. `probing`: what the health report asks them.

mod probing;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::{Mode, Servers};
use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::channel::HANDED_BACK;
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::{WantedPattern, keys};
use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::host::Failed;
use crate::redis::connection::endpoint::Endpoint;
use crate::redis::connection::handle::Handle;
use crate::redis::connection::handshake::Handshake;
use crate::redis::connection::lazy_link::LazyLink;
use crate::redis::connection::link::Connector;
use crate::redis::connection::names::SystemNames;
use crate::redis::publisher::group_gate::GroupGate;
use crate::redis::publisher::hybrid::Hybrid;
use crate::redis::publisher::input::Input;
use crate::redis::resp::value::RespValue;
use crate::redis::routes::Routes;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::group_reader::GroupReader;
use crate::redis::streams::store::RedisStore;
use crate::redis::streams::store_replies;
use crate::redis::subscriber;
use crate::redis::topology::cluster::ClusterWatch;
use crate::redis::topology::cluster::view::ClusterView;
use crate::redis::topology::sentinel::SentinelWatch;
use crate::redis::topology::{SingleServer, Topology};
use crate::runtime::tasks::Tasks;
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;
use crate::transport::store::Store;
use crate::transport::{Boxed, Probe, Submission, Transport};

/// So many events, and bytes of them, the host's thread makes events of and writes itself where the link is idle: that takes less
/// than to wake the thread of the link. Of more, the host goes on with its work meanwhile.
const STEP_EVENTS: u32 = 8;
const STEP_BYTES: usize = 8 * 1024;

pub(crate) struct RedisTransport {
    context: Arc<TransportContext>,
    connector: Connector,
    routes: Routes,
    commands: Arc<CommandLink>,
    store: Arc<RedisStore>,
    replicated: Arc<LazyLink<Input>>,
    gate: Arc<GroupGate>,
    hybrid: Option<Mutex<Hybrid>>,
    links: Mutex<Links>,
}

#[derive(Default)]
struct Links {
    publisher: Option<Handle<Input>>,
    subscriber: Option<Handle<subscriber::Input>>,
    readers: HashMap<GroupKey, GroupReader>,
    closed: bool,
    /// Links that are ending.
    ending: Vec<JoinHandle<()>>,
}

impl RedisTransport {
    /// The transport to the servers of the configuration.
    pub(crate) fn new(context: TransportContext, tasks: Tasks) -> Self {
        let handshake = Arc::new(Handshake::new(&context.config, Box::new(SystemNames)));
        let mut cluster = None;
        let topology: Box<dyn Topology> = match &context.config.redis.servers {
            Servers::One(address) => Box::new(SingleServer(address.clone())),
            Servers::Sentinel(sentinel) => {
                Box::new(SentinelWatch::new(&context, sentinel, handshake.clone(), tasks.clone()))
            }
            Servers::Cluster(config) => {
                let view = Arc::new(ClusterView::new(config));
                cluster = Some(view.clone());
                Box::new(ClusterWatch::new(&context, config, view, tasks.clone()))
            }
        };
        RedisTransport::with(context, tasks, Endpoint::new(topology, handshake), cluster)
    }

    /// The transport to the servers of a topology.
    #[cfg(test)]
    pub(in crate::redis) fn over(
        context: TransportContext,
        tasks: Tasks,
        topology: Box<dyn Topology>,
    ) -> Self {
        let handshake = Handshake::new(&context.config, Box::new(SystemNames));
        RedisTransport::with(context, tasks, Endpoint::new(topology, Arc::new(handshake)), None)
    }

    fn with(
        context: TransportContext,
        tasks: Tasks,
        endpoint: Arc<Endpoint>,
        cluster: Option<Arc<ClusterView>>,
    ) -> Self {
        let context = Arc::new(context);
        let config = &context.config;
        let gate = Arc::new(GroupGate::new(&config.streams));
        let connector = Connector { context: context.clone(), endpoint: endpoint.clone(), tasks };
        let routes = Routes::new(connector.clone(), gate.clone(), cluster);
        let commands = CommandLink::new(context.clone(), endpoint, routes.command_links());
        // Also without live events: those who hear it do not look for what is handed back.
        let handed_back = context.channels.named(HANDED_BACK);
        let store = Arc::new(RedisStore::new(commands.clone(), config, handed_back.into()));
        let replicated = Arc::new(routes.replicated());
        let hybrid = (config.mode == Mode::Hybrid)
            .then(|| Mutex::new(Hybrid::new(context.clone(), replicated.clone())));
        RedisTransport {
            context,
            connector,
            routes,
            commands,
            store,
            replicated,
            gate,
            hybrid,
            links: Mutex::default(),
        }
    }

    fn links(&self) -> MutexGuard<'_, Links> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hybrid(&self) -> Option<MutexGuard<'_, Hybrid>> {
        let hybrid = self.hybrid.as_ref()?;
        Some(hybrid.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Sends what this client's own subscriptions have had already: under the lock, so that events go out in the order in which
    /// they were taken here.
    fn send_held_of(&self, hybrid: &mut Hybrid) {
        for prepared in hybrid.take_held() {
            match &self.links().publisher {
                Some(link) => drop(link.send(Input::PreparedBatch(Box::new(prepared)))),
                None => prepared.refuse(&*self.context.events),
            }
        }
    }

    fn send(&self, input: Input) -> bool {
        self.links().publisher.as_ref().is_some_and(|link| link.send(input))
    }

    /// As `send`; an idle link writes at once, on this thread.
    fn step(&self, input: Input) -> bool {
        // The link may report to someone who asks for the links.
        let sender = self.links().publisher.as_ref().map(Handle::sender);
        sender.is_some_and(|sender| sender.step(input))
    }

    /// Sends a command on the publisher's link.
    async fn ask_publisher(&self, command: redis::Cmd) -> Result<RespValue, BusError> {
        if self.routes.is_of_cluster() {
            // Its publishers have no link that any question could go to.
            return self.commands.ask(&command, self.commands.deadline()).await;
        }
        let (sender, answer) = oneshot::channel();
        let gone = || BusError::new(ErrorKind::ConnectionLost, "not connected");
        if !self.send(Input::Ask(command, sender)) {
            return Err(gone());
        }
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

impl Transport for RedisTransport {
    fn start(&self) {
        let mut links = self.links();
        if links.publisher.is_none() && !links.closed {
            links.publisher = Some(self.routes.publisher(&self.commands, self.replicated.clone()));
        }
    }

    fn publish(&self, submission: Submission) {
        if let Some(mut hybrid) = self.hybrid() {
            // To this client's own subscriptions at once, and to the server.
            hybrid.publish(submission);
            return self.send_held_of(&mut hybrid);
        }
        let (batch, count, bytes) = (submission.batch, submission.count, submission.records.bytes());
        let input = Input::Publish(submission);
        let is_sent =
            if count <= STEP_EVENTS && bytes <= STEP_BYTES { self.step(input) } else { self.send(input) };
        if !is_sent {
            let error =
                BusError::new(ErrorKind::Closed, "the client is closed").with_outcome(Outcome::NotSent);
            let refused = |index| Failed { batch, index, error: error.clone(), message_id: None };
            let mut report =
                PublishReport { failed: (0..count).map(refused).collect(), ..PublishReport::default() };
            report.release(count as usize, bytes);
            self.context.events.published(&mut report);
        }
    }

    fn publish_here_first(&self, submission: Submission) {
        match self.hybrid() {
            Some(mut hybrid) => hybrid.publish(submission),
            None => self.publish(submission),
        }
    }

    fn send_held(&self) {
        if let Some(mut hybrid) = self.hybrid() {
            self.send_held_of(&mut hybrid);
        }
    }

    fn cancel(&self, batch: u32, index: u32) {
        self.send_held();
        self.send(Input::Cancel { batch, index });
    }

    fn subscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        let mut links = self.links();
        if links.closed {
            return;
        }
        let subscriber = links.subscriber.get_or_insert_with(|| self.routes.subscriber());
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
        Box::pin(self.probe_all(timeout))
    }

    fn groups_looked_at(&self, unavailable: &BTreeMap<String, BusError>) {
        if self.gate.looked_at(unavailable) {
            // The links look again, and send what they have held back.
            self.send(Input::GateChanged);
            self.replicated.send_if_started(Input::GateChanged);
        }
    }

    fn flush(&self) -> Boxed<'_, ()> {
        self.send_held();
        Box::pin(async move {
            let (sender, flushed) = oneshot::channel();
            if self.send(Input::Flush(sender)) {
                // An error means that the link has ended, and with it everything in flight.
                let _ = flushed.await;
            }
            // The publisher has handed on by now what is to be replicated.
            let (sender, flushed) = oneshot::channel();
            if self.replicated.send_if_started(Input::Flush(sender)) {
                let _ = flushed.await;
            }
        })
    }

    fn close(&self) {
        // It is settled by the link that has it.
        self.send_held();
        let mut links = self.links();
        links.closed = true;
        let publisher = links.publisher.take().map(Handle::end);
        let subscriber = links.subscriber.take().map(Handle::end);
        let readers: Vec<_> = links.readers.drain().map(|(_, reader)| reader.end()).collect();
        links.ending.extend(publisher.into_iter().chain(subscriber).chain(readers));
        links.ending.extend(self.commands.end().into_iter().chain(self.replicated.end()));
        self.connector.endpoint.close();
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

    fn wanted(&self) -> Boxed<'_, Result<Vec<WantedPattern>, BusError>> {
        Box::pin(async {
            let mut command = redis::cmd("HGETALL");
            command.arg(keys::wanted(&self.context.config.channel_prefix));
            let all = store_replies::registry(self.ask_publisher(command).await?)?;
            Ok(all.into_iter().filter_map(WantedPattern::of).collect())
        })
    }

    fn may_have_group(&self, stream: Arc<str>, group: Arc<str>) -> Boxed<'_, bool> {
        Box::pin(async move {
            let mut command = redis::cmd("XINFO");
            command.arg("GROUPS").arg(&*stream);
            match self.ask_publisher(command).await {
                Ok(groups) => store_replies::position_of(groups, &group).is_ok_and(|found| found.is_some()),
                Err(error) => !error.message.starts_with("ERR no such key"),
            }
        })
    }

    fn join(&self, group: GroupKey, name: Arc<str>) {
        let mut links = self.links();
        if !links.closed {
            let start = || self.routes.reader(group, name, &self.commands);
            links.readers.entry(group).or_insert_with(start);
        }
        drop(links);
        if self.context.config.pubsub && group != GroupKey::TAIL {
            self.subscribe(vec![subscriber::hand_backs::subscription(&self.context.channels)]);
        }
    }

    fn unblock_read(&self, group: GroupKey) {
        if let Some(reader) = self.links().readers.get(&group) {
            reader.unblock_read(self.commands.clone(), &self.connector.tasks);
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
        let commands = self.commands.clone();
        Box::pin(async move {
            if let Some(reader) = reader {
                reader.leave(commands).await;
            }
        })
    }

    #[cfg(feature = "failpoints")]
    fn inject_panic(&self, loop_name: &str) {
        let links = self.links();
        match loop_name {
            "publisher" => links.publisher.iter().for_each(Handle::inject_panic),
            "subscriber" => links.subscriber.iter().for_each(Handle::inject_panic),
            "consumer" => self.commands.inject_panic(),
            "replicated" => self.replicated.inject_panic(),
            _ => links.readers.values().for_each(GroupReader::inject_panic),
        }
    }
}
