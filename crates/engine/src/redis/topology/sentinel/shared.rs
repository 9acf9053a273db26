//! What is known of a master, and of the sentinels that were asked for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oxbus_model::config::{Address, SentinelConfig};
use oxbus_model::topology::master_choice::{MasterChoice, Next, Opinion};
use oxbus_model::{BusError, ErrorKind};
use serde_json::{Value, json};
use tokio::sync::watch::{Receiver, Sender};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use crate::redis::connection::access::Access;
use crate::redis::connection::handshake::Handshake;
use crate::redis::connection::names::SystemNames;
use crate::runtime::clock::Clock;
use crate::runtime::line_limit::LineLimit;
use crate::runtime::tasks::Tasks;
use crate::transport::context::TransportContext;

/// The warning of sentinels that give no answer.
const SENTINEL_UNREACHABLE: &str = "SENTINEL_UNREACHABLE";
/// The warning of sentinels that name another master than most.
const SENTINELS_DISAGREE: &str = "SENTINELS_DISAGREE";

/// How long a server may take to say whether it is a master, where few sentinels name it.
const PROOF_LIMIT: Duration = Duration::from_secs(1);
/// Lines about sentinels in a minute, at the most.
const LINES_PER_MINUTE: u32 = 10;

/// What links follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) master: Option<Address>,
    /// Whether there may be one in a moment: not all sentinels have been asked yet.
    pub(super) is_open: bool,
}

/// What the tasks of a watch share.
pub(super) struct Shared {
    config: SentinelConfig,
    /// The milliseconds between two questions to a sentinel that tells by itself what happens.
    pub(super) heartbeat: Duration,
    /// How long an attempt to connect to a sentinel may take.
    pub(super) connect_limit: Duration,
    pub(super) access: Access,
    handshake: Arc<Handshake>,
    tasks: Tasks,
    clock: Clock,
    choice: Mutex<MasterChoice>,
    known: Sender<Known>,
    /// How often somebody wanted all sentinels to be asked at once.
    asked: Sender<u64>,
    lines: Mutex<LineLimit>,
}

impl Shared {
    pub(super) fn new(
        context: &TransportContext,
        config: &SentinelConfig,
        handshake: Arc<Handshake>,
        tasks: Tasks,
    ) -> Shared {
        let redis = &context.config.redis;
        // Half of the time of `connect()`, so that it can tell which sentinel did not answer.
        let connect_limit = Duration::from_millis(redis.connect_timeout.div_ceil(2));
        Shared {
            access: Access::to_sentinels(&context.config, config, Box::new(SystemNames), connect_limit),
            heartbeat: Duration::from_millis(redis.heartbeat),
            connect_limit,
            handshake,
            tasks,
            clock: context.clock.clone(),
            choice: Mutex::new(MasterChoice::new(&config.name, &config.nodes)),
            known: Sender::new(Known { master: None, is_open: true }),
            asked: Sender::new(0),
            lines: Mutex::new(LineLimit::per_minute(LINES_PER_MINUTE)),
            config: config.clone(),
        }
    }

    /// The name of the master.
    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn sentinels(&self) -> &[Address] {
        &self.config.nodes
    }

    /// The master, now and whenever it changes.
    pub(super) fn known(&self) -> Receiver<Known> {
        self.known.subscribe()
    }

    /// Tells each watcher when its sentinel is to be asked at once.
    pub(super) fn asked(&self) -> Receiver<u64> {
        self.asked.subscribe()
    }

    /// Has all sentinels asked at once.
    pub(super) fn ask(&self) {
        self.asked.send_modify(|asked| *asked += 1);
    }

    /// What each sentinel says, for a client that has no master.
    pub(super) fn no_master(&self) -> BusError {
        self.choice().no_master()
    }

    /// A sentinel was asked.
    pub(super) fn told(self: &Arc<Self>, sentinel: usize, opinion: Opinion) {
        let mut choice = self.choice();
        if let Some((address, before)) = choice.opinions().get(sentinel)
            && *before != opinion
        {
            self.log(address, &opinion, &choice.said(&opinion));
        }
        choice.told(sentinel, opinion);
        self.advance(choice, true);
    }

