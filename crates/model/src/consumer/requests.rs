//! What a group asks of the store, and when.

use std::sync::Arc;

use crate::consumer::context::Context;
use crate::consumer::group::Group;
use crate::consumer::liveness::ALIVE;
use crate::consumer::loss::lose;
use crate::consumer::scan::scan;
use crate::consumer::stream::{Stream, dead_consumers};
use crate::consumer::subscriber::is_told_pattern_for;
use crate::consumer::work::{Read, Work};
use crate::stream_store::Request;

/// What is to be done now.
pub(super) fn work(group: &mut Group, now: u64, cx: &mut Context, out: &mut Vec<Work>) {
    extend_leases(group, now, cx);
    let room = group.room(now);
    for at in 0..group.streams.len() {
        keep_up(group, at, now, cx, out);
        update_store(group, at, now, cx.dead_letter.max_length, out);
        if group.reading.is_connected() && !group.stopping && room.is_good() {
            scan(group, at, room.entries, now, (cx.hears_hand_backs, cx.store_clock.went_back()), out);
        }
    }
    let Group { reading, streams, .. } = group;
    if let Some((streams, limit)) = reading.next_read(room, cx.reads_ahead, || readable(streams), now) {
        let (name, consumer) = (group.joining.group.clone(), group.joining.consumer.clone());
        let read = Read { key: group.key, group: name, consumer, streams, limit, behind: None };
        out.push(Work::Read(read));
    }
}

/// The streams to read, once there is nothing to wait for. One that is in trouble does not hold up the others, and neither
/// does one whose requests fail: in a Cluster its node may be away, and those of the others not.
pub(super) fn readable(streams: &[Stream]) -> Option<Arc<[Arc<str>]>> {
    let used = || streams.iter().filter(|stream| stream.users > 0);
    let settled = used().all(|stream| stream.is_readable() || stream.is_failing());
    let readable = used().filter(|stream| stream.is_readable());
    let streams: Arc<[Arc<str>]> = readable.map(|stream| stream.name.clone()).collect();
    (settled && !streams.is_empty()).then_some(streams)
}

fn extend_leases(group: &mut Group, now: u64, cx: &mut Context) {
    let Group { lease, entries, streams, subscriptions, .. } = group;
    for (at, id) in lease.extend(entries, streams, subscriptions, now) {
        lose(group, at, &[id], now, cx);
    }
}

/// Opens the group of a stream, and says that this consumer lives.
fn keep_up(group: &mut Group, at: usize, now: u64, cx: &Context, out: &mut Vec<Work>) {
    let (key, stopping) = (group.key, group.stopping);
    let (lease, foreign_lease) = (group.joining.lease, group.joining.foreign_lease);
    let Group { streams, subscriptions, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let Stream { opening, facts, slots, .. } = stream;
    if let Some((from, restarted)) = opening.next_request(|| facts.mark(slots.oldest()), now) {
        let (stream, group) = (stream.name.clone(), group.joining.group.clone());
        out.push(Work::Store(key, Request::EnsureGroup { stream, group, from, restarted }));
    }
    if !stream.opening.is_open() {
        return;
    }
    if stream.heartbeat.is_due(cx.is_shown, now) {
        let (member, mark) = (stream.member.clone(), stream.mark());
        let (instance, patterns) = (cx.instance.clone(), subscriptions.told_patterns(at));
        let takes = |pattern: &str, event_type: &str| is_told_pattern_for(pattern, event_type, None);
        let take_up = stream.facts.types_to_take_up(&patterns, takes);
        let version = stream.facts.version();
        let heartbeat = Request::Heartbeat {
            member,
            instance,
            alive: ALIVE,
            alive_key: cx.alive_key.clone(),
            lease,
            foreign_lease,
            patterns: patterns.into_keys().collect(),
            mark,
            version,
            take_up,
        };
        out.push(Work::Store(key, heartbeat));
        stream.heartbeat.sent(stream.name_lost, mark, now);
    }
    if stream.dead_consumers.next_request(stopping, now) {
        out.push(Work::Store(
            key,
            Request::RemoveDeadConsumers { member: stream.member.clone(), pause: dead_consumers::PAUSE },
        ));
    }
}

/// Tells the store what has become of entries.
fn update_store(group: &mut Group, at: usize, now: u64, max_dead_letters: u64, out: &mut Vec<Work>) {
    let lease = group.lease.ms();
    let Group { key, streams, entries, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let may_fence = stream.may_fence();
    let version = stream.facts.version();
    let Stream { updates, member, slots, unmatched, recovery, take_up, .. } = stream;
    while let Some(request) = updates.acknowledgements.next_request(member, now) {
        out.push(Work::Store(*key, request));
    }
    if may_fence {
        let skip = unmatched.next_request(member, version, now);
        out.extend(skip.map(|request| Work::Store(*key, request)));
        out.extend(take_up.next_told(member, now).map(|request| Work::Store(*key, request)));
        let request = updates.next_fenced(member, max_dead_letters, (slots, entries), lease, now);
        if request.as_ref().is_some_and(Request::tells_when_due) {
            recovery.puts_off();
        }
        out.extend(request.map(|request| Work::Store(*key, request)));
    }
}

/// When something is to be done by time alone, after `now`.
pub(super) fn next_due(group: &Group, cx: &Context, now: u64) -> Option<u64> {
    let streams = group.streams.iter().flat_map(|stream| stream_dues(group, stream, cx.is_shown));
    let leases = (!group.entries.is_empty()).then_some(group.lease.due());
    let dues = leases.into_iter().chain(group.reading.due()).chain(streams).filter(|at| *at > now);
    group.subscriptions.next_due(now).into_iter().chain(dues).min()
}

fn stream_dues(group: &Group, stream: &Stream, is_shown: bool) -> impl Iterator<Item = u64> + use<> {
    let open = stream.opening.is_open();
    let looking = open && group.reading.is_connected() && !group.stopping;
    let recovering = looking && stream.users > 0;
    let starts = !group.suspected_poison.is_empty();
    let fenced = stream.may_fence().then(|| stream.updates.fenced_due(starts));
    [
        stream.opening.due(),
        stream.heartbeat.due(is_shown).filter(|_| open),
        stream.dead_consumers.due().filter(|_| open && !group.stopping),
        stream.updates.acknowledgements.due(),
        stream.own_scan.due().filter(|_| looking),
        stream.recovery.due().filter(|_| recovering),
        stream.take_up.due().filter(|_| recovering),
        stream.unmatched.due().filter(|_| stream.may_fence()),
        stream.take_up.told_due().filter(|_| stream.may_fence()),
    ]
    .into_iter()
    .flatten()
    .chain(fenced.into_iter().flatten())
}
