//! Entries that change hands: they are claimed, or delivered to a group once more.

use oxbus_model::BusError;
use oxbus_model::stream_store::{ConsumerId, DELAYED, EntryId, MinIdle, Response, keys};
use redis::Cmd;

use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::scripts::script::Script;
use crate::redis::streams::store::call::{CHUNK, StoreCall, texts};
use crate::redis::streams::store_replies;

impl StoreCall {
    pub(super) async fn list_expired(
        &self,
        ConsumerId { stream, group, .. }: &ConsumerId,
        min_idle: MinIdle,
        limit: usize,
        (early, set_right): (bool, bool),
    ) -> Result<Response, BusError> {
        let home = self.home(stream);
        let (due, consumers) = (keys::due(&home, group), keys::consumers(&home, group));
        let arguments = |c: &mut Cmd| {
            c.arg(&**group)
                .arg(DELAYED)
                .arg(min_idle.ours)
                .arg(limit)
                .arg(u8::from(early))
                .arg(min_idle.foreign);
            c.arg(u8::from(set_right));
        };
        store_replies::expired(self.run(&list::LIST_EXPIRED, &[stream, &due, &consumers], arguments).await?)
    }

    pub(super) async fn claim(
        &self,
        member: &ConsumerId,
        (min_idle, early): (MinIdle, bool),
        ids: &[EntryId],
    ) -> Result<Response, BusError> {
        // More than one answer can hold: what is left stays overdue.
        let Some(ids) = ids.chunks(CHUNK).next() else {
            return Ok(Response::Claimed { entries: Vec::new(), deleted: Vec::new() });
        };
        self.run_claim(&list::CLAIM, member, |c| {
            c.arg(min_idle.ours).arg(DELAYED).arg(u8::from(early)).arg(min_idle.foreign).arg(texts(ids));
        })
        .await
    }

    pub(super) async fn claim_own_pending(
        &self,
        member: &ConsumerId,
        (after, limit): (EntryId, usize),
        raise: bool,
    ) -> Result<Response, BusError> {
        self.run_claim(&list::CLAIM_OWN_PENDING, member, |c| {
            c.arg(after.to_string()).arg(limit.min(CHUNK)).arg(u8::from(raise));
        })
        .await
    }

    /// Runs a script that claims entries for a consumer; `more` appends what it is told besides.
    async fn run_claim(
        &self,
        script: &Script,
        member: &ConsumerId,
        more: impl Fn(&mut Cmd),
    ) -> Result<Response, BusError> {
        let due = keys::due(&self.home(&member.stream), &member.group);
        let [notes, consumers] = self.fence(member);
        let keys = [&*member.stream, &notes, &consumers, &due];
        let arguments = |c: &mut Cmd| {
            c.arg(&*member.group).arg(&*member.consumer).arg(&*member.instance);
            more(c);
        };
        let (entries, deleted) = store_replies::claimed(self.run(script, &keys, arguments).await?)?;
        Ok(Response::Claimed { entries, deleted })
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
