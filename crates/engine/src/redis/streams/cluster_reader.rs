//! The reader of a group whose streams lie on several nodes of a Cluster: a reader for each of these nodes, which together
//! answer the reads of the client as one.
//!
//! A read is given to all nodes, each with its streams, and ends with what the first of them brings. The others go on waiting,
//! for the next read. What they bring before it goes to the client as well, which is one read of each at the most: it holds the
//! claims of what it knows, and nothing that it looks for later may come a second time.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use oxbus_model::config::Address;
use oxbus_model::consumer::{GroupKey, Read, ReceivedEntry};
use oxbus_model::stream_store::slot;
use oxbus_model::topology::redirect::Redirect;
use oxbus_model::{BusError, ErrorKind};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep_until;
use tracing::debug;

use crate::host::Notice;
use crate::redis::connection::handle::{Handle, Inputs};
use crate::redis::connection::link::Connector;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::group_reader::GroupReader;
use crate::redis::streams::node_reader::{OfNode, Streams};
use crate::redis::streams::reader_input::{Blocked, Input};
use crate::redis::streams::reader_reports::{FromNode, NodeReader};
use crate::redis::streams::reader_session::block;
use crate::redis::topology::cluster::view::{ClusterView, Known};
use crate::runtime::joined::join_all;
use crate::runtime::panics::catch_panic;
use crate::transport::link_id::LinkId;

/// The pause before a node is asked again that has refused because a slot moves, in milliseconds.
const PAUSE: u64 = 20;

/// The same while the cluster is down.
const DOWN_PAUSE: u64 = 100;

/// Of each node its streams, and those of them of which it is asked though their slots are only on their way to it.
type Parts = HashMap<Address, (Vec<Arc<str>>, HashSet<Arc<str>>)>;

/// The readers of the nodes.
pub(in crate::redis) struct ClusterReader {
    key: GroupKey,
    group: Arc<str>,
    connector: Connector,
    view: Arc<ClusterView>,
    commands: Arc<CommandLink>,
    known: watch::Receiver<Known>,
    nodes: HashMap<Address, OfNode>,
    to_reader: UnboundedSender<(NodeReader, FromNode)>,
    from_nodes: UnboundedReceiver<(NodeReader, FromNode)>,
    /// The reads of the client that are under way, and since when.
    waiting: VecDeque<(Read, u64)>,
    /// Slots on their way, and the nodes that they go to.
    asking: HashMap<u16, Address>,
    /// Whether the client was told that it can read.
    is_up: bool,
    /// Streams of which a read was under way when the connection to their node was lost: what it brought may be pending.
    lost: HashSet<Arc<str>>,
    /// The client is to look for what is pending, as soon as no read is under way that could bring the same.
    starts_anew: bool,
    /// How many readers of nodes there have been.
    readers: u64,
    masters: Vec<Address>,
    /// Readers that are ending.
    ending: Vec<JoinHandle<()>>,
}

impl ClusterReader {
    /// Starts the reader of a group.
    pub(in crate::redis) fn start(
        key: GroupKey,
        group: Arc<str>,
        connector: &Connector,
        view: &Arc<ClusterView>,
        commands: &Arc<CommandLink>,
    ) -> GroupReader {
        let (id, context) = (LinkId::of_reader(key, group.clone()), connector.context.clone());
        let reader = ClusterReader::new(key, group, connector.clone(), view, commands.clone());
        let link = Handle::of_task(&connector.tasks, |inputs| reader.run(inputs));
        GroupReader::of_task(id, link, context)
    }

    fn new(
        key: GroupKey,
        group: Arc<str>,
        connector: Connector,
        view: &Arc<ClusterView>,
        commands: Arc<CommandLink>,
    ) -> ClusterReader {
        let (to_reader, from_nodes) = unbounded_channel();
        ClusterReader {
            key,
            group,
            connector,
            known: view.known(),
            view: view.clone(),
            commands,
            nodes: HashMap::new(),
            to_reader,
            from_nodes,
            waiting: VecDeque::new(),
            lost: HashSet::new(),
            starts_anew: false,
            readers: 0,
            asking: HashMap::new(),
            is_up: false,
            masters: Vec::new(),
            ending: Vec::new(),
        }
    }

    async fn run(mut self, mut inputs: Inputs<Input>) {
        self.known.mark_changed();
        loop {
            match catch_panic("the reader of a cluster", self.serve(&mut inputs)).await {
                Ok(()) => break,
                Err(fault) => {
                    self.connector.context.events.notice(Notice::Error(fault));
                    self.starts_anew = true;
                }
            }
        }
        let nodes = self.nodes.drain().map(|(_, of)| of.reader.end());
        for task in nodes.chain(self.ending.drain(..)).collect::<Vec<_>>() {
            let _ = task.await;
        }
    }

