//! The key of a packed command, by which a Cluster chooses the node.

use crate::redis::resp::reply::bulk;

/// The first key of a command of this client; `None` where it has none.
pub(in crate::redis) fn key_of(packed: &[u8]) -> Option<&[u8]> {
    let mut rest = packed;
    if rest.first() != Some(&b'*') {
        return None;
    }
    let line = rest.iter().position(|byte| *byte == b'\n')?;
    rest = rest.get(line + 1..)?;
    let name = bulk(&mut rest)?;
    match name {
        b"PING" | b"TIME" | b"SCAN" | b"CLIENT" | b"INFO" | b"SCRIPT" | b"ROLE" | b"PUBLISH" => None,
        b"EVAL" | b"EVALSHA" => {
            bulk(&mut rest)?;
            let count = bulk(&mut rest)?;
            if count == b"0" { None } else { bulk(&mut rest) }
        }
        b"XINFO" | b"XGROUP" => {
            bulk(&mut rest)?;
            bulk(&mut rest)
        }
        _ => bulk(&mut rest),
    }
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;

    #[test]
    fn the_key_is_found_by_the_name_of_the_command() {
        for (words, key) in [
            ("XADD s *", Some("s")),
            ("XINFO GROUPS s", Some("s")),
            ("EVALSHA abc 2 k l m", Some("k")),
            ("EVAL x 0 a", None),
            ("HGETALL h", Some("h")),
            ("PING", None),
            ("SCAN 0 COUNT 5", None),
            ("CLIENT UNBLOCK 7", None),
        ] {
            let mut words = words.split(' ');
            let packed = cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).get_packed_command();
            assert_eq!(key_of(&packed), key.map(str::as_bytes), "{key:?}");
        }
        assert_eq!(key_of(b""), None);
        assert_eq!(key_of(b"*1\r\n$4\r\nXA"), None);
    }
}
