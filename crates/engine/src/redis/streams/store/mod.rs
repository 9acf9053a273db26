//! The streams of a Redis server: each request is one command or one script.

mod entries;
mod group_facts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use oxbus_model::codec::Codec;
use oxbus_model::codec::field_names::FieldNames;
use oxbus_model::stream_store::registry::{MAX_REGISTERED, kept_patterns_json};
use oxbus_model::stream_store::{ConsumerId, DELAYED, EntryId, Request, Response, keys};
use oxbus_model::{BusError, ErrorKind, Outcome};
use redis::{Cmd, cmd};

use super::store_replies;
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::scripts::script;
use crate::redis::scripts::script::Script;
use crate::redis::streams::command_link::CommandLink;
use crate::transport::store::{PendingResponse, Store};

/// Entries that one command or script works on: none holds the server up for long.
const CHUNK: usize = 500;

/// The keys that one step of a scan looks at, about.
const SCANNED: usize = 1_000;

/// Entries that one command acknowledges, which is quick.
const ACKNOWLEDGED: usize = 1_000;

pub(crate) struct RedisStore {
    commands: Arc<CommandLink>,
    names: &'static FieldNames,
    /// The channel on which other clients are told of what is handed back; empty where nothing is published.
    handed_back: Arc<str>,
}

impl RedisStore {
    /// A store whose entries have the format `codec`. Clients are told on the channel `handed_back` of entries that are
    /// handed back, unless it is empty.
    pub(in crate::redis) fn new(commands: Arc<CommandLink>, codec: Codec, handed_back: Arc<str>) -> Self {
        RedisStore { commands, names: codec.field_names(), handed_back }
    }
}

impl Store for RedisStore {
    fn execute(&self, request: Request) -> PendingResponse {
        let (commands, names, handed_back) = (self.commands.clone(), self.names, self.handed_back.clone());
        let call = StoreCall { deadline: commands.deadline(), commands, names, handed_back };
        Box::pin(async move { call.execute(request).await })
    }
}

/// One request on its way; all its commands end by its deadline.
struct StoreCall {
    commands: Arc<CommandLink>,
    deadline: u64,
    names: &'static FieldNames,
    handed_back: Arc<str>,
}

impl StoreCall {
    async fn ask(&self, command: &Cmd) -> Result<RespValue, BusError> {
        self.commands.ask(command, self.deadline).await.map_err(|mut error| {
            // What the server says of a missing stream depends on the command.
            let missing = ["ERR no such key", "ERR The XGROUP subcommand requires the key to exist"];
            if missing.iter().any(|said| error.message.starts_with(said)) {
                error.kind = ErrorKind::NoGroup;
            }
            error
        })
    }

    /// Runs a script; `arguments` appends its arguments.
    async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<RespValue, BusError> {
        let complete = |mut command: Cmd| {
            command.arg(keys.len()).arg(keys);
            arguments(&mut command);
            command
        };
        match self.ask(&complete(script.call())).await {
            Err(error) if script::is_missing(&error.message) => {
                self.ask(&complete(script.call_in_full())).await
            }
            answer => answer,
        }
    }

    /// Looks for a group with nothing but the right to look; `None` also where it may not look.
    async fn find_group(&self, stream: &str, group: &str) -> Option<Response> {
        let reply = self.ask(cmd("XINFO").arg("GROUPS").arg(stream)).await.ok()?;
        let position = store_replies::position_of(reply, group).ok()??;
        Some(Response::Ensured { created: false, position, recreated: false })
    }