    async fn serve(&mut self, inputs: &mut Inputs<Input>) {
        loop {
            let clock = self.connector.context.clock.clone();
            let due = self.nodes.values().map(|of| of.not_before).filter(|at| *at > clock.now_ms()).min();
            tokio::select! {
                biased;
                Some((node, told)) = self.from_nodes.recv() => self.told(&node, told),
                Ok(()) = self.known.changed() => self.follow(),
                input = inputs.next() => match input {
                    Some(Input::Leave(answer)) => return self.leave(answer).await,
                    Some(input) => self.input(input),
                    None => return,
                },
                () = sleep_until(clock.instant(due.unwrap_or(u64::MAX))), if due.is_some() => self.advance(),
            }
        }
    }

    fn now(&self) -> u64 {
        self.connector.context.clock.now_ms()
    }

    fn input(&mut self, input: Input) {
        match input {
            Input::Read(read) => {
                let now = self.now();
                if read.behind.is_some() {
                    // Whatever a node brings is followed by a read of all: the last one knows best how far they were read.
                    self.waiting.clear();
                }
                self.waiting.push_back((read, now));
                self.advance();
            }
            Input::Unblock(answer) => {
                let _ = answer.send(None);
                let reads = std::mem::take(&mut self.waiting).len();
                for _ in 0..reads {
                    self.connector.context.events.entries(self.key, Vec::new());
                }
                self.nodes.values_mut().for_each(|of| of.unblock(&self.commands, &self.connector));
            }
            Input::Leave(_) | Input::Asking(_) => {}
        }
    }

    /// Ends all readers, and tells of what they had.
    async fn leave(&mut self, answer: oneshot::Sender<Option<Blocked>>) {
        let leaving = self.nodes.drain().map(|(_, of)| of.reader.leave(self.commands.clone()));
        join_all(leaving).await;
        for task in self.ending.drain(..) {
            let _ = task.await;
        }
        while let Ok((_, told)) = self.from_nodes.try_recv() {
            if let FromNode::Entries(entries) = told
                && !entries.is_empty()
            {
                self.connector.context.events.entries(self.key, entries);
            }
        }
        // The one who waits may have given up.
        let _ = answer.send(None);
    }

    fn told(&mut self, (node, number): &NodeReader, told: FromNode) {
        let now = self.now();
        let of = self.nodes.get_mut(node).filter(|of| of.number == *number);
        match (told, of) {
            (FromNode::Up, Some(of)) => {
                of.is_up = true;
                if std::mem::replace(&mut of.was_up, true) {
                    self.starts_anew = true;
                }
            }
            (FromNode::Down, Some(of)) => {
                of.is_up = false;
                of.is_unblocked = false;
                self.lost.extend(of.under_way.drain(..).flat_map(|streams| streams.to_vec()));
            }
            (FromNode::Entries(entries), of) => {
                if let Some(of) = of {
                    of.under_way.pop_front();
                    of.is_unblocked = false;
                }
                self.ended(entries, now);
            }
            (FromNode::Refused(error), Some(of)) => {
                of.under_way.pop_front();
                of.is_unblocked = false;
                self.refused(node, error, now);
            }
            // A reader that has left.
            (FromNode::Up | FromNode::Down | FromNode::Refused(_), None) => {}
        }
        self.advance();
    }

    /// A read of a node has ended.
    fn ended(&mut self, entries: Vec<ReceivedEntry>, now: u64) {
        let events = &self.connector.context.events;
        if entries.is_empty() {
            // Nothing has come in time, as far as this node goes; the client's read has its own time.
            let is_over = |(_, since): &(Read, u64)| now >= *since + block(&self.connector.context);
            if self.waiting.front().is_some_and(is_over) {
                self.waiting.pop_front();
                events.entries(self.key, entries);
            }
        } else {
            self.waiting.pop_front();
            events.entries(self.key, entries);
        }
    }

    fn refused(&mut self, node: &Address, error: BusError, now: u64) {
        let redirect = Redirect::read(&error.message);
        let mut pause = PAUSE;
        let wait = match &redirect {
            Some(Redirect::Moved(slot, to)) => {
                self.asking.remove(slot);
                self.view.moved(*slot, to, node) == *node
            }
            Some(Redirect::Ask(slot, to)) => {
                let to = self.view.address(to, node);
                debug!(slot, from = %node, %to, "a slot is on its way");
                self.asking.insert(*slot, to.clone()) == Some(to)
            }
            Some(Redirect::TryAgain) => true,
            // The stream has left the node: asked again, it says where it is, or that there is none.
            None if error.message.starts_with("UNBLOCKED the stream") => false,
            // The cluster looks for a new master; the groups of the client need not look for anything.
            None if error.message.starts_with("CLUSTERDOWN") => {
                pause = DOWN_PAUSE;
                true
            }
            None => {
                if self.waiting.pop_front().is_some() {
                    self.connector.context.events.read_interrupted(self.key, error);
                }
                return;
            }
        };
        if wait && let Some(of) = self.nodes.get_mut(node) {
            of.not_before = now + pause;
        }
    }

