//! Outages, and how many lines the log has of one.
//!
//! An outage begins when a link is lost or cannot be made, and ends when all of its links are up. It has a line when it
//! begins, one each time it has lasted twice as long as at the line before, and one at its end, all at `warn`; what
//! happens to single links meanwhile is logged at `debug`.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use oxbus_model::BusError;
use oxbus_model::config::Servers;
use tracing::{debug, info, warn};

use crate::runtime::line_limit::LineLimit;
use crate::transport::link_id::LinkId;

/// When an outage is told of again for the first time, in milliseconds.
const FIRST_REMINDER: u64 = 10_000;
/// The longest time from one reminder to the next, in milliseconds.
const LONGEST_PAUSE: u64 = 600_000;
/// Lines of outages in a minute, at the most: a server that takes connections and drops them makes many short ones.
const LINES_PER_MINUTE: u32 = 10;

/// An attempt to connect that has failed, and the next one.
#[derive(Clone, Copy)]
pub(crate) struct FailedAttempt<'a> {
    pub(crate) servers: &'a Servers,
    /// Failed attempts since the link was last up.
    pub(crate) attempt: u32,
    /// Milliseconds until the next.
    pub(crate) delay: u64,
    pub(crate) error: &'a BusError,
    /// Whether the host was told of it as an error of its own.
    pub(crate) is_told: bool,
}

/// Logs the outages of a client.
pub(crate) struct Outages {
    log: Mutex<OutageLog>,
}

struct OutageLog {
    current: Option<Outage>,
    limit: LineLimit,
}

struct Outage {
    since: u64,
    /// The links that are missing.
    links: BTreeSet<LinkId>,
    /// Whether one of them was up before.
    lost: bool,
    attempts: u64,
    /// Whether the log has a line of it. Only then it has one of its end.
    is_told: bool,
    /// When it is told of again.
    reminder: u64,
    pause: u64,
}

impl Outage {
    fn begun(link: &LinkId, now: u64) -> Outage {
        Outage {
            since: now,
            links: BTreeSet::from([link.clone()]),
            lost: false,
            attempts: 0,
            is_told: false,
            reminder: now.saturating_add(FIRST_REMINDER),
            pause: FIRST_REMINDER,
        }
    }

    /// Whether it is time to tell of it again.
    fn is_due(&mut self, now: u64) -> bool {
        if now < self.reminder {
            return false;
        }
        self.reminder = now.saturating_add(self.pause);
        self.pause = self.pause.saturating_mul(2).min(LONGEST_PAUSE);
        true
    }
}

impl Default for Outages {
    fn default() -> Self {
        let log = OutageLog { current: None, limit: LineLimit::per_minute(LINES_PER_MINUTE) };
        Outages { log: Mutex::new(log) }
    }
}

impl Outages {
    /// A link that was up is lost. The first one is told, also where another could not be made just before.
    pub(crate) fn lost(&self, link: &LinkId, servers: &Servers, error: &BusError, now: u64) {
        self.change(|OutageLog { current, limit }| {
            let (code, error) = (error.kind.code(), &error.message);
            let outage = current.get_or_insert_with(|| Outage::begun(link, now));
            outage.links.insert(link.clone());
            let is_first = !std::mem::replace(&mut outage.lost, true);
            match if is_first { limit.admit(now) } else { None } {
                Some(left_out) => {
                    outage.is_told = true;
                    warn!(%link, address = %servers, code, error, leftOut = counted(left_out), "the connection is lost");
                }
                None => debug!(%link, code, error, "a connection is lost"),
            }
        });
    }

    /// A link could not be made.
    pub(crate) fn failed(&self, link: &LinkId, failed: FailedAttempt<'_>, now: u64) {
        let FailedAttempt { servers, attempt, delay, error, is_told } = failed;
        let (code, error) = (error.kind.code(), &error.message);
        self.change(|OutageLog { current, limit }| {
            debug!(%link, attempt, delay, "trying again");
            let Some(outage) = current else {
                let left_out = if is_told { None } else { limit.admit(now) };
                let is_told = is_told || left_out.is_some();
                *current = Some(Outage { attempts: 1, is_told, ..Outage::begun(link, now) });
                if let Some(left_out) = left_out {
                    let left_out = counted(left_out);
                    warn!(%link, address = %servers, code, error, leftOut = left_out, "could not connect, and will try again");
                }
                return;
            };
            outage.links.insert(link.clone());
            outage.attempts += 1;
            if outage.is_due(now) && limit.admit(now).is_some() {
                outage.is_told = true;
                let (since, attempts) = (now.saturating_sub(outage.since), outage.attempts);
                warn!(%link, address = %servers, code, error, attempts, "not connected for {}", seconds(since));
            }
        });
    }

    /// A link is up.
    pub(crate) fn up(&self, link: &LinkId, servers: &Servers, now: u64) {
        self.change(|OutageLog { current, .. }| {
            let Some(outage) = current.as_mut().filter(|outage| outage.links.contains(link)) else {
                info!(%link, "connected");
                return;
            };
            debug!(%link, "connected");
            outage.links.remove(link);
            if !outage.links.is_empty() {
                return;
            }
            let (after, again) = (now.saturating_sub(outage.since), if outage.lost { " again" } else { "" });
            let (attempts, is_told) = (outage.attempts, outage.is_told);
            *current = None;
            if is_told {
                warn!(address = %servers, attempts, duration = after, "connected{again} after {}", seconds(after));
            }
        });
    }

