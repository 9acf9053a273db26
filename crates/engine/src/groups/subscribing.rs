//! Subscriptions of groups: from the call until the server has confirmed them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use oxbus_model::consumer::{GroupKey, Joining, Source};
use oxbus_model::filter::Filter;
use oxbus_model::options::subscribe::{DurableOptions, From, SubscribeOptions};
use oxbus_model::stream_store::{EntryId, Position};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use super::Groups;
use crate::state::ClientState;

/// Durable subscriptions that are not confirmed.
#[derive(Default)]
pub(super) struct Waiting {
    /// Ticket and deadline by subscription.
    tickets: HashMap<u32, (u32, u64)>,
    deadlines: BTreeSet<(u64, u32)>,
    /// Those whose group is being left at the moment.
    deferred: Vec<Durable>,
}

impl Waiting {
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn remove(&mut self, subscription: u32) -> Option<u32> {
        let (ticket, deadline) = self.tickets.remove(&subscription)?;
        self.deadlines.remove(&(deadline, subscription));
        Some(ticket)
    }
}

/// A durable subscription, as it was asked for.
pub(crate) struct Durable {
    pub(crate) subscription: u32,
    pub(crate) ticket: u32,
    pub(crate) patterns: Vec<String>,
    pub(crate) options: SubscribeOptions,
}

impl Groups {
    pub(super) fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a durable subscription of that number exists or is on its way.
    pub(crate) fn contains(&self, subscription: u32) -> bool {
        self.in_use()
            && (self.claims().contains(subscription) || self.waiting().tickets.contains_key(&subscription))
    }
}

impl ClientState {
    /// Subscribes to a group. The reply comes when its streams and the group are there, and the consumer is ours.
    pub(crate) fn subscribe_durable(self: &Arc<Self>, durable: Durable) -> Result<(), BusError> {
        let Some(options) = &durable.options.durable else {
            return Err(BusError::new(ErrorKind::Internal, "not a durable subscription"));
        };
        // What is refused makes no connection.
        self.sources(&durable.patterns, options)?;
        if let Some(transport) = self.groups.transport() {
            transport.start();
        }
        self.use_groups();
        let deadline = self.clock.now_ms().saturating_add(self.config.redis.command_timeout);
        let mut waiting = self.groups.waiting();
        waiting.tickets.insert(durable.subscription, (durable.ticket, deadline));
        waiting.deadlines.insert((deadline, durable.subscription));
        drop(waiting);
        let subscription = durable.subscription;
        self.join(durable).inspect_err(|_| {
            self.groups.waiting().remove(subscription);
        })
    }

    /// Subscribes those that waited for their group to be left.
    pub(super) fn subscribe_deferred(self: &Arc<Self>) {
        let deferred = std::mem::take(&mut self.groups.waiting().deferred);
        for durable in deferred {
            let subscription = durable.subscription;
            // Who has unsubscribed or closed meanwhile has taken its ticket with it.
            if !self.groups.waiting().tickets.contains_key(&subscription) {
                continue;
            }
            if let Err(error) = self.join(durable)
                && let Some(ticket) = self.groups.waiting().remove(subscription)
            {
                self.outbox.reply(ticket, Err(error));
            }
        }
    }

    /// Lets a subscription wait until its group is left.
    fn defer(self: &Arc<Self>, durable: Durable, group: &str) {
        self.groups.waiting().deferred.push(durable);
        // It may have been left just now.
        if !self.groups.claims().is_leaving(group) {
            self.subscribe_deferred();
        }
    }

    fn join(self: &Arc<Self>, durable: Durable) -> Result<(), BusError> {
        let Some(of_group) = durable.options.durable.clone() else { return Ok(()) };
        let filter = durable.options.filter.as_ref().map(Filter::parse).transpose()?;
        let sources = self.sources(&durable.patterns, &of_group)?;
        let instance: Arc<str> = self.origin.instance_id().into();
        let consumer = of_group
            .consumer
            .as_deref()
            .map_or_else(|| format!("{}-{instance}", self.config.service_name).into(), Arc::from);
        let group: Arc<str> = of_group.group.as_str().into();
        let mut claims = self.groups.claims();
        if claims.is_leaving(&group) {
            drop(claims);
            self.defer(durable, &group);
            return Ok(());
        }
        let Durable { subscription, patterns, options, .. } = durable;
        let known = claims.find(&group);
        let key = known.unwrap_or_else(|| {
            let joining = Joining {
                group: group.clone(),
                consumer,
                instance,
                lease: self.config.lease,
                order_by: of_group.order_by,
            };
            claims.join(joining)
        });
        let added = claims.add(key, subscription, &patterns, &sources, &options, filter);
        let unused = added.is_err() && known.is_none();
        if unused {
            claims.leave(key);
        }
        drop(claims);
        added?;
        if known.is_none()
            && let Some(transport) = self.groups.transport()
        {
            transport.join(key, group);
        }
        self.kick();
        Ok(())
    }