    /// Has the client look for what is pending and read again, once no read is under way: what such a read brings must not come
    /// a second time. Returns whether it is still to be done.
    fn start_anew(&mut self) -> bool {
        let known = self.view.now();
        let is_reached = |stream: &Arc<str>| {
            known.owner_of(stream).and_then(|node| self.nodes.get(node)).is_some_and(|of| of.is_up)
        };
        // What is pending on a node that cannot be asked is looked for when it can.
        let found: Vec<Arc<str>> = self.lost.iter().filter(|stream| is_reached(stream)).cloned().collect();
        for stream in found {
            self.lost.remove(&stream);
            self.starts_anew = true;
        }
        if !self.starts_anew {
            return false;
        }
        if self.nodes.values().any(|of| !of.under_way.is_empty()) {
            self.nodes.values_mut().for_each(|of| of.unblock(&self.commands, &self.connector));
            return true;
        }
        self.starts_anew = false;
        self.waiting.clear();
        if self.is_up {
            let error =
                BusError::new(ErrorKind::ConnectionLost, "a node was connected to anew, or is a master now");
            self.connector.context.events.reader_down(self.key, &error);
            self.connector.context.events.reader_up(self.key);
        }
        false
    }

    /// Something new is known of the Cluster.
    fn follow(&mut self) {
        let known = self.known.borrow_and_update().clone();
        let Some(map) = &known.map else { return };
        self.asking.retain(|slot, to| known.owner(*slot) != Some(to));
        // One that is no master any more has no streams either.
        for (_, mut of) in self.nodes.extract_if(|node, _| !map.can_take_slots(node)).collect::<Vec<_>>() {
            self.lost.extend(of.under_way.drain(..).flat_map(|streams| streams.to_vec()));
            self.end(of);
        }
        let before = std::mem::replace(&mut self.masters, known.masters());
        if !std::mem::replace(&mut self.is_up, true) {
            self.connector.context.events.reader_up(self.key);
        } else if self.masters.iter().any(|master| !before.contains(master)) {
            // What was asked of the one whose place it takes has failed, and need not wait for its next time.
            self.starts_anew = true;
        }
        self.advance();
    }

    fn end(&mut self, of: OfNode) {
        self.ending.retain(|task| !task.is_finished());
        let commands = self.commands.clone();
        self.ending.push(self.connector.tasks.spawn(of.reader.leave(commands)));
    }

    /// Which streams each node has.
    fn parts(&self, streams: &[Arc<str>]) -> Parts {
        let known = self.view.now();
        let mut parts = Parts::new();
        for stream in streams {
            let slot = slot(stream);
            let asked = self.asking.get(&slot);
            let Some(node) = asked.or_else(|| known.owner(slot)) else { continue };
            let (all, asked_of) = parts.entry(node.clone()).or_default();
            all.push(stream.clone());
            if asked.is_some() {
                asked_of.insert(stream.clone());
            }
        }
        parts
    }

    /// Gives the reads of the client to the nodes that have their streams.
    fn advance(&mut self) {
        if self.start_anew() {
            return;
        }
        let Some((read, _)) = self.waiting.back() else { return };
        let (read, reads, now) = (read.clone(), self.waiting.len(), self.now());
        let mut parts = self.parts(&read.streams);
        for (node, of) in &mut self.nodes {
            if !parts.contains_key(node) {
                of.unblock(&self.commands, &self.connector);
            }
        }
        for (node, (streams, asked_of)) in parts.drain() {
            let streams: Streams =
                if streams.len() == read.streams.len() { read.streams.clone() } else { streams.into() };
            let of = self.nodes.entry(node).or_insert_with_key(|node| {
                self.readers += 1;
                let (group, reports) = ((self.key, self.group.clone()), self.to_reader.clone());
                let reader = (node.clone(), self.readers);
                OfNode::new(GroupReader::of_node(group, &reader, reports, &self.connector), self.readers)
            });
            if !of.is_up || of.not_before > now {
                continue;
            }
            if of.asked_of != asked_of {
                of.reader.ask_of(asked_of.clone());
                of.asked_of = asked_of;
            }
            if of.under_way.iter().any(|under_way| **under_way != *streams) {
                // It waits for other streams than those that are wanted now.
                of.unblock(&self.commands, &self.connector);
                continue;
            }
            while of.under_way.len() < reads {
                of.reader.read(Read { streams: streams.clone(), ..read.clone() });
                of.under_way.push_back(streams.clone());
            }
        }
    }
}
