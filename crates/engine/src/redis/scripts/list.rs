//! The scripts of the store: one request each, with the functions that they share ahead of them.

use crate::redis::scripts::script::Script;

macro_rules! scripts {
    ($($name:ident = [$($part:literal),+];)+) => {
        $(pub(crate) static $name: Script = Script::new(concat!($(include_str!(concat!($part, ".lua"))),+));)+
    };
}

scripts! {
    OPEN = ["shared/ids", "shared/info", "open"];
    HOLD = ["shared/fence", "hold"];
    RELEASE = ["shared/fence", "shared/clock", "release"];
    BURY = ["shared/fence", "shared/clock", "bury"];
    BEGIN = ["shared/fence", "begin"];
    CLAIM = ["shared/fence", "shared/collect", "claim"];
    OWN = ["shared/fence", "shared/collect", "own"];
    BEAT = ["shared/ids", "shared/info", "shared/clock", "beat"];
    LEAVE = ["leave"];
    SWEEP = ["shared/info", "shared/clock", "shared/notes", "sweep"];
    RETAIN = ["shared/ids", "shared/info", "shared/clock", "retain"];
    POSITION = ["shared/notes", "position"];
    DESCRIBE = ["shared/ids", "shared/info", "describe"];
    REMOVE = ["shared/info", "remove"];
    REVIVE = ["shared/info", "shared/copy", "revive"];
    ATTEND = ["shared/clock", "attend"];
    ATTENDANCE = ["shared/clock", "attendance"];
    REDELIVER = ["shared/copy", "redeliver"];
}
