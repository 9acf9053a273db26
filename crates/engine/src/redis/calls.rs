//! Calls of scripts that publish events: up to [`MAX_EVENTS`] of a submission with one command, each of
//! which fails, expires or is cancelled for itself.

use bytes::BufMut;
use oxbus_model::store::EntryId;

use super::commands::{Mark, put_bulk, put_count};
use super::reply::Reply;
use super::script::{self, Script};

/// Adds events to a stream and publishes them.
pub(super) static ADD: Script = Script::new(include_str!("scripts/add.lua"));
/// Adds one event, keeps it and publishes it, as far as that was asked for.
pub(super) static KEEP: Script = Script::new(include_str!("scripts/keep.lua"));

/// Events in one call at the most. More would save little and hold the server up.
pub(super) const MAX_EVENTS: usize = 64;
/// Bytes of the events of one call; the one that reaches it is the last.
pub(super) const MAX_BYTES: usize = 256 << 10;

/// A call under way.
pub(super) struct Call {
    pub(super) batch: u32,
    pub(super) deadline: u64,
    /// The stream: its index in the configuration.
    pub(super) stream: Option<usize>,
    script: &'static Script,
    /// The arguments before those of the events.
    head: Mark,
    /// In the order of their arguments.
    events: Vec<Event>,
    /// Whether the server was given the source of the script with it.
    in_full: bool,
    /// The command as it was written, should the server not know the script.
    written: Box<[u8]>,
}

struct Event {
    index: u32,
    /// Its arguments.
    args: Mark,
    settled: bool,
}

/// What a server says of one event of a call.
#[derive(Debug, PartialEq)]
pub(super) enum Answer<'a> {
    /// It is where it was to go.
    Done {
        /// Its entry, if it was to be stored.
        id: Option<EntryId>,
        /// How many received it.
        receivers: i64,
        /// Whether it had been there before.
        duplicate: bool,
        /// What failed besides, after it was stored.
        fault: Option<&'a str>,
    },
    /// Nothing was done for it.
    Refused(&'a str),
    /// Something else was said.
    Strange,
}

impl Call {
    /// A call without events; `head` is what its arguments begin with.
    pub(super) fn new(
        script: &'static Script,
        batch: u32,
        deadline: u64,
        stream: Option<usize>,
        head: Mark,
    ) -> Call {
        let (events, written) = (Vec::new(), Box::default());
        Call { batch, deadline, stream, script, head, events, in_full: false, written }
    }

    /// Adds an event, whose arguments are behind those of the others.
    pub(super) fn add(&mut self, index: u32, args: Mark) {
        self.events.push(Event { index, args, settled: false });
    }

    /// How many events it has had.
    pub(super) fn len(&self) -> usize {
        self.events.len()
    }

    /// The indexes of the events that are not settled.
    pub(super) fn indexes(&self) -> impl Iterator<Item = u32> {
        self.events.iter().filter(|event| !event.settled).map(|event| event.index)
    }

    /// Whether it has this event, not settled.
    pub(super) fn has(&self, batch: u32, index: u32) -> bool {
        self.batch == batch && self.indexes().any(|i| i == index)
    }

    /// An event is settled before the answer.
    pub(super) fn settle(&mut self, index: u32) {
        self.events.iter_mut().filter(|event| event.index == index).for_each(|event| event.settled = true);
    }

    /// Appends the command; `args` are the arguments of all events.
    pub(super) fn pack(&self, out: &mut impl BufMut, head: &[u8], mut args: &[u8]) {
        let open = || self.events.iter().filter(|event| !event.settled);
        put_count(out, 2 + self.head.count + open().map(|event| event.args.count).sum::<usize>());
        if self.in_full {
            put_bulk(out, b"EVAL");
            put_bulk(out, self.script.source().as_bytes());
        } else {
            put_bulk(out, b"EVALSHA");
            put_bulk(out, self.script.hash().as_bytes());
        }
        out.put_slice(head);
        for event in &self.events {
            let (its, behind) = args.split_at_checked(event.args.bytes).unwrap_or_default();
            args = behind;
            if !event.settled {
                out.put_slice(its);
            }
        }
    }

    /// Takes an event out of a call that is not written yet. Returns the command without it.
    pub(super) fn without(&mut self, index: u32, command: &[u8]) -> Vec<u8> {
        self.settle(index);
        let mut changed = Vec::with_capacity(command.len());
        let (head, args) = self.arguments(command);
        self.pack(&mut changed, head, args);
        self.events.retain(|event| !event.settled);
        changed
    }

    /// The command is being written, with these bytes.
    pub(super) fn keep(&mut self, command: &[u8]) {
        // Nothing but a new connection makes a server that has seen the source forget it.
        if !self.in_full {
            self.written = command.into();
        }
    }

    /// The same call with the source of the script, without the events that are settled by now, if the
    /// server does not know the script and was not given it before. With its bytes.
    pub(super) fn in_full(mut self: Box<Self>, error: &str) -> Result<(Box<Self>, Vec<u8>), Box<Self>> {
        if self.in_full || !script::is_missing(error) || self.indexes().next().is_none() {
            return Err(self);
        }
        self.in_full = true;
        let written = std::mem::take(&mut self.written);
        let mut command = Vec::with_capacity(written.len() + self.script.source().len());
        let (head, args) = self.arguments(&written);
        self.pack(&mut command, head, args);
        self.events.retain(|event| !event.settled);
        Ok((self, command))
    }

    /// What the server says of each event that is not settled, by its index.
    pub(super) fn answers<'a>(&self, reply: &'a [Reply<'a>]) -> impl Iterator<Item = (u32, Answer<'a>)> {
        let each = if std::ptr::eq(self.script, &KEEP) { 4 } else { 2 };
        let mut said = reply.chunks(each);
        self.events.iter().filter_map(move |event| {
            let answer = Answer::of(said.next().unwrap_or_default());
            (!event.settled).then_some((event.index, answer))
        })
    }

    /// The arguments in a command: those of the head, and those of the events.
    fn arguments<'a>(&self, command: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        // How long the rest is depends on the number of arguments; but it comes first.
        let args = self.events.iter().map(|event| event.args.bytes).sum::<usize>();
        let (before, args) = command.split_at_checked(command.len().saturating_sub(args)).unwrap_or_default();
        (before.get(before.len().saturating_sub(self.head.bytes)..).unwrap_or_default(), args)
    }
}

impl<'a> Answer<'a> {
    fn of(said: &'a [Reply<'a>]) -> Answer<'a> {
        let (id, rest) = match said {
            [Reply::Nil, rest @ ..] => (None, rest),
            [Reply::Text(id), rest @ ..] => match EntryId::from_bytes(id) {
                Some(id) => (Some(id), rest),
                None => return Answer::Strange,
            },
            _ => return Answer::Strange,
        };
        let text = |reply: &Reply<'a>| {
            reply.text().and_then(|text| std::str::from_utf8(text).ok()).map(script::cause)
        };
        match rest {
            [Reply::Int(receivers), more @ ..] => Answer::Done {
                id,
                receivers: *receivers,
                duplicate: more.first() == Some(&Reply::Int(1)),
                fault: more.get(1).and_then(text),
            },
            [why, ..] => match (id, text(why)) {
                (None, Some(why)) => Answer::Refused(why),
                (Some(id), Some(fault)) => {
                    Answer::Done { id: Some(id), receivers: 0, duplicate: false, fault: Some(fault) }
                }
                (_, None) => Answer::Strange,
            },
            [] => Answer::Strange,
        }
    }
}
