//! A real `redis-server` in a temporary folder, to kill, freeze and restart.

mod builder;
mod inspect;
mod process;
mod tls_front;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::{Instant, sleep};

pub use builder::{RedisServerBuilder, unused_port};
pub use process::PROGRAM_VARIABLE;

use crate::certs::Identity;
use crate::client::{DEFAULT_TIMEOUT, RespClient};
use crate::lock::lock;
use crate::resp::Value;
pub(crate) use builder::CONTROL_USER;
use process::{Process, log_since};
use tls_front::TlsFront;

/// How long a server may take to answer after its start, or to end; generous, as machines are shared.
const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);
/// How many ports are tried when others take them first.
const PORT_ATTEMPTS: usize = 20;

/// A running `redis-server` on a port of its own; nothing is persisted unless asked for.
///
/// The kit speaks to it over its Unix socket as a user of its own, whatever the test does to its
/// port, passwords and certificates. The server and its folder are gone when this is dropped, and
/// the server also dies with the test process (on Linux).
pub struct RedisServer {
    settings: RedisServerBuilder,
    port: u16,
    config: PathBuf,
    socket: PathBuf,
    log: PathBuf,
    tls_front: Option<TlsFront>,
    // Declared before `folder`: the process ends before its folder goes.
    process: Mutex<Option<Process>>,
    folder: TempDir,
}

/// Why a server did not come up.
enum Refusal {
    AddressInUse(String),
    Other(String),
}

impl RedisServerBuilder {
    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// When the program is missing, refuses its configuration or does not answer in time; the
    /// message holds what it printed.
    pub async fn start(self) -> RedisServer {
        RedisServer::launch(self).await
    }
}

impl RedisServer {
    /// Starts a server with the defaults on a free port. Panics as [`RedisServerBuilder::start`] does.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Settings other than the defaults.
    pub fn builder() -> RedisServerBuilder {
        RedisServerBuilder::default()
    }

    async fn launch(settings: RedisServerBuilder) -> Self {
        let folder = TempDir::with_prefix("oxbus-redis-").expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let mut server = Self {
            config: path("redis.conf"),
            socket: path("redis.sock"),
            log: path("redis.log"),
            port: 0,
            tls_front: None,
            process: Mutex::new(None),
            folder,
            settings,
        };
        let attempts = if server.settings.port.is_some() { 1 } else { PORT_ATTEMPTS };
        for attempt in 1..=attempts {
            server.port = server.settings.port.unwrap_or_else(|| server.settings.free_port());
            server.settings.write(&server.folder, server.port, &server.config, &server.socket);
            match server.boot(Instant::now() + PATIENCE).await {
                Ok(()) => match server.settings.start_tls_front(server.port, &server.socket).await {
                    Ok(front) => {
                        server.tls_front = front;
                        break;
                    }
                    Err(_) if attempt < attempts => {}
                    Err(error) => panic!("TLS cannot be served in front of redis-server: {error}"),
                },
                Err(Refusal::Other(why)) if attempt < attempts && server.knows_no_tls(&why) => {
                    server.settings.has_tls_front = true;
                }
                Err(Refusal::AddressInUse(_)) if attempt < attempts => {}
                Err(Refusal::AddressInUse(why) | Refusal::Other(why)) => {
                    panic!("redis-server did not start: {why}")
                }
            }
        }
        server
    }

    async fn boot(&self, deadline: Instant) -> Result<(), Refusal> {
        let before = fs::metadata(&self.log).map_or(0, |file| file.len());
        *self.process() = Some(Process::spawn(&self.config, self.settings.is_sentinel, &self.log));
        loop {
            // Looked at before PING: a server that could not bind its port may never be taken for up.
            let exited = self.process().as_mut().is_none_or(Process::has_exited);
            if exited {
                self.process().take();
                let why = log_since(&self.log, before);
                let in_use = why.contains("Address already in use");
                return Err(if in_use { Refusal::AddressInUse(why) } else { Refusal::Other(why) });
            }
            if self.answers().await {
                return Ok(());
            }
            if Instant::now() > deadline {
                let printed = log_since(&self.log, before);
                return Err(Refusal::Other(format!("no answer within {PATIENCE:?}; it printed: {printed}")));
            }
            sleep(POLL).await;
        }
    }

