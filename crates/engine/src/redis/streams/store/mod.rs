//! The streams of a Redis server: each request is one command or one script.
//!
//! - this file: which request is which; `call`: how commands and scripts are run
//! - `cluster`: their keys on a server in cluster mode
//! - `scan`: the streams of a server, or of all nodes of a Cluster
//! - `letters`: entries that become dead letters, and back, as `letter_format` says; `listed`: dead letters in a list
//! - `entries`: entries that change hands; `group_facts`: what the clients of a group share

mod call;
mod cluster;
mod entries;
mod group_facts;
mod letter_format;
mod letters;
mod listed;
mod scan;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use oxbus_model::config::Config;
use oxbus_model::stream_store::registry::{MAX_REGISTERED, kept_patterns_json};
use oxbus_model::stream_store::{ConsumerId, DELAYED, EntryId, KeyLayout, Request, Response, keys};
use oxbus_model::{BusError, Outcome, presence};
use redis::{Cmd, cmd};

use super::store_replies;
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::store::call::{CHUNK, StoreCall, count, texts, wait};
use crate::redis::streams::store::cluster::ClusterNames;
use crate::redis::streams::store::letter_format::Letters;
use crate::transport::store::{PendingResponse, Store};

/// Entries that one command acknowledges, which is quick.
const ACKNOWLEDGED: usize = 1_000;

pub(crate) struct RedisStore {
    commands: Arc<CommandLink>,
    letters: Arc<Letters>,
    /// The channel on which other clients are told of what is handed back; empty where nothing is published.
    handed_back: Arc<str>,
    cluster: Arc<ClusterNames>,
}

impl RedisStore {
    /// A store of the entries of a configuration. Clients are told on the channel `handed_back` of entries that are
    /// handed back, unless it is empty.
    pub(in crate::redis) fn new(commands: Arc<CommandLink>, config: &Config, handed_back: Arc<str>) -> Self {
        let cluster = Arc::new(ClusterNames::new(config));
        let letters = Arc::new(Letters { codec: config.codec.clone(), config: config.dead_letter.clone() });
        RedisStore { commands, letters, handed_back, cluster }
    }
}

impl Store for RedisStore {
    fn node_of(&self, stream: &str) -> Option<String> {
        Some(self.commands.node_of(&self.cluster.key_of(stream))?.to_string())
    }

    fn execute(&self, request: Request) -> PendingResponse {
        let (commands, letters, handed_back) =
            (self.commands.clone(), self.letters.clone(), self.handed_back.clone());
        let (deadline, cluster) = (commands.deadline(), self.cluster.clone());
        Box::pin(async move {
            let layout = commands.layout(deadline).await?;
            let names = letters.codec.field_names();
            let call = StoreCall { deadline, layout, commands, names, letters, handed_back };
            match (layout, request) {
                (KeyLayout::Plain, request) => execute(&call, request).await,
                (KeyLayout::Tagged, Request::KeepAlive { key, ttl }) => {
                    cluster.keep_alive(&call, &key, ttl).await
                }
                (KeyLayout::Tagged, request) => {
                    Ok(cluster.named(execute(&call, cluster.located(request)).await?))
                }
            }
        })
    }
}

