//! The state of a client, which follows from the states of its links.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oxbus_model::server_error::{kind_of_vain_wait, needs_a_person};
use oxbus_model::{BusError, ErrorKind, Outcome};
use tokio::sync::watch;

use crate::host::Notice;
use crate::transport::link_id::LinkId;

/// What a client is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was asked of it yet.
    Idle,
    /// Connecting for the first time.
    Connecting,
    /// Connected, and everything subscribed.
    Ready,
    /// Was ready, and a link is being made again.
    Reconnecting,
    /// Finishing before it closes.
    Draining,
    /// Closed for good.
    Closed,
}

impl State {
    /// The name in JavaScript.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Idle => "idle",
            State::Connecting => "connecting",
            State::Ready => "ready",
            State::Reconnecting => "reconnecting",
            State::Draining => "draining",
            State::Closed => "closed",
        }
    }
}

/// What is known of one link.
#[derive(Clone, Debug, Default)]
pub(crate) struct LinkReport {
    pub(crate) up: bool,
    /// Whether it was ever up.
    pub(crate) established: bool,
    /// When its last round trip ended, on the client's clock.
    pub(crate) last_ok: Option<u64>,
    pub(crate) error: Option<BusError>,
    /// Subscriptions on it that the server refuses.
    pub(crate) refused: Vec<String>,
    /// Whether subscriptions on it wait for the server's answer.
    pub(crate) pending: bool,
}

struct Board {
    state: State,
    links: BTreeMap<LinkId, LinkReport>,
    was_ready: bool,
}

/// What those who wait for a change of the state see.
#[derive(Clone, Debug)]
pub(crate) struct StateChange {
    pub(crate) state: State,
    pub(crate) error: Option<BusError>,
}

pub(crate) struct Lifecycle {
    board: Mutex<Board>,
    changes: watch::Sender<StateChange>,
}

impl Lifecycle {
    pub(crate) fn new() -> Self {
        let board = Board { state: State::Idle, links: BTreeMap::new(), was_ready: false };
        Lifecycle {
            board: Mutex::new(board),
            changes: watch::Sender::new(StateChange { state: State::Idle, error: None }),
        }
    }

    pub(crate) fn state(&self) -> State {
        self.changes.borrow().state
    }

    pub(crate) fn watch(&self) -> watch::Receiver<StateChange> {
        self.changes.subscribe()
    }

    pub(crate) fn links(&self) -> BTreeMap<LinkId, LinkReport> {
        self.lock().links.clone()
    }

    /// `CLOSED` once the client closes.
    pub(crate) fn check_open(&self) -> Result<(), BusError> {
        if matches!(self.state(), State::Draining | State::Closed) {
            return Err(BusError::new(ErrorKind::Closed, "the client is closed"));
        }
        Ok(())
    }

    /// A link is needed from now on; it is not up yet.
    pub(crate) fn link_needed(&self, id: &LinkId) -> Option<Notice> {
        self.change(id, |link| link.up = false)
    }

    /// A link is up, and what it carries is confirmed.
    pub(crate) fn link_up(&self, id: &LinkId, now_ms: u64) -> Option<Notice> {
        self.change(id, |link| {
            *link = LinkReport {
                up: true,
                established: true,
                last_ok: Some(now_ms),
                error: None,
                ..LinkReport::default()
            }
        })
    }

    /// A link broke or could not be made. Returns whether it was up before.
    pub(crate) fn link_down(&self, id: &LinkId, error: &BusError) -> bool {
        let mut was_up = false;
        self.change(id, |link| {
            was_up = std::mem::replace(&mut link.up, false);
            link.error = Some(error.clone());
        });
        was_up
    }

    /// A link is not needed any more.
    pub(crate) fn link_gone(&self, id: &LinkId) -> Option<Notice> {
        let mut board = self.lock();
        board.links.remove(id)?;
        self.update_state(board)
    }

    /// A round trip on the link has just ended.
    pub(crate) fn link_alive(&self, id: &LinkId, now_ms: u64) {
        if let Some(link) = self.lock().links.get_mut(id) {
            link.last_ok = Some(now_ms);
        }
    }

    /// The server refuses some of what the link should carry; the link itself is up.
    pub(crate) fn link_refused(&self, id: &LinkId, refused: Vec<String>) {
        if let Some(link) = self.lock().links.get_mut(id) {
            link.refused = refused;
        }
    }

    /// Whether subscriptions on the link wait for the server's answer.
    pub(crate) fn link_pending(&self, id: &LinkId, pending: bool) {
        if let Some(link) = self.lock().links.get_mut(id) {
            link.pending = pending;
        }
    }

    /// Whether all links are up, and carry all that they should.
    pub(crate) fn is_whole(&self) -> bool {
        let links = &self.lock().links;
        !links.is_empty() && links.values().all(|link| link.up && link.refused.is_empty() && !link.pending)
    }

