//! What a waiting read gets when its stream or its group goes away. The versions of the server answer differently: some with
//! an error of one of three kinds, and Redis 6.2 mostly with nothing, until the read is over. A client goes on in each case.
//!
//! The heartbeat is the default here, so that a read waits for five seconds: what is noticed sooner was told by the server.

use oxbus_model::ErrorKind;
use oxbus_model::stream_store::EntryId;
use oxbus_testkit::{RedisServer, Value as Reply, eventually};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{JOBS, fields, hasty_keeper, numbered, settled, sorted, store, workers};
use crate::setup::{is_error, millis, ready};
use crate::support::{Bus, Inbox, PATIENCE, recreated};

/// How long a read waits, in milliseconds.
const READ: u64 = 5_000;

/// How long it may take, in milliseconds, until a group that was made a moment ago is made again.
const MADE_AGAIN: u64 = 1_000;

/// How much later than that it may be on a busy machine: not so late that the read may be over.
const LATE: u64 = 3_000;

#[track_caller]
fn assert_noticed(started: Instant, limit: u64) {
    let took = started.elapsed();
    assert!(took <= millis(limit + LATE), "noticed after {took:?}, later than {limit} ms");
}

/// A group that waits for entries.
struct Waiting {
    server: RedisServer,
    bus: Bus,
    inbox: Inbox,
    /// How many events were stored.
    stored: u64,
}

impl Waiting {
    async fn start() -> Waiting {
        let server = RedisServer::start().await;
        let mut config = hasty_keeper(&server.url(), 30_000);
        config["redis"]["heartbeat"] = json!(READ);
        config["streams"].as_array_mut().unwrap().push(json!({ "name": "others", "events": "other" }));
        let bus = ready(config).await;
        let inbox = Inbox::with(&bus, &["job"], workers()).await;
        let mut waiting = Waiting { server, bus, inbox, stored: 0 };
        waiting.is_alive().await;
        waiting
    }

    /// Stores an event, which is handled.
    async fn is_alive(&mut self) {
        let before = self.inbox.len();
        store(&self.bus, numbered(self.stored..self.stored + 1)).await;
        self.stored += 1;
        self.inbox.wait_for(before + 1).await;
        settled(&self.server, "workers").await;
    }

    /// Waits until the read waits, and nothing else is asked of the server for minutes: it is written down where the group
    /// stands. So only the read can notice what happens.
    async fn is_quiet(&self) {
        let written_down = || async {
            let facts = format!("{JOBS}:group:workers");
            let mark = self.server.command(&["HGET", &facts, "mark"]).await;
            let last = fields(&self.server.command(&["XINFO", "STREAM", JOBS]).await);
            mark.text() == last["last-generated-id"].text()
        };
        eventually(PATIENCE, "it is written down where the group stands", written_down).await;
        let blocked = || async {
            let clients = self.server.clients().await;
            clients.iter().any(|client| client["cmd"] == "xreadgroup" && client["flags"].contains('b'))
        };
        eventually(PATIENCE, "a read that waits", blocked).await;
    }

    /// Carries commands out as one, while the read waits. Returns when.
    async fn carry_out(&self, commands: &[&[&str]]) -> Instant {
        self.is_quiet().await;
        let mut control = self.server.control().await.unwrap();
        let started = Instant::now();
        for command in [&[["MULTI"].as_slice()], commands, &[["EXEC"].as_slice()]].concat() {
            let reply = control.call(command).await.unwrap();
            assert!(!format!("{reply:?}").contains("Error("), "{command:?}: {reply:?}");
        }
        started
    }

    /// Within how many milliseconds it is noticed that a stream or a group has gone.
    async fn noticed_within(&self) -> u64 {
        let version = &self.server.info("server").await["redis_version"];
        if version.starts_with("6.") { READ } else { MADE_AGAIN }
    }

    /// Carries commands out, by which the group goes. It is made again in time, and what is stored then is handled. Returns
    /// behind which entry it was made again.
    async fn loses_its_group(&mut self, commands: &[&[&str]]) -> EntryId {
        let (mark, limit) = (self.bus.notices.mark(), self.noticed_within().await);
        let started = self.carry_out(commands).await;
        let from = self.bus.notices.wait_to_find_from(mark, recreated).await;
        eprintln!("{commands:?}: made again behind {from} after {:?}", started.elapsed());
        assert_noticed(started, limit);
        self.is_alive().await;
        from
    }

