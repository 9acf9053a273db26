//! From events to commands: `PUBLISH`, `XADD`, or a script for what must happen in one step.

use std::sync::Arc;

use oxbus_model::config::{KeyNames, Servers, StreamConfig};
use oxbus_model::stream_store::{keys, slot};
use oxbus_model::topology::lanes::{Lanes, head_of_message};

use crate::publish::encoder::Encoded;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::later_steps::LaterSteps;
use crate::redis::resp::command::{Args, Mark, append_publish, append_spublish, append_xadd, append_xtrim};
use crate::redis::scripts::script_call::{MAX_BYTES, MAX_EVENTS, PERSIST, STORE_AND_PUBLISH, ScriptCall};
use crate::transport::context::TransportContext;

/// Writes the commands of events. Those that can share one wait in it until [`CommandWriter::finish`].
pub(in crate::redis) struct CommandWriter {
    streams: Box<[StreamTarget]>,
    persistence: Option<Persistence>,
    limit: u64,
    /// The lanes of sharded pub/sub.
    lanes: Option<Arc<Lanes>>,
    /// In a Cluster, by index: what is done for events that are stored first.
    later: Vec<(u32, LaterSteps)>,
    /// The call that more events may be added to. `head` and `args` are its arguments.
    open: Option<OpenCall>,
    head: Args,
    args: Args,
}

/// A stream that events are added to.
struct StreamTarget {
    name: Arc<str>,
    cap: Box<[u8]>,
    /// How many events are added by commands of their own until the stream is trimmed to its cap. `None` where the server
    /// does not let this client trim: then each of them is added with the cap.
    until_trim: Option<u32>,
    /// Whether its events are kept by their id in another slot, so that this is a step of its own.
    keeps_apart: bool,
}

/// After the first of so many events that are added by commands of their own, the stream is trimmed to its cap. Servers
/// remove whole nodes of 100 entries (`stream-node-max-entries`), so that more often would not trim more.
const TRIM_EVERY: u32 = 100;

/// How events are kept by their id, beside their stream.
struct Persistence {
    /// For how many milliseconds.
    ttl: u64,
    /// Whether in the history too.
    history: bool,
    keys: KeyNames,
}

/// A call that is not complete.
struct OpenCall {
    call: Box<ScriptCall>,
    stream: usize,
    /// The number of fields of each of its events.
    fields: usize,
}

/// Which event of which submission.
#[derive(Clone, Copy)]
pub(in crate::redis) struct EventRef {
    pub(in crate::redis) batch: u32,
    pub(in crate::redis) index: u32,
    pub(in crate::redis) deadline: u64,
}

impl CommandWriter {
    pub(in crate::redis) fn new(context: &TransportContext) -> CommandWriter {
        let TransportContext { config, lanes, .. } = context;
        let is_cluster = matches!(config.redis.servers, Servers::Cluster(_));
        let kept_in = config.persistence.filter(|_| is_cluster).map(|_| slot(&config.keys.history));
        let target = |stream: &StreamConfig| StreamTarget {
            name: stream.name.as_str().into(),
            cap: stream.cap.to_string().into_bytes().into(),
            until_trim: Some(0),
            keeps_apart: kept_in.is_some_and(|kept_in| kept_in != slot(&stream.name)),
        };
        CommandWriter {
            streams: config.streams.iter().map(target).collect(),
            persistence: config.persistence.map(|persistence| Persistence {
                ttl: persistence.ttl,
                history: persistence.history,
                keys: config.keys.clone(),
            }),
            limit: config.redis.command_timeout,
            lanes: lanes.clone(),
            later: Vec::new(),
            open: None,
            head: Args::default(),
            args: Args::default(),
        }
    }

