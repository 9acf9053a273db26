//! Calls of scripts that publish events: up to [`MAX_EVENTS`] of a submission with one command, each of
//! which fails, expires or is cancelled for itself.

use std::borrow::Cow;

use bytes::BufMut;
use oxbus_model::stream_store::EntryId;

use crate::redis::resp::command::{Mark, put_bulk, put_count};
use crate::redis::resp::reply::Reply;
use crate::redis::scripts::script;
use crate::redis::scripts::script::Script;

/// Adds events to a stream and publishes them.
pub(in crate::redis) static STORE_AND_PUBLISH: Script =
    Script::new(concat!(include_str!("shared/publish_to.lua"), include_str!("store_and_publish.lua")));
/// Adds one event, keeps it and publishes it, as far as that was asked for.
pub(in crate::redis) static PERSIST: Script = Script::new(concat!(
    include_str!("shared/publish_to.lua"),
    include_str!("shared/add_capped.lua"),
    include_str!("persist.lua")
));

/// Events in one call at the most. More would save little and hold the server up.
pub(in crate::redis) const MAX_EVENTS: usize = 64;
/// Bytes of the events of one call; the one that reaches it is the last.
pub(in crate::redis) const MAX_BYTES: usize = 256 << 10;

/// A call under way.
pub(in crate::redis) struct ScriptCall {
    pub(in crate::redis) batch: u32,
    pub(in crate::redis) deadline: u64,
    /// The stream: its index in the configuration.
    pub(in crate::redis) stream: Option<usize>,
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

/// The part of the reply to a call that is about one event.
#[derive(Debug, PartialEq)]
pub(in crate::redis) enum EventReply<'a> {
    /// The event is where it was to go.
    Done {
        /// Its entry, if it was to be stored.
        id: Option<EntryId>,
        /// How many subscriptions received it.
        receivers: i64,
        /// Whether it had been there before.
        duplicate: bool,
        /// The step that failed after the event was stored.
        fault: Option<&'a str>,
    },
    /// Nothing was done for it.
    Refused(&'a str),
    /// Something else was said.
    Strange,
}

impl ScriptCall {
    /// A call without events; `head` is what its arguments begin with.
    pub(in crate::redis) fn new(
        script: &'static Script,
        batch: u32,
        deadline: u64,
        stream: Option<usize>,
        head: Mark,
    ) -> ScriptCall {
        let (events, written) = (Vec::new(), Box::default());
        ScriptCall { batch, deadline, stream, script, head, events, in_full: false, written }
    }

    /// Adds an event, whose arguments are behind those of the others.
    pub(in crate::redis) fn add(&mut self, index: u32, args: Mark) {
        self.events.push(Event { index, args, settled: false });
    }

