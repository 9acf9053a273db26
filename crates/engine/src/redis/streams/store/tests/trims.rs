//! What groups miss by trimming.

use super::*;
use std::time::Duration;

use oxbus_model::stream_store::{Missed, keys};
use oxbus_testkit::eventually;

use super::consumers::facts;
use crate::redis::scripts::list;

impl Rig {
    /// What a client start finds that the group has missed; `told` is how much it has been told of.
    pub(super) async fn missed(&self, group: &str, instance: &str, told: u64) -> Option<Missed> {
        let (facts, told) = (keys::facts(STREAM, group), told.to_string());
        let script = list::FIND_MISSED.source();
        let found =
            self.server.command(&["EVAL", script, "2", STREAM, &facts, group, instance, "1", &told]).await;
        let Value::Array(found) = &found.items()[4] else { return None };
        let id = |at: usize| found[at].text().parse().unwrap();
        Some(Missed { count: u64::try_from(found[0].int()).unwrap(), from: id(1), to: id(2) })
    }

    async fn missed_count(&self, instance: &str, told: u64) -> Option<u64> {
        self.missed(GROUP, instance, told).await.map(|missed| missed.count)
    }

    /// The server ends and comes back with its files.
    async fn restart(&mut self) {
        self.server.restart().await;
        let answers = async || self.ask(Request::Time).await.is_ok();
        eventually(Duration::from_secs(10), "the store is connected again", answers).await;
    }

    async fn trim(&self, left: usize) {
        self.server.command(&["XTRIM", STREAM, "MAXLEN", &left.to_string()]).await;
    }

    async fn lag(&self) -> Option<u64> {
        let Response::Stream(Some(info)) = self.done(Request::Describe { stream: STREAM.into() }).await
        else {
            panic!("no stream")
        };
        info.groups[0].lag
    }
}

#[tokio::test]
async fn entries_that_were_trimmed_unread_are_found_once() {
    let rig = Rig::with_group().await;
    rig.append(10).await;
    rig.deliver("a", 3).await;
    let position = facts(&rig, beat("a", "i")).await.position;
    rig.trim(2).await;
    let first = rig.server.command(&["XRANGE", STREAM, "-", "+", "COUNT", "1"]).await;
    let first: EntryId = first.items()[0].items()[0].text().parse().unwrap();
    let missed = rig.missed(GROUP, "i", 0).await;
    assert_eq!(missed, Some(Missed { count: 5, from: position, to: first }));
    assert_eq!(rig.lag().await, Some(2));
    // Until the client start says that it knows, it is told again, and nobody else is.
    assert_eq!((rig.missed_count("i", 0).await, rig.missed_count("j", 0).await), (Some(5), None));
    assert_eq!(rig.missed_count("i", 5).await, None);
    rig.deliver("a", 9).await;
    assert_eq!(rig.missed_count("i", 5).await, None);
    rig.append(4).await;
    rig.trim(0).await;
    assert_eq!((rig.missed_count("i", 5).await, rig.missed_count("i", 9).await), (Some(9), None));
    // A smaller loss after a larger one.
    rig.append(3).await;
    rig.trim(1).await;
    assert_eq!(rig.missed_count("i", 9).await, Some(11));
}

#[tokio::test]
async fn a_group_that_starts_at_the_end_has_missed_nothing() {
    let rig = Rig::start().await;
    rig.append(5).await;
    rig.trim(2).await;
    rig.open(Position::New).await;
    assert_eq!(rig.missed_count("i", 0).await, None);
    rig.append(2).await;
    rig.deliver("a", 1).await;
    assert_eq!(rig.missed_count("i", 0).await, None);
    rig.deliver("a", 1).await;
    assert_eq!(rig.missed_count("i", 0).await, None);
    rig.append(4).await;
    rig.trim(1).await;
    assert_eq!(rig.missed_count("i", 0).await, Some(3));
}

/// Redis 7.0 writes down where a group stands, and not how many entries it has read.
#[tokio::test]
async fn a_server_that_has_forgotten_what_was_read_makes_no_loss_of_it() {
    let mut rig = Rig::start().await;
    rig.server = RedisServer::builder().arg("appendonly", "yes").arg("appendfsync", "always").start().await;
    (rig.transport, _) = transport(&rig.server.url(), serde_json::Value::Null);
    rig.open(Position::Beginning).await;
    rig.append(200).await;
    rig.deliver("a", 100).await;
    assert_eq!(rig.missed_count("i", 0).await, None);
    rig.deliver("a", 97).await;
    rig.restart().await;
    // Three are unread, and can be counted.
    assert_eq!(rig.lag().await, Some(3));
    assert_eq!((rig.missed_count("i", 0).await, rig.lag().await), (None, Some(3)));
    rig.trim(1).await;
    assert_eq!(rig.missed_count("i", 0).await, Some(2));
    rig.append(20).await;
    rig.restart().await;
    // What was noted where the group stands is still true.
    rig.trim(10).await;
    assert_eq!(rig.missed_count("i", 2).await, Some(13));
    rig.deliver("a", 5).await;
    rig.restart().await;
    // How many were read since is not known to 7.0: nothing is told that may not be true.
    let forgets = rig.server.info("server").await["redis_version"].starts_with("7.0");
    let total = if forgets { 13 } else { 16 };
    rig.trim(2).await;
    assert_eq!(rig.missed_count("i", 13).await, (!forgets).then_some(total));
    rig.append(5).await;
    rig.trim(3).await;
    assert_eq!(rig.missed_count("i", 13).await, Some(total + 4));
}

#[tokio::test]
async fn where_a_position_was_set_losses_are_counted_from_there() {
    let rig = Rig::with_group().await;
    let ids = rig.append(20).await;
    let to = Position::After(ids[9]);
    rig.done(Request::SetPosition { stream: STREAM.into(), group: GROUP.into(), to }).await;
    assert_eq!((rig.lag().await, rig.missed_count("i", 0).await), (Some(10), None));
    rig.trim(4).await;
    assert_eq!((rig.missed_count("i", 0).await, rig.lag().await), (Some(6), Some(4)));
}
