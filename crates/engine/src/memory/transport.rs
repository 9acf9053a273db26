//! A client's connection to a broker in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::consumer::{GroupKey, Read};
use oxbus_model::routing::router::ServerSubscription;
use oxbus_model::stream_store::{Request, Response, WantedPattern, keys};
use oxbus_model::{BusError, ErrorKind};

use super::Broker;
use crate::memory::publishing::{Publishing, Settled};
use crate::memory::readers::EndedRead;
use crate::memory::store::MemoryStore;
use crate::publish::encoder::Stamp;
use crate::transport::context::TransportContext;
use crate::transport::link_id::LinkId;
use crate::transport::store::{Store, unexpected};
use crate::transport::{Boxed, Probe, Submission, Transport};

pub(crate) struct MemoryTransport {
    context: Arc<TransportContext>,
    broker: Arc<Broker>,
    publishing: Mutex<Publishing>,
    /// The number among the broker's members, once started and until closed.
    membership: Mutex<Membership>,
}

#[derive(Clone, Copy)]
enum Membership {
    Outside,
    Joined(u64),
    Left,
}

impl MemoryTransport {
    pub(crate) fn new(context: TransportContext, broker: Arc<Broker>) -> Self {
        MemoryTransport {
            publishing: Mutex::new(Publishing::new(&context)),
            context: Arc::new(context),
            broker,
            membership: Mutex::new(Membership::Outside),
        }
    }

    fn membership(&self) -> MutexGuard<'_, Membership> {
        self.membership.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> Option<u64> {
        match *self.membership() {
            Membership::Joined(number) => Some(number),
            Membership::Outside | Membership::Left => None,
        }
    }
}

impl Transport for MemoryTransport {
    fn start(&self) {
        let mut membership = self.membership();
        if matches!(*membership, Membership::Outside) {
            *membership = Membership::Joined(self.broker.join(self.context.clone()));
            drop(membership);
            self.context.events.link_up(&LinkId::Memory);
        }
    }

    fn publish(&self, submission: Submission) {
        let Settled { mut report, ended } = {
            let mut publishing = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
            publishing.publish(&self.broker, &submission, &Stamp::now(&self.context.clock))
        };
        self.context.events.published(&mut report);
        ended.into_iter().for_each(EndedRead::report);
    }

    fn cancel(&self, _batch: u32, _index: u32) {
        // Publishing in memory is settled before it returns.
    }

    fn subscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        let Some(number) = self.number() else { return };
        for server_subscription in server_subscriptions {
            if self.broker.subscribe(number, &server_subscription) {
                self.context.events.confirmed(&server_subscription);
            }
        }
    }

    fn unsubscribe(&self, server_subscriptions: Vec<ServerSubscription>) {
        let Some(number) = self.number() else { return };
        server_subscriptions
            .iter()
            .for_each(|server_subscription| self.broker.unsubscribe(number, server_subscription));
    }

    fn probe(&self, _timeout: u64) -> Boxed<'_, Probe> {
        self.context.events.link_alive(&LinkId::Memory, self.context.clock.now_ms());
        // There is no server to say something of itself, and no way to it.
        let asked = vec![(LinkId::Memory, true)];
        Box::pin(async move { Probe { asked, ..Probe::default() } })
    }

    fn flush(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn ended(&self) -> Boxed<'_, ()> {
        Box::pin(async {})
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(MemoryStore { broker: self.broker.clone() })
    }

    fn wanted(&self) -> Boxed<'_, Result<Vec<WantedPattern>, BusError>> {
        Box::pin(async {
            let key = keys::wanted(&self.context.config.channel_prefix).into();
            match self.store().execute(Request::ListRegistered { key }).await? {
                Response::Registered(all) => Ok(all.into_iter().filter_map(WantedPattern::of).collect()),
                _ => Err(unexpected()),
            }
        })
    }

    fn may_have_group(&self, stream: Arc<str>, group: Arc<str>) -> Boxed<'_, bool> {
        Box::pin(async move {
            match self.store().execute(Request::Describe { stream }).await {
                Ok(Response::Stream(facts)) => {
                    facts.is_some_and(|facts| facts.groups.iter().any(|found| *found.name == *group))
                }
                _ => true,
            }
        })
    }

    fn join(&self, group: GroupKey, _name: Arc<str>) {
        if self.number().is_some_and(|number| self.broker.add_reader(number, group)) {
            self.context.events.hand_backs_heard(true);
            self.context.events.reader_up(group);
        }
    }

    fn unblock_read(&self, group: GroupKey) {
        if self.number().is_some_and(|number| self.broker.end_read(number, group)) {
            self.context.events.entries(group, Vec::new());
        }
    }

    fn read(&self, read: Read) {
        let key = read.key;
        match self.number().ok_or_else(closed).and_then(|number| self.broker.read(number, read)) {
            Ok(Some(ended)) => ended.report(),
            Ok(None) => {}
            Err(error) => self.context.events.reader_down(key, &error),
        }
    }

    fn leave(&self, group: GroupKey) -> Boxed<'static, ()> {
        let removed = self.number().and_then(|number| self.broker.remove_reader(number, group));
        let context = self.context.clone();
        Box::pin(async move {
            let Some((reader, waited)) = removed else { return };
            if waited {
                context.events.entries(group, Vec::new());
            }
            reader.told().await;
        })
    }

    fn close(&self) {
        let before = std::mem::replace(&mut *self.membership(), Membership::Left);
        if let Membership::Joined(number) = before {
            for group in self.broker.leave(number) {
                self.context.events.reader_down(group, &closed());
            }
        }
    }
}

fn closed() -> BusError {
    BusError::new(ErrorKind::Closed, "the client is closed")
}
