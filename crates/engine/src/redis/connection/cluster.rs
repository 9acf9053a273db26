//! Whether a server runs in cluster mode, and what follows from it.
//!
//! A cluster is used where one server serves all slots, as many managed servers do that show one address. The layout of the
//! keys depends on it, so it is known to each link before its first command, and stays for the life of a client.

use std::collections::HashSet;
use std::sync::OnceLock;

use oxbus_model::config::{Config, check_cluster};
use oxbus_model::stream_store::KeyLayout;
use oxbus_model::{BusError, ErrorKind, server_error};

use crate::host::Notice;
use crate::redis::resp::reply::Reply;
use crate::transport::CLUSTER_MODE;

/// How many slots a cluster has.
const SLOTS: i64 = 16_384;

/// What a client works with on a server in cluster mode, for the warning.
pub(in crate::redis) const WARNING: &str = "the server runs in cluster mode and serves all slots; should slots move to another server, this client stops";

/// What a client knows of the layout of its keys.
pub(in crate::redis) struct ServerLayout {
    /// Whether the configuration is one for a server in cluster mode.
    accepted: Result<(), BusError>,
    layout: OnceLock<KeyLayout>,
}

impl ServerLayout {
    pub(in crate::redis) fn new(config: &Config) -> ServerLayout {
        ServerLayout { accepted: check_cluster(config), layout: OnceLock::new() }
    }

    /// The layout; `None` before the first login.
    pub(in crate::redis) fn known(&self) -> Option<KeyLayout> {
        self.layout.get().copied()
    }

    /// Whether this client can work on a server in cluster mode.
    pub(super) fn accept_cluster(&self) -> Result<(), BusError> {
        self.accepted.clone()
    }

    /// A server has been found to have this layout. Returns what is to be told of it, the first time.
    ///
    /// # Errors
    /// `CLUSTER_MODE` where the keys of this client are named otherwise.
    pub(super) fn found(&self, layout: KeyLayout) -> Result<Option<Notice>, BusError> {
        if self.layout.set(layout).is_ok() {
            let warning = Notice::Warning { code: CLUSTER_MODE, message: WARNING.to_owned() };
            return Ok((layout == KeyLayout::Tagged).then_some(warning));
        }
        if self.known() == Some(layout) {
            return Ok(None);
        }
        let message =
            "the server has entered or left cluster mode, where keys have other names: start the client anew";
        Err(BusError::new(ErrorKind::ClusterMode, message))
    }
}

/// Fails unless the answer to `CLUSTER SLOTS` says that one master has all slots. A server that does not tell is
/// believed to have them: it says `MOVED` otherwise.
pub(super) fn check_slots(reply: &Reply<'_>) -> Result<(), BusError> {
    let rows = match reply {
        Reply::Array(rows) => rows,
        Reply::Error(error) if server_error::is_withheld(error) => return Ok(()),
        Reply::Error(error) => return Err(server_error::classify(error).into_error(error)),
        _ => return Ok(()),
    };
    let (mut covered, mut masters) = (0, HashSet::new());
    for row in rows {
        let Reply::Array(row) = row else { continue };
        let [Reply::Int(first), Reply::Int(last), Reply::Array(master), ..] = row.as_slice() else {
            continue;
        };
        covered += last - first + 1;
        // Address, port, and from Redis 4 on the id, which is the same behind all addresses of a node.
        masters.insert(match master.as_slice() {
            [_, _, Reply::Text(id), ..] => String::from_utf8_lossy(id).into_owned(),
            other => format!("{other:?}"),
        });
    }
    let why = match masters.len() {
        1 if covered == SLOTS => return Ok(()),
        0 | 1 => format!("only {covered} of its {SLOTS} slots are served"),
        several => format!("its slots lie on {several} servers"),
    };
    let message = format!(
        "the server is of a Redis Cluster, and {why}: this release needs one server that serves all slots"
    );
    Err(BusError::new(ErrorKind::ClusterMode, message))
}

/// Fails while the answer to `CLUSTER INFO` says that the cluster is down, as it is for two seconds after the start of a
/// server: then publishes wait for the next login instead of being refused.
pub(super) fn check_state(reply: &Reply<'_>) -> Result<(), BusError> {
    let info = String::from_utf8_lossy(reply.text().unwrap_or_default());
    match info.lines().find_map(|line| line.strip_prefix("cluster_state:")) {
        Some("fail") => {
            Err(BusError::new(ErrorKind::ServerBusy, "the cluster of the server is down at the moment"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use oxbus_model::config::Environment;

    use super::*;

    fn row(first: i64, last: i64, id: &'static str) -> Reply<'static> {
        let node = vec![Reply::Text(b"127.0.0.1"), Reply::Int(7000), Reply::Text(id.as_bytes())];
        Reply::Array(vec![Reply::Int(first), Reply::Int(last), Reply::Array(node)])
    }

    #[test]
    fn the_layout_stays_and_a_cluster_is_told_once() {
        let config = Config::resolve(r#"{ "redis": "redis://h" }"#, &Environment::default()).unwrap();
        let layout = ServerLayout::new(&config);
        assert_eq!(layout.known(), None);
        let told = layout.found(KeyLayout::Tagged).unwrap();
        assert!(matches!(told, Some(Notice::Warning { code: CLUSTER_MODE, .. })));
        assert!(layout.found(KeyLayout::Tagged).unwrap().is_none());
        assert_eq!(layout.found(KeyLayout::Plain).unwrap_err().kind, ErrorKind::ClusterMode);
        assert_eq!(layout.known(), Some(KeyLayout::Tagged));
        let alone = ServerLayout::new(&config);
        assert!(alone.found(KeyLayout::Plain).unwrap().is_none());
        assert_eq!(alone.found(KeyLayout::Tagged).unwrap_err().kind, ErrorKind::ClusterMode);
    }

    #[test]
    fn a_cluster_that_is_down_is_waited_for() {
        for fine in [Reply::Text(b"cluster_state:ok\r\n"), Reply::Text(b""), Reply::Error("NOPERM no")] {
            check_state(&fine).unwrap();
        }
        let error = check_state(&Reply::Text(b"cluster_state:fail\r\ncluster_slots_assigned:0\r\n"));
        assert_eq!(error.unwrap_err().kind, ErrorKind::ServerBusy);
    }

    #[test]
    fn one_master_must_have_all_slots() {
        check_slots(&Reply::Array(vec![row(0, 16_383, "a")])).unwrap();
        check_slots(&Reply::Array(vec![row(0, 99, "a"), row(100, 16_383, "a")])).unwrap();
        check_slots(&Reply::Error("NOPERM no")).unwrap();
        for (rows, why) in [
            (vec![row(0, 99, "a"), row(100, 16_383, "b")], "lie on 2 servers"),
            (vec![row(0, 99, "a")], "only 100 of its 16384 slots"),
            (vec![], "only 0 of its 16384 slots"),
        ] {
            let error = check_slots(&Reply::Array(rows)).unwrap_err();
            assert_eq!(error.kind, ErrorKind::ClusterMode);
            assert!(error.message.contains(why) && error.message.contains("Cluster"), "{error}");
        }
        assert_eq!(check_slots(&Reply::Error("LOADING x")).unwrap_err().kind, ErrorKind::ServerLoading);
    }
}