    /// Whether the server did not start because it was built without TLS, by what it printed.
    fn knows_no_tls(&self, why: &str) -> bool {
        // Up to 7.0 such a server does not know the line of its configuration.
        let says_so = [">>> 'tls-port ", "Failed finding TLS support"].iter().any(|said| why.contains(said));
        self.settings.is_tls() && !self.settings.has_tls_front && says_so
    }

    async fn answers(&self) -> bool {
        let Ok(mut control) = self.control().await else { return false };
        match control.call(&["PING"]).await {
            Ok(Value::Error(why)) => !why.starts_with("LOADING"),
            Ok(_) => true,
            Err(_) => false,
        }
    }

    /// The TCP port, the same for the life of this value.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The TCP address, on the loopback interface.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The Unix socket, which every server has.
    pub fn socket_path(&self) -> &Path {
        &self.socket
    }

    /// The folder of its files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `redis://127.0.0.1:port`, `rediss://localhost:port` with TLS, or `unix://path`; without the password.
    pub fn url(&self) -> String {
        if self.settings.prefer_unix {
            format!("unix://{}", self.socket.display())
        } else if self.settings.is_tls() {
            format!("rediss://localhost:{}", self.port)
        } else {
            format!("redis://127.0.0.1:{}", self.port)
        }
    }

    /// The password it was started with.
    pub fn password(&self) -> Option<&str> {
        self.settings.password.as_deref()
    }

    /// What it printed since the first start.
    pub fn log(&self) -> String {
        log_since(&self.log, 0)
    }

    /// The id of its process; `None` when it is down.
    pub fn process_id(&self) -> Option<u32> {
        self.process().as_ref().map(Process::id)
    }

    /// Ends it at once (SIGKILL), frozen or not; returns when it is gone. Nothing happens when it is down.
    pub fn kill(&self) {
        self.process().take();
    }

    /// Cuts bytes off the end of the append-only file of a server that is down, as a crash in the middle of a write does.
    ///
    /// # Panics
    /// When there is no such file, or it is shorter.
    pub fn cut_append_only_file(&self, bytes: u64) {
        let files =
            |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        // Servers from 7 on have a folder with a file of what was there at the start, and one of what came since.
        let is_appended = |path: &PathBuf| {
            path.to_string_lossy().ends_with(".incr.aof") || path.ends_with("appendonly.aof")
        };
        let mut folders = vec![self.folder.path().to_owned()];
        folders.extend(files(self.folder.path()).filter(|path| path.is_dir()));
        let path =
            folders.iter().flat_map(|folder| files(folder)).find(is_appended).expect("an append-only file");
        let file = fs::File::options().write(true).open(&path).expect("the append-only file");
        let length = file.metadata().expect("its length").len();
        file.set_len(length.checked_sub(bytes).expect("a longer file")).expect("it is cut");
    }

    /// Ends it in an orderly way (SIGTERM: files are written, clients closed); returns when it is gone.
    ///
    /// # Panics
    /// When it has not ended after 30 s.
    pub async fn stop(&self) {
        if let Some(process) = self.process().as_mut() {
            process.terminate();
        }
        let deadline = Instant::now() + PATIENCE;
        while self.process().as_mut().is_some_and(|process| !process.has_exited()) {
            assert!(Instant::now() < deadline, "redis-server did not stop: {}", self.log());
            sleep(POLL).await;
        }
        self.process().take();
    }

