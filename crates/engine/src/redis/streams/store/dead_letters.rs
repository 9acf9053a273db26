//! Entries that move to the dead letters and back. The scripts are given the names of the fields that they handle.

use oxbus_model::BusError;
use oxbus_model::stream_store::{ConsumerId, DeadLetterEntry, EntryId, Response};
use redis::{Cmd, cmd};

use super::StoreCall;
use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::streams::store_replies;

impl StoreCall {
    pub(super) async fn dead_letter(
        &self,
        member: &ConsumerId,
        to: Option<&str>,
        max_len: u64,
        letters: Vec<DeadLetterEntry>,
    ) -> Result<Response, BusError> {
        let append = |c: &mut Cmd, (id, letter): &(EntryId, DeadLetterEntry)| {
            c.arg(id.to_string()).arg(letter.attempts).arg(letter.reason).arg(&*letter.error);
        };
        let letters = letters.into_iter().map(|letter| (letter.id, letter)).collect();
        let max_len = max_len.to_string();
        let arguments = [&[&*max_len], self.names.dead_letter.as_slice()].concat();
        self.fenced(&list::DEAD_LETTER, member, letters, to.as_slice(), &arguments, append).await
    }

    pub(super) async fn requeue_dead_letter(
        &self,
        letters: &str,
        id: EntryId,
        for_group: bool,
    ) -> Result<Response, BusError> {
        let names = self.names;
        // A script must be told its keys, and only the letter knows its stream.
        let mut range = cmd("XRANGE");
        range.arg(letters).arg(id.to_string()).arg(id.to_string());
        let found = store_replies::entries(self.ask(&range).await?)?;
        let mut fields = found.into_iter().flat_map(|entry| entry.fields);
        let stream = fields.find(|(name, _)| **name == *names.dead_letter_stream.as_bytes());
        let Some(stream) = stream.and_then(|(_, name)| String::from_utf8(name.into()).ok()) else {
            return Ok(Response::Appended(None));
        };
        let arguments = |c: &mut Cmd| {
            c.arg(id.to_string())
                .arg(u8::from(for_group))
                .arg(names.only_group)
                .arg(names.dead_letter_prefix);
            c.arg(names.dead_letter_stream).arg(names.dead_letter_group);
        };
        let reply = self.run(&list::REQUEUE_DEAD_LETTER, &[letters, &stream], arguments).await?;
        Ok(Response::Appended(reply.maybe(RespValue::id)?))
    }

    pub(super) async fn redeliver(
        &self,
        stream: &str,
        group: &str,
        id: EntryId,
    ) -> Result<Response, BusError> {
        let names = self.names;
        let arguments = |c: &mut Cmd| {
            c.arg(group).arg(id.to_string()).arg(names.only_group).arg(names.dead_letter_prefix);
        };
        let reply = self.run(&list::REDELIVER, &[stream], arguments).await?;
        Ok(Response::Appended(reply.maybe(RespValue::id)?))
    }
}