    /// A server that is named says that it is no master.
    pub(super) fn doubt(self: &Arc<Self>, address: &Address, why: BusError) {
        let mut choice = self.choice();
        choice.doubted(address, why);
        self.advance(choice, false);
    }

    fn advance(self: &Arc<Self>, mut choice: MutexGuard<'_, MasterChoice>, mut again: bool) {
        loop {
            match choice.next(again) {
                Next::Stay => break,
                Next::Follow(_) => again = false,
                Next::Prove(address) => {
                    // It ends by itself, within its limit.
                    self.tasks.spawn(self.clone().prove(address));
                    break;
                }
            }
        }
        let known = Known { master: choice.current().cloned(), is_open: choice.is_open() };
        self.known.send_if_modified(|before| {
            if before.master != known.master
                && let Some(master) = &known.master
            {
                info!(name = self.config.name, %master, "the sentinels name a master");
            }
            let is_changed = *before != known;
            *before = known;
            is_changed
        });
    }

    /// Asks a server whether it is a master.
    async fn prove(self: Arc<Self>, address: Address) {
        let connected = timeout(PROOF_LIMIT, self.handshake.connect(&address, true, Vec::new())).await;
        let late = || BusError::new(ErrorKind::ConnectTimeout, "it does not answer in time");
        let proof = connected.unwrap_or_else(|_| Err(late()));
        let mut choice = self.choice();
        match proof {
            Ok(_) => choice.proven(&address),
            Err(error) => {
                debug!(%address, error = error.message, "a sentinel names a server that is not known to be a master");
                choice.doubted(&address, error);
            }
        }
        self.advance(choice, false);
    }

    fn log(&self, sentinel: &Address, opinion: &Opinion, said: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        match opinion {
            Opinion::Pending | Opinion::Names(_) => debug!(%sentinel, said, "a sentinel was asked"),
            Opinion::Unknown | Opinion::Unreachable(_) => match lines.admit(self.clock.now_ms()) {
                Some(_) => warn!(%sentinel, said, "a sentinel does not tell the master"),
                None => debug!(%sentinel, said, "a sentinel does not tell the master"),
            },
        }
    }

    /// For the health report.
    pub(super) fn report(&self) -> (Value, Vec<(&'static str, String)>) {
        let choice = self.choice();
        let master = choice.current();
        let (mut silent, mut others) = (Vec::new(), Vec::new());
        let sentinels: Vec<Value> = choice
            .opinions()
            .iter()
            .map(|(address, opinion)| {
                let at = address.to_string();
                let said = || format!("{at} {}", choice.said(opinion));
                match opinion {
                    Opinion::Names(named) => {
                        if Some(&named.address) != master {
                            others.push(said());
                        }
                        json!({ "address": at, "connected": true, "master": named.address.to_string() })
                    }
                    Opinion::Unknown => {
                        others.push(said());
                        json!({ "address": at, "connected": true, "error": choice.said(opinion) })
                    }
                    Opinion::Pending | Opinion::Unreachable(_) => {
                        silent.push(said());
                        json!({ "address": at, "connected": false, "error": choice.said(opinion) })
                    }
                }
            })
            .collect();
        let mut warnings = Vec::new();
        if !silent.is_empty() {
            let all = sentinels.len();
            let message =
                format!("{} of {all} sentinels cannot be asked: {}", silent.len(), silent.join("; "));
            warnings.push((SENTINEL_UNREACHABLE, message));
        }
        if !others.is_empty() {
            let followed = master
                .map_or_else(|| "no master is known".to_owned(), |master| format!("{master} is followed"));
            warnings.push((SENTINELS_DISAGREE, format!("{followed}, and {}", others.join("; "))));
        }
        let master = master.map(ToString::to_string);
        (json!({ "name": self.config.name, "master": master, "sentinels": sentinels }), warnings)
    }

    fn choice(&self) -> MutexGuard<'_, MasterChoice> {
        // Each change of the choice leaves it whole: a panic cannot leave it half done.
        self.choice.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
