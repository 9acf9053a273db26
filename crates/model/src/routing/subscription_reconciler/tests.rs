//! The ledger against a server that holds subscriptions and refuses some.

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
    fn run(&mut self, ledger: &mut SubscriptionReconciler, now: u64) -> Vec<Change> {
        let mut changes = Vec::new();
        while let Some(command) = ledger.next_command(now, 1) {
            assert!(command.names.len() <= CHUNK);
            changes.extend(self.answer(ledger, &command, now));
        }
        changes
    }

    fn answer(&mut self, ledger: &mut SubscriptionReconciler, command: &Command, now: u64) -> Vec<Change> {
        if command.verb.subscribes() && command.names.iter().any(|n| self.refuses.contains(n)) {
            return ledger.refused(now).into_iter().collect();
        }
        let mut changes = Vec::new();
        for name in &command.names {
            if command.verb.subscribes() {
                assert!(self.has.insert(name.clone()), "subscribed twice: {name:?}");
            } else {
                assert!(self.has.remove(name));
            }
            changes.extend(ledger.confirmed(command.verb, name.name()));
        }
        changes
    }
}

#[test]
fn a_reconnect_asks_for_all_in_chunks() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..1500).for_each(|i| ledger.want(server_subscription(&format!("c{i}"))));
    server.run(&mut ledger, 0);
    assert_eq!(ledger.confirmed_count(), 1500);
    ledger.disconnected();
    assert!(!ledger.is_settled());
    server.has.clear();
    let changes = server.run(&mut ledger, 0);
    assert_eq!((changes.len(), server.has.len()), (1500, 1500));
}

#[test]
fn one_refused_name_does_not_take_others_along_and_is_asked_again() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..100).for_each(|i| ledger.want(server_subscription(&format!("c{i}"))));
    server.refuses.insert(server_subscription("c37"));
    let changes = server.run(&mut ledger, 10);
    assert!(changes.contains(&Change::Refused(server_subscription("c37"))));
    assert_eq!((ledger.confirmed_count(), ledger.refused_wires().len()), (99, 1));
    assert!(ledger.is_settled());
    assert_eq!(ledger.next_retry(), Some(10 + REFUSED_RETRY));
    ledger.want(server_subscription("c37"));
    assert_eq!(server.run(&mut ledger, 10), [Change::Refused(server_subscription("c37"))]);
    server.refuses.clear();
    assert_eq!(server.run(&mut ledger, 11), []);
    assert_eq!(server.run(&mut ledger, 10 + REFUSED_RETRY), [Change::Confirmed(server_subscription("c37"))]);
}

#[test]
fn wanting_a_refused_name_asks_again_at_once() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    server.refuses.insert(server_subscription("a"));
    ledger.want(server_subscription("a"));
    for now in 0..3 {
        assert_eq!(server.run(&mut ledger, now), [Change::Refused(server_subscription("a"))]);
        assert_eq!(ledger.refused_wires(), [server_subscription("a")]);
        ledger.want(server_subscription("a"));
        assert!(!ledger.is_settled());
    }
    server.refuses.clear();
    assert_eq!(server.run(&mut ledger, 3), [Change::Confirmed(server_subscription("a"))]);
    assert_eq!((ledger.refused_wires().len(), ledger.next_retry()), (0, None));
}

#[test]
fn a_busy_server_is_asked_again_later_and_nobody_is_denied() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    (0..100).for_each(|i| ledger.want(server_subscription(&format!("c{i}"))));
    let asked = ledger.next_command(0, 1).unwrap();
    ledger.postponed(200);
    assert_eq!((ledger.next_command(199, 1), ledger.next_retry()), (None, Some(200)));
    assert_eq!(ledger.next_command(200, 1), Some(asked.clone()));
    server.answer(&mut ledger, &asked, 200);
    assert_eq!((ledger.confirmed_count(), ledger.next_retry()), (100, None));
}

#[test]
fn what_is_refused_is_not_due_for_ever_while_other_answers_are_awaited() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    server.refuses.insert(server_subscription("no"));
    ledger.want(server_subscription("no"));
    server.run(&mut ledger, 0);
    ledger.want(server_subscription("other"));
    ledger.next_command(1, 1).unwrap();
    assert_eq!(ledger.next_command(REFUSED_RETRY, 1), None);
    assert_eq!(ledger.next_retry(), None);
}

#[test]
fn wanting_again_while_leaving_subscribes_again() {
    let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
    ledger.want(server_subscription("a"));
    server.run(&mut ledger, 0);
    ledger.unwant(&server_subscription("a"));
    let leaving = ledger.next_command(0, 1).unwrap();
    assert_eq!(leaving.verb, Verb::Unsubscribe);
    ledger.want(server_subscription("a"));
    server.answer(&mut ledger, &leaving, 0);
    server.run(&mut ledger, 0);
    assert!(ledger.is_confirmed(&server_subscription("a")) && server.has.contains(&server_subscription("a")));
}

proptest! {
    #[test]
    fn the_server_ends_with_what_is_wanted(steps in prop::collection::vec((0usize..6, 0u8..4), 0..200)) {
        let names: Vec<ServerSubscription> = ["a", "b", "c*", "d"].iter().map(|n| server_subscription(n)).collect();
        let (mut ledger, mut server) = (SubscriptionReconciler::new(), Fake::default());
        let mut wanted = HashSet::new();
        let mut outstanding = VecDeque::new();
        for (name, step) in steps {
            let name = names[name % 4].clone();
            match step {
                0 => { ledger.want(name.clone()); wanted.insert(name); }
                1 => { ledger.unwant(&name); wanted.remove(&name); }
                2 => outstanding.extend(ledger.next_command(0, 3)),
                _ => if let Some(command) = outstanding.pop_front() { server.answer(&mut ledger, &command, 0); },
            }
        }
        while let Some(command) = outstanding.pop_front() {
            server.answer(&mut ledger, &command, 0);
        }
        server.run(&mut ledger, 0);
        prop_assert_eq!(&server.has, &wanted);
        prop_assert_eq!(ledger.confirmed_count(), wanted.len());
        prop_assert!(ledger.is_settled());
    }
}
