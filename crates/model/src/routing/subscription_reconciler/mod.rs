//! What the server should have subscribed for us, against what it has confirmed.
//!
//! The reconciler is told what is wanted and what the server answers; it says what to send next, in
//! chunks, one outstanding chunk at a time per [`SubscriptionReconciler::next_command`] budget. After a reconnect it
//! asks for everything again. A refused command of several names is asked again in halves, so that
//! one forbidden name does not take others with it.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};

use crate::routing::server_subscription::ServerSubscription;

/// The names in one `SUBSCRIBE` and its kin at the most: small enough that 100,000 subscriptions do
/// not hold up other clients of the server, large enough to confirm them within a second.
pub const CHUNK: usize = 512;

/// How long a refused subscription waits until it is asked for again, in milliseconds.
pub const REFUSED_RETRY: u64 = 5_000;

/// The four commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `SUBSCRIBE`
    Subscribe,
    /// `PSUBSCRIBE`
    PSubscribe,
    /// `UNSUBSCRIBE`
    Unsubscribe,
    /// `PUNSUBSCRIBE`
    PUnsubscribe,
}

impl Verb {
    /// The verb for a server subscription.
    pub fn of(server_subscription: &ServerSubscription, wanted: bool) -> Verb {
        match (server_subscription, wanted) {
            (ServerSubscription::Channel(_), true) => Verb::Subscribe,
            (ServerSubscription::Pattern(_), true) => Verb::PSubscribe,
            (ServerSubscription::Channel(_), false) => Verb::Unsubscribe,
            (ServerSubscription::Pattern(_), false) => Verb::PUnsubscribe,
        }
    }

    /// The name of the command.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Subscribe => "SUBSCRIBE",
            Verb::PSubscribe => "PSUBSCRIBE",
            Verb::Unsubscribe => "UNSUBSCRIBE",
            Verb::PUnsubscribe => "PUNSUBSCRIBE",
        }
    }

    /// The verb of a confirmation, as the server writes it.
    pub fn from_confirmation(kind: &[u8]) -> Option<Verb> {
        Some(match kind {
            b"subscribe" => Verb::Subscribe,
            b"psubscribe" => Verb::PSubscribe,
            b"unsubscribe" => Verb::Unsubscribe,
            b"punsubscribe" => Verb::PUnsubscribe,
            _ => return None,
        })
    }

    fn subscribes(self) -> bool {
        matches!(self, Verb::Subscribe | Verb::PSubscribe)
    }

    fn server_subscription(self, name: &[u8]) -> ServerSubscription {
        match self {
            Verb::Subscribe | Verb::Unsubscribe => ServerSubscription::Channel(name.into()),
            Verb::PSubscribe | Verb::PUnsubscribe => ServerSubscription::Pattern(name.into()),
        }
    }
}

/// A command to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Which.
    pub verb: Verb,
    /// Its arguments, at least one.
    pub names: Vec<ServerSubscription>,
}

/// What the server has, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    Off,
    Queued,
    Asked,
    On,
    Leaving,
    Refused { retry_at: u64 },
}

#[derive(Debug)]
struct Line {
    wanted: bool,
    server: Server,
}

/// An answer that settled something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The server has confirmed a subscription that is wanted.
    Confirmed(ServerSubscription),
    /// The server refused a subscription that is wanted. It is asked for again after [`REFUSED_RETRY`].
    Refused(ServerSubscription),
}

/// The reconciler of one subscriber connection and its successors.
#[derive(Debug, Default)]
pub struct SubscriptionReconciler {
    lines: HashMap<ServerSubscription, Line>,
    /// Lines that differ from the server, to be asked; may hold stale ones.
    work: VecDeque<ServerSubscription>,
    /// Parts of refused commands, to be asked as they are.
    halves: VecDeque<Command>,
    /// Commands sent and not wholly answered, with the number of answers still to come.
    sent: VecDeque<(Command, usize)>,
    refused: Vec<ServerSubscription>,
    /// Nothing is sent before: the server refuses everything for now.
    hold_until: u64,
    confirmed: usize,
    wanted: usize,
}

