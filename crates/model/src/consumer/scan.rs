//! The search for entries that nobody works on: this consumer's own of before, expired ones of others, and those that the
//! group has read past.

use crate::codec::outline::Shapes;
use crate::consumer::answer::StoreAnswer;
use crate::consumer::context::Context;
use crate::consumer::group::Group;
use crate::consumer::intake::{Origin, accept};
use crate::consumer::loss::deleted;
use crate::consumer::received::ReceivedEntry;
use crate::consumer::stream::recovery::MAX_CLAIMS;
use crate::consumer::work::Work;
use crate::stream_store::{DELAYED, EntryId, Missed, PendingEntry, Request, Response, StoredEntry};

/// Looks for entries that nobody works on: this consumer's own of before, then others'. There is room for `room`
/// entries.
pub(super) fn scan(
    group: &mut Group,
    at: usize,
    room: usize,
    now: u64,
    (hears_hand_backs, went_back): (bool, u32),
    out: &mut Vec<Work>,
) {
    let (key, lease, early) = (group.key, group.min_idle(at), group.puts_off().is_none());
    let Some(stream) = group.streams.get_mut(at) else { return };
    if !stream.is_ready() || stream.users == 0 {
        return;
    }
    if let Some((after, raise)) = stream.own_scan.next_request(now) {
        let (member, limit) = (stream.member.clone(), room.min(MAX_CLAIMS));
        out.push(Work::Store(key, Request::ClaimOwnPending { member, after, limit, raise }));
    }
    if !stream.own_scan.is_done() {
        return;
    }
    let Group { streams, subscriptions, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let takes = |event_type: &str| !subscriptions.takers(at, event_type, None).is_empty();
    let request = stream.take_up.next_request(&stream.member, room, takes, now);
    out.extend(request.map(|request| Work::Store(key, request)));
    let early_and_hears = (early, hears_hand_backs);
    if let Some(request) =
        stream.recovery.next_request(&stream.member, lease, early_and_hears, went_back, now)
    {
        group.watch.looked(lease.ours, now);
        out.push(Work::Store(key, request));
    }
}

/// Own pending entries behind `after` were asked for.
pub(super) fn own_claimed(
    group: &mut Group,
    at: usize,
    after: EntryId,
    answer: StoreAnswer,
    cx: &mut Context,
) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let StoreAnswer { result, now, random, shapes } = answer;
    let Ok(Response::Claimed { entries, deleted: gone }) = result else {
        stream.own_scan.failed(after, now, random);
        return;
    };
    stream.own_scan.succeeded();
    let last = entries.iter().map(|entry| entry.id).chain(gone.iter().copied()).max();
    take_in(group, at, entries, Origin::Own, (now, shapes), cx);
    deleted(group, at, &gone, now, cx);
    if let Some(stream) = group.streams.get_mut(at) {
        stream.own_scan.taken_in(last);
    }
}

/// Whether there are expired entries was asked.
pub(super) fn any_expired(group: &mut Group, at: usize, answer: StoreAnswer) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let Ok(Response::Pending(pending)) = answer.result else {
        stream.recovery.failed(answer.now, answer.random);
        return;
    };
    stream.recovery.succeeded();
    stream.recovery.any_expired(!pending.is_empty(), answer.now);
}

