//! The reconciler against a server that holds subscriptions and refuses some.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

fn server_subscription(name: &str) -> ServerSubscription {
    if name.contains('*') {
        ServerSubscription::Pattern(name.as_bytes().into())
    } else {
        ServerSubscription::Channel(name.as_bytes().into())
    }
}

/// A server that holds subscriptions and refuses some names.
#[derive(Default)]
struct Fake {
    has: HashSet<ServerSubscription>,
    refuses: HashSet<ServerSubscription>,
}

impl Fake {
    fn run(&mut self, reconciler: &mut SubscriptionReconciler, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(command) = reconciler.next_command(now, 1) {
            assert!(command.names.len() <= CHUNK);
            changes.extend(self.answer(reconciler, &command, now));
        }
        changes
    }

    fn answer(
        &mut self,
        reconciler: &mut SubscriptionReconciler,
        command: &Command,
        now: u64,
    ) -> Vec<Change> {
        if command.verb.subscribes() && command.names.iter().any(|n| self.refuses.contains(n)) {
            return reconciler.refused(now).into_iter().collect();
        }
        let mut changes = Vec::new();
        for name in &command.names {
            if command.verb.subscribes() {
                assert!(self.has.insert(name.clone()), "subscribed twice: {name:?}");
            } else {
                assert!(self.has.remove(name));
            }
            changes.extend(reconciler.confirmed(command.verb, name.name()));
        }
        changes
    }
}

#[test]
fn a_reconnect_asks_for_all_in_chunks() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..1500).for_each(|i| reconciler.want(server_subscription(&format!("c{i}"))));
    server.run(&mut reconciler, 0);
    assert_eq!(reconciler.confirmed_count(), 1500);
    reconciler.disconnected();
    assert!(!reconciler.is_settled());
    server.has.clear();
    let changes = server.run(&mut reconciler, 0);
    assert_eq!((changes.len(), server.has.len()), (1500, 1500));
}

#[test]
fn one_refused_name_does_not_take_others_along_and_is_asked_again() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..100).for_each(|i| reconciler.want(server_subscription(&format!("c{i}"))));
    server.refuses.insert(server_subscription("c37"));
    let changes = server.run(&mut reconciler, 10);
    assert!(changes.contains(&Change::Refused(server_subscription("c37"))));
    assert_eq!((reconciler.confirmed_count(), reconciler.refused_names().len()), (99, 1));
    assert!(reconciler.is_settled());
    assert_eq!(reconciler.next_retry(), Some(10 + REFUSED_RETRY));
    reconciler.want(server_subscription("c37"));
    assert_eq!(server.run(&mut reconciler, 10), [Change::Refused(server_subscription("c37"))]);
    server.refuses.clear();
    assert_eq!(server.run(&mut reconciler, 11), []);
    assert_eq!(
        server.run(&mut reconciler, 10 + REFUSED_RETRY),
        [Change::Confirmed(server_subscription("c37"))]
    );
}

#[test]
fn wanting_a_refused_name_asks_again_at_once() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    server.refuses.insert(server_subscription("a"));
    reconciler.want(server_subscription("a"));
    for now in 0..3 {
        assert_eq!(server.run(&mut reconciler, now), [Change::Refused(server_subscription("a"))]);
        assert_eq!(reconciler.refused_names(), [server_subscription("a")]);
        reconciler.want(server_subscription("a"));
        assert!(!reconciler.is_settled());
    }
    server.refuses.clear();
    assert_eq!(server.run(&mut reconciler, 3), [Change::Confirmed(server_subscription("a"))]);
    assert_eq!((reconciler.refused_names().len(), reconciler.next_retry()), (0, None));
}

#[test]
fn a_busy_server_is_asked_again_later_and_nobody_is_denied() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..100).for_each(|i| reconciler.want(server_subscription(&format!("c{i}"))));
    let asked = reconciler.next_command(0, 1).unwrap();
    reconciler.postponed(200);
    assert_eq!((reconciler.next_command(199, 1), reconciler.next_retry()), (None, Some(200)));
    assert_eq!(reconciler.next_command(200, 1), Some(asked.clone()));
    server.answer(&mut reconciler, &asked, 200);
    assert_eq!((reconciler.confirmed_count(), reconciler.next_retry()), (100, None));
}

#[test]
fn what_is_refused_is_not_due_for_ever_while_other_answers_are_awaited() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    server.refuses.insert(server_subscription("no"));
    reconciler.want(server_subscription("no"));
    server.run(&mut reconciler, 0);
    reconciler.want(server_subscription("other"));
    reconciler.next_command(1, 1).unwrap();
    assert_eq!(reconciler.next_command(REFUSED_RETRY, 1), None);
    assert_eq!(reconciler.next_retry(), None);
}

#[test]
fn wanting_again_while_leaving_subscribes_again() {
    let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
    reconciler.want(server_subscription("a"));
    server.run(&mut reconciler, 0);
    reconciler.unwant(&server_subscription("a"));
    let leaving = reconciler.next_command(0, 1).unwrap();
    assert_eq!(leaving.verb, Verb::Unsubscribe);
    reconciler.want(server_subscription("a"));
    server.answer(&mut reconciler, &leaving, 0);
    server.run(&mut reconciler, 0);
    assert!(
        reconciler.is_confirmed(&server_subscription("a")) && server.has.contains(&server_subscription("a"))
    );
}

proptest! {
    #[test]
    fn the_server_ends_with_what_is_wanted(steps in prop::collection::vec((0usize..6, 0u8..4), 0..200)) {
        let names: Vec<ServerSubscription> = ["a", "b", "c*", "d"].iter().map(|n| server_subscription(n)).collect();
        let (mut reconciler, mut server) = (SubscriptionReconciler::new(), Fake::default());
        let mut wanted = HashSet::new();
        let mut outstanding = VecDeque::new();
        for (name, step) in steps {
            let name = names[name % 4].clone();
            match step {
                0 => { reconciler.want(name.clone()); wanted.insert(name); }
                1 => { reconciler.unwant(&name); wanted.remove(&name); }
                2 => outstanding.extend(reconciler.next_command(0, 3)),
                _ => if let Some(command) = outstanding.pop_front() { server.answer(&mut reconciler, &command, 0); },
            }
        }
        while let Some(command) = outstanding.pop_front() {
            server.answer(&mut reconciler, &command, 0);
        }
        server.run(&mut reconciler, 0);
        prop_assert_eq!(&server.has, &wanted);
        prop_assert_eq!(reconciler.confirmed_count(), wanted.len());
        prop_assert!(reconciler.is_settled());
    }
}