impl SubscriptionReconciler {
    /// An empty reconciler.
    pub fn new() -> Self {
        Self::default()
    }

    /// `server_subscription` should be subscribed.
    pub fn want(&mut self, server_subscription: ServerSubscription) {
        let line = self
            .lines
            .entry(server_subscription.clone())
            .or_insert(Line { wanted: false, server: Server::Off });
        if line.wanted {
            // Someone new wants what was refused: worth asking now rather than at the next retry.
            if let Server::Refused { .. } = line.server {
                line.server = Server::Queued;
                self.refused.retain(|refused| *refused != server_subscription);
                self.work.push_back(server_subscription);
            }
            return;
        }
        line.wanted = true;
        self.wanted += 1;
        match line.server {
            Server::On => self.confirmed += 1,
            Server::Off | Server::Refused { .. } => {
                line.server = Server::Queued;
                self.work.push_back(server_subscription);
            }
            Server::Queued | Server::Asked | Server::Leaving => {}
        }
    }

    /// `server_subscription` should no longer be subscribed.
    pub fn unwant(&mut self, server_subscription: &ServerSubscription) {
        let Some(line) = self.lines.get_mut(server_subscription) else { return };
        if !line.wanted {
            return;
        }
        line.wanted = false;
        self.wanted -= 1;
        match line.server {
            Server::On => {
                self.confirmed -= 1;
                self.work.push_back(server_subscription.clone());
            }
            Server::Asked | Server::Leaving => {}
            Server::Off | Server::Queued | Server::Refused { .. } => {
                self.lines.remove(server_subscription);
                self.refused.retain(|refused| refused != server_subscription);
            }
        }
    }

    /// The connection is gone, and with it all that the server had for us.
    pub fn disconnected(&mut self) {
        self.lines.retain(|_, line| line.wanted);
        self.work.clear();
        self.halves.clear();
        self.sent.clear();
        self.refused.clear();
        self.hold_until = 0;
        self.confirmed = 0;
        for (server_subscription, line) in &mut self.lines {
            line.server = Server::Queued;
            self.work.push_back(server_subscription.clone());
        }
    }

    /// What to send now, unless `in_flight` commands are unanswered already. Call until it returns `None`.
    pub fn next_command(&mut self, now_ms: u64, in_flight: usize) -> Option<Command> {
        self.requeue_refused(now_ms);
        if self.sent.len() >= in_flight || now_ms < self.hold_until {
            return None;
        }
        let command = self.halves.pop_front().or_else(|| self.gather())?;
        self.hold_until = 0;
        self.sent.push_back((command.clone(), command.names.len()));
        Some(command)
    }

    /// The next lines of work that share a verb.
    fn gather(&mut self) -> Option<Command> {
        let mut verb = None;
        let mut names = Vec::new();
        while names.len() < CHUNK {
            let Some(server_subscription) = self.work.pop_front() else {
                // After a burst of subscriptions the list of work is no longer worth its memory.
                self.work.shrink_to(CHUNK);
                break;
            };
            let Some(line) = self.lines.get_mut(&server_subscription) else { continue };
            let needed = match line.server {
                Server::Queued => line.wanted,
                Server::On => !line.wanted,
                _ => false,
            };
            if !needed {
                continue;
            }
            let its = Verb::of(&server_subscription, line.wanted);
            if *verb.get_or_insert(its) != its {
                self.work.push_front(server_subscription);
                break;
            }
            line.server = if line.wanted { Server::Asked } else { Server::Leaving };
            names.push(server_subscription);
        }
        Some(Command { verb: verb?, names })
    }