/// Executes a request by one command or one script.
async fn execute(call: &StoreCall, request: Request) -> Result<Response, BusError> {
    let request = match listed::asked(call, request).await {
        ControlFlow::Break(answer) => return answer,
        ControlFlow::Continue(request) => request,
    };
    match request {
        Request::EnsureGroup { stream, group, from, restarted } => {
            let arguments = |c: &mut Cmd| {
                c.arg(&*group).arg(from.to_string()).arg(u8::from(restarted));
            };
            let [facts, _, _, notes, skipped, tasks, due] = call.keys_of_group(&stream, &group);
            let keys = [&*stream, &notes, &due, &facts, &skipped, &tasks];
            match call.run(&list::ENSURE_GROUP, &keys, arguments).await {
                Ok(reply) => store_replies::opened(reply),
                // A group that is there needs no right to make it.
                Err(error) if error.outcome == Some(Outcome::Rejected) => {
                    call.find_group(&stream, &group).await.ok_or(error)
                }
                Err(error) => Err(error),
            }
        }
        Request::Acknowledge { member, ids } => {
            for ids in ids.chunks(ACKNOWLEDGED) {
                let mut command = cmd("XACK");
                command.arg(&*member.stream).arg(&*member.group);
                command.arg(texts(ids));
                call.ask(&command).await?.count()?;
            }
            Ok(Response::Done)
        }
        Request::ExtendLease { member, items } => {
            let due = keys::due(&call.home(&member.stream), &member.group);
            call.fenced(&list::EXTEND_LEASE, &member, items, &[&due], &[], |c, (id, state)| {
                let count = state.map(|state| state.deliveries.to_string()).unwrap_or_default();
                c.arg(id.to_string()).arg(count).arg(wait(state.and_then(|state| state.due_in)));
            })
            .await
        }
        Request::Requeue { member, items, lease, unhandled } => {
            let due = keys::due(&call.home(&member.stream), &member.group);
            let (unhandled, lease) = (if unhandled { "1" } else { "" }, lease.to_string());
            let arguments = [unhandled, &*call.handed_back, DELAYED, &lease];
            call.fenced(&list::REQUEUE, &member, items, &[&due], &arguments, |c, (id, state)| {
                c.arg(id.to_string()).arg(state.deliveries).arg(wait(state.due_in));
            })
            .await
        }
        Request::DeadLetter { member, to, max_len, letters } => {
            letters::dead_letter(call, &member, to.as_deref(), max_len, letters).await
        }
        Request::MarkStarted { member, id } => {
            let append = |c: &mut Cmd, (id, ()): &(EntryId, ())| {
                c.arg(id.to_string());
            };
            call.fenced(&list::MARK_STARTED, &member, vec![(id, ())], &[], &[], append).await
        }
        Request::AnyExpired { member: ConsumerId { stream, group, .. }, min_idle } => {
            call.pending(&stream, &group, EntryId::MIN, 1, min_idle, None).await
        }
        Request::ListExpired { member, min_idle, limit, early, set_right } => {
            call.list_expired(&member, min_idle, limit, (early, set_right)).await
        }
        Request::Pending { stream, group, from, limit, min_idle, consumer } => {
            call.pending(&stream, &group, from, limit, min_idle, consumer.as_deref()).await
        }
        Request::Claim { member, min_idle, early, ids } => call.claim(&member, (min_idle, early), &ids).await,
        Request::ClaimOwnPending { after: EntryId::MAX, .. } | Request::ClaimOwnPending { limit: 0, .. } => {
            Ok(Response::Claimed { entries: Vec::new(), deleted: Vec::new() })
        }
        Request::ClaimOwnPending { member, after, limit, raise } => {
            call.claim_own_pending(&member, (after, limit), raise).await
        }
        heartbeat @ Request::Heartbeat { .. } => group_facts::synchronize(call, heartbeat).await,
        Request::KeepAlive { key, ttl } => group_facts::keep_alive(call, &key, ttl).await,
        Request::Skip { member, version, entries } => {
            group_facts::skip(call, &member, version, entries).await
        }
        Request::TakeUp { member, told, tasks, limit } => {
            group_facts::take_up(call, &member, (&told, &tasks), limit).await
        }
        Request::RemoveConsumer { member, instance } => {
            let consumers = keys::consumers(&call.home(&member.stream), &member.group);
            let arguments = |c: &mut Cmd| {
                c.arg(&*member.group).arg(&*member.consumer).arg(&*instance);
            };
            count(call.run(&list::REMOVE_CONSUMER, &[&member.stream, &consumers], arguments).await)
        }
        Request::RemoveDeadConsumers { member: ConsumerId { stream, group, .. }, pause } => {
            let [facts, _, consumers, notes, ..] = call.keys_of_group(&stream, &group);
            let arguments = |c: &mut Cmd| {
                c.arg(&*group).arg(pause);
            };
            let keys = [&*stream, &consumers, &notes, &facts];
            count(call.run(&list::REMOVE_DEAD_CONSUMERS, &keys, arguments).await)
        }
        Request::ApplyRetention { stream, instance, max_len, max_age, safe } => {
            call.apply_retention(&stream, &instance, (max_len, max_age), safe).await
        }
        Request::RemoveGroup { stream, group } => {
            let of_group = call.keys_of_group(&stream, &group);
            let keys: Vec<&str> = [&*stream].into_iter().chain(of_group.iter().map(|k| &**k)).collect();
            let arguments = |c: &mut Cmd| {
                c.arg(&*group);
            };
            count(call.run(&list::REMOVE_GROUP, &keys, arguments).await)
        }
        Request::RequeueDeadLetter { letters, id, for_group } => {
            letters::requeue_dead_letter(call, &letters, id, for_group).await
        }
        Request::Redeliver { stream, group, id } => call.redeliver(&stream, &group, id).await,
        Request::Describe { stream } => {
            let facts = keys::facts_of_groups(&call.home(&stream));
            let arguments = |c: &mut Cmd| {
                c.arg(&facts).arg(keys::SKIPPED).arg(keys::CONSUMERS);
            };
            let reply = call.run(&list::DESCRIBE, &[&stream], arguments).await?;
            Ok(Response::Stream(store_replies::stream(reply)?))
        }
        // To a server no limit and one of 0 are the same.
        Request::Range { limit: 0, .. } => Ok(Response::Entries(Vec::new())),
        Request::Range { stream, from, to, limit, reverse } => {
            let (name, start, end) = if reverse { ("XREVRANGE", to, from) } else { ("XRANGE", from, to) };
            let mut command = cmd(name);
            command.arg(&*stream).arg(start.to_string()).arg(end.to_string()).arg("COUNT").arg(limit);
            Ok(Response::Entries(store_replies::entries(call.ask(&command).await?)?))
        }
        Request::Delete { stream, ids } => {
            let mut deleted = 0;
            for ids in ids.chunks(CHUNK) {
                let mut command = cmd("XDEL");
                command.arg(&*stream);
                command.arg(texts(ids));
                deleted += call.ask(&command).await?.count()?;
            }
            Ok(Response::Count(deleted))
        }
        Request::Trim { stream, max_len, min_id } => {
            let bounds =
                [max_len.map(|len| ("MAXLEN", len.to_string())), min_id.map(|id| ("MINID", id.to_string()))];
            let mut removed = 0;
            for (strategy, bound) in bounds.into_iter().flatten() {
                let mut command = cmd("XTRIM");
                command.arg(&*stream).arg(strategy).arg("=").arg(bound);
                removed += call.ask(&command).await?.count()?;
            }
            Ok(Response::Count(removed))
        }
        Request::SetPosition { stream, group, to } => {
            let [facts, _, _, notes, skipped, tasks, _] = call.keys_of_group(&stream, &group);
            let keys = [&*stream, &notes, &facts, &skipped, &tasks];
            let arguments = |c: &mut Cmd| {
                c.arg(&*group).arg(to.to_string());
            };
            call.run(&list::SET_POSITION, &keys, arguments).await?;
            Ok(Response::Done)
        }
        Request::Event { key } => {
            let reply = call.ask(cmd("GET").arg(&*key)).await?;
            Ok(Response::Event(reply.maybe(RespValue::bytes)?))
        }
        Request::UpdatePresence { key, add, remove, ttl } => {
            let chunks = add.chunks(CHUNK).map(|add| (add, true));
            for (entries, come) in chunks.chain(remove.chunks(CHUNK).map(|gone| (gone, false))) {
                let arguments = |c: &mut Cmd| {
                    c.arg(if come { ttl } else { 0 }).arg(entries);
                };
                call.run(&list::UPDATE_PRESENCE, &[&key], arguments).await?;
            }
            Ok(Response::Done)
        }
        Request::ListPresence { key } => {
            let arguments = |c: &mut Cmd| {
                c.arg(presence::TTL);
            };
            let reply = call.run(&list::LIST_PRESENCE, &[&key], arguments).await?;
            Ok(Response::Names(reply.all(RespValue::text)?))
        }
        Request::Exists { stream } => {
            store_replies::exists(&stream, call.ask(cmd("TYPE").arg(&*stream)).await?)
        }
        Request::RegisterStreams { key, streams } => {
            for streams in streams.chunks(CHUNK) {
                let arguments = |c: &mut Cmd| {
                    c.arg(MAX_REGISTERED);
                    for (name, events) in streams {
                        c.arg(name).arg(kept_patterns_json(events));
                    }
                };
                call.run(&list::REGISTER_STREAMS, &[&key], arguments).await?;
            }
            Ok(Response::Done)
        }
        Request::ListRegistered { key } => {
            store_replies::registered(call.ask(cmd("HGETALL").arg(&*key)).await?)
        }
        Request::ScanStreams { cursor } => scan::streams(call, cursor).await,
        Request::Time => Ok(Response::Time(store_replies::time(call.ask(&cmd("TIME")).await?)?)),
        Request::TimeOfStream { stream } => {
            let node = call.commands.node_of(&stream);
            let reply = call.commands.ask_node(node.as_ref(), &cmd("TIME"), call.deadline).await?;
            Ok(Response::Time(store_replies::time(reply)?))
        }
    }
}
