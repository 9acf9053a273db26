//! What a server is started with.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::path::Path;

use rand::Rng;
use tempfile::TempDir;

use super::tls_front::TlsFront;
use crate::certs::{Certificates, Identity};

/// The user, and the name, of the kit's own connections. It has no password, so that a test may
/// change that of the default user.
pub(crate) const CONTROL_USER: &str = "oxbus-testkit";

/// Below the range from which systems give ports to outgoing connections (32768 and above): so no
/// connection takes the port while its server is down, and none is ever connected to itself.
const PORTS: Range<u16> = 12_000..32_000;
/// The ports of the nodes of a cluster, whose second port, for each other, lies below that range too.
const NODE_PORTS: Range<u16> = 12_000..22_000;
/// What is between the two ports of a node.
const BUS_OFFSET: u16 = 10_000;

/// The settings of a [`RedisServer`](super::RedisServer) before it is started.
#[derive(Clone, Debug, Default)]
pub struct RedisServerBuilder {
    args: Vec<(String, String)>,
    pub(super) password: Option<String>,
    tls: Option<Tls>,
    /// Whether TLS is served in front of the server, which was built without it.
    pub(super) has_tls_front: bool,
    pub(super) prefer_unix: bool,
    pub(super) port: Option<u16>,
    replica_of: Option<u16>,
    pub(super) is_sentinel: bool,
}

#[derive(Clone, Debug)]
struct Tls {
    ca: String,
    cert: String,
    key: String,
}

impl RedisServerBuilder {
    /// A line of the configuration file, `value` written as it is there; overrides what the kit
    /// sets. An empty value becomes `""`.
    pub fn arg(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.args.push((name.into(), value.into()));
        self
    }

    /// The password of the default user, and of its master for a replica.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Serves TLS only, with the valid server certificate; in front of it where the server was built without TLS. Client certificates are not asked for
    /// unless `.arg("tls-auth-clients", "yes")`; they have to be signed by `certificates.ca`.
    pub fn tls(self, certificates: &Certificates) -> Self {
        self.tls_as(certificates, &certificates.server)
    }

    /// As [`RedisServerBuilder::tls`], with another certificate, such as the expired one.
    pub fn tls_as(mut self, certificates: &Certificates, identity: &Identity) -> Self {
        self.tls = Some(Tls {
            ca: certificates.ca.cert.clone(),
            cert: identity.cert.clone(),
            key: identity.key.clone(),
        });
        self
    }

    /// Makes [`RedisServer::url`](super::RedisServer::url) name the Unix socket. The TCP port is served all the same.
    pub fn unix_socket(mut self) -> Self {
        self.prefer_unix = true;
        self
    }

    /// A fixed port, instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Makes it a replica of the server on that port of this machine.
    pub fn replica_of(mut self, port: u16) -> Self {
        self.replica_of = Some(port);
        self
    }

    /// Makes it a sentinel. What it watches is given by [`RedisServerBuilder::arg`].
    pub(crate) fn sentinel(mut self) -> Self {
        self.is_sentinel = true;
        self
    }

    /// A port on which nothing listens; for the node of a cluster one whose second port is free too.
    pub(super) fn free_port(&self) -> u16 {
        if self.args.iter().any(|(name, _)| name == "cluster-enabled") {
            random_port(NODE_PORTS, |port| is_unused(port) && is_unused(port + BUS_OFFSET))
        } else {
            unused_port()
        }
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Serves TLS in front of the server, where that is needed and the server does not do it.
    pub(super) async fn start_tls_front(&self, port: u16, socket: &Path) -> io::Result<Option<TlsFront>> {
        let Some(tls) = self.tls.as_ref().filter(|_| self.has_tls_front) else { return Ok(None) };
        let asks_clients = self.args.iter().any(|arg| *arg == ("tls-auth-clients".into(), "yes".into()));
        let clients = asks_clients.then_some(&*tls.ca);
        TlsFront::start(port, (&tls.cert, &tls.key), clients, socket).await.map(Some)
    }

    /// Writes the configuration file, and the certificates, so that they live as long as the server.
    pub(super) fn write(&self, folder: &TempDir, port: u16, config: &Path, socket: &Path) {
        let folder = folder.path();
        let mut text = format!(
            "bind 127.0.0.1\ndir {}\nsave \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n\
             unixsocket {}\nunixsocketperm 700\n\
             user {CONTROL_USER} on nopass ~* &* +@all\n",
            quoted(&folder.display().to_string()),
            quoted(&socket.display().to_string()),
        );
        let mut line =
            |name: &str, value: &str| writeln!(text, "{name} {value}").expect("a string takes everything");
        if self.has_tls_front {
            line("port", "0");
        } else if let Some(tls) = &self.tls {
            line("port", "0");
            line("tls-port", &port.to_string());
            line("tls-auth-clients", "no");
            for (name, file, pem) in [
                ("tls-ca-cert-file", "ca.crt", &tls.ca),
                ("tls-cert-file", "server.crt", &tls.cert),
                ("tls-key-file", "server.key", &tls.key),
            ] {
                let path = folder.join(file);
                fs::write(&path, pem).expect("a file in the temporary folder");
                line(name, &quoted(&path.display().to_string()));
            }
        } else {
            line("port", &port.to_string());
        }
        if let Some(password) = &self.password {
            line("requirepass", &quoted(password));
            if !self.is_sentinel {
                line("masterauth", &quoted(password));
            }
        }
        if let Some(master) = self.replica_of {
            line("replicaof", &format!("127.0.0.1 {master}"));
        }
        let is_served = |name: &str| !self.has_tls_front || !name.starts_with("tls-");
        for (name, value) in self.args.iter().filter(|(name, _)| is_served(name)) {
            line(name, if value.is_empty() { "\"\"" } else { value });
        }
        fs::write(config, text).expect("the configuration of the server");
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
    out
}

/// A port of the loopback interface on which nothing listens now: connections to it are refused.
pub fn unused_port() -> u16 {
    random_port(PORTS, is_unused)
}

fn random_port(ports: Range<u16>, is_free: impl Fn(u16) -> bool) -> u16 {
    let mut rng = rand::rng();
    loop {
        let port = rng.random_range(ports.clone());
        if is_free(port) {
            return port;
        }
    }
}

fn is_unused(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