/// Expired entries were listed. Returns the claim of those that are not held here.
pub(super) fn expired_listed(
    group: &mut Group,
    at: usize,
    answer: StoreAnswer,
    cx: &mut Context,
) -> Option<Work> {
    let room = group.room(answer.now);
    let (connected, early) = (group.reading.is_connected(), group.puts_off().is_none());
    let min_idle = group.min_idle(at);
    let stream = group.streams.get_mut(at)?;
    let Ok(Response::Expired { entries: pending, next_due_in, foreign_waits, time }) = answer.result else {
        stream.recovery.failed(answer.now, answer.random);
        return None;
    };
    stream.recovery.succeeded();
    if cx.read_store_clock(time, stream.recovery.sent_at(), answer.now) {
        stream.heartbeat.hurry();
        stream.recovery.look_by(answer.now);
    }
    if let Some(wait) = next_due_in {
        stream.recovery.look_by(answer.now.saturating_add(wait));
    }
    let lease = |entry: &PendingEntry| if entry.foreign { min_idle.foreign } else { min_idle.ours };
    let wanted = |entry: &&PendingEntry| {
        !stream.slots.contains(entry.id) && !stream.recovery.is_left_to_peers(entry.id)
    };
    // After a jump of the store's clock an idle time is believed once that time has passed here as well.
    let left = |entry: &PendingEntry| {
        let doubt = cx.store_clock.believed_from(lease(entry)).saturating_sub(answer.now);
        lease(entry).saturating_sub(entry.idle).max(doubt)
    };
    let is_free = |entry: &&PendingEntry| left(entry) == 0 || *entry.consumer == *DELAYED;
    let (free, soon): (Vec<&PendingEntry>, Vec<&PendingEntry>) =
        pending.iter().filter(wanted).partition(is_free);
    let most = room.entries.min(MAX_CLAIMS);
    // What there is no room for is looked for again once there is.
    let wait = if free.len() > most { Some(0) } else { soon.iter().map(|entry| left(entry)).min() };
    let mut ids: Vec<EntryId> = free.iter().map(|entry| entry.id).collect();
    stream.recovery.listed(pending.len(), ids.len(), early || next_due_in.is_some() || foreign_waits);
    if let Some(wait) = wait {
        stream.recovery.look_by(answer.now.saturating_add(wait));
    }
    stream.caught_up |= ids.is_empty();
    if early {
        // What was put off is listed first, and an order is that of the stream.
        ids.sort_unstable();
    }
    ids.truncate(most);
    if ids.is_empty() || !connected || !stream.is_ready() {
        return None;
    }
    stream.recovery.claiming();
    let member = stream.member.clone();
    Some(Work::Store(group.key, Request::Claim { member, min_idle, early, ids }))
}

/// Of expired entries `asked` were to be claimed.
pub(super) fn claimed(group: &mut Group, at: usize, asked: usize, answer: StoreAnswer, cx: &mut Context) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let Ok(Response::Claimed { entries, deleted: gone }) = answer.result else {
        stream.recovery.failed(answer.now, answer.random);
        return;
    };
    stream.recovery.succeeded();
    stream.recovery.claimed(asked, answer.now);
    if !stream.caught_up && !entries.is_empty() {
        // There may be more, and reading waits for it.
        stream.recovery.look_by(answer.now);
    }
    if !entries.is_empty() {
        stream.dead_consumers.died(answer.now);
    }
    take_in(group, at, entries, Origin::Claimed, (answer.now, answer.shapes), cx);
    deleted(group, at, &gone, answer.now, cx);
}

/// Entries that the group had read past are this client's now.
pub(super) fn taken_up(group: &mut Group, at: usize, told: &[u64], answer: StoreAnswer, cx: &mut Context) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let StoreAnswer { result, now, random, shapes } = answer;
    let Ok(Response::TakenUp { entries, done, gone }) = result else {
        stream.take_up.failed(now, random);
        return;
    };
    stream.take_up.succeeded(told, &done);
    let new: Vec<Missed> = gone
        .into_iter()
        .filter(|(number, _)| stream.take_up.tells(*number))
        .map(|(_, missed)| missed)
        .collect();
    for missed in new {
        group.announce_missed(at, missed, cx);
    }
    take_in(group, at, entries, Origin::ReadPast, (now, shapes), cx);
}

fn take_in(
    group: &mut Group,
    at: usize,
    entries: Vec<StoredEntry>,
    origin: Origin,
    (now, mut shapes): (u64, Option<&mut Shapes>),
    cx: &mut Context,
) {
    let Some(name) = group.streams.get(at).map(|stream| stream.name.clone()) else { return };
    for entry in entries {
        let received =
            ReceivedEntry::pending(&cx.codec, name.clone(), entry, &cx.instance, shapes.as_deref_mut());
        #[cfg(test)]
        let received = received.with_channel(cx.channel);
        accept(group, received, origin, now, cx);
    }
}
