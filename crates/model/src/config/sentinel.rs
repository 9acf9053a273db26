//! How the sentinels are reached that know which server is the master.

use std::fmt;

use crate::config::address::Address;
use crate::config::node_address::node;
use crate::config::notice::Notice;
use crate::config::secret::Secret;
use crate::config::tls::TlsConfig;
use crate::error::BusError;
use crate::options::reader::Reader;

/// The port of a sentinel whose address names none.
const DEFAULT_PORT: u16 = 26_379;

/// The most sentinels of a configuration: each has a connection of its own.
const MOST_NODES: usize = 32;

/// How to reach the sentinels of a master. The user, the password and the TLS of the servers are not used for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentinelConfig {
    /// The name under which the sentinels watch the master: 1–512 characters without blanks.
    pub name: String,
    /// The sentinels: 1–32, all different.
    pub nodes: Vec<Address>,
    /// The user of the sentinels' access list. Default none.
    pub username: Option<String>,
    /// Its password. Default none.
    pub password: Option<Secret>,
    /// TLS towards the sentinels. Default none.
    pub tls: Option<TlsConfig>,
}

impl fmt::Display for SentinelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<String> = self.nodes.iter().map(ToString::to_string).collect();
        write!(f, "the master {:?} of the sentinels {}", self.name, nodes.join(", "))
    }
}

impl SentinelConfig {
    /// Reads `sentinel`.
    pub(super) fn read(r: &mut Reader, notices: &mut Vec<Notice>) -> Result<Option<Self>, BusError> {
        let Some(mut r) = r.object("sentinel")? else { return Ok(None) };
        let name = r.identifier("name")?;
        let name = name.ok_or_else(|| r.error("name", "is needed: the name that the sentinels know"))?;
        if name.contains(char::is_whitespace) {
            // What the sentinels tell of is told in words with blanks between them.
            return Err(r.error("name", "must not hold blanks"));
        }
        let kind = r.kind();
        let nodes =
            r.list("nodes", |path, value| node(&path, value, DEFAULT_PORT, kind))?.unwrap_or_default();
        if nodes.is_empty() || nodes.len() > MOST_NODES {
            let message = format!("expected 1 to {MOST_NODES} sentinels, got {}", nodes.len());
            return Err(r.error("nodes", message));
        }
        let twice = |(at, node): &(usize, &Address)| nodes[..*at].contains(node);
        if let Some((at, node)) = nodes.iter().enumerate().find(twice) {
            return Err(r.error(&format!("nodes[{at}]"), format_args!("names {node} a second time")));
        }
        let tls = TlsConfig::read(&mut r, false)?;
        if tls.as_ref().is_some_and(|tls| !tls.reject_unauthorized) {
            notices.push(Notice::not_verified(&format!("{}.rejectUnauthorized", r.path_of("tls"))));
        }
        let config = SentinelConfig {
            name,
            nodes,
            username: r.string("username")?.filter(|name| !name.is_empty()),
            password: r.string("password")?.filter(|password| !password.is_empty()).map(Secret::new),
            tls,
        };
        r.finish()?;
        Ok(Some(config))
    }
}
