//! Whom an event is for.

use serde_json::value::RawValue;

use crate::error::BusError;
use crate::options::names::check_name;
use crate::options::publish::values::{KIND, mismatch, text};

/// The most members that an event of a room leaves out.
pub const MAX_EXCEPT: usize = 1_000;

/// Whom an event is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Recipients {
    /// Subscribers of its type. The default.
    #[default]
    Subscribers,
    /// Everyone who subscribes to its type.
    Everyone,
    /// Those who have joined a room, but for some of its members.
    Room {
        /// The room: 1–1024 bytes.
        room: String,
        /// Members that are left out: at most [`MAX_EXCEPT`].
        except: Vec<String>,
    },
    /// Those who have joined a user: 1–1024 bytes.
    User(String),
}

/// `"broadcast"`, `{"room","except"}` or `{"user","quiet"}`; and whether it is quiet.
pub(super) fn audience(raw: &str) -> Result<(Recipients, bool), BusError> {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Given<'a> {
        #[serde(borrow)]
        room: Option<&'a RawValue>,
        #[serde(borrow)]
        except: Option<&'a RawValue>,
        #[serde(borrow)]
        user: Option<&'a RawValue>,
        #[serde(default)]
        quiet: bool,
    }
    let name = |path: &str, raw: &RawValue| {
        let name = text(path, raw.get(), "a string")?;
        check_name(path, &name).map(|()| name)
    };
    if raw == "\"broadcast\"" {
        return Ok((Recipients::Everyone, false));
    }
    match serde_json::from_str(raw) {
        Ok(Given { room: None, except: None, user: Some(user), quiet }) => {
            Ok((Recipients::User(name("userId", user)?), quiet))
        }
        Ok(Given { room: Some(room), except, user: None, quiet: false }) => {
            let room = name("room", room)?;
            let all: Vec<&RawValue> = match except {
                Some(list) => serde_json::from_str(list.get())
                    .map_err(|_| mismatch("except", "an array of members", list.get()))?,
                None => Vec::new(),
            };
            if all.len() > MAX_EXCEPT {
                let message = format!("has at most {MAX_EXCEPT} members, not {}", all.len());
                return Err(BusError::at(KIND, "except", message));
            }
            let except = (0..).zip(all).map(|(i, member): (usize, _)| name(&format!("except[{i}]"), member));
            Ok((Recipients::Room { room, except: except.collect::<Result<_, _>>()? }, false))
        }
        _ => Err(BusError::at(KIND, "audience", "expected 'broadcast', a room or a user")),
    }
}