    async fn execute(&self, request: Request) -> Result<Response, BusError> {
        match request {
            Request::EnsureGroup { stream, group, from, restarted } => {
                let arguments = |c: &mut Cmd| {
                    c.arg(&*group).arg(from.to_string()).arg(u8::from(restarted));
                };
                let [facts, _, _, notes, skipped, tasks, due] = group_facts::keys_of(&stream, &group);
                let keys = [&*stream, &notes, &due, &facts, &skipped, &tasks];
                match self.run(&list::ENSURE_GROUP, &keys, arguments).await {
                    Ok(reply) => store_replies::opened(reply),
                    // A group that is there needs no right to make it.
                    Err(error) if error.outcome == Some(Outcome::Rejected) => {
                        self.find_group(&stream, &group).await.ok_or(error)
                    }
                    Err(error) => Err(error),
                }
            }
            Request::Acknowledge { member, ids } => {
                for ids in ids.chunks(ACKNOWLEDGED) {
                    let mut command = cmd("XACK");
                    command.arg(&*member.stream).arg(&*member.group);
                    command.arg(texts(ids));
                    self.ask(&command).await?.count()?;
                }
                Ok(Response::Done)
            }
            Request::ExtendLease { member, items } => {
                let due = keys::due(&member.stream, &member.group);
                self.fenced(&list::EXTEND_LEASE, &member, items, &[&due], &[], |c, (id, state)| {
                    let count = state.map(|state| state.deliveries.to_string()).unwrap_or_default();
                    c.arg(id.to_string()).arg(count).arg(wait(state.and_then(|state| state.due_in)));
                })
                .await
            }
            Request::Requeue { member, items, lease, unhandled } => {
                let due = keys::due(&member.stream, &member.group);
                let (unhandled, lease) = (if unhandled { "1" } else { "" }, lease.to_string());
                let arguments = [unhandled, &*self.handed_back, DELAYED, &lease];
                self.fenced(&list::REQUEUE, &member, items, &[&due], &arguments, |c, (id, state)| {
                    c.arg(id.to_string()).arg(state.deliveries).arg(wait(state.due_in));
                })
                .await
            }
            Request::DeadLetter { member, to, max_len, letters } => {
                self.dead_letter(&member, to.as_deref(), max_len, letters).await
            }
            Request::MarkStarted { member, id } => {
                let append = |c: &mut Cmd, (id, ()): &(EntryId, ())| {
                    c.arg(id.to_string());
                };
                self.fenced(&list::MARK_STARTED, &member, vec![(id, ())], &[], &[], append).await
            }
            Request::ListExpired { member, min_idle, limit, early } => {
                self.list_expired(&member, min_idle, limit, early).await
            }
            Request::Pending { stream, group, from, limit, min_idle, consumer } => {
                self.pending(&stream, &group, from, limit, min_idle, consumer.as_deref()).await
            }
            Request::Claim { member, min_idle, early, ids } => {
                self.claim(&member, (min_idle, early), &ids).await
            }
            Request::ClaimOwnPending { after: EntryId::MAX, .. }
            | Request::ClaimOwnPending { limit: 0, .. } => {
                Ok(Response::Claimed { entries: Vec::new(), deleted: Vec::new() })
            }
            Request::ClaimOwnPending { member, after, limit, raise } => {
                self.claim_own_pending(&member, (after, limit), raise).await
            }
            heartbeat @ Request::Heartbeat { .. } => group_facts::synchronize(self, heartbeat).await,
            Request::KeepAlive { key, ttl } => group_facts::keep_alive(self, &key, ttl).await,
            Request::Skip { member, version, entries } => {
                group_facts::skip(self, &member, version, entries).await
            }
            Request::TakeUp { member, tasks, limit } => {
                group_facts::take_up(self, &member, &tasks, limit).await
            }
            Request::RemoveConsumer { member, instance } => {
                let consumers = keys::consumers(&member.stream, &member.group);
                let arguments = |c: &mut Cmd| {
                    c.arg(&*member.group).arg(&*member.consumer).arg(&*instance);
                };
                count(self.run(&list::REMOVE_CONSUMER, &[&member.stream, &consumers], arguments).await)
            }
            Request::RemoveDeadConsumers { member: ConsumerId { stream, group, .. }, pause } => {
                let [facts, _, consumers, notes, ..] = group_facts::keys_of(&stream, &group);
                let arguments = |c: &mut Cmd| {
                    c.arg(&*group).arg(pause);
                };
                let keys = [&*stream, &consumers, &notes, &facts];
                count(self.run(&list::REMOVE_DEAD_CONSUMERS, &keys, arguments).await)
            }
            Request::ApplyRetention { stream, instance, max_len, max_age, safe } => {
                self.apply_retention(&stream, &instance, (max_len, max_age), safe).await
            }
            Request::RemoveGroup { stream, group } => {
                let of_group = group_facts::keys_of(&stream, &group);
                let keys: Vec<&str> = [&*stream].into_iter().chain(of_group.iter().map(|k| &**k)).collect();
                let arguments = |c: &mut Cmd| {
                    c.arg(&*group);
                };
                count(self.run(&list::REMOVE_GROUP, &keys, arguments).await)
            }
            Request::RequeueDeadLetter { letters, id, for_group } => {
                self.requeue_dead_letter(&letters, id, for_group).await
            }
            Request::Redeliver { stream, group, id } => self.redeliver(&stream, &group, id).await,
            Request::Describe { stream } => {
                let facts = keys::facts_of_groups(&stream);
                let arguments = |c: &mut Cmd| {
                    c.arg(&facts).arg(keys::SKIPPED);
                };
                let reply = self.run(&list::DESCRIBE, &[&stream], arguments).await?;
                Ok(Response::Stream(store_replies::stream(reply)?))
            }
            // To a server no limit and one of 0 are the same.
            Request::Range { limit: 0, .. } => Ok(Response::Entries(Vec::new())),
            Request::Range { stream, from, to, limit, reverse } => {
                let (name, start, end) = if reverse { ("XREVRANGE", to, from) } else { ("XRANGE", from, to) };
                let mut command = cmd(name);
                command.arg(&*stream).arg(start.to_string()).arg(end.to_string()).arg("COUNT").arg(limit);
                Ok(Response::Entries(store_replies::entries(self.ask(&command).await?)?))
            }
            Request::Delete { stream, ids } => {
                let mut deleted = 0;
                for ids in ids.chunks(CHUNK) {
                    let mut command = cmd("XDEL");
                    command.arg(&*stream);
                    command.arg(texts(ids));
                    deleted += self.ask(&command).await?.count()?;
                }
                Ok(Response::Count(deleted))
            }
            Request::Trim { stream, max_len, min_id } => {
                let bounds = [
                    max_len.map(|len| ("MAXLEN", len.to_string())),
                    min_id.map(|id| ("MINID", id.to_string())),
                ];
                let mut removed = 0;
                for (strategy, bound) in bounds.into_iter().flatten() {
                    let mut command = cmd("XTRIM");
                    command.arg(&*stream).arg(strategy).arg("=").arg(bound);
                    removed += self.ask(&command).await?.count()?;
                }
                Ok(Response::Count(removed))
            }
            Request::SetPosition { stream, group, to } => {
                let [facts, _, _, notes, skipped, tasks, _] = group_facts::keys_of(&stream, &group);
                let keys = [&*stream, &notes, &facts, &skipped, &tasks];
                let arguments = |c: &mut Cmd| {
                    c.arg(&*group).arg(to.to_string());
                };
                self.run(&list::SET_POSITION, &keys, arguments).await?;
                Ok(Response::Done)
            }
            Request::Event { key } => {
                let reply = self.ask(cmd("GET").arg(&*key)).await?;
                Ok(Response::Event(reply.maybe(RespValue::bytes)?))
            }
            Request::UpdatePresence { key, add, remove, ttl } => {
                let chunks = add.chunks(CHUNK).map(|add| (add, true));
                for (entries, come) in chunks.chain(remove.chunks(CHUNK).map(|gone| (gone, false))) {
                    let arguments = |c: &mut Cmd| {
                        c.arg(if come { ttl } else { 0 }).arg(entries);
                    };
                    self.run(&list::UPDATE_PRESENCE, &[&key], arguments).await?;
                }
                Ok(Response::Done)
            }
            Request::ListPresence { key } => {
                let reply = self.run(&list::LIST_PRESENCE, &[&key], |_| ()).await?;
                Ok(Response::Names(reply.all(RespValue::text)?))
            }
            Request::Exists { stream } => {
                store_replies::exists(&stream, self.ask(cmd("TYPE").arg(&*stream)).await?)
            }
            Request::RegisterStreams { key, streams } => {
                for streams in streams.chunks(CHUNK) {
                    let arguments = |c: &mut Cmd| {
                        c.arg(MAX_REGISTERED);
                        for (name, events) in streams {
                            c.arg(name).arg(kept_patterns_json(events));
                        }
                    };
                    self.run(&list::REGISTER_STREAMS, &[&key], arguments).await?;
                }
                Ok(Response::Done)
            }
            Request::ListRegistered { key } => {
                store_replies::registered(self.ask(cmd("HGETALL").arg(&*key)).await?)
            }
            Request::ScanStreams { cursor } => {
                let mut command = cmd("SCAN");
                command.arg(cursor).arg("COUNT").arg(SCANNED).arg("TYPE").arg("stream");
                store_replies::scanned(self.ask(&command).await?)
            }
            Request::Time => Ok(Response::Time(store_replies::time(self.ask(&cmd("TIME")).await?)?)),
        }
    }

