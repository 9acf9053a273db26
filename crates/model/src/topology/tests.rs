//! Answers in several orders, liars, and sentinels that were cut off.

use proptest::prelude::*;

use super::master_choice::*;
use crate::config::Address;
use crate::error::{BusError, ErrorKind};

fn server(n: u16) -> Address {
    Address::Tcp { host: "h".to_owned(), port: n }
}

fn choice(sentinels: u16) -> MasterChoice {
    let sentinels: Vec<Address> = (1..=sentinels).map(|n| server(26_000 + n)).collect();
    MasterChoice::new("m", &sentinels)
}

fn why(message: &str) -> BusError {
    BusError::new(ErrorKind::NotMaster, message)
}

fn names(address: u16, epoch: u64) -> Opinion {
    Opinion::Names(NamedMaster { address: server(address), epoch: Some(epoch) })
}

/// Three sentinels that follow server 1 of epoch 5.
fn settled() -> MasterChoice {
    let mut choice = choice(3);
    for sentinel in 0..3 {
        choice.told(sentinel, names(1, 5));
    }
    assert_eq!((choice.next(false), choice.next(false)), (Next::Follow(server(1)), Next::Stay));
    choice
}

#[test]
fn what_most_sentinels_name_is_believed_and_what_one_names_is_proven() {
    let mut choice = choice(3);
    assert_eq!(choice.next(false), Next::Stay);
    choice.told(0, names(1, 5));
    assert_eq!((choice.next(false), choice.next(false)), (Next::Prove(server(1)), Next::Stay));
    choice.told(2, names(1, 5));
    assert_eq!(choice.next(false), Next::Follow(server(1)));
    // The answer of the server is late, and changes nothing.
    choice.proven(&server(1));
    assert_eq!(choice.next(false), Next::Stay);
    assert_eq!(choice.current(), Some(&server(1)));
    let mut alone = self::choice(1);
    alone.told(0, names(1, 0));
    assert_eq!(alone.next(false), Next::Follow(server(1)));
}

#[test]
fn the_first_that_knows_of_a_failover_is_followed_once_the_server_says_so_too() {
    let mut choice = settled();
    choice.told(1, names(2, 6));
    assert_eq!(choice.next(false), Next::Prove(server(2)));
    choice.proven(&server(2));
    assert_eq!(choice.next(false), Next::Stay);
    assert_eq!(choice.current(), Some(&server(2)));
    // The others come to know it.
    choice.told(0, names(2, 6));
    assert_eq!(choice.next(false), Next::Stay);
}

#[test]
fn a_failover_that_most_sentinels_know_is_followed_at_once() {
    let mut choice = settled();
    choice.told(1, names(2, 6));
    choice.next(false);
    choice.told(2, names(2, 6));
    assert_eq!(choice.next(false), Next::Follow(server(2)));
}

#[test]
fn a_liar_and_one_that_was_cut_off_change_nothing() {
    let mut choice = settled();
    // A server that is none.
    choice.told(0, names(9, 99));
    assert_eq!(choice.next(false), Next::Prove(server(9)));
    choice.doubted(&server(9), why("its role is slave"));
    assert_eq!(choice.next(false), Next::Stay);
    assert_eq!(choice.current(), Some(&server(1)));
    assert!(choice.report().contains("names h:9, which is not known to be one (its role is slave)"));
    // It is asked again when the sentinel says it again.
    choice.told(0, names(9, 99));
    assert_eq!(choice.next(true), Next::Prove(server(9)));
    choice.doubted(&server(9), why("away"));
    // One that says the same epoch as the others, or an older one, is not even asked for.
    choice.told(0, names(2, 4));
    assert_eq!(choice.next(true), Next::Stay);
    // The others are gone: it knows less than was known before.
    for gone in [1, 2] {
        choice.told(gone, Opinion::Unreachable(BusError::new(ErrorKind::ConnectionLost, "gone")));
    }
    assert_eq!(choice.next(true), Next::Stay);
    assert_eq!(choice.current(), Some(&server(1)));
}

