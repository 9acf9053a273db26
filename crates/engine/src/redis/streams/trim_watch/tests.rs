//! When a reader looks, in virtual time.

use super::*;

use oxbus_model::config::{Config, Environment};

/// The clock of the server at the client's time 0.
const SERVER: u64 = 1_700_000_000_000;
const BLOCK: u64 = 300;

fn watch(margin: u64, close: bool) -> (TrimWatch, Vec<Arc<str>>) {
    let streams: Vec<Arc<str>> = vec!["s".into()];
    let mut watch = TrimWatch::default();
    assert_eq!(watch.precaution(&streams, 16, 0), Precaution::Look);
    watch.looking();
    watch.looked(Sight { margin, close, forgets: false, time: SERVER }, 0);
    (watch, streams)
}

impl TrimWatch {
    /// A read of at most 16 is sent, and brings at `at` so many entries that were added at `added`.
    fn brings(&mut self, stream: &Arc<str>, count: usize, limit: usize, added: u64, at: u64) {
        self.sent(at);
        if count > 0 {
            self.read(stream, count as u64, EntryId { ms: SERVER + added, seq: at });
        }
        self.answered(count, limit, SERVER + added, BLOCK, at);
    }
}

#[test]
fn nobody_looks_while_there_are_more_entries_in_front_than_can_be_trimmed() {
    let (mut watch, streams) = watch(10_000, false);
    watch.brings(&streams[0], 16, 16, 0, 10);
    assert_eq!(watch.precaution(&streams, 512, 49), Precaution::None);
    assert_eq!(watch.precaution(&streams, 512, 50), Precaution::Look);
    assert_eq!(watch.precaution(&streams, 16, 50), Precaution::Ask);
    watch.brings(&streams[0], 512, 512, 0, 50);
    assert_eq!(watch.precaution(&streams, 512, 50), Precaution::None);
    assert_eq!(watch.precaution(&streams, 512, 60), Precaution::Look);
    watch.looking();
    assert_eq!(watch.precaution(&streams, 512, 60), Precaution::None);
}

#[test]
fn however_many_entries_are_in_front_somebody_may_remove_them() {
    let (mut watch, streams) = watch(1_000_000, false);
    watch.brings(&streams[0], 16, 16, 0, 10);
    assert_eq!(watch.precaution(&streams, 16, 99), Precaution::None);
    assert_eq!(watch.precaution(&streams, 16, 100), Precaution::Ask);
    assert_eq!(watch.precaution(&streams, 100, 100), Precaution::Look);
}

#[test]
fn single_events_of_a_stream_that_is_not_trimmed_are_read_without_a_look() {
    let (mut watch, streams) = watch(0, false);
    let mut looks = 0;
    for n in 1..=1_000_u64 {
        let at = n * 100;
        watch.brings(&streams[0], 1, 16, at, at + 1);
        match watch.precaution(&streams, 16, at + 2) {
            Precaution::None => {}
            Precaution::Ask => panic!("asked at {n}"),
            Precaution::Look => {
                looks += 1;
                watch.looking();
                watch.looked(
                    Sight { margin: n, close: false, forgets: n % 2 == 0, time: SERVER + at + 2 },
                    at + 2,
                );
            }
        }
    }
    assert_eq!(looks, 5);
}

#[test]
fn who_may_have_been_passed_by_a_trim_looks() {
    // A trim has come close.
    let (mut watch, streams) = self::watch(0, true);
    watch.brings(&streams[0], 1, 16, 1_000, 1_001);
    assert_eq!(watch.precaution(&streams, 16, 1_001), Precaution::Look);
    // What is unread may be old: the read was full, or the answer or the next read took their time.
    let (mut watch, streams) = self::watch(0, false);
    watch.brings(&streams[0], 4, 4, 1_000, 1_001);
    assert_eq!(watch.precaution(&streams, 16, 1_001), Precaution::Look);
    watch.brings(&streams[0], 1, 16, 1_000, 1_001);
    assert_eq!(watch.precaution(&streams, 16, 1_005), Precaution::None);
    assert_eq!(watch.precaution(&streams, 16, 1_006), Precaution::Look);
    watch.brings(&streams[0], 1, 16, 1_000, 2_000);
    assert_eq!(watch.precaution(&streams, 16, 2_000), Precaution::Look);
    // Many come at once, and few are in front.
    watch.brings(&streams[0], 8, 16, 3_000, 3_000);
    assert_eq!(watch.precaution(&streams, 16, 3_000), Precaution::Look);
    // An entry that claims to be of the future shows nothing.
    watch.brings(&streams[0], 1, 16, 9_000, 3_001);
    assert_eq!(watch.precaution(&streams, 16, 3_001), Precaution::Look);
}