    /// Adds an event. Its command is in `pipeline` after [`CommandWriter::finish`] at the latest.
    pub(in crate::redis) fn add(
        &mut self,
        of: EventRef,
        event: &Encoded<'_>,
        pipeline: &mut Pipeline<Command>,
    ) {
        let EventRef { batch, index, deadline } = of;
        let (channel, payload) = event.messages.all();
        let channel = channel.as_bytes();
        let target = event.stream.and_then(|stream| self.streams.get(stream));
        let keeps_apart = target.is_some_and(|target| target.keeps_apart);
        let keeps = self.persistence.is_some() && !keeps_apart;
        self.add_later(of, event, keeps_apart);
        let several = event.stream.is_none() && event.messages.are_several();
        if several || keeps || event.options.deduplicate.is_some() {
            self.finish(pipeline);
            return self.add_persisted(of, event, keeps, pipeline);
        }
        let Some(stream) = event.stream else {
            self.finish(pipeline);
            let lane = self.lanes.as_ref().map(|lanes| lanes.of(channel));
            let command = Command::Event { batch, index, deadline, lane };
            return pipeline.push(command, self.limit, |bytes| match (&self.lanes, lane) {
                (Some(lanes), Some(lane)) => {
                    let head = head_of_message(channel);
                    let parts = [head.as_bytes(), channel, payload];
                    append_spublish(bytes, lanes.channel(lane).as_bytes(), &parts);
                }
                _ => append_publish(bytes, channel, payload),
            });
        };
        if event.live && self.lanes.is_none() {
            return self.add_to_call(of, stream, event, pipeline);
        }
        self.finish(pipeline);
        event.fields(&mut |name, value| {
            self.args.put(name);
            self.args.put(value);
        });
        if let Some(StreamTarget { name, cap, until_trim, .. }) = self.streams.get_mut(stream) {
            let command = Command::Entry { batch, index, deadline, stream };
            let given = until_trim.is_none().then_some(&**cap);
            pipeline
                .push(command, self.limit, |bytes| append_xadd(bytes, name.as_bytes(), given, &self.args));
            if let Some(left) = until_trim {
                if *left == 0 {
                    *left = TRIM_EVERY;
                    let command = Command::Trim { stream };
                    pipeline.push(command, self.limit, |bytes| append_xtrim(bytes, name.as_bytes(), cap));
                }
                *left -= 1;
            }
        }
        self.args.clear();
    }

    /// The server has refused to trim a stream: it is trimmed by the commands that add to it.
    pub(in crate::redis) fn may_not_trim(&mut self, stream: usize) {
        if let Some(target) = self.streams.get_mut(stream) {
            target.until_trim = None;
        }
    }

    /// In a Cluster: what is to be done for the events that were added since the last time, once they are stored.
    pub(in crate::redis) fn take_later(&mut self) -> Vec<(u32, LaterSteps)> {
        std::mem::take(&mut self.later)
    }

    /// In a Cluster: notes what is done for an event once it is stored. It is heard first: that takes one master, as its
    /// storing does, while everything that is kept is on the same one.
    fn add_later(&mut self, of: EventRef, event: &Encoded<'_>, keeps_apart: bool) {
        let mut later = LaterSteps::new(of.deadline);
        let is_stored = event.stream.is_some() || self.persistence.is_some();
        if let Some(lanes) = self.lanes.as_ref().filter(|_| is_stored && event.live) {
            let (channel, payload) = event.messages.all();
            later.publish(lanes, channel.as_bytes(), payload);
        }
        if let Some(persistence) = self.persistence.as_ref().filter(|_| keeps_apart) {
            let mut args = Args::default();
            put_persisted(&mut args, event, None, Some(persistence), ("", event.messages.first().1));
            later.keep(args);
        }
        if !later.is_done() {
            self.later.push((of.index, later));
        }
    }

    /// Completes the call that is open, if one is.
    pub(in crate::redis) fn finish(&mut self, pipeline: &mut Pipeline<Command>) {
        let Some(OpenCall { call, .. }) = self.open.take() else { return };
        self.push(call, self.args.mark(), pipeline);
        self.args.clear();
    }

