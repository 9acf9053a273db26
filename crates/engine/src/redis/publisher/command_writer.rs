//! From events to commands: `PUBLISH`, `XADD`, or a script for what must happen in one step.

use std::sync::Arc;

use oxbus_model::config::StreamConfig;
use oxbus_model::stream_store::keys;
use oxbus_model::topology::lanes::{Lanes, head_of_message};

use crate::publish::encoder::Encoded;
use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::Command;
use crate::redis::publisher::live_part::LivePart;
use crate::redis::resp::command::{Args, Mark, append_publish, append_spublish, append_xadd, append_xtrim};
use crate::redis::scripts::script_call::{MAX_BYTES, MAX_EVENTS, PERSIST, STORE_AND_PUBLISH, ScriptCall};
use crate::transport::context::TransportContext;

/// Writes the commands of events. Those that can share one wait in it until [`CommandWriter::finish`].
pub(in crate::redis) struct CommandWriter {
    streams: Box<[StreamTarget]>,
    persistence: Option<Persistence>,
    limit: u64,
    /// The lanes of sharded pub/sub, and what is to be published on them of events that are stored first, by index.
    lanes: Option<Arc<Lanes>>,
    live: Vec<(u32, LivePart)>,
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
    prefix: Arc<str>,
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
        let TransportContext { config, channels, lanes, .. } = context;
        let target = |stream: &StreamConfig| StreamTarget {
            name: stream.name.as_str().into(),
            cap: stream.cap.to_string().into_bytes().into(),
            until_trim: Some(0),
        };
        CommandWriter {
            streams: config.streams.iter().map(target).collect(),
            persistence: config.persistence.map(|persistence| Persistence {
                ttl: persistence.ttl,
                history: persistence.history,
                prefix: channels.prefix().into(),
            }),
            limit: config.redis.command_timeout,
            lanes: lanes.clone(),
            live: Vec::new(),
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
        let is_kept = self.persistence.is_some() || event.stream.is_some();
        if let Some(lanes) = self.lanes.as_ref().filter(|_| is_kept && event.live) {
            let part = LivePart::new(lanes, channel, payload, deadline);
            self.live.push((index, part));
        }
        let several = event.stream.is_none() && event.messages.are_several();
        if several || self.persistence.is_some() || event.options.deduplicate.is_some() {
            self.finish(pipeline);
            return self.add_persisted(of, event, pipeline);
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
        if let Some(StreamTarget { name, cap, until_trim }) = self.streams.get_mut(stream) {
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

    /// With sharded pub/sub: what is to be published of the events that were added since the last time, once they are stored.
    pub(in crate::redis) fn take_live(&mut self) -> Vec<(u32, LivePart)> {
        std::mem::take(&mut self.live)
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
        pipeline: &mut Pipeline<Command>,
    ) {
        let target = event.stream.and_then(|stream| self.streams.get(stream));
        let mark = target.zip(event.options.deduplicate);
        let history = self.persistence.as_ref().filter(|persistence| persistence.history);
        let parts = [
            target.map(|target| ('s', target.name.to_string())),
            mark.map(|(target, _)| ('d', keys::duplicate(&target.name, event.event_id()))),
            self.persistence.as_ref().map(|it| ('e', keys::event(&it.prefix, event.event_id()))),
            history.map(|persistence| ('h', keys::history(&persistence.prefix))),
        ];
        let what: String = parts.iter().flatten().map(|(letter, _)| letter).collect();
        let args = &mut self.args;
        args.put_number(what.len());
        parts.iter().flatten().for_each(|(_, key)| args.put(key.as_bytes()));
        args.put(what.as_bytes());
        let publishes = event.live && self.lanes.is_none();
        let (channel, payload) =
            if publishes { event.messages.all() } else { ("", event.messages.first().1) };
        args.put(channel.as_bytes());
        args.put(payload);
        args.put(target.map_or(b"0", |target| &target.cap));
        args.put(mark.map_or(0, |(_, window)| window).to_string().as_bytes());
        args.put(self.persistence.as_ref().map_or(0, |it| it.ttl).to_string().as_bytes());
        event.fields(&mut |name, value| {
            args.put(name);
            args.put(value);
        });
        let mut call = ScriptCall::new(&PERSIST, batch, deadline, event.stream, Mark::default());
        call.add(index, args.mark());
        self.head.clear();
        self.push(Box::new(call), self.args.mark(), pipeline);
        self.args.clear();
    }
}
