//! One request on its way: the commands and scripts that it takes.

use std::borrow::Cow;
use std::sync::Arc;

use oxbus_model::codec::Codec;
use oxbus_model::codec::field_names::FieldNames;
use oxbus_model::stream_store::{ConsumerId, EntryId, KeyLayout, Response, keys};
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};

use crate::redis::resp::value::RespValue;
use crate::redis::scripts::list;
use crate::redis::scripts::script;
use crate::redis::scripts::script::Script;
use crate::redis::streams::command_link::CommandLink;
use crate::redis::streams::store::letter_format::Letters;
use crate::redis::streams::store_replies;

/// Entries that one command or script works on: none holds the server up for long.
pub(super) const CHUNK: usize = 500;

/// One request on its way; all its commands end by its deadline.
pub(super) struct StoreCall {
    pub(super) commands: Arc<CommandLink>,
    pub(super) deadline: u64,
    pub(super) layout: KeyLayout,
    pub(super) names: &'static FieldNames,
    pub(super) letters: Arc<Letters>,
    /// The channel on which other clients are told of what is handed back; empty where nothing is published.
    pub(super) handed_back: Arc<str>,
}

impl StoreCall {
    /// The formats of entries.
    pub(super) fn codec(&self) -> &Codec {
        &self.letters.codec
    }

    pub(super) async fn ask(&self, command: &Cmd) -> Result<RespValue, BusError> {
        self.commands.ask(command, self.deadline).await.map_err(|mut error| {
            // What the server says of a missing stream depends on the command.
            let missing = ["ERR no such key", "ERR The XGROUP subcommand requires the key to exist"];
            if missing.iter().any(|said| error.message.starts_with(said)) {
                error.kind = ErrorKind::NoGroup;
            }
            error
        })
    }

    /// Runs a script; `arguments` appends its arguments.
    pub(super) async fn run(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: impl Fn(&mut Cmd),
    ) -> Result<RespValue, BusError> {
        let complete = |mut command: Cmd| {
            command.arg(keys.len()).arg(keys);
            arguments(&mut command);
            command
        };
        let answer = match self.ask(&complete(script.call())).await {
            Err(error) if script::is_missing(&error.message) => {
                self.ask(&complete(script.call_in_full())).await
            }
            answer => answer,
        };
        answer.map_err(|error| match script.missing_command(&error.message) {
            Some(message) => BusError { message, ..error },
            None => error,
        })
    }

    /// Looks for a group with nothing but the right to look; `None` also where it may not look.
    pub(super) async fn find_group(&self, stream: &str, group: &str) -> Option<Response> {
        let reply = self.ask(cmd("XINFO").arg("GROUPS").arg(stream)).await.ok()?;
        let position = store_replies::position_of(reply, group).ok()??;
        Some(Response::Ensured { created: false, position, recreated: false, entries: None })
    }

    /// Runs a fenced script on entries in the order of their ids; `append` appends the arguments of one.
    pub(super) async fn fenced<T>(
        &self,
        script: &Script,
        member: &ConsumerId,
        mut items: Vec<(EntryId, T)>,
        more_keys: &[&str],
        more_arguments: &[&str],
        append: impl Fn(&mut Cmd, &(EntryId, T)),
    ) -> Result<Response, BusError> {
        items.sort_by_key(|(id, _)| *id);
        items.dedup_by_key(|(id, _)| *id);
        let fence = self.fence(member);
        let keys = [&[&*member.stream, &fence[0], &fence[1]], more_keys].concat();
        let (mut taken, mut gone) = (Vec::new(), Vec::new());
        for items in items.chunks(CHUNK) {
            let arguments = |c: &mut Cmd| {
                c.arg(&*member.group).arg(&*member.consumer).arg(&*member.instance).arg(more_arguments);
                items.iter().for_each(|item| append(c, item));
            };
            let [others, missing] = self.run(script, &keys, arguments).await?.parts()?;
            taken.extend(others.all(RespValue::id)?);
            gone.extend(missing.all(RespValue::id)?);
        }
        Ok(Response::Fenced { not_owned: taken, deleted: gone, dropped: 0 })
    }

    /// What the names of the keys beside a stream begin with.
    pub(super) fn home<'a>(&self, stream: &'a str) -> Cow<'a, str> {
        self.layout.home(stream)
    }

    /// All keys of a group: see [`keys::of_group`].
    pub(super) fn keys_of_group(&self, stream: &str, group: &str) -> [String; 7] {
        keys::of_group(&self.home(stream), group)
    }

    /// The keys beside the stream that fenced scripts look at: the notes and the consumers.
    pub(super) fn fence(&self, member: &ConsumerId) -> [String; 2] {
        let home = self.home(&member.stream);
        [keys::notes(&home, &member.group), keys::consumers(&home, &member.group)]
    }

    pub(super) async fn pending(
        &self,
        stream: &str,
        group: &str,
        from: EntryId,
        limit: usize,
        min_idle: u64,
        consumer: Option<&str>,
    ) -> Result<Response, BusError> {
        let mut command = cmd("XPENDING");
        command.arg(stream).arg(group).arg("IDLE").arg(min_idle).arg(from.to_string()).arg("+").arg(limit);
        command.arg(consumer);
        Ok(Response::Pending(store_replies::pending(self.ask(&command).await?)?))
    }

    pub(super) async fn apply_retention(
        &self,
        stream: &str,
        instance: &str,
        (max_len, max_age): (Option<u64>, Option<u64>),
        safe: bool,
    ) -> Result<Response, BusError> {
        // A script must be told its keys, and there are some for each group.
        let groups = match self.ask(cmd("XINFO").arg("GROUPS").arg(stream)).await {
            Ok(reply) => store_replies::group_names(reply)?,
            Err(error) if error.kind == ErrorKind::NoGroup => return Ok(Response::Count(0)),
            Err(error) => return Err(error),
        };
        // A name that is not text is of another program, which keeps no facts.
        let groups: Vec<&str> = groups.iter().filter_map(|name| std::str::from_utf8(name).ok()).collect();
        let home = self.home(stream);
        let facts: Vec<String> = groups.iter().map(|group| keys::facts(&home, group)).collect();
        let janitor = keys::janitor(&home);
        let keys: Vec<&str> = [stream, &janitor].into_iter().chain(facts.iter().map(|k| &**k)).collect();
        let text = |bound: Option<u64>| bound.map(|n| n.to_string()).unwrap_or_default();
        let arguments = |c: &mut Cmd| {
            c.arg(instance).arg(text(max_len)).arg(text(max_age)).arg(u8::from(safe)).arg(&groups);
        };
        count(self.run(&list::APPLY_RETENTION, &keys, arguments).await)
    }
}

/// In how many milliseconds an entry is due, as scripts are told.
pub(super) fn wait(due_in: Option<u64>) -> String {
    due_in.map(|wait| wait.to_string()).unwrap_or_default()
}

pub(super) fn texts(ids: &[EntryId]) -> Vec<String> {
    ids.iter().map(EntryId::to_string).collect()
}

pub(super) fn count(reply: Result<RespValue, BusError>) -> Result<Response, BusError> {
    Ok(Response::Count(reply?.count()?))
}
