//! What an unscripted command is answered: enough for a client to get through its handshake.

use std::collections::BTreeSet;

use super::script::Command;
use crate::resp::Value;

/// What a connection has asked for so far.
pub(super) struct Client {
    pub(super) id: i64,
    pub(super) resp3: bool,
    channels: BTreeSet<Vec<u8>>,
    patterns: BTreeSet<Vec<u8>>,
}

impl Client {
    pub(super) fn new(number: usize) -> Self {
        let id = i64::try_from(number).expect("a number of connections") + 1;
        Self { id, resp3: false, channels: BTreeSet::new(), patterns: BTreeSet::new() }
    }

    /// The replies, in order; the subscribe family has one per argument.
    pub(super) fn answer(&mut self, command: &Command) -> Vec<Value> {
        let word = |index: usize| command.get(index).map(|arg| String::from_utf8_lossy(arg).to_uppercase());
        let name = word(0).unwrap_or_default();
        let one = match name.as_str() {
            "HELLO" => self.hello(command),
            "CLIENT" if word(1).as_deref() == Some("ID") => Value::Int(self.id),
            "AUTH" | "SELECT" | "CLIENT" | "QUIT" => ok(),
            "PING" => self.ping(command),
            "ECHO" => Value::bulk(command.get(1).map_or(&b""[..], Vec::as_slice)),
            "ROLE" => Value::Array(vec![Value::bulk("master"), Value::Int(0), Value::Array(Vec::new())]),
            "INFO" => Value::bulk(
                "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
                 # Persistence\r\nloading:0\r\n# Replication\r\nrole:master\r\nconnected_slaves:0\r\n",
            ),
            "SUBSCRIBE" | "PSUBSCRIBE" | "UNSUBSCRIBE" | "PUNSUBSCRIBE" => {
                return self.subscriptions(&name, &command[1..]);
            }
            _ => {
                Value::Error(format!("ERR unknown command '{}', with args beginning with: ", shown(command)))
            }
        };
        vec![one]
    }

    fn hello(&mut self, command: &Command) -> Value {
        match command.get(1).map(Vec::as_slice) {
            None => {}
            Some(b"2") => self.resp3 = false,
            Some(b"3") => self.resp3 = true,
            Some(_) => return Value::Error("NOPROTO unsupported protocol version".into()),
        }
        let pair = |name: &str, value: Value| (Value::bulk(name), value);
        Value::Map(vec![
            pair("server", Value::bulk("redis")),
            pair("version", Value::bulk("7.0.15")),
            pair("proto", Value::Int(if self.resp3 { 3 } else { 2 })),
            pair("id", Value::Int(self.id)),
            pair("mode", Value::bulk("standalone")),
            pair("role", Value::bulk("master")),
            pair("modules", Value::Array(Vec::new())),
        ])
    }

    /// A subscribed RESP2 connection is answered in an array.
    fn ping(&self, command: &Command) -> Value {
        let text = command.get(1);
        if !self.resp3 && self.count() > 0 {
            return Value::Array(vec![
                Value::bulk("pong"),
                Value::bulk(text.map_or(&b""[..], Vec::as_slice)),
            ]);
        }
        text.map_or_else(|| Value::Simple("PONG".into()), Value::bulk)
    }

    fn subscriptions(&mut self, name: &str, arguments: &[Vec<u8>]) -> Vec<Value> {
        let of_patterns = name.starts_with('P');
        let ends = name.contains("UNSUB");
        let mut names = arguments.to_vec();
        if ends && names.is_empty() {
            names = if of_patterns { &self.patterns } else { &self.channels }.iter().cloned().collect();
        }
        let kind = Value::bulk(name.to_lowercase());
        if names.is_empty() {
            return vec![Value::Push(vec![kind, Value::Nil, Value::Int(self.count())])];
        }
        let mut replies = Vec::new();
        for name in names {
            let set = if of_patterns { &mut self.patterns } else { &mut self.channels };
            if ends {
                set.remove(&name)
            } else {
                set.insert(name.clone())
            };
            replies.push(Value::Push(vec![kind.clone(), Value::Bulk(name), Value::Int(self.count())]));
        }
        replies
    }

    fn count(&self) -> i64 {
        i64::try_from(self.channels.len() + self.patterns.len()).expect("a number of subscriptions")
    }
}

fn ok() -> Value {
    Value::Simple("OK".into())
}

fn shown(command: &Command) -> String {
    command.first().map_or_else(String::new, |name| String::from_utf8_lossy(name).into_owned())
}
