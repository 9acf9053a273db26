//! What a sentinel says: answers to questions, and what it tells by itself.

use oxbus_model::config::Address;
use oxbus_model::topology::master_choice::{NamedMaster, Opinion};
use oxbus_model::{BusError, ErrorKind, server_error};

use crate::redis::resp::reply::Reply;

/// One reply of a sentinel.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It tells by itself that something happened; with its words, among which is the name of the master.
    Event(String),
    /// A subscription is confirmed, or its end.
    Subscribed,
    /// The answer to a question.
    Answer(Answer),
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has no such master.
    Nothing,
    /// Texts in their order: a host and a port, or names and values in turn.
    Texts(Vec<String>),
    /// It refuses.
    Refused(String),
}

impl Said {
    pub(super) fn read(reply: &Reply<'_>) -> Said {
        match reply {
            Reply::Push(parts) | Reply::Array(parts) => match parts.as_slice() {
                [Reply::Text(b"message"), _, Reply::Text(words)] => Said::Event(text(words)),
                [Reply::Text(b"subscribe" | b"unsubscribe"), _, Reply::Int(_)] => Said::Subscribed,
                parts => {
                    Said::Answer(Answer::Texts(parts.iter().filter_map(Reply::text).map(text).collect()))
                }
            },
            Reply::Error(error) => Said::Answer(Answer::Refused((*error).to_owned())),
            Reply::Text(_) | Reply::Int(_) | Reply::Nil => Said::Answer(Answer::Nothing),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What follows from the answers to `GET-MASTER-ADDR-BY-NAME` and to `MASTER`. The second is there for the epoch alone.
pub(super) fn opinion(address: Answer, details: &Answer) -> Opinion {
    let address = match address {
        Answer::Nothing => return Opinion::Unknown,
        Answer::Refused(error) => {
            return Opinion::Unreachable(server_error::classify(&error).into_error(&error));
        }
        Answer::Texts(texts) => texts,
    };
    let named = match address.as_slice() {
        [host, port] if !host.is_empty() => {
            port.parse().ok().filter(|port| *port > 0).map(|port| (host, port))
        }
        _ => None,
    };
    match named {
        Some((host, port)) => {
            let address = Address::Tcp { host: host.clone(), port };
            Opinion::Names(NamedMaster { address, epoch: epoch(details) })
        }
        None => {
            let message = format!("it answers {address:?}, which is no address");
            Opinion::Unreachable(BusError::new(ErrorKind::ServerError, message))
        }
    }
}

fn epoch(details: &Answer) -> Option<u64> {
    let Answer::Texts(texts) = details else { return None };
    let pair = texts.chunks_exact(2).find(|pair| pair.first().is_some_and(|name| name == "config-epoch"))?;
    pair.get(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Answer {
        Answer::Texts(texts.iter().map(|text| (*text).to_owned()).collect())
    }

    #[test]
    fn events_confirmations_and_answers_are_told_apart() {
        let event =
            || vec![Reply::Text(b"message"), Reply::Text(b"+switch-master"), Reply::Text(b"m h 1 h 2")];
        for reply in [Reply::Push(event()), Reply::Array(event())] {
            assert_eq!(Said::read(&reply), Said::Event("m h 1 h 2".to_owned()));
        }
        let confirmed = Reply::Array(vec![Reply::Text(b"unsubscribe"), Reply::Nil, Reply::Int(0)]);
        assert_eq!(Said::read(&confirmed), Said::Subscribed);
        // A host may be called as it likes.
        let address = Reply::Array(vec![Reply::Text(b"message"), Reply::Text(b"6379")]);
        assert_eq!(Said::read(&address), Said::Answer(texts(&["message", "6379"])));
        assert_eq!(Said::read(&Reply::Nil), Said::Answer(Answer::Nothing));
        assert_eq!(Said::read(&Reply::Error("ERR x")), Said::Answer(Answer::Refused("ERR x".to_owned())));
    }

    #[test]
    fn an_answer_becomes_an_opinion() {
        let details = texts(&["name", "m", "config-epoch", "7"]);
        let Opinion::Names(named) = opinion(texts(&["redis.example", "6379"]), &details) else { panic!() };
        assert_eq!((named.address.to_string().as_str(), named.epoch), ("redis.example:6379", Some(7)));
        let Opinion::Names(named) = opinion(texts(&["::1", "1"]), &Answer::Refused("NOPERM".to_owned()))
        else {
            panic!()
        };
        assert_eq!((named.address.to_string().as_str(), named.epoch), ("[::1]:1", None));
        assert_eq!(opinion(Answer::Nothing, &Answer::Nothing), Opinion::Unknown);
        for (answer, kind) in [
            (Answer::Refused("NOPERM no".to_owned()), ErrorKind::PermissionDenied),
            (texts(&["h", "0"]), ErrorKind::ServerError),
            (texts(&["", "1"]), ErrorKind::ServerError),
            (texts(&["h"]), ErrorKind::ServerError),
        ] {
            let Opinion::Unreachable(error) = opinion(answer, &Answer::Nothing) else { panic!() };
            assert_eq!(error.kind, kind);
        }
    }
}