    /// A link is not needed any more.
    pub(crate) fn gone(&self, link: &LinkId) {
        self.change(|OutageLog { current, .. }| {
            if let Some(outage) = current
                && outage.links.remove(link)
                && outage.links.is_empty()
            {
                *current = None;
                debug!(%link, "the connection is not needed any more");
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut OutageLog)) {
        change(&mut self.log.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// The field of how many lines were left out, which a line without such has not.
fn counted(left_out: u64) -> Option<u64> {
    (left_out > 0).then_some(left_out)
}

/// A duration for a person: `0.4 s`, `13 s`.
fn seconds(milliseconds: u64) -> String {
    match milliseconds {
        0..10_000 => format!("{}.{} s", milliseconds / 1_000, milliseconds / 100 % 10),
        _ => format!("{} s", (milliseconds + 500) / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use oxbus_model::ErrorKind;
    use oxbus_model::config::LogLevel;
    use tracing::dispatcher::with_default;

    use oxbus_model::config::Address;

    use super::*;
    use crate::host::completions::Completions;
    use crate::host::{Host, Notice, log_subscriber};
    use crate::runtime::clock::Clock;

    struct Deaf;

    impl Host for Deaf {
        fn wake(&self) {}
    }

    /// The lines at `info` and above of what `happens` to links of one server.
    fn lines(
        happens: impl FnOnce(&Outages, &dyn Fn(&Outages, &LinkId, u32, u64)),
    ) -> Vec<(&'static str, String)> {
        let completions = Arc::new(Completions::new(Arc::new(Deaf)));
        let log = log_subscriber::dispatch(LogLevel::Info, completions.clone(), Clock::start(None));
        let refused = BusError::new(ErrorKind::ConnectionRefused, "refused");
        let fail = |outages: &Outages, link: &LinkId, attempt: u32, now: u64| {
            let failed =
                FailedAttempt { servers: &servers(), attempt, delay: 500, error: &refused, is_told: false };
            outages.failed(link, failed, now);
        };
        with_default(&log, || happens(&Outages::default(), &fail));
        let lines = completions.take().notices.into_iter().map(|notice| match notice {
            Notice::Log { level, message, .. } => (level, message),
            other => panic!("{other:?}"),
        });
        lines.collect()
    }

    fn servers() -> Servers {
        Servers::One(Address::Tcp { host: "h".to_owned(), port: 1 })
    }

    fn lost() -> BusError {
        BusError::new(ErrorKind::ConnectionLost, "gone")
    }

    fn line(level: &'static str, message: &str) -> (&'static str, String) {
        (level, message.to_owned())
    }

    #[test]
    fn an_outage_of_thirteen_seconds_and_of_many_links_is_three_lines() {
        let links = [LinkId::Publisher, LinkId::Subscriber, LinkId::Consumer];
        let lines = lines(|outages, fail| {
            links.iter().for_each(|link| outages.lost(link, &servers(), &lost(), 1_000));
            for n in 0..30 {
                links.iter().for_each(|link| fail(outages, link, n, 1_000 + u64::from(n) * 400));
            }
            links.iter().for_each(|link| outages.up(link, &servers(), 14_000));
        });
        let expected = [
            line("warn", "the connection is lost"),
            line("warn", "not connected for 10 s"),
            line("warn", "connected again after 13 s"),
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_long_outage_is_told_of_ever_more_rarely() {
        let told = lines(|outages, fail| {
            for n in 0..7_200 {
                fail(outages, &LinkId::Publisher, n, u64::from(n) * 500);
            }
            outages.up(&LinkId::Publisher, &servers(), 3_600_000);
        });
        let told: Vec<_> = told.iter().map(|(_, message)| message.as_str()).collect();
        let expected = [
            "could not connect, and will try again",
            "not connected for 10 s",
            "not connected for 20 s",
            "not connected for 40 s",
            "not connected for 80 s",
            "not connected for 160 s",
            "not connected for 320 s",
            "not connected for 640 s",
        ];
        assert_eq!(told[..8], expected);
        assert_eq!((told.len(), told.last()), (8 + 4 + 1, Some(&"connected after 3600 s")));
    }

    #[test]
    fn a_server_that_drops_connections_is_bounded() {
        let told = lines(|outages, _| {
            for n in 0..600 {
                outages.lost(&LinkId::Publisher, &servers(), &lost(), n * 90);
                outages.up(&LinkId::Publisher, &servers(), n * 90 + 30);
            }
        });
        assert!(told.len() <= 2 * LINES_PER_MINUTE as usize, "{}", told.len());
    }

    #[test]
    fn a_connection_without_an_outage_is_at_info() {
        let link = LinkId::Subscriber;
        let told = lines(|outages, fail| {
            outages.up(&link, &servers(), 0);
            fail(outages, &LinkId::Publisher, 1, 5);
            outages.up(&link, &servers(), 6);
            outages.gone(&LinkId::Publisher);
            outages.up(&LinkId::Publisher, &servers(), 7);
        });
        let failed = line("warn", "could not connect, and will try again");
        assert_eq!(
            told,
            [line("info", "connected"), failed, line("info", "connected"), line("info", "connected")]
        );
    }
}