#[test]
fn a_master_that_says_it_is_none_is_left_for_another_that_is_named() {
    let mut choice = settled();
    choice.doubted(&server(1), why("its role is slave"));
    assert_eq!(choice.next(true), Next::Stay);
    assert_eq!(choice.current(), Some(&server(1)));
    choice.told(0, names(2, 6));
    assert_eq!(choice.next(false), Next::Prove(server(2)));
    choice.proven(&server(2));
    assert_eq!(choice.current(), Some(&server(2)));
}

#[test]
fn sentinels_that_were_set_up_anew_are_believed_when_they_are_most() {
    let mut choice = settled();
    choice.told(0, names(2, 0));
    assert_eq!(choice.next(false), Next::Stay);
    choice.told(1, names(2, 0));
    // The third is still in doubt and names what was the newest.
    choice.told(2, Opinion::Unknown);
    assert_eq!(choice.next(false), Next::Follow(server(2)));
}

#[test]
fn sentinels_that_tell_no_epoch_are_counted() {
    let mut choice = choice(3);
    let named = |n| Opinion::Names(NamedMaster { address: server(n), epoch: None });
    choice.told(0, named(1));
    choice.told(1, named(2));
    choice.told(2, named(2));
    assert_eq!(choice.next(false), Next::Follow(server(2)));
    choice.told(1, named(1));
    // The present one stays until most of them name another.
    assert_eq!(choice.next(false), Next::Stay);
    choice.told(2, named(1));
    assert_eq!(choice.next(false), Next::Follow(server(1)));
}

#[test]
fn the_report_tells_what_each_sentinel_says() {
    let mut choice = choice(3);
    assert!(choice.is_open());
    choice.told(0, Opinion::Unknown);
    choice.told(1, Opinion::Unreachable(BusError::new(ErrorKind::ConnectionRefused, "refused")));
    choice.told(2, names(1, 1));
    assert!(!choice.is_open());
    let expected = r#"h:26001 knows no master "m"; h:26002 gives no answer (refused); h:26003 names h:1"#;
    assert_eq!(choice.report(), expected);
    let error = choice.no_master();
    assert_eq!(error.kind, ErrorKind::ConnectionRefused);
    assert_eq!(error.message, format!(r#"no server is known to be the master "m": {expected}"#));
    for sentinel in 0..3 {
        assert_eq!(choice.no_master().kind, ErrorKind::ConnectionRefused);
        let refused = BusError::new(ErrorKind::AuthFailed, "no");
        choice.told(sentinel, Opinion::Unreachable(refused));
    }
    assert_eq!(choice.no_master().kind, ErrorKind::AuthFailed);
    choice.told(0, Opinion::Pending);
    assert!(choice.report().starts_with("h:26001 has not answered yet"));
}

proptest! {
    #[test]
    fn honest_sentinels_lead_to_the_newest_master_in_whatever_order_they_tell(
        order in Just((0usize..3).collect::<Vec<_>>()).prop_shuffle(),
        liar in 0usize..4,
        lie in (1u16..5, 0u64..9),
    ) {
        // Servers 1 and 2 are masters of epochs 5 and 6 in turn; only the newest is one.
        let mut choice = settled();
        for sentinel in order {
            let opinion = if sentinel == liar { names(lie.0, lie.1) } else { names(2, 6) };
            choice.told(sentinel, opinion);
            for again in [true, false, false, false] {
                match choice.next(again) {
                    Next::Stay => break,
                    Next::Follow(_) => {}
                    Next::Prove(address) if address == server(2) => choice.proven(&address),
                    Next::Prove(address) => choice.doubted(&address, why("no")),
                }
            }
        }
        prop_assert_eq!(choice.current(), Some(&server(2)));
    }
}
