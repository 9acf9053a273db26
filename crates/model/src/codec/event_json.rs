//! Questions about the JSON of an event that was read, `{"id","type","data","metadata"}`: the form that every
//! [`Codec`](crate::codec::Codec) gives it, whatever the format on Redis is.

use std::borrow::Cow;

use crate::codec::json::{Scanner, members, text_of};

/// The id of an event.
pub fn id_of(json: &str) -> Option<Cow<'_, str>> {
    let mut id = None;
    let mut scanner = Scanner::new(json);
    // Nearly all events begin with the id. The last one counts, as for V8.
    let read = scanner.object(|scanner, name| {
        let value = scanner.value()?;
        if name.lossy() == "id" {
            id = Some(value);
        }
        Ok(())
    });
    read.ok()?;
    let id = id?;
    // In events of other programs the id may be a number.
    Some(text_of(id).unwrap_or(Cow::Borrowed(id)))
}

/// The members of a room that an event of the room is not for; none where the event does not say.
pub fn except_of(json: &str) -> Vec<String> {
    // Few events have any.
    if !json.contains("\"except\"") {
        return Vec::new();
    }
    let [except] = metadata_of(json, ["except"]);
    except.and_then(|except| serde_json::from_str(except).ok()).unwrap_or_default()
}

/// Whether an event is for the members of a room or for a user only.
pub fn is_for_room_or_user(json: &str) -> bool {
    metadata_of(json, ["room", "toUser"]).iter().any(Option::is_some)
}

/// Members of the metadata of an event, as JSON.
fn metadata_of<'a, const N: usize>(json: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    let metadata = members(&mut Scanner::new(json), ["metadata"]).map(|([metadata], _)| metadata);
    let Ok(Some(metadata)) = metadata else { return [None; N] };
    members(&mut Scanner::new(metadata), names).map_or([None; N], |(values, _)| values)
}