    /// Adds an event that is stored and published.
    fn add_to_call(
        &mut self,
        EventRef { batch, index, deadline }: EventRef,
        stream: usize,
        event: &Encoded<'_>,
        pipeline: &mut Pipeline<Command>,
    ) {
        let fits = |open: &OpenCall| {
            (open.stream, open.call.batch, open.call.deadline) == (stream, batch, deadline)
                && open.call.len() < MAX_EVENTS
        };
        if !self.open.as_ref().is_some_and(fits) || self.args.mark().bytes >= MAX_BYTES {
            self.finish(pipeline);
        }
        let before = self.args.mark();
        let (channel, payload) = event.messages.all();
        self.args.put(channel.as_bytes());
        self.args.put(payload);
        let mut fields = 0;
        event.fields(&mut |_, value| {
            self.args.put(value);
            fields += 1;
        });
        if let Some(OpenCall { call, .. }) = self.open.take_if(|open| open.fields != fields) {
            self.push(call, before, pipeline);
            self.args.clear_before(before);
        }
        let from = if self.open.is_some() { before } else { Mark::default() };
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                self.put_head(stream, fields, event);
                let call =
                    ScriptCall::new(&STORE_AND_PUBLISH, batch, deadline, Some(stream), self.head.mark());
                self.open.insert(OpenCall { call: Box::new(call), stream, fields })
            }
        };
        open.call.add(index, self.args.mark().since(from));
    }

    /// Writes the arguments that every call of [`STORE_AND_PUBLISH`] begins with.
    fn put_head(&mut self, stream: usize, fields: usize, event: &Encoded<'_>) {
        self.head.clear();
        let Some(StreamTarget { name, cap, .. }) = self.streams.get(stream) else { return };
        self.head.put(b"1");
        self.head.put(name.as_bytes());
        self.head.put(cap);
        self.head.put_number(fields);
        event.fields(&mut |name, _| self.head.put(name));
    }

    /// Pushes a call, whose arguments are the head and those before `end`.
    fn push(&self, call: Box<ScriptCall>, end: Mark, pipeline: &mut Pipeline<Command>) {
        let (head, args) = (self.head.bytes(), self.args.before(end));
        pipeline.push_of(Command::Call(call), self.limit, |command, bytes| {
            bytes.reserve(head.len() + args.len() + 96);
            if let Command::Call(call) = command {
                call.pack(bytes, head, args);
            }
        });
    }

    /// Pushes a call for an event that is kept by its id, or is stored only if it was not stored before, or is not stored and
    /// goes to several channels.
    fn add_persisted(
        &mut self,
        EventRef { batch, index, deadline }: EventRef,
        event: &Encoded<'_>,
        keeps: bool,
        pipeline: &mut Pipeline<Command>,
    ) {
        let target = event.stream.and_then(|stream| self.streams.get(stream));
        let persistence = self.persistence.as_ref().filter(|_| keeps);
        let publishes = event.live && self.lanes.is_none();
        let messages = if publishes { event.messages.all() } else { ("", event.messages.first().1) };
        put_persisted(&mut self.args, event, target, persistence, messages);
        let mut call = ScriptCall::new(&PERSIST, batch, deadline, event.stream, Mark::default());
        call.add(index, self.args.mark());
        self.head.clear();
        self.push(Box::new(call), self.args.mark(), pipeline);
        self.args.clear();
    }
}

/// The arguments of a call of [`PERSIST`]: an event is added to `target`, kept as `persistence` says, and published as
/// `messages` are, as far as these are there.
fn put_persisted(
    args: &mut Args,
    event: &Encoded<'_>,
    target: Option<&StreamTarget>,
    persistence: Option<&Persistence>,
    messages: (&str, &[u8]),
) {
    let (channel, payload) = messages;
    let mark = target.zip(event.options.deduplicate);
    let history = persistence.filter(|persistence| persistence.history);
    let parts = [
        target.map(|target| ('s', target.name.to_string())),
        mark.map(|(target, _)| ('d', keys::duplicate(&target.name, event.event_id()))),
        persistence.map(|it| ('e', it.keys.events.of(event.event_id()))),
        history.map(|persistence| ('h', persistence.keys.history.clone())),
    ];
    let what: String = parts.iter().flatten().map(|(letter, _)| letter).collect();
    args.put_number(what.len());
    parts.iter().flatten().for_each(|(_, key)| args.put(key.as_bytes()));
    args.put(what.as_bytes());
    args.put(channel.as_bytes());
    args.put(payload);
    args.put(target.map_or(b"0", |target| &target.cap));
    args.put(mark.map_or(0, |(_, window)| window).to_string().as_bytes());
    args.put(persistence.map_or(0, |it| it.ttl).to_string().as_bytes());
    event.fields(&mut |name, value| {
        args.put(name);
        args.put(value);
    });
}