#[test]
fn an_idle_reader_does_not_look_unless_its_answers_are_late() {
    // Not even where everything is trimmed at once.
    let (mut watch, streams) = self::watch(0, true);
    watch.sent(1_000);
    watch.answered(0, 16, 0, BLOCK, 1_000 + BLOCK);
    assert_eq!(watch.precaution(&streams, 16, 1_000 + BLOCK), Precaution::None);
    assert_eq!(watch.precaution(&streams, 16, 1_002 + BLOCK), Precaution::Look);
    // The process was stopped while the answer waited for it.
    watch.sent(2_000);
    watch.answered(0, 16, 0, BLOCK, 2_006 + BLOCK);
    assert_eq!(watch.precaution(&streams, 16, 2_006 + BLOCK), Precaution::Look);
}

#[test]
fn entries_that_were_read_are_asked_for_and_show_how_many_are_in_front() {
    let (mut watch, streams) = watch(0, false);
    for n in 0..30 {
        watch.brings(&streams[0], 1_000, 1_000, n, n);
    }
    assert_eq!(watch.landmark(&streams[0]), Some((EntryId { ms: SERVER + 9, seq: 9 }, 20_000)));
    assert_eq!(watch.precaution(&streams, 16, 200), Precaution::Ask);
    watch.are_there(20_000, 200);
    assert_eq!(watch.precaution(&streams, 16, 298), Precaution::None);
    assert_eq!(watch.precaution(&streams, 16, 299), Precaution::Ask);
}

#[test]
fn a_new_connection_begins_with_a_look_and_what_was_told_is_not_told_again() {
    let (mut watch, streams) = watch(1_000_000, false);
    assert_eq!(watch.precaution(&streams, 16, 1), Precaution::None);
    assert_eq!(
        (watch.found(&streams[0], 5), watch.found(&streams[0], 5), watch.found(&streams[0], 7)),
        (5, 0, 2)
    );
    watch.forget();
    assert_eq!(watch.precaution(&streams, 16, 1), Precaution::Look);
    assert_eq!(watch.told(&streams[0]), 7);
}

#[test]
fn a_server_that_forgets_is_made_to_write_down_what_was_read() {
    let (mut watch, streams) = watch(1_000_000, false);
    watch.looked(Sight { margin: 1_000_000, close: false, forgets: true, time: SERVER }, 0);
    watch.brings(&streams[0], 0, 16, 0, 1_000);
    assert_eq!(watch.precaution(&streams, 16, 1_000), Precaution::None);
    // Of a group that reads single events not before it pauses.
    watch.brings(&streams[0], 1, 16, 1_500, 1_500);
    assert_eq!(watch.precaution(&streams, 16, 1_500), Precaution::None);
    watch.brings(&streams[0], 0, 16, 0, 1_800);
    assert_eq!(watch.precaution(&streams, 16, 1_800), Precaution::Look);
}

#[test]
fn a_stream_that_keeps_few_entries_is_looked_at_before_each_read() {
    let config = |options: serde_json::Value| {
        let mut stream = serde_json::json!({ "name": "s", "events": "job" });
        stream.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        let config =
            serde_json::json!({ "serviceName": "test", "redis": "redis://localhost", "streams": [stream] });
        Config::resolve(&config.to_string(), &Environment::default()).unwrap().streams
    };
    for (options, looks) in [
        (serde_json::json!({}), false),
        (serde_json::json!({ "maxLength": 100, "safeTrim": true }), false),
        (serde_json::json!({ "maxLength": 100, "safeTrim": false }), true),
        (serde_json::json!({ "maxLength": 1000, "safeTrim": false }), false),
        (serde_json::json!({ "retention": "time", "retentionValue": 999, "safeTrim": false }), true),
        (serde_json::json!({ "retention": "time", "retentionValue": 1000, "safeTrim": false }), false),
    ] {
        let (mut watch, streams) = watch(0, false);
        watch.short = TrimWatch::new(&config(options.clone())).short;
        watch.brings(&streams[0], 1, 16, 10, 11);
        assert_eq!(watch.precaution(&streams, 16, 11) == Precaution::Look, looks, "{options}");
    }
}
