//! Subscriptions of groups: from the call until the server has confirmed them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oxbus_model::config::StreamConfig;
use oxbus_model::consumer::{GroupKey, Joining, Source};
use oxbus_model::filter::Filter;
use oxbus_model::options::subscribe::{DurableOptions, From, SubscribeOptions};
use oxbus_model::routing::stream_routing::StreamRouting;
use oxbus_model::stream_store::{EntryId, Position, WantedPattern};
use oxbus_model::{BusError, ErrorKind};
use serde_json::Value;

use crate::state::ClientState;
use crate::transport::Transport;

/// A durable subscription, as it was asked for.
pub(crate) struct DurableSubscription {
    pub(crate) subscription: u32,
    pub(crate) ticket: u32,
    pub(crate) patterns: Vec<String>,
    pub(crate) options: SubscribeOptions,
}

/// Durable subscriptions that are not confirmed.
#[derive(Default)]
struct Unconfirmed {
    /// Ticket and deadline by subscription.
    tickets: HashMap<u32, (u32, u64)>,
    /// (deadline, subscription), so that time is kept without looking at all of them.
    deadlines: BTreeSet<(u64, u32)>,
    /// Those whose group is being left at the moment.
    deferred: Vec<DurableSubscription>,
}

impl Unconfirmed {
    fn add(&mut self, subscription: u32, ticket: u32, deadline: u64) {
        self.tickets.insert(subscription, (ticket, deadline));
        if deadline < u64::MAX {
            self.deadlines.insert((deadline, subscription));
        }
    }

    /// Returns the ticket of a subscription that waited.
    fn remove(&mut self, subscription: u32) -> Option<u32> {
        let (ticket, deadline) = self.tickets.remove(&subscription)?;
        self.deadlines.remove(&(deadline, subscription));
        Some(ticket)
    }
}

/// What the end of a subscription has changed.
#[derive(Default)]
pub(super) struct Removed {
    /// Whether there was such a subscription.
    pub(super) found: bool,
    /// The group that has no subscription any more; it was told to stop reading.
    pub(super) emptied: Option<GroupKey>,
}

/// The subscriptions of groups.
pub(super) struct GroupSubscriptions {
    state: Arc<ClientState>,
    transport: Arc<dyn Transport>,
    /// Which streams store which events.
    routing: StreamRouting,
    unconfirmed: Mutex<Unconfirmed>,
}

impl GroupSubscriptions {
    pub(super) fn new(state: Arc<ClientState>, transport: Arc<dyn Transport>) -> Self {
        let routing = StreamRouting::new(&state.config.streams);
        GroupSubscriptions { state, transport, routing, unconfirmed: Mutex::default() }
    }

    /// Whether a subscription of that number exists or is on its way.
    pub(super) fn contains(&self, subscription: u32) -> bool {
        self.state.groups.in_use()
            && (self.state.groups.claims().contains(subscription)
                || self.unconfirmed().tickets.contains_key(&subscription))
    }

    /// The streams that a subscription will read. Refuses one that no stream can serve.
    pub(super) fn check(&self, durable: &DurableSubscription) -> Result<Vec<Arc<str>>, BusError> {
        let Some(options) = &durable.options.durable else {
            return Err(BusError::new(ErrorKind::Internal, "not a durable subscription"));
        };
        let sources = self.sources(&durable.patterns, options)?;
        Ok(sources.into_iter().map(|source| source.stream).collect())
    }

    /// Adds a subscription, which waits for its confirmation from now on.
    pub(super) fn add(&self, durable: DurableSubscription) -> Result<(), BusError> {
        let deadline = self.state.confirmation_deadline(&durable.options);
        let subscription = durable.subscription;
        self.unconfirmed().add(subscription, durable.ticket, deadline);
        self.join(durable).inspect_err(|_| {
            self.unconfirmed().remove(subscription);
        })
    }

    /// Adds the subscriptions that waited for their group to be left.
    pub(super) fn add_deferred(&self) {
        let deferred = std::mem::take(&mut self.unconfirmed().deferred);
        for durable in deferred {
            let subscription = durable.subscription;
            // A subscription that has ended meanwhile has taken its ticket with it.
            if !self.unconfirmed().tickets.contains_key(&subscription) {
                continue;
            }
            if let Err(error) = self.join(durable) {
                self.resolve(subscription, Err(error));
            }
        }
    }

    /// Lets a subscription wait until its group is left.
    fn defer(&self, durable: DurableSubscription, group: &str) {
        self.unconfirmed().deferred.push(durable);
        // It may have been left just now.
        if !self.state.groups.claims().is_leaving(group) {
            self.add_deferred();
        }
    }

    fn join(&self, durable: DurableSubscription) -> Result<(), BusError> {
        let state = &self.state;
        let Some(of_group) = durable.options.durable.clone() else { return Ok(()) };
        let filter = durable.options.filter.as_ref().map(Filter::parse).transpose()?;
        let sources = self.sources(&durable.patterns, &of_group)?;
        let instance: Arc<str> = state.origin.instance_id().into();
        let consumer = of_group
            .consumer
            .as_deref()
            .map_or_else(|| format!("{}-{instance}", state.config.service_name).into(), Arc::from);
        let group: Arc<str> = of_group.group.as_str().into();
        let mut claims = state.groups.claims();
        if claims.is_leaving(&group) {
            drop(claims);
            self.defer(durable, &group);
            return Ok(());
        }
        let DurableSubscription { subscription, patterns, options, .. } = durable;
        let known = claims.find(&group);
        let key = known.unwrap_or_else(|| {
            let joining = Joining {
                group: group.clone(),
                consumer,
                instance,
                lease: state.config.lease,
                foreign_lease: state.config.foreign_lease,
                order_by: of_group.order_by,
            };
            claims.join(joining)
        });
        let wanted = self.wanted(&group, &patterns, &sources);
        let added = claims.add(key, subscription, &patterns, &sources, &options, filter);
        if added.is_err() && known.is_none() {
            claims.leave(key);
        }
        drop(claims);
        added?;
        state.groups.wanted().insert(subscription, wanted);
        if known.is_none() {
            self.transport.join(key, group);
        }
        Ok(())
    }

