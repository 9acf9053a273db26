//! What a test asks a client for: to publish, to subscribe, to join, to administrate.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use oxbus_engine::{Client, Joinable};
use oxbus_model::BusError;
use oxbus_model::stream_store::EntryId;
use serde_json::{Value, json};

use super::bus::Bus;
use super::event::{Event, Verdict};
use super::handler::Handler;
use super::host::{answer, lock};
use super::outcome::{Batch, Open, Published, Record};

/// The answer to a call that was made.
pub type Answered = Pin<Box<dyn Future<Output = Result<Value, BusError>> + Send>>;

impl Bus {
    /// Publishes one event.
    pub async fn publish(&self, event_type: impl Into<String>, data: impl Into<Value>) -> Published {
        self.publish_raw(Record::new(event_type, data)).await
    }

    /// Publishes one event with options.
    pub async fn publish_with(
        &self,
        event_type: impl Into<String>,
        data: impl Into<Value>,
        options: impl Into<Value>,
    ) -> Published {
        self.publish_raw(Record::new(event_type, data).with(options)).await
    }

    /// Publishes a record as it is.
    pub async fn publish_raw(&self, record: Record) -> Published {
        self.publish_many(vec![record]).await.remove(0)
    }

    /// Publishes records as one batch; the outcomes in order.
    pub async fn publish_many(&self, records: Vec<Record>) -> Vec<Published> {
        self.start_publish(&records).results().await
    }

    /// Starts publishes as one batch.
    pub fn start_publish(&self, records: &[Record]) -> Batch {
        self.start(records, |client, number, count, text| client.publish(number, count, text))
    }

    /// The same; in hybrid mode the server is not to have them yet.
    pub fn start_publish_here_first(&self, records: &[Record]) -> Batch {
        self.start(records, |client, number, count, text| client.publish_here_first(number, count, text))
    }

    /// Sends the server what it is to have.
    pub fn send_held(&self) {
        self.inner.client.send_held();
    }

    fn start(&self, records: &[Record], publish: impl FnOnce(&Client, u32, u32, String)) -> Batch {
        let (open, results, text) = Open::new(records);
        let count = u32::try_from(records.len()).expect("a batch of a size that fits");
        // Held during the call: the engine expects publishes from one thread at a time.
        let mut waiting = lock(&self.inner.waiting);
        waiting.last_batch = waiting.last_batch.wrapping_add(1);
        let number = waiting.last_batch;
        waiting.batches.insert(number, open);
        publish(&self.inner.client, number, count, text);
        Batch { number, results }
    }

    /// The entry of a publish that failed and was stored nevertheless, as far as is known.
    pub fn stored_nevertheless(&self, batch: u32, index: u32) -> Option<EntryId> {
        let stored = lock(&self.inner.stored_nevertheless);
        stored.iter().find(|(b, i, _)| (*b, *i) == (batch, index)).map(|(_, _, id)| *id)
    }

    /// Cancels a publish of a batch.
    pub fn cancel(&self, batch: u32, index: u32) {
        self.inner.client.cancel(batch, index);
    }

    /// Calls a method of administration, with its arguments as one object.
    pub async fn request(&self, method: &str, args: impl Into<Value>) -> Result<Value, BusError> {
        let args = args.into().to_string();
        self.ask(method, |client, ticket| client.request(ticket, method.to_owned(), args)).await
    }