    /// Runs a fenced script on entries in the order of their ids; `append` appends the arguments of one.
    async fn fenced<T>(
        &self,
        script: &Script,
        member: &ConsumerId,
        mut items: Vec<(EntryId, T)>,
        more_keys: &[&str],
        more_arguments: &[&str],
        append: impl Fn(&mut Cmd, &(EntryId, T)),
    ) -> Result<Response, BusError> {
        items.sort_by_key(|(id, _)| *id);
        items.dedup_by_key(|(id, _)| *id);
        let fence = Self::fence(member);
        let keys = [&[&*member.stream, &fence[0], &fence[1]], more_keys].concat();
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        for items in items.chunks(CHUNK) {
            let arguments = |c: &mut Cmd| {
                c.arg(&*member.group).arg(&*member.consumer).arg(&*member.instance).arg(more_arguments);
                items.iter().for_each(|item| append(c, item));
            };
            let [others, missing] = self.run(script, &keys, arguments).await?.parts()?;
            taken.extend(others.all(RespValue::id)?);
            gone.extend(missing.all(RespValue::id)?);
        }
        Ok(Response::Fenced { not_owned: taken, deleted: gone })
    }

    /// The keys beside the stream that fenced scripts look at: the notes and the consumers.
    fn fence(member: &ConsumerId) -> [String; 2] {
        let ConsumerId { stream, group, .. } = member;
        [keys::notes(stream, group), keys::consumers(stream, group)]
    }