    /// What a subscription wants of the streams that it reads, for the registry.
    fn wanted(&self, group: &str, patterns: &[String], sources: &[Source]) -> Vec<WantedPattern> {
        let streams = &self.state.config.streams;
        let read = sources.iter().filter_map(|source| streams.iter().find(|s| s.name == *source.stream));
        let of_stream = |stream: &StreamConfig| {
            let (name, events) = (stream.name.clone(), stream.events.clone());
            patterns.iter().map(move |pattern| WantedPattern {
                stream: name.clone(),
                group: group.to_owned(),
                pattern: pattern.clone(),
                events: events.clone(),
            })
        };
        read.flat_map(of_stream).collect()
    }

    /// The streams that a subscription reads.
    fn sources(&self, patterns: &[String], options: &DurableOptions) -> Result<Vec<Source>, BusError> {
        let streams = &self.state.config.streams;
        let chosen: Vec<usize> = match &options.streams {
            Some(names) => {
                let of_name = |name: &String| {
                    let key = self.state.config.keys.of_stream(name);
                    streams.iter().position(|s| s.name == *key).ok_or_else(|| {
                        let message = format!("no stream {name:?} is configured");
                        BusError::new(ErrorKind::NoStream, message)
                    })
                };
                names.iter().map(of_name).collect::<Result<_, _>>()?
            }
            None => self.routing.streams_matching(patterns),
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

    /// The server has confirmed all that a subscription needs.
    pub(super) fn confirmed(&self, subscription: u32) {
        self.resolve(subscription, Ok(()));
    }

    /// Replies to a subscription that waits, if it does.
    fn resolve(&self, subscription: u32, result: Result<(), BusError>) {
        let ticket = self.unconfirmed().remove(subscription);
        if let Some(ticket) = ticket {
            self.state.completions.reply(ticket, result.map(|()| Value::Null));
        }
    }

    /// Subscriptions that were not confirmed in time.
    pub(super) fn expired(&self, now: u64) -> Vec<u32> {
        self.unconfirmed().deadlines.range(..=(now, u32::MAX)).map(|(_, s)| *s).collect()
    }

    /// The error of a subscription that was not confirmed in time.
    pub(super) fn timed_out(&self, subscription: u32) -> BusError {
        let lifecycle = &self.state.lifecycle;
        let trouble = self.state.groups.claims().trouble(subscription);
        let trouble = trouble.or_else(|| self.still_leaving(subscription));
        let error = trouble.unwrap_or_else(|| {
            let cause = lifecycle.lasting_fault().or_else(|| lifecycle.watch().borrow().error.clone());
            let why = cause.map_or_else(|| "no answer from the server".to_owned(), |e| e.message);
            BusError::new(ErrorKind::CommandTimeout, format!("not subscribed in time: {why}"))
        });
        lifecycle.explain(error)
    }

    /// Why a subscription waits whose group is being left.
    fn still_leaving(&self, subscription: u32) -> Option<BusError> {
        let deferred = self.unconfirmed().deferred.iter().any(|d| d.subscription == subscription);
        let message = "not subscribed in time: handlers of an earlier subscription of the group still run";
        deferred.then(|| BusError::new(ErrorKind::CommandTimeout, message))
    }

    /// When the first of those that wait expires.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        self.unconfirmed().deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// Removes a subscription; one that is not confirmed fails with `error`. A group without subscriptions stops
    /// reading.
    pub(super) fn remove(&self, subscription: u32, error: BusError) -> Removed {
        let mut unconfirmed = self.unconfirmed();
        let ticket = unconfirmed.remove(subscription);
        unconfirmed.deferred.retain(|durable| durable.subscription != subscription);
        drop(unconfirmed);
        if let Some(ticket) = ticket {
            self.state.completions.reply(ticket, Err(error));
        }
        let mut claims = self.state.groups.claims();
        let found = claims.contains(subscription) || ticket.is_some();
        self.state.groups.wanted().remove(&subscription);
        let group = claims.group_of(subscription);
        claims.remove(subscription, self.state.clock.now_ms());
        let emptied = group.filter(|key| claims.is_empty(*key));
        if emptied.is_some() {
            // Under the same lock, so that nobody joins in between.
            claims.stop_reading(emptied, self.state.clock.now_ms());
        }
        Removed { found, emptied }
    }

    /// Fails all that wait, as the client closes.
    pub(super) fn refuse_all(&self) {
        let waiting = std::mem::take(&mut *self.unconfirmed());
        for (ticket, _) in waiting.tickets.into_values() {
            let error = BusError::new(ErrorKind::Closed, "the client was closed");
            self.state.completions.reply(ticket, Err(error));
        }
    }

    fn unconfirmed(&self) -> MutexGuard<'_, Unconfirmed> {
        self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