    /// Subscribes a handler that answers at once; returns when the subscription is confirmed.
    pub async fn subscribe<V: Into<Verdict>>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Event) -> V + Send + Sync + 'static,
    ) -> Result<u32, BusError> {
        let handler = Handler::Sync(Arc::new(move |event| handler(event).into()));
        self.add(patterns, options.into(), handler).await
    }

    /// Subscribes a handler that takes its time.
    pub async fn subscribe_async<F, V>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Event) -> F + Send + Sync + 'static,
    ) -> Result<u32, BusError>
    where
        F: Future<Output = V> + Send + 'static,
        V: Into<Verdict>,
    {
        let handler = Handler::Async(Arc::new(move |event| {
            let running = handler(event);
            Box::pin(async move { running.await.into() })
        }));
        self.add(patterns, options.into(), handler).await
    }

    /// Subscribes a handler of batches.
    pub async fn subscribe_batch<F, V>(
        &self,
        patterns: &[&str],
        options: impl Into<Value>,
        handler: impl Fn(Vec<Event>) -> F + Send + Sync + 'static,
    ) -> Result<u32, BusError>
    where
        F: Future<Output = V> + Send + 'static,
        V: Into<Verdict>,
    {
        let handler = Handler::Batch(Arc::new(move |events| {
            let running = handler(events);
            Box::pin(async move { running.await.into() })
        }));
        self.add(patterns, options.into(), handler).await
    }

    async fn add(&self, patterns: &[&str], options: Value, handler: Handler) -> Result<u32, BusError> {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let options = if options.is_null() { String::new() } else { options.to_string() };
        let (ticket, reply) = self.inner.ticket();
        let subscription = {
            // Held during the call, so that no delivery comes before its handler is known.
            let mut handlers = lock(&self.inner.handlers);
            let subscribed = match self.inner.client.subscribe(ticket, &patterns, &options) {
                Ok(subscribed) => subscribed,
                Err(error) => {
                    lock(&self.inner.waiting).tickets.remove(&ticket);
                    return Err(error);
                }
            };
            handlers.insert(subscribed.subscription, handler);
            subscribed.subscription
        };
        match answer("subscribe", reply).await {
            Ok(_) => Ok(subscription),
            Err(error) => {
                lock(&self.inner.handlers).remove(&subscription);
                Err(error)
            }
        }
    }

    /// Ends a subscription: no new call starts. False when there was none of that number.
    pub async fn unsubscribe(&self, subscription: u32) -> bool {
        lock(&self.inner.handlers).remove(&subscription);
        let ended = self.ask("unsubscribe", |client, ticket| client.unsubscribe(ticket, subscription)).await;
        ended.expect("unsubscribe never fails") == Value::Bool(true)
    }

    /// Stops or resumes deliveries.
    pub fn pause(&self, subscription: u32, paused: bool) {
        self.inner.client.pause(subscription, paused);
    }

    /// Joins a room for a member; `None`: the default one. Whether the member is new.
    pub async fn join_room(&self, room: &str, member: Option<&str>) -> Result<bool, BusError> {
        let member = member.map(str::to_owned);
        self.try_ask("join", |client, ticket| client.join(ticket, Joinable::Room, room, member))
            .await
            .map(flag)
    }

    /// Starts to join a room; the call is made before this returns.
    pub fn start_join(&self, room: &str, member: &str) -> Answered {
        let member = Some(member.to_owned());
        self.start_ask("join", |client, ticket| client.join(ticket, Joinable::Room, room, member))
    }

    /// Starts to leave a room, with all members; the call is made before this returns.
    pub fn start_leave(&self, room: &str) -> Answered {
        self.start_ask("leave", |client, ticket| client.leave(ticket, Joinable::Room, room, None))
    }

    /// Leaves a room; `None`: all members of this client. Whether there was any.
    pub async fn leave_room(&self, room: &str, member: Option<&str>) -> bool {
        let member = member.map(str::to_owned);
        let left = self.try_ask("leave", |client, ticket| client.leave(ticket, Joinable::Room, room, member));
        flag(left.await.expect("leaving never fails"))
    }

    /// Joins a user.
    pub async fn join_user(&self, user: &str) -> Result<bool, BusError> {
        self.try_ask("join", |client, ticket| client.join(ticket, Joinable::User, user, None)).await.map(flag)
    }

    /// Leaves a user.
    pub async fn leave_user(&self, user: &str) -> bool {
        let left = self.try_ask("leave", |client, ticket| client.leave(ticket, Joinable::User, user, None));
        flag(left.await.expect("leaving never fails"))
    }

    /// Who is in a room.
    pub async fn members(&self, room: &str) -> Vec<String> {
        let members = self.request("rooms.members", json!({ "room": room })).await.expect("the members");
        serde_json::from_value(members).expect("names")
    }

    /// As [`Bus::ask`], of a call that may be refused at once.
    pub(super) async fn try_ask(
        &self,
        what: &str,
        call: impl FnOnce(&Client, u32) -> Result<(), BusError>,
    ) -> Result<Value, BusError> {
        self.start_ask(what, call).await
    }

    /// As [`Bus::try_ask`]; the call is made before this returns.
    pub(super) fn start_ask(
        &self,
        what: &str,
        call: impl FnOnce(&Client, u32) -> Result<(), BusError>,
    ) -> Answered {
        let (ticket, reply) = self.inner.ticket();
        let refused = call(&self.inner.client, ticket).err();
        if refused.is_some() {
            lock(&self.inner.waiting).tickets.remove(&ticket);
        }
        let what = what.to_owned();
        Box::pin(async move {
            match refused {
                Some(error) => Err(error),
                None => answer(&what, reply).await,
            }
        })
    }
}

fn flag(value: Value) -> bool {
    value.as_bool().expect("a flag")
}