    /// The streams that a subscription reads.
    fn sources(&self, patterns: &[String], options: &DurableOptions) -> Result<Vec<Source>, BusError> {
        let streams = &self.config.streams;
        let chosen: Vec<usize> = match &options.streams {
            Some(names) => {
                let of_name = |name: &String| {
                    streams.iter().position(|s| s.name == *name).ok_or_else(|| {
                        let message = format!("no stream {name:?} is configured");
                        BusError::new(ErrorKind::NoStream, message)
                    })
                };
                names.iter().map(of_name).collect::<Result<_, _>>()?
            }
            None => self.groups.storage.streams_matching(patterns),
        };
        if chosen.is_empty() {
            let message = format!("no configured stream stores events of {patterns:?}");
            return Err(BusError::new(ErrorKind::NoStream, message));
        }
        let source = |index: usize| {
            let config = streams.get(index)?;
            let configured = config.groups.iter().find(|(name, _)| *name == options.group);
            let from = match options.from {
                Some(From::New) => Position::New,
                Some(From::Beginning) => Position::Beginning,
                Some(From::After(id)) => Position::After(id),
                Some(From::Time(ms)) => Position::After(EntryId::first_of(ms).previous()),
                None => configured.map_or(Position::New, |(_, from)| *from),
            };
            Some(Source { stream: config.name.as_str().into(), from, given: options.from.is_some() })
        };
        Ok(chosen.into_iter().filter_map(source).collect())
    }

    pub(super) fn durable_confirmed(&self, subscription: u32) {
        if let Some(ticket) = self.groups.waiting().remove(subscription) {
            self.outbox.reply(ticket, Ok(Value::Null));
        }
    }

    pub(super) fn durable_refused(self: &Arc<Self>, subscription: u32, error: BusError) {
        self.remove_durable(subscription, error);
    }

    /// Refuses those whose time is over.
    pub(super) fn refuse_late(self: &Arc<Self>, now: u64) {
        let late: Vec<u32> = {
            let waiting = self.groups.waiting();
            waiting.deadlines.range(..=(now, u32::MAX)).map(|(_, s)| *s).collect()
        };
        for subscription in late {
            let trouble =
                self.groups.claims().trouble(subscription).or_else(|| self.still_leaving(subscription));
            let error = trouble.unwrap_or_else(|| {
                let cause = self.lifecycle.watch().borrow().error.clone();
                let why = cause.map_or_else(|| "no answer from the server".to_owned(), |e| e.message);
                BusError::new(ErrorKind::CommandTimeout, format!("not subscribed in time: {why}"))
            });
            self.remove_durable(subscription, error);
        }
    }

    /// Why a subscription waits whose group is being left.
    fn still_leaving(&self, subscription: u32) -> Option<BusError> {
        let waits = self.groups.waiting().deferred.iter().any(|d| d.subscription == subscription);
        let message = "not subscribed in time: handlers of an earlier subscription of the group still run";
        waits.then(|| BusError::new(ErrorKind::CommandTimeout, message))
    }

    /// Ends a durable subscription; one that waits fails with `error`. False when there is none.
    pub(crate) fn remove_durable(self: &Arc<Self>, subscription: u32, error: BusError) -> bool {
        if !self.groups.in_use() {
            return false;
        }
        let mut waiting = self.groups.waiting();
        let ticket = waiting.remove(subscription);
        waiting.deferred.retain(|durable| durable.subscription != subscription);
        drop(waiting);
        if let Some(ticket) = ticket {
            self.outbox.reply(ticket, Err(error));
        }
        let mut claims = self.groups.claims();
        let found = claims.contains(subscription);
        let group: Option<GroupKey> = claims.group_of(subscription);
        claims.remove(subscription, self.clock.now_ms());
        let empty = group.filter(|key| claims.is_empty(*key));
        if empty.is_some() {
            // Under the same lock, so that nobody joins in between.
            claims.stop_reading(empty, self.clock.now_ms());
        }
        drop(claims);
        if let Some(key) = empty {
            self.leave_group(key);
        }
        self.kick();
        found || ticket.is_some()
    }

    /// Fails all that wait, as the client closes.
    pub(super) fn refuse_all(&self) {
        let mut waiting = self.groups.waiting();
        let tickets: Vec<u32> = waiting.tickets.values().map(|(ticket, _)| *ticket).collect();
        *waiting = Waiting::default();
        drop(waiting);
        for ticket in tickets {
            let error = BusError::new(ErrorKind::Closed, "the client was closed");
            self.outbox.reply(ticket, Err(error));
        }
    }
}
