//! The keys of publishes to a server in cluster mode.
//!
//! Commands are made before it is known to which server they go, with the names that keys have on a single one. They get
//! the others when they are queued on a connection to a server in cluster mode; most name a stream alone, whose key has the
//! same name everywhere.

use oxbus_model::stream_store::KeyLayout;

use crate::redis::connection::pipeline::Pipeline;
use crate::redis::publisher::in_flight::Command;
use crate::redis::resp::command::put_bulk;
use crate::redis::resp::reply::bulk;

/// Names the keys of publishes as they are in cluster mode.
pub(in crate::redis) struct ClusterKeys {
    /// Events that are kept by their id are in the slot of the history.
    history: String,
    pub(in crate::redis) layout: KeyLayout,
}

impl ClusterKeys {
    /// Of a client with this history.
    pub(in crate::redis) fn new(history: &str) -> ClusterKeys {
        ClusterKeys { history: history.to_owned(), layout: KeyLayout::Plain }
    }

    /// Renames the keys of commands that wait, unless that was done or they have the right names.
    pub(in crate::redis) fn rename(&self, pipeline: &mut Pipeline<Command>) {
        if self.layout == KeyLayout::Plain {
            return;
        }
        pipeline.rewrite_unsent(|command, bytes| match command {
            Command::Call(call) => call.with_arguments(bytes, |arguments| self.renamed(arguments)),
            _ => None,
        });
    }

    /// The arguments of `persist.lua` with other keys; `None` where they stay.
    fn renamed(&self, arguments: &[u8]) -> Option<Vec<u8>> {
        let mut rest = arguments;
        let count = bulk(&mut rest)?;
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        let number: usize = text(count)?.parse().ok()?;
        let names: Vec<String> = (0..number).map(|_| text(bulk(&mut rest)?)).collect::<Option<_>>()?;
        let behind = rest;
        let letters = bulk(&mut rest)?;
        let stream = names.first();
        let renamed = names.iter().zip(letters).map(|(name, letter)| match letter {
            b'd' => self.of_stream(stream?, name),
            b'e' => self.kept(name),
            _ => None,
        });
        let renamed: Vec<Option<String>> = renamed.collect();
        if renamed.iter().all(Option::is_none) {
            return None;
        }
        let mut out = Vec::with_capacity(arguments.len() + 64);
        put_bulk(&mut out, count);
        for (name, renamed) in names.iter().zip(&renamed) {
            put_bulk(&mut out, renamed.as_ref().unwrap_or(name).as_bytes());
        }
        out.extend_from_slice(behind);
        Some(out)
    }

    /// A key that begins with the name of its stream.
    fn of_stream(&self, stream: &str, name: &str) -> Option<String> {
        let rest = name.strip_prefix(stream)?;
        let home = self.layout.home(stream);
        (home != stream).then(|| home.into_owned() + rest)
    }

    /// The key of an event that is kept by its id.
    fn kept(&self, name: &str) -> Option<String> {
        let is_beside =
            name.strip_prefix(&*self.layout.home(&self.history)).is_some_and(|rest| rest.starts_with(':'));
        (!is_beside).then(|| self.layout.beside(&self.history, name).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::resp::command::Args;
    use crate::redis::scripts::script_call::{PERSIST, ScriptCall};

    fn arguments(parts: &[&str]) -> Args {
        let mut args = Args::default();
        parts.iter().for_each(|part| args.put(part.as_bytes()));
        args
    }

    fn pushed(parts: &[&str], pipeline: &mut Pipeline<Command>) {
        let args = arguments(parts);
        let mut call = ScriptCall::new(&PERSIST, 1, 10, None, Default::default());
        call.add(0, args.mark());
        pipeline.push_of(Command::Call(Box::new(call)), 10, |command, bytes| {
            if let Command::Call(call) = command {
                call.pack(bytes, &[], args.bytes());
            }
        });
    }

    #[test]
    fn keys_get_their_tags_once_and_other_commands_stay() {
        let mut keys = ClusterKeys::new("p:history");
        let mut pipeline = Pipeline::new();
        pipeline.push(Command::Ping, 10, |bytes| bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"));
        pushed(&["2", "orders", "orders:id:e1", "sd", "c", "m"], &mut pipeline);
        pushed(&["1", "{shop}:o", "s", "c", "m"], &mut pipeline);
        pushed(&["2", "p:event:e1", "p:history", "eh", "c", "m"], &mut pipeline);
        let before = pipeline.outgoing().to_vec();
        keys.rename(&mut pipeline);
        assert_eq!(pipeline.outgoing(), before, "a single server");
        keys.layout = KeyLayout::Tagged;

        let mut expected = Pipeline::new();
        expected.push(Command::Ping, 10, |bytes| bytes.extend_from_slice(b"*1\r\n$4\r\nPING\r\n"));
        pushed(&["2", "orders", "{orders}:id:e1", "sd", "c", "m"], &mut expected);
        pushed(&["1", "{shop}:o", "s", "c", "m"], &mut expected);
        pushed(&["2", "{p:history}:p:event:e1", "p:history", "eh", "c", "m"], &mut expected);
        for _ in 0..2 {
            keys.rename(&mut pipeline);
            assert_eq!(pipeline.outgoing(), expected.outgoing());
        }
        // What the server does not know is sent in full, with the same keys.
        let len = pipeline.outgoing().len();
        pipeline.written_with(
            len,
            0,
            1,
            |_| false,
            |command, bytes| {
                if let Command::Call(call) = command {
                    call.remember(bytes);
                }
            },
        );
        pipeline.answered();
        let Some(Command::Call(call)) = pipeline.answered() else { panic!("a call") };
        let (_, in_full) = call.in_full("NOSCRIPT").ok().unwrap();
        assert!(String::from_utf8(in_full).unwrap().contains("\r\n{orders}:id:e1\r\n"));
    }
}