    /// What an error of the whole call says.
    pub(in crate::redis) fn cause<'a>(&self, error: &'a str) -> Cow<'a, str> {
        let cause = script::cause(error);
        self.script.missing_command(cause).map_or(Cow::Borrowed(cause), Cow::Owned)
    }

    /// How many events it has had.
    pub(in crate::redis) fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether it may use more than one key.
    pub(in crate::redis) fn has_several_keys(&self) -> bool {
        std::ptr::eq(self.script, &PERSIST)
    }

    /// The indexes of the events that are not settled.
    pub(in crate::redis) fn indexes(&self) -> impl Iterator<Item = u32> {
        self.events.iter().filter(|event| !event.settled).map(|event| event.index)
    }

    /// Whether it has this event, not settled.
    pub(in crate::redis) fn has(&self, batch: u32, index: u32) -> bool {
        self.batch == batch && self.indexes().any(|i| i == index)
    }

    /// An event is settled before the answer.
    pub(in crate::redis) fn settle(&mut self, index: u32) {
        self.events.iter_mut().filter(|event| event.index == index).for_each(|event| event.settled = true);
    }

    /// Appends the command; `args` are the arguments of all events.
    pub(in crate::redis) fn pack(&self, out: &mut impl BufMut, head: &[u8], mut args: &[u8]) {
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
    pub(in crate::redis) fn without(&mut self, index: u32, command: &[u8]) -> Vec<u8> {
        self.settle(index);
        let mut changed = Vec::with_capacity(command.len());
        let (head, args) = self.arguments(command);
        self.pack(&mut changed, head, args);
        self.events.retain(|event| !event.settled);
        changed
    }

    /// Changes the arguments of a call of [`PERSIST`], which has one event and is not written yet: `change` is given them
    /// and gives as many others, or `None` to leave them. Returns the command with them.
    pub(in crate::redis) fn with_arguments(
        &mut self,
        command: &[u8],
        change: impl FnOnce(&[u8]) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        if !std::ptr::eq(self.script, &PERSIST) {
            return None;
        }
        let changed = change(self.arguments(command).1)?;
        self.events.first_mut()?.args.bytes = changed.len();
        let mut whole = Vec::with_capacity(command.len() + changed.len());
        self.pack(&mut whole, &[], &changed);
        Some(whole)
    }

    /// The command is being written with these bytes, which are needed again if the server does not know the script.
    pub(in crate::redis) fn remember(&mut self, command: &[u8]) {
        // Nothing but a new connection makes a server that has seen the source forget it.
        if !self.in_full {
            self.written = command.into();
        }
    }

    /// The same call with the source of the script, without the events that are settled by now, if the
    /// server does not know the script and was not given it before. With its bytes.
    pub(in crate::redis) fn in_full(
        mut self: Box<Self>,
        error: &str,
    ) -> Result<(Box<Self>, Vec<u8>), Box<Self>> {
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

    /// The same call for another server, without the events that are settled by now. `written` is the command as it was
    /// written here. With its bytes; `None` if all its events are settled.
    pub(in crate::redis) fn again(mut self: Box<Self>, written: &[u8]) -> Option<(Box<Self>, Vec<u8>)> {
        self.indexes().next()?;
        self.in_full = false;
        self.written = Box::default();
        let mut command = Vec::with_capacity(written.len());
        let (head, args) = self.arguments(written);
        self.pack(&mut command, head, args);
        self.events.retain(|event| !event.settled);
        Some((self, command))
    }

    /// The replies to the events that are not settled, by their index.
    pub(in crate::redis) fn replies<'a>(
        &self,
        reply: &'a [Reply<'a>],
    ) -> impl Iterator<Item = (u32, EventReply<'a>)> {
        let each = if std::ptr::eq(self.script, &PERSIST) { 4 } else { 2 };
        let mut said = reply.chunks(each);
        self.events.iter().filter_map(move |event| {
            let answer = EventReply::of(said.next().unwrap_or_default());
            (!event.settled).then_some((event.index, answer))
        })
    }

    /// The arguments in a command: those of the head, and those of the events.
    fn arguments<'a>(&self, command: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        // The rest of the command has no fixed length, but it comes before the arguments.
        let args = self.events.iter().map(|event| event.args.bytes).sum::<usize>();
        let (before, args) = command.split_at_checked(command.len().saturating_sub(args)).unwrap_or_default();
        (before.get(before.len().saturating_sub(self.head.bytes)..).unwrap_or_default(), args)
    }
}