    fn requeue_refused(&mut self, now_ms: u64) {
        if self.refused_due().is_none_or(|at| now_ms < at) {
            return;
        }
        let SubscriptionReconciler { refused, lines, work, .. } = self;
        refused.retain(|server_subscription| match lines.get_mut(server_subscription) {
            Some(line) => match line.server {
                Server::Refused { retry_at } if retry_at <= now_ms => {
                    line.server = Server::Queued;
                    work.push_back(server_subscription.clone());
                    false
                }
                Server::Refused { .. } => true,
                _ => false,
            },
            None => false,
        });
    }

    /// The server confirmed `verb` for `name`.
    pub fn confirmed(&mut self, verb: Verb, name: &[u8]) -> Option<Change> {
        if let Some((_, left)) = self.sent.front_mut() {
            *left -= 1;
            if *left == 0 {
                self.sent.pop_front();
            }
        }
        let server_subscription = verb.server_subscription(name);
        let line = self.lines.get_mut(&server_subscription)?;
        if verb.subscribes() {
            line.server = Server::On;
            if line.wanted {
                self.confirmed += 1;
                return Some(Change::Confirmed(server_subscription));
            }
            self.work.push_back(server_subscription);
        } else if line.wanted {
            line.server = Server::Queued;
            self.work.push_back(server_subscription);
        } else {
            self.lines.remove(&server_subscription);
        }
        None
    }

    /// The server answered the oldest outstanding command with an error.
    pub fn refused(&mut self, now_ms: u64) -> Option<Change> {
        let (mut command, _) = self.sent.pop_front()?;
        if command.names.len() > 1 {
            let second = command.names.split_off(command.names.len() / 2);
            self.halves.push_front(Command { verb: command.verb, names: second });
            self.halves.push_front(command);
            return None;
        }
        let server_subscription = command.names.pop()?;
        let line = self.lines.get_mut(&server_subscription)?;
        if !line.wanted {
            self.lines.remove(&server_subscription);
            return None;
        }
        line.server = Server::Refused { retry_at: now_ms.saturating_add(REFUSED_RETRY) };
        self.refused.push(server_subscription.clone());
        Some(Change::Refused(server_subscription))
    }

    /// The server cannot answer the oldest outstanding command for now: it is sent again, as a whole, after
    /// `until`, and so is all else.
    pub fn postponed(&mut self, until: u64) {
        if let Some((command, _)) = self.sent.pop_front() {
            self.halves.push_front(command);
            self.hold_until = until;
        }
    }

    /// Whether the server has confirmed `server_subscription`.
    pub fn is_confirmed(&self, server_subscription: &ServerSubscription) -> bool {
        self.lines.get(server_subscription).is_some_and(|line| line.wanted && line.server == Server::On)
    }

    /// Whether everything wanted is confirmed or refused: nothing is under way.
    pub fn is_settled(&self) -> bool {
        self.confirmed + self.refused.len() >= self.wanted
    }

    /// Commands that are not wholly answered.
    pub fn outstanding(&self) -> usize {
        self.sent.len()
    }

    /// How many wanted subscriptions the server has confirmed.
    pub fn confirmed_count(&self) -> usize {
        self.confirmed
    }

    /// Those that the server refuses.
    pub fn refused_names(&self) -> &[ServerSubscription] {
        &self.refused
    }

    /// All that are wanted.
    pub fn wanted_names(&self) -> impl Iterator<Item = &ServerSubscription> {
        self.lines.iter().filter(|(_, line)| line.wanted).map(|(server_subscription, _)| server_subscription)
    }

    /// When something is due that was refused or postponed.
    pub fn next_retry(&self) -> Option<u64> {
        let held = (!self.halves.is_empty() && self.hold_until > 0).then_some(self.hold_until);
        self.refused_due().into_iter().chain(held).min()
    }

    fn refused_due(&self) -> Option<u64> {
        let due = |server_subscription: &ServerSubscription| match self.lines.get(server_subscription)?.server
        {
            Server::Refused { retry_at } => Some(retry_at),
            _ => None,
        };
        self.refused.iter().filter_map(due).min()
    }
}
