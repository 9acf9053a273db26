//! The links of the router, one for each node that a target is at home on.

use oxbus_model::config::Address;
use tokio::sync::oneshot;

use crate::redis::connection::handle::Handle;
use crate::redis::publisher::input::Input;
use crate::redis::publisher::routed::{FromLink, Routed};
use crate::redis::publisher::router::{Home, Router};
use crate::redis::publisher::session::Publisher;
use crate::runtime::joined::join_all;
use crate::transport::link_id::LinkId;

impl Router {
    /// The link to a node, which is started if it is not there.
    pub(super) fn link(&mut self, home: Home) -> &Handle<Input> {
        let id = self.id_of(home.as_ref());
        let Router { links, start, kind, to_router, targets, .. } = self;
        links.entry(home).or_insert_with_key(|home| {
            let routed = Routed::new(home.clone(), to_router.clone(), *targets);
            let (context, gate) = (start.connector.context.clone(), start.gate.clone());
            start.connector.start(Publisher::routed(id, context, gate, routed, *kind == LinkId::Publisher))
        })
    }

    /// Ends the links that no target uses any more, once all that they have sent is answered.
    pub(super) fn end_unused(&mut self) {
        if !self.moving.is_empty() {
            return;
        }
        let Router { links, homes, used, start, to_router, ending, .. } = self;
        let is_home = |home: &Home| used.iter().any(|target| homes.get(*target) == Some(home));
        ending.retain(|task| !task.is_finished());
        for (home, link) in links.extract_if(|home, _| !is_home(home)) {
            let (sender, flushed) = oneshot::channel();
            link.send(Input::Flush(sender));
            let router = to_router.clone();
            ending.push(start.connector.tasks.spawn(async move {
                let _ = flushed.await;
                let _ = link.end().await;
                let _ = router.send(FromLink::Ended(home));
            }));
        }
    }

    /// The link to a node has ended. What is known of it is forgotten, unless there is another one by now.
    pub(super) fn ended(&mut self, home: Home) {
        if !self.links.contains_key(&home) {
            self.start.connector.context.events.link_gone(&self.id_of(home.as_ref()));
        }
    }

    fn id_of(&self, home: Option<&Address>) -> LinkId {
        home.map_or(self.kind.clone(), |node| self.kind.clone().at(node))
    }

    /// Tells who waits for it when everything is settled; not before what is on its way has come.
    pub(super) fn flush(&mut self) {
        if self.flushes.is_empty() || !self.moving.is_empty() {
            return;
        }
        let flush = |link: &Handle<Input>| {
            let (sender, flushed) = oneshot::channel();
            link.send(Input::Flush(sender));
            flushed
        };
        let waiting: Vec<_> = self.links.values().map(flush).collect();
        let (moves, to_router) = (self.moves, self.to_router.clone());
        let flushes = std::mem::take(&mut self.flushes);
        self.start.connector.tasks.spawn(async move {
            join_all(waiting).await;
            let _ = to_router.send(FromLink::Flushed(moves, flushes));
        });
    }

    /// All links had settled everything; or not, where a target has moved from one to another meanwhile.
    pub(super) fn flushed(&mut self, moves: u64, flushes: Vec<oneshot::Sender<()>>) {
        if moves == self.moves {
            flushes.into_iter().for_each(|flushed| _ = flushed.send(()));
        } else {
            self.flushes.extend(flushes);
            self.flush();
        }
    }
}
