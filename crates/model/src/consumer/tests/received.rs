//! Entries as they come from the store.

use std::sync::Arc;

use crate::codec::Codec;
use crate::consumer::{Content, ReceivedEntry};
use crate::stream_store::{EntryId, Fields, StoredEntry};

const ID: EntryId = EntryId { ms: 1_700_000_000_123, seq: 4 };

#[test]
fn a_received_entry_says_what_the_store_knows_of_the_entry() {
    let stream = Arc::from("orders");
    let pairs = [("eventType", "a"), ("data", "1"), ("group", "g")];
    let fields: Fields = pairs.map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into())).into();
    let (unhandled_since, due_in) = (Some(5), Some(6));
    let stored = StoredEntry { id: ID, deliveries: 7, started: true, unhandled_since, due_in, fields };
    let ReceivedEntry { stream: of, id, deliveries, started, unhandled_since, due_in, content } =
        ReceivedEntry::pending(&Codec::Oxbus, Arc::clone(&stream), stored.clone(), "me", None);
    assert!(Arc::ptr_eq(&of, &stream));
    assert_eq!((id, deliveries, started, unhandled_since, due_in), (ID, 7, true, Some(5), Some(6)));
    assert!(matches!(content, Content::Event { event_type, only_group, .. }
        if &*event_type == "a" && only_group.as_deref() == Some("g")));
    let new = ReceivedEntry::new(&Codec::Oxbus, Arc::clone(&stream), ID, std::iter::empty(), "me", None);
    assert_eq!((new.id, new.deliveries, new.started, new.unhandled_since), (ID, 1, false, None));
    let empty = StoredEntry { fields: Fields::new(), ..stored };
    let content = ReceivedEntry::pending(&Codec::Oxbus, stream, empty, "me", None).content;
    assert!(matches!(content, Content::Undecodable(reason) if reason.contains("eventType")));
}

#[test]
fn an_event_of_this_client_start_is_its_own() {
    let own = |instance: &str| {
        let pairs = [("eventType", "a"), ("data", "1"), ("meta", r#"{"instanceId":"me","key":"k"}"#)];
        let fields = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        match ReceivedEntry::new(&Codec::Oxbus, "orders".into(), ID, fields, instance, None).content {
            Content::Event { candidate, .. } => {
                assert_eq!((candidate.event.key.as_deref(), &candidate.event.channel), (Some("k"), &None));
                candidate.event.own
            }
            Content::Undecodable(reason) => panic!("{reason}"),
        }
    };
    assert!(own("me") && !own("other"));
}
