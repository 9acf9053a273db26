//! What a heartbeat has brought: whether the consumer has its name, and the facts of the group.

use crate::consumer::announcement::Announcement;
use crate::consumer::answer::StoreAnswer;
use crate::consumer::context::Context;
use crate::consumer::group::Group;
use crate::consumer::loss::lose_all;
use crate::consumer::stream::Stream;
use crate::consumer::stream::starts::Standing;
use crate::consumer::unmatched::judge_again;
use crate::error::Outcome;
use crate::stream_store::{FACTS_FORMAT, GroupFacts, Response};
use crate::{BusError, ErrorKind};

/// A heartbeat was answered.
pub(super) fn heartbeat_answered(group: &mut Group, at: usize, answer: StoreAnswer, cx: &mut Context) {
    let Some(stream) = group.streams.get_mut(at) else { return };
    let now = answer.now;
    stream.heartbeat.ended();
    let facts = match answer.result {
        Ok(Response::Facts(facts)) => facts,
        Ok(_) => return,
        Err(error) => {
            stream.heartbeat.failed();
            if error.outcome != Some(Outcome::Rejected) {
                stream.starts.unanswered(|version| stream.heartbeat.has_sent(version));
            }
            stream.trouble = (error.kind != ErrorKind::NoGroup).then_some(error);
            return;
        }
    };
    if facts.taken_by.is_some() {
        let message = format!(
            "a live consumer {:?} of group {:?} exists elsewhere",
            group.joining.consumer, group.joining.group
        );
        let error = BusError::new(ErrorKind::ConsumerInUse, message);
        if !stream.name_lost && stream.facts.are_known() {
            cx.announce(Announcement::Error(error.clone()));
        }
        stream.name_lost = true;
        stream.trouble = Some(error);
        stream.heartbeat.name_lost();
        lose_all(group, at, now, cx);
        return;
    }
    if std::mem::take(&mut stream.name_lost) {
        stream.own_scan.want();
    }
    stream.trouble = None;
    stream.name_doubtful = false;
    let outdated = facts.outdated;
    let (position, last, time) = (facts.position, facts.last, facts.time);
    let new_patterns = facts.new_patterns.clone();
    if cx.read_store_clock(facts.time, stream.heartbeat.sent_at(), now) {
        stream.recovery.look_by(now);
    }
    learn(group, at, facts, now, cx);
    let Some(stream) = group.streams.get_mut(at) else { return };
    if outdated {
        stream.heartbeat.hurry();
    } else {
        stream.heartbeat.succeeded(stream.mark());
        judge_starts(
            stream,
            &group.joining.group,
            &Standing { new_patterns: &new_patterns, position, last, time },
            cx,
        );
    }
    judge_again(group, at, now, cx);
    confirm(group, cx);
}

/// Takes the facts of the group of a stream.
fn learn(group: &mut Group, at: usize, mut facts: GroupFacts, now: u64, cx: &mut Context) {
    let Group { streams, joining, lease, .. } = group;
    let Some(stream) = streams.get_mut(at) else { return };
    let (name, group) = (&stream.name, &joining.group);
    if lease.announces_difference(facts.lease, joining.lease) {
        let message = format!(
            "group {group:?} of stream {name:?} has a lease of {} ms, here it is {} ms; the group's is used",
            facts.lease, joining.lease
        );
        cx.announce(Announcement::Warning { code: "LEASE_DIFFERS", message });
    }
    if lease.announces_foreign_difference(facts.foreign_lease, joining.foreign_lease) {
        let message = format!(
            "group {group:?} of stream {name:?} has a foreignLease of {} ms, here it is {} ms; the group's is used",
            facts.foreign_lease, joining.foreign_lease
        );
        cx.announce(Announcement::Warning { code: "FOREIGN_LEASE_DIFFERS", message });
    }
    if facts.format > FACTS_FORMAT && stream.facts.format() < facts.format {
        let message = format!(
            "a newer Oxbus is in group {group:?} of stream {name:?}: its facts have format {}, here it is {FACTS_FORMAT}; \
             this one goes on without what is new",
            facts.format
        );
        cx.announce(Announcement::Warning { code: "NEWER_GROUP_FORMAT", message });
    }
    stream.take_up.learn(std::mem::take(&mut facts.take_up));
    if stream.facts.learn(facts, now) {
        stream.forget_routes();
    }
    lease.learn(streams.iter().filter_map(|stream| stream.facts.lease()), joining.lease);
}

/// Warns of the starts that subscriptions ask for and that do not count.
fn judge_starts(stream: &mut Stream, group: &str, standing: &Standing<'_>, cx: &mut Context) {
    let Stream { name, starts, heartbeat, .. } = stream;
    for why in starts.told(|version| heartbeat.has_told(version), standing) {
        cx.announce(Announcement::start_ignored(name, group, why));
    }
}

/// Confirms the subscriptions whose streams have all been told of them.
fn confirm(group: &mut Group, cx: &mut Context) {
    let Group { streams, subscriptions, .. } = group;
    let told = |at: usize, version: u32| {
        streams.get(at).is_some_and(|stream| !stream.name_lost && stream.heartbeat.has_told(version))
    };
    for subscription in subscriptions.confirm(told) {
        cx.announce(Announcement::Confirmed { subscription });
    }
}