    /// A link that is known not to work, and why; not one that is only being made. `None` once the client closes.
    pub(crate) fn fault(&self) -> Option<(LinkId, String)> {
        let board = self.lock();
        if matches!(board.state, State::Draining | State::Closed) {
            return None;
        }
        board.links.iter().find_map(|(id, link)| {
            let why = match &link.error {
                Some(error) if !link.up => error.message.clone(),
                _ => format!("the server refuses {}", link.refused.first()?),
            };
            Some((id.clone(), why))
        })
    }

    /// Why a link is down that only a person mends, if there is one.
    pub(crate) fn lasting_fault(&self) -> Option<BusError> {
        let board = self.lock();
        let errors = board.links.values().filter(|link| !link.up).filter_map(|link| link.error.clone());
        errors.into_iter().find(|error| needs_a_person(error.kind))
    }

    /// What could not be done for lack of a connection fails with why there is none, where only a person mends that.
    pub(crate) fn explain(&self, error: BusError) -> BusError {
        let is_vain = matches!(error.kind, ErrorKind::ConnectionLost | ErrorKind::CommandTimeout)
            && error.outcome != Some(Outcome::Unknown);
        let cause = if is_vain { self.lasting_fault() } else { None };
        BusError { kind: kind_of_vain_wait(error.kind, cause.as_ref()), ..error }
    }

    /// Whether a link is known to be down.
    pub(crate) fn is_cut_off(&self, id: &LinkId) -> bool {
        self.lock().links.get(id).is_some_and(|link| !link.up && link.error.is_some())
    }

    /// The client starts to close. False if it had started before.
    pub(crate) fn drain(&self) -> bool {
        let mut board = self.lock();
        if matches!(board.state, State::Draining | State::Closed) {
            return false;
        }
        board.state = State::Draining;
        self.publish_state(&board);
        true
    }

    /// The client is closed. False if it was before.
    pub(crate) fn close(&self) -> bool {
        let mut board = self.lock();
        let first = board.state != State::Closed;
        board.state = State::Closed;
        board.links.values_mut().for_each(|link| link.up = false);
        self.publish_state(&board);
        first
    }

    fn change(&self, id: &LinkId, change: impl FnOnce(&mut LinkReport)) -> Option<Notice> {
        let mut board = self.lock();
        match board.links.get_mut(id) {
            Some(link) => change(link),
            None => change(board.links.entry(id.clone()).or_default()),
        }
        self.update_state(board)
    }

    /// Brings the state after the links.
    fn update_state(&self, mut board: MutexGuard<'_, Board>) -> Option<Notice> {
        if matches!(board.state, State::Draining | State::Closed) {
            return None;
        }
        // A ready client that is about to make its first subscription stays ready while that link is made.
        let was_ready = board.was_ready;
        let fresh = |link: &LinkReport| was_ready && !link.established && link.error.is_none();
        let ready = board.links.values().all(|link| link.up || fresh(link));
        let before = board.state;
        board.state = match (ready, board.was_ready) {
            (true, _) => State::Ready,
            (false, true) => State::Reconnecting,
            (false, false) => State::Connecting,
        };
        board.was_ready |= ready;
        self.publish_state(&board);
        (board.state == State::Ready && before != State::Ready).then_some(Notice::Ready)
    }

    fn publish_state(&self, board: &Board) {
        let error = board.links.values().find_map(|link| link.error.clone().filter(|_| !link.up));
        self.changes.send_replace(StateChange { state: board.state, error });
    }

    fn lock(&self) -> MutexGuard<'_, Board> {
        // Every change of the board is a few assignments: a panic cannot leave it half done.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether waiting longer is pointless without a change by a person.
pub(crate) fn is_fatal(error: &BusError) -> bool {
    matches!(
        error.kind,
        ErrorKind::AuthFailed
            | ErrorKind::TlsFailed
            | ErrorKind::NotMaster
            | ErrorKind::ClusterMode
            | ErrorKind::InvalidConfig
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_follows_the_links() {
        let l = Lifecycle::new();
        assert_eq!(l.state(), State::Idle);
        assert!(l.link_needed(&LinkId::Publisher).is_none());
        assert_eq!(l.state(), State::Connecting);
        assert!(matches!(l.link_up(&LinkId::Publisher, 1), Some(Notice::Ready)));
        assert!(l.link_needed(&LinkId::Subscriber).is_none());
        assert_eq!(l.state(), State::Ready);
        l.link_up(&LinkId::Subscriber, 2);
        let lost = BusError::new(ErrorKind::ConnectionLost, "gone");
        assert!(l.link_down(&LinkId::Subscriber, &lost));
        assert!(!l.link_down(&LinkId::Subscriber, &lost));
        assert_eq!(l.state(), State::Reconnecting);
        assert_eq!(l.watch().borrow().error, Some(lost));
        // What is not needed any more need not come back.
        assert!(matches!(l.link_gone(&LinkId::Subscriber), Some(Notice::Ready)));
        assert!(l.link_gone(&LinkId::Subscriber).is_none() && !l.links().contains_key(&LinkId::Subscriber));
        assert!(l.drain() && !l.drain());
        l.link_up(&LinkId::Subscriber, 3);
        assert_eq!(l.state(), State::Draining);
        assert!(l.close() && !l.close());
    }
}