    /// Starts it again on the same port, folder and settings, after killing it if it still runs.
    ///
    /// # Panics
    /// As [`RedisServerBuilder::start`] does, and when others keep its port for 30 s.
    pub async fn restart(&self) {
        self.kill();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.boot(deadline).await {
                Ok(()) => return,
                Err(Refusal::AddressInUse(_)) if Instant::now() < deadline => sleep(POLL).await,
                Err(Refusal::AddressInUse(why) | Refusal::Other(why)) => {
                    panic!("redis-server did not restart: {why}")
                }
            }
        }
    }

    /// Serves TLS with another certificate to those who connect from now on.
    ///
    /// # Panics
    /// When the server refuses it.
    pub async fn present(&self, identity: &Identity) {
        if let Some(front) = &self.tls_front {
            return front.present(&identity.cert, &identity.key);
        }
        let file = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        let (cert, key) = (file(&identity.cert_file), file(&identity.key_file));
        self.command(&["CONFIG", "SET", "tls-cert-file", &cert, "tls-key-file", &key]).await;
    }

    /// Stops it from running (SIGSTOP) while its sockets stay open and accept; returns when it stands.
    ///
    /// # Panics
    /// When it is down.
    pub fn freeze(&self) {
        self.process().as_mut().expect("a server that runs").freeze();
    }

    /// Whether it stands since [`RedisServer::freeze`].
    pub fn is_frozen(&self) -> bool {
        self.process().as_ref().is_some_and(Process::is_frozen)
    }

    /// Lets it go on after [`RedisServer::freeze`]. Panics when it is down.
    pub fn thaw(&self) {
        self.process().as_mut().expect("a server that runs").thaw();
    }

    /// Takes a command, or a subcommand written `command|subcommand`, from the default user. Servers before 7 know no
    /// subcommands to take away: there it is the whole command.
    ///
    /// # Panics
    /// As [`RedisServer::command`].
    pub async fn deny(&self, command: &str) {
        let rule = |command: &str| ["ACL".into(), "SETUSER".into(), "default".into(), format!("-{command}")];
        if let Err(why) = self.try_command(&rule(command)).await {
            let Some((whole, _)) = command.split_once('|') else { panic!("-{command}: {why}") };
            self.command(&rule(whole)).await;
        }
    }

    /// Runs a command on a connection of its own and gives the reply.
    ///
    /// # Panics
    /// On an error reply, or when there is no answer within 30 s: on a busy machine a server may take some to cut off clients
    /// with very many subscriptions.
    pub async fn command(&self, args: &[impl AsRef<[u8]>]) -> Value {
        match self.ask(args, PATIENCE).await {
            Ok(value) => value,
            Err(why) => {
                let shown: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg.as_ref())).collect();
                panic!("{}: {why}", shown.join(" "))
            }
        }
    }

    /// As [`RedisServer::command`]; an error reply, or the lack of an answer within [`DEFAULT_TIMEOUT`], as text.
    pub async fn try_command(&self, args: &[impl AsRef<[u8]>]) -> Result<Value, String> {
        self.ask(args, DEFAULT_TIMEOUT).await
    }

    async fn ask(&self, args: &[impl AsRef<[u8]>], limit: Duration) -> Result<Value, String> {
        let mut control = self.control().await?.with_timeout(limit);
        match control.call(args).await {
            Ok(Value::Error(why)) => Err(why),
            Ok(value) => Ok(value),
            Err(error) => Err(error.to_string()),
        }
    }

    /// A connection for the test's own use, not counted by [`RedisServer::connected_clients`].
    ///
    /// # Errors
    /// What went wrong, as text: the server is down, frozen, or out of connections.
    pub async fn control(&self) -> Result<RespClient, String> {
        let mut client = RespClient::connect_unix(&self.socket).await.map_err(|error| error.to_string())?;
        for greeting in [["AUTH", CONTROL_USER, "-"], ["CLIENT", "SETNAME", CONTROL_USER]] {
            match client.call(&greeting).await {
                // While it loads its files it refuses most commands; the caller's own will tell.
                Ok(Value::Error(why)) if !why.starts_with("LOADING") => return Err(why),
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(client)
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        lock(&self.process)
    }
}
