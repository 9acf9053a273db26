use std::cell::Cell;

use tracing::dispatcher::with_default;
use tracing::{debug, debug_span, error, info, warn};

use super::*;
use crate::host::Host;

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

/// A log of that level, and where its lines go.
fn log(level: LogLevel) -> (Dispatch, Arc<Completions>) {
    let completions = Arc::new(Completions::new(Arc::new(Deaf)));
    (dispatch(level, completions.clone(), Clock::start(None)), completions)
}

/// The lines so far: level, message and fields.
fn lines(completions: &Completions) -> Vec<(&'static str, String, Value)> {
    let notices = completions.take().notices.into_iter();
    let line = notices.map(|notice| match notice {
        Notice::Log { level, message, fields } => (level, message, fields),
        other => panic!("{other:?}"),
    });
    line.collect()
}

/// Counts how often it is shown.
#[derive(Default)]
struct Shown(Cell<usize>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.set(self.0.get() + 1);
        f.write_str("shown")
    }
}

#[test]
fn each_log_gets_its_level_and_the_fields_of_its_spans() {
    let levels = [LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error];
    // All exist at the same time, so that `tracing` has to ask each of them.
    let logs = levels.map(log);
    let logged = logs.each_ref().map(|(log, completions)| {
        with_default(log, || {
            let _span = debug_span!("outer", link = "reader").entered();
            let _inner = debug_span!("inner", group = %"billing").entered();
            debug!(count = 3, up = true, text = "t", share = 0.5, "at debug");
            info!(link = "publisher", "at info");
            warn!("at {}", "warn");
            error!("at error");
        });
        lines(completions)
    });
    for (least, logged) in logged.iter().enumerate() {
        let expected = ["debug", "info", "warn", "error"];
        let levels: Vec<_> = logged.iter().map(|(level, ..)| *level).collect();
        assert_eq!(levels, expected[least..]);
        assert!(logged.iter().all(|(level, message, _)| *message == format!("at {level}")));
    }
    let fields = serde_json::json!({
        "link": "reader", "group": "billing", "count": 3, "up": true, "text": "t", "share": 0.5,
    });
    assert_eq!(logged[0][0].2, fields);
    // At the other levels a line does not depend on the level of the client.
    let info = serde_json::json!({ "link": "publisher" });
    assert_eq!((&logged[0][1].2, &logged[1][0].2), (&info, &info));
}

#[test]
fn what_is_off_evaluates_no_fields() {
    let (quiet, said) = log(LogLevel::Info);
    let (loud, heard) = log(LogLevel::Debug);
    let (shown, evaluated) = (Shown::default(), Cell::new(0));
    let count = || {
        evaluated.set(evaluated.get() + 1);
        1
    };
    let work = || {
        let _span = debug_span!("work", what = %shown, n = count()).entered();
        debug!(what = %shown, n = count(), "at debug");
    };
    with_default(&quiet, work);
    assert_eq!((shown.0.get(), evaluated.get(), lines(&said).len()), (0, 0, 0));
    with_default(&loud, work);
    assert_eq!((shown.0.get(), evaluated.get(), lines(&heard).len()), (2, 2, 1));
    drop(loud);
    with_default(&quiet, work);
    assert_eq!((shown.0.get(), evaluated.get(), lines(&said).len()), (2, 2, 0));
}

#[test]
fn spans_are_forgotten_and_belong_to_their_log() {
    let completions = Arc::new(Completions::new(Arc::new(Deaf)));
    let subscriber = Arc::new(LogSubscriber {
        level: LevelFilter::DEBUG,
        completions: completions.clone(),
        clock: Clock::start(None),
        spans: Mutex::default(),
        dependencies: Mutex::new(LineLimit::per_second(DEPENDENCIES_PER_SECOND)),
    });
    let own = Dispatch::new(subscriber.clone());
    let (other, heard) = log(LogLevel::Debug);
    with_default(&own, || {
        let span = debug_span!("own", mine = 1);
        let copy = span.clone();
        let _entered = span.entered();
        with_default(&other, || debug!("elsewhere"));
        assert_eq!(subscriber.spans().len(), 1);
        drop(copy);
        debug!("here");
    });
    assert_eq!(lines(&heard)[0].2, serde_json::json!({}));
    assert_eq!(lines(&completions)[0].2, serde_json::json!({ "mine": 1 }));
    assert!(subscriber.spans().is_empty());
}

#[test]
fn dependencies_are_heard_at_debug_only_and_not_too_often() {
    let (info, said) = log(LogLevel::Info);
    with_default(&info, || error!(target: "rustls::conn", "a fault"));
    assert_eq!(lines(&said), []);
    let (debug, heard) = log(LogLevel::Debug);
    with_default(&debug, || {
        let _span = debug_span!("connection", link = "publisher").entered();
        for _ in 0..200 {
            error!(target: "rustls::conn", code = 7, "a fault");
        }
    });
    let heard = lines(&heard);
    let fields = serde_json::json!({ "link": "publisher", "target": "rustls::conn", "code": 7 });
    assert_eq!(heard[0], ("debug", "a fault".to_owned(), fields));
    // The loop may cross into another second, with a line that tells of those left out.
    assert!((50..=151).contains(&heard.len()), "{}", heard.len());
}