    /// What the report of health says of the stream.
    async fn fault(&self) -> Option<(String, String)> {
        let health = self.bus.health().await;
        let error = health["streams"][JOBS].get("error")?;
        assert_eq!(health["status"], "degraded");
        let text = |name: &str| error[name].as_str().unwrap().to_owned();
        Some((text("code"), text("message")))
    }

    async fn ends(self, handled: impl IntoIterator<Item = u64>) {
        assert_eq!(self.fault().await, None);
        // What was acknowledged since the last heartbeat may be delivered again.
        let mut seen = sorted(&self.inbox);
        seen.dedup();
        assert_eq!(seen, handled.into_iter().collect::<Vec<_>>());
        assert_eq!(self.bus.stats().counts.events_lost, 0);
        self.bus.disconnect().await;
    }
}

/// An event with this number, as a command that appends it.
fn append<'a>(stream: &'a str, id: &'a str, number: &'a str) -> [&'a str; 7] {
    ["XADD", stream, id, "eventType", "job", "data", number]
}

/// The stream goes, with the group.
async fn the_stream_goes(ways: &[&[&str]]) {
    let mut waiting = Waiting::start().await;
    for way in ways {
        let from = waiting.loses_its_group(&[way]).await;
        assert_eq!(from, EntryId::MIN, "{way:?}: a stream that is gone begins again");
    }
    let stored = waiting.stored;
    waiting.ends(0..stored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_deleted() {
    the_stream_goes(&[&["DEL", JOBS], &["UNLINK", JOBS], &["PEXPIRE", JOBS, "1"]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_flushed() {
    the_stream_goes(&[&["FLUSHALL"], &["FLUSHDB"], &["FLUSHALL", "ASYNC"], &["FLUSHDB", "ASYNC"]]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_is_somewhere_else() {
    the_stream_goes(&[&["RENAME", JOBS, "elsewhere"], &["MOVE", JOBS, "5"], &["SWAPDB", "0", "1"]]).await;
}

/// A server that says nothing until the next entry comes says that it is not for this group. So that entry is handled at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_event_of_a_stream_that_is_gone_is_handled_at_once() {
    let mut waiting = Waiting::start().await;
    for way in [&["DEL", JOBS], &["RENAME", JOBS, "elsewhere"], &["FLUSHALL"]] as [&[&str]; 3] {
        let started = waiting.carry_out(&[way]).await;
        waiting.is_alive().await;
        eprintln!("{way:?}: {:?}", started.elapsed());
        assert_noticed(started, MADE_AGAIN);
    }
    waiting.ends(0..4).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_is_destroyed_goes_on_where_it_stood() {
    let mut waiting = Waiting::start().await;
    let ids = store(&waiting.bus, numbered(1..3)).await;
    waiting.stored = 3;
    waiting.inbox.wait_for(3).await;
    settled(&waiting.server, "workers").await;
    let from = waiting.loses_its_group(&[&["XGROUP", "DESTROY", JOBS, "workers"]]).await;
    assert_eq!(from, ids[1].parse().unwrap());
    waiting.ends(0..4).await;
}

/// Another stream, without the group, takes the place of the stream. The group reads what it holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_another_one_replaces() {
    let mut waiting = Waiting::start().await;
    let ways: [&[&[&str]]; 4] = [
        &[&append("another", "*", "100"), &["RENAME", "another", JOBS]],
        // Its ids lie before those that the group has handled.
        &[&append("another", "1-1", "101"), &["RENAME", "another", JOBS]],
        &[&["DEL", JOBS], &append(JOBS, "*", "102")],
        &[&append("another", "*", "103"), &["COPY", "another", JOBS, "REPLACE"], &["DEL", "another"]],
    ];
    for way in ways {
        waiting.loses_its_group(way).await;
    }
    // The other database has had a stream of this name all the time.
    let mut elsewhere = waiting.server.control().await.unwrap();
    for command in [&["SELECT", "1"] as &[&str], &append(JOBS, "*", "104")] {
        elsewhere.call(command).await.unwrap();
    }
    waiting.loses_its_group(&[&["SWAPDB", "0", "1"]]).await;
    waiting.server.command(&append("another", "*", "105")).await;
    let Reply::Bulk(dump) = waiting.server.command(&["DUMP", "another"]).await else { panic!("no dump") };
    let (mark, limit) = (waiting.bus.notices.mark(), waiting.noticed_within().await);
    waiting.is_quiet().await;
    let started = Instant::now();
    let restore: [&[u8]; 5] = [b"RESTORE", JOBS.as_bytes(), b"0", &dump, b"REPLACE"];
    waiting.server.command(&restore).await;
    waiting.bus.notices.wait_to_find_from(mark, recreated).await;
    assert_noticed(started, limit);
    waiting.is_alive().await;
    waiting.ends((0..7).chain(100..106)).await;
}

/// Another stream takes the place of the stream, and has a group of that name. Nothing has gone: the read goes on there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_another_one_with_such_a_group_replaces() {
    let mut waiting = Waiting::start().await;
    let ways: [&[&[&str]]; 3] = [
        &[&["DEL", JOBS], &append(JOBS, "*", "100"), &["XGROUP", "CREATE", JOBS, "workers", "0"]],
        &[
            &append("another", "*", "101"),
            &["XGROUP", "CREATE", "another", "workers", "0"],
            &["RENAME", "another", JOBS],
        ],
        &[
            &append("another", "1-1", "102"),
            &["XGROUP", "CREATE", "another", "workers", "0"],
            &["RENAME", "another", JOBS],
        ],
    ];
    for (n, way) in (1..).zip(ways) {
        let started = waiting.carry_out(way).await;
        waiting.inbox.wait_for(2 * n).await;
        eprintln!("{way:?}: {:?}", started.elapsed());
        let limit = waiting.noticed_within().await;
        assert_noticed(started, limit);
        waiting.is_alive().await;
    }
    waiting.ends((0..4).chain(100..103)).await;
}

/// Another type of key takes the place of the stream. The report of health says so, the host is told once, another stream of the
/// group is read on, and once the key is gone the group goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_a_key_of_another_type_replaces() {
    let ways: [&[&[&str]]; 4] = [
        &[&["SET", JOBS, "text"]],
        &[&["DEL", JOBS], &["SET", JOBS, "text"]],
        &[&["SET", "text", "text"], &["RENAME", "text", JOBS]],
        &[&["DEL", JOBS], &["RPUSH", JOBS, "text"]],
    ];
    for way in ways {
        let mut waiting = Waiting::start().await;
        let others = Inbox::with(&waiting.bus, &["other"], workers()).await;
        let limit = waiting.noticed_within().await;
        let started = waiting.carry_out(way).await;
        let told = || async { waiting.fault().await.is_some_and(|(code, _)| code == "ERR_BUS_WRONG_TYPE") };
        eventually(PATIENCE, "another type of key", told).await;
        eprintln!("{way:?}: {:?}", started.elapsed());
        assert_noticed(started, limit);
        waiting.bus.publish("other", 1).await.unwrap();
        others.wait_for(1).await;
        let is_told = |notice: &_| is_error(notice, ErrorKind::WrongType);
        waiting.bus.notices.wait_for(is_told).await;
        waiting.server.command(&["DEL", JOBS]).await;
        waiting.is_alive().await;
        eventually(PATIENCE, "all is well", || async { waiting.fault().await.is_none() }).await;
        let errors = waiting.bus.notices.all().into_iter().filter(is_told).count();
        assert_eq!(errors, 1, "{way:?}: once");
        waiting.ends(0..2).await;
    }
}

/// A group that has gone is not made again more than once in a second. Until then the report of health names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_report_of_health_names_the_group_and_the_stream_that_are_gone() {
    let mut waiting = Waiting::start().await;
    for way in [&["XGROUP", "DESTROY", JOBS, "workers"] as &[&str], &["DEL", JOBS]] {
        let named = || async {
            // It may be made again before anybody asks.
            let _ = waiting.server.try_command(way).await;
            let expected = format!("group \"workers\" of stream {JOBS:?} has disappeared");
            waiting.fault().await == Some(("ERR_BUS_NO_GROUP".to_owned(), expected))
        };
        eventually(PATIENCE, "a group that has disappeared", named).await;
        eventually(PATIENCE, "all is well", || async { waiting.fault().await.is_none() }).await;
        waiting.is_alive().await;
    }
    waiting.ends(0..3).await;
}

/// Of two streams of a group one goes. The other is read on, from where it stood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_stream_of_the_group_is_read_on() {
    let mut waiting = Waiting::start().await;
    let others = Inbox::with(&waiting.bus, &["other"], workers()).await;
    waiting.bus.publish("other", 0).await.unwrap();
    others.wait_for(1).await;
    for (n, way) in (1..).zip([&["DEL", JOBS] as &[&str], &["XGROUP", "DESTROY", JOBS, "workers"]]) {
        waiting.carry_out(&[way]).await;
        waiting.bus.publish("other", n).await.unwrap();
        others.wait_for(n + 1).await;
        waiting.is_alive().await;
        waiting.carry_out(&[]).await;
    }
    assert_eq!(others.data(), [0, 1, 2].map(Value::from));
    waiting.ends(0..3).await;
}
