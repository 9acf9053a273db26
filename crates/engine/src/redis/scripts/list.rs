//! The scripts of the store: one request each, with the functions that they share ahead of them.

use crate::redis::scripts::script::Script;

macro_rules! scripts {
    ($($name:ident = [$($part:literal),+];)+) => {
        $(pub(crate) static $name: Script = Script::new(concat!($(include_str!(concat!($part, ".lua"))),+));)+
    };
}

scripts! {
    ENSURE_GROUP = ["shared/ids", "shared/info", "ensure_group"];
    EXTEND_LEASE = ["shared/holder", "shared/fence", "shared/clock", "extend_lease"];
    REQUEUE = ["shared/holder", "shared/fence", "shared/clock", "shared/due", "requeue"];
    DEAD_LETTER = ["shared/holder", "shared/fence", "shared/clock", "shared/add_capped", "dead_letter"];
    MARK_STARTED = ["shared/holder", "shared/fence", "mark_started"];
    LIST_EXPIRED = ["shared/ids", "shared/clock", "shared/foreign", "list_expired"];
    CLAIM = [
        "shared/holder", "shared/fence", "shared/clock", "shared/due", "shared/foreign", "shared/collect", "claim"
    ];
    CLAIM_OWN_PENDING = [
        "shared/holder", "shared/fence", "shared/clock", "shared/due", "shared/collect", "claim_own_pending"
    ];
    HEARTBEAT = ["shared/ids", "shared/info", "shared/clock", "shared/holder", "shared/skipped", "heartbeat"];
    FIND_MISSED = ["shared/ids", "shared/info", "shared/counted", "shared/clock", "find_missed"];
    SKIP = ["shared/ids", "shared/holder", "shared/fence", "shared/clock", "shared/skipped", "skip"];
    TAKE_UP = ["shared/ids", "shared/holder", "shared/fence", "shared/clock", "take_up"];
    REMOVE_CONSUMER = ["shared/holder", "remove_consumer"];
    REMOVE_DEAD_CONSUMERS = ["shared/info", "shared/clock", "shared/holder", "shared/notes", "remove_dead_consumers"];
    APPLY_RETENTION = ["shared/ids", "shared/info", "shared/clock", "apply_retention"];
    SET_POSITION = ["shared/notes", "set_position"];
    DESCRIBE = [
        "shared/ids", "shared/info", "shared/clock", "shared/holder", "shared/counted", "shared/skipped", "describe"
    ];
    REMOVE_GROUP = ["shared/info", "remove_group"];
    REQUEUE_DEAD_LETTER = ["shared/info", "shared/copy", "requeue_dead_letter"];
    REQUEUE_LISTED = ["requeue_listed"];
    UPDATE_PRESENCE = ["shared/clock", "shared/shorten", "update_presence"];
    LIST_PRESENCE = ["shared/clock", "shared/shorten", "list_presence"];
    REGISTER_STREAMS = ["shared/clock", "register_streams"];
    REDELIVER = ["shared/copy", "redeliver"];
}