    async fn pending(
        &self,
        stream: &str,
        group: &str,
        from: EntryId,
        limit: usize,
        min_idle: u64,
        consumer: Option<&str>,
    ) -> Result<Response, BusError> {
        let mut command = cmd("XPENDING");
        command.arg(stream).arg(group).arg("IDLE").arg(min_idle).arg(from.to_string()).arg("+").arg(limit);
        command.arg(consumer);
        Ok(Response::Pending(store_replies::pending(self.ask(&command).await?)?))
    }

    async fn apply_retention(
        &self,
        stream: &str,
        instance: &str,
        (max_len, max_age): (Option<u64>, Option<u64>),
        safe: bool,
    ) -> Result<Response, BusError> {
        // A script must be told its keys, and there are some for each group.
        let groups = match self.ask(cmd("XINFO").arg("GROUPS").arg(stream)).await {
            Ok(reply) => store_replies::group_names(reply)?,
            Err(error) if error.kind == ErrorKind::NoGroup => return Ok(Response::Count(0)),
            Err(error) => return Err(error),
        };
        // A name that is not text is of another program, which keeps no facts.
        let groups: Vec<&str> = groups.iter().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        let facts: Vec<String> = groups.iter().map(|group| keys::facts(stream, group)).collect();
        let janitor = keys::janitor(stream);
        let keys: Vec<&str> = [stream, &janitor].into_iter().chain(facts.iter().map(|k| &**k)).collect();
        let text = |bound: Option<u64>| bound.map(|n| n.to_string()).unwrap_or_default();
        let arguments = |c: &mut Cmd| {
            c.arg(instance).arg(text(max_len)).arg(text(max_age)).arg(u8::from(safe)).arg(&groups);
        };
        count(self.run(&list::APPLY_RETENTION, &keys, arguments).await)
    }
}

/// In how many milliseconds an entry is due, as scripts are told.
fn wait(due_in: Option<u64>) -> String {
    due_in.map(|wait| wait.to_string()).unwrap_or_default()
}

fn texts(ids: &[EntryId]) -> Vec<String> {
    ids.iter().map(EntryId::to_string).collect()
}

fn count(reply: Result<RespValue, BusError>) -> Result<Response, BusError> {
    Ok(Response::Count(reply?.count()?))
}
