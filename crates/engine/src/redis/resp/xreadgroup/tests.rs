use proptest::prelude::*;

use super::*;
use crate::redis::resp::reply::{Protocol, Reply, decode};

type Entry = ((u64, u64), Option<Vec<(Vec<u8>, Vec<u8>)>>);
type Streams = Vec<(Vec<u8>, Vec<Entry>)>;
type Visited = Vec<(Vec<u8>, EntryId, Vec<(Vec<u8>, Vec<u8>)>)>;

fn bulk(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(format!("${}\r\n", text.len()).bytes());
    out.extend(text);
    out.extend(b"\r\n");
}

/// A reply as a server writes it.
fn write(streams: &Streams, protocol: Protocol) -> Vec<u8> {
    let mut out = Vec::new();
    if streams.is_empty() {
        out.extend(if protocol == Protocol::Resp3 { &b"_\r\n"[..] } else { b"*-1\r\n" });
        return out;
    }
    out.push(if protocol == Protocol::Resp3 { b'%' } else { b'*' });
    out.extend(format!("{}\r\n", streams.len()).bytes());
    for (name, entries) in streams {
        if protocol == Protocol::Resp2 {
            out.extend(b"*2\r\n");
        }
        bulk(&mut out, name);
        out.extend(format!("*{}\r\n", entries.len()).bytes());
        for ((ms, seq), fields) in entries {
            out.extend(b"*2\r\n");
            bulk(&mut out, EntryId { ms: *ms, seq: *seq }.to_string().as_bytes());
            match fields {
                Some(fields) => {
                    out.extend(format!("*{}\r\n", fields.len() * 2).bytes());
                    for (name, value) in fields {
                        bulk(&mut out, name);
                        bulk(&mut out, value);
                    }
                }
                None => out.extend(if protocol == Protocol::Resp3 { &b"_\r\n"[..] } else { b"*-1\r\n" }),
            }
        }
    }
    out
}

fn visited(reply: &[u8]) -> (Visited, Result<ReadReply<'_>, BusError>) {
    let mut seen = Vec::new();
    let answer = visit(reply, |stream, id, fields| {
        let fields = fields.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        seen.push((stream.to_vec(), id, fields));
    });
    (seen, answer)
}

/// The same by way of the general decoder.
fn decoded(protocol: Protocol, reply: &[u8]) -> Visited {
    let Reply::Array(parts) = decode(protocol, reply).unwrap().unwrap().0 else { return Vec::new() };
    let streams: Vec<[Reply<'_>; 2]> = match protocol {
        Protocol::Resp2 => parts
            .into_iter()
            .map(|pair| match pair {
                Reply::Array(pair) => pair.try_into().unwrap(),
                other => panic!("{other:?}"),
            })
            .collect(),
        Protocol::Resp3 => {
            let mut parts = parts.into_iter();
            std::iter::from_fn(|| Some([parts.next()?, parts.next()?])).collect()
        }
    };
    let mut seen = Vec::new();
    for [name, entries] in streams {
        let Reply::Array(entries) = entries else { panic!("no entries") };
        for entry in entries {
            let Reply::Array(entry) = entry else { panic!("no entry") };
            let texts = |reply: &Reply<'_>| match reply {
                Reply::Array(texts) => texts.iter().map(|t| t.text().unwrap().to_vec()).collect(),
                _ => Vec::new(),
            };
            let fields: Vec<Vec<u8>> = texts(&entry[1]);
            let fields = fields.chunks(2).map(|f| (f[0].clone(), f[1].clone())).collect();
            let id = EntryId::from_bytes(entry[0].text().unwrap()).unwrap();
            seen.push((name.text().unwrap().to_vec(), id, fields));
        }
    }
    // It does not keep the order of a map.
    seen.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    seen
}

/// Their names ascend.
fn streams() -> impl Strategy<Value = Streams> {
    let field = || prop::collection::vec(any::<u8>(), 0..12);
    let fields = prop::option::weighted(0.9, prop::collection::vec((field(), field()), 0..4));
    let entries = prop::collection::vec((any::<(u64, u64)>(), fields), 0..5);
    prop::collection::btree_map(field(), entries, 0..4).prop_map(|streams| streams.into_iter().collect())
}

proptest! {
    #[test]
    fn entries_are_those_of_the_general_decoder_however_they_arrive(
        streams in streams(), old: bool, mut cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6), behind: Vec<u8>,
    ) {
        let protocol = if old { Protocol::Resp2 } else { Protocol::Resp3 };
        let reply = write(&streams, protocol);
        let mut progress = Progress::default();
        cuts.sort_by_key(|cut| cut.index(reply.len()));
        for cut in cuts {
            prop_assert_eq!(progress.find_end(&reply[..cut.index(reply.len())]), Ok(None));
        }
        let mut buffer = reply.clone();
        buffer.extend(behind);
        prop_assert_eq!(progress.find_end(&buffer), Ok(Some(reply.len())));
        // It is ready for the next one.
        prop_assert_eq!(progress.find_end(&reply), Ok(Some(reply.len())));
        let (seen, answer) = visited(&reply);
        prop_assert_eq!(answer, Ok(if streams.is_empty() { ReadReply::Nothing } else { ReadReply::Entries }));
        prop_assert_eq!(seen, decoded(protocol, &reply));
    }

    #[test]
    fn fields_need_not_be_looked_at(streams in streams(), old: bool) {
        let reply = write(&streams, if old { Protocol::Resp2 } else { Protocol::Resp3 });
        let mut count = 0;
        visit(&reply, |_, _, fields| { fields.next(); count += 1; }).unwrap();
        prop_assert_eq!(count, streams.iter().map(|(_, entries)| entries.len()).sum::<usize>());
    }

    #[test]
    fn the_end_is_where_the_general_decoder_sees_it(bytes in "[$*%+:_,#!=~-]([0-9]{1,2})?\r\n([$*:_%]([0-9]|-1)?\r\n|ab\r\n){0,6}") {
        if let Ok(Some((_, len))) = decode(Protocol::Resp3, bytes.as_bytes())
            && let Ok(end) = Progress::default().find_end(bytes.as_bytes())
        {
            prop_assert_eq!(end, Some(len));
        }
    }

    #[test]
    fn any_bytes_are_looked_at_without_a_panic(bytes: Vec<u8>) {
        let _ = Progress::default().find_end(&bytes);
        let _ = visit(&bytes, |_, _, fields| fields.by_ref().for_each(drop));
    }
}

#[test]
fn other_answers() {
    let nogroup = "NOGROUP No such key";
    for (reply, answer) in [
        ("*-1\r\n", ReadReply::Nothing),
        ("_\r\n", ReadReply::Nothing),
        ("$-1\r\n", ReadReply::Nothing),
        ("-NOGROUP No such key\r\n", ReadReply::Refused(nogroup)),
        ("!19\r\nNOGROUP No such key\r\n", ReadReply::Refused(nogroup)),
        ("*0\r\n", ReadReply::Entries),
    ] {
        assert_eq!(Progress::default().find_end(reply.as_bytes()), Ok(Some(reply.len())), "{reply}");
        assert_eq!(visited(reply.as_bytes()), (Vec::new(), Ok(answer)), "{reply}");
    }
    for bad in ["+OK\r\n", "*1\r\n:1\r\n", "?\r\n", "*x\r\n", "$99999999999999999999\r\n"] {
        assert!(visited(bad.as_bytes()).1.is_err(), "{bad}");
    }
}