impl<'a> EventReply<'a> {
    fn of(said: &'a [Reply<'a>]) -> EventReply<'a> {
        let (id, rest) = match said {
            [Reply::Nil, rest @ ..] => (None, rest),
            [Reply::Text(id), rest @ ..] => match EntryId::from_bytes(id) {
                Some(id) => (Some(id), rest),
                None => return EventReply::Strange,
            },
            _ => return EventReply::Strange,
        };
        let text = |reply: &Reply<'a>| {
            reply.text().and_then(|text| std::str::from_utf8(text).ok()).map(script::cause)
        };
        match rest {
            [Reply::Int(receivers), more @ ..] => EventReply::Done {
                id,
                receivers: *receivers,
                duplicate: more.first() == Some(&Reply::Int(1)),
                fault: more.get(1).and_then(text),
            },
            [why, ..] => match (id, text(why)) {
                (None, Some(why)) => EventReply::Refused(why),
                (Some(id), Some(fault)) => {
                    EventReply::Done { id: Some(id), receivers: 0, duplicate: false, fault: Some(fault) }
                }
                (_, None) => EventReply::Strange,
            },
            [] => EventReply::Strange,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::redis::resp::command::Args;

    static SCRIPT: Script = Script::new("return 1");

    /// A call for these events, of so many arguments each, and its command.
    fn call(events: &[usize]) -> (Box<ScriptCall>, Vec<u8>) {
        let (mut head, mut args) = (Args::default(), Args::default());
        head.put(b"1");
        head.put(b"stream");
        let mut call = ScriptCall::new(&SCRIPT, 7, 5, Some(0), head.mark());
        for (index, count) in (0..).zip(events) {
            let before = args.mark();
            (0..*count).for_each(|n| args.put(format!("{index}-{n}").repeat(n + 1).as_bytes()));
            call.add(index, args.mark().since(before));
        }
        let mut command = Vec::new();
        call.pack(&mut command, head.bytes(), args.bytes());
        (Box::new(call), command)
    }

    /// The same command, by other means.
    fn expected(events: &[usize], out: &[u32], in_full: bool) -> Vec<u8> {
        let mut command = if in_full { SCRIPT.call_in_full() } else { SCRIPT.call() };
        command.arg(1).arg("stream");
        for (index, count) in (0..).zip(events).filter(|(index, _)| !out.contains(index)) {
            for n in 0..*count {
                command.arg(format!("{index}-{n}").repeat(n + 1));
            }
        }
        command.get_packed_command()
    }

    proptest! {
        #[test]
        fn events_are_taken_out_before_and_after_it_is_written(
            events in prop::collection::vec(0usize..5, 1..30),
            before in prop::collection::vec(0u32..30, 0..6),
            after in prop::collection::vec(0u32..30, 0..6),
        ) {
            let (mut call, mut command) = call(&events);
            prop_assert_eq!(&command, &expected(&events, &[], false));
            let all: Vec<u32> = call.indexes().collect();
            for index in before.iter().filter(|index| all.contains(index)) {
                if call.has(7, *index) && call.len() > 1 {
                    command = call.without(*index, &command);
                }
            }
            let left: Vec<u32> = call.indexes().collect();
            let mut out: Vec<u32> = all.iter().copied().filter(|index| !left.contains(index)).collect();
            prop_assert_eq!(&command, &expected(&events, &out, false));

            call.remember(&command);
            after.iter().for_each(|index| call.settle(*index));
            out.extend(after.iter().copied().filter(|index| left.contains(index)));
            let open: Vec<u32> = call.indexes().collect();
            prop_assert_eq!(&open, &left.iter().copied().filter(|index| !after.contains(index)).collect::<Vec<_>>());
            match call.in_full("NOSCRIPT No matching script.") {
                Ok((call, command)) => {
                    prop_assert_eq!(command, expected(&events, &out, true));
                    prop_assert_eq!(call.indexes().collect::<Vec<_>>(), open);
                    prop_assert!(call.in_full("NOSCRIPT No matching script.").is_err());
                }
                Err(_) => prop_assert!(open.is_empty()),
            }
        }
    }

    #[test]
    fn an_event_that_is_settled_keeps_its_place_in_the_answer() {
        let (mut call, _) = call(&[2, 2, 2]);
        call.settle(1);
        let text = |t: &'static str| Reply::Text(t.as_bytes());
        let said = [text("5-1"), Reply::Int(3), text("5-2"), Reply::Int(0), Reply::Nil, text("OOM no")];
        let answers: Vec<_> = call.replies(&said).collect();
        let id = Some(EntryId { ms: 5, seq: 1 });
        let done = EventReply::Done { id, receivers: 3, duplicate: false, fault: None };
        assert_eq!(answers, [(0, done), (2, EventReply::Refused("OOM no"))]);
        assert_eq!(call.replies(&said[..3]).nth(1), Some((2, EventReply::Strange)));
    }

    #[test]
    fn what_a_server_may_say_of_an_event() {
        let text = |t: &'static str| Reply::Text(t.as_bytes());
        let id = Some(EntryId { ms: 5, seq: 0 });
        let done = |id, receivers, duplicate, fault| EventReply::Done { id, receivers, duplicate, fault };
        for (said, expected) in [
            (vec![text("5-0"), text("NOPERM no")], done(id, 0, false, Some("NOPERM no"))),
            (vec![text("5-0"), Reply::Int(2), Reply::Int(0), Reply::Nil], done(id, 2, false, None)),
            (vec![text("5-0"), Reply::Int(0), Reply::Int(1)], done(id, 0, true, None)),
            (
                vec![Reply::Nil, Reply::Int(2), Reply::Int(0), text("ERR no")],
                done(None, 2, false, Some("ERR no")),
            ),
            (
                vec![Reply::Nil, text("@user_script: 7: -OOM command not allowed")],
                EventReply::Refused("OOM command not allowed"),
            ),
            (vec![Reply::Nil, Reply::Nil], EventReply::Strange),
            (vec![text("nonsense"), Reply::Int(1)], EventReply::Strange),
            (vec![Reply::Int(1), Reply::Int(1)], EventReply::Strange),
            (vec![text("5-0")], EventReply::Strange),
            (vec![], EventReply::Strange),
        ] {
            assert_eq!(EventReply::of(&said), expected, "{said:?}");
        }
    }
}
