//! The connection to one sentinel: asks it for the master, and listens to what it tells by itself.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use oxbus_model::backoff::Backoff;
use oxbus_model::server_error;
use oxbus_model::topology::master_choice::Opinion;
use oxbus_model::{BusError, ErrorKind};
use redis::{Cmd, cmd};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tracing::debug;

use super::answer::{Answer, Said, opinion};
use super::shared::Shared;
use crate::redis::connection::open_connection::OpenConnection;
use crate::redis::resp::reply::Protocol;
use crate::runtime::clock;
use crate::runtime::panics::catch_panic;

/// What a sentinel tells by itself that may mean another master. `+switch-master` comes when a failover is done; the sentinel
/// that runs it knows sooner, and the others tell nothing else.
const CHANNELS: [&str; 4] =
    ["+switch-master", "+promoted-slave", "+failover-state-reconf-slaves", "+failover-end"];

/// How long a sentinel may take to answer.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How often a sentinel is asked that may not tell by itself.
const POLL: Duration = Duration::from_secs(1);

/// The ceilings of the first and of all later pauses before a sentinel is connected to again, in milliseconds.
const PAUSES: (u64, u64) = (50, 2_000);

/// Watches a sentinel, given by its number, for ever.
pub(super) async fn run(shared: Arc<Shared>, sentinel: usize) {
    let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
    loop {
        let watched = catch_panic("the watch of a sentinel", watch(&shared, sentinel, &mut backoff)).await;
        let error = match watched {
            Ok(Err(error)) | Err(error) => error,
            Ok(Ok(never)) => match never {},
        };
        shared.told(sentinel, Opinion::Unreachable(error));
        sleep(Duration::from_millis(backoff.next(clock::random()))).await;
    }
}

/// Connects, and watches until the connection breaks.
async fn watch(shared: &Arc<Shared>, sentinel: usize, backoff: &mut Backoff) -> Result<Infallible, BusError> {
    let deadline = Instant::now() + shared.connect_limit;
    let Some(address) = shared.sentinels().get(sentinel) else { return std::future::pending().await };
    let (talk, server) = shared.access.log_in(address, deadline).await?;
    if server.mode.as_deref().is_some_and(|mode| mode != "sentinel") {
        let message = "it is a server that keeps data, and no sentinel";
        return Err(BusError::at(
            ErrorKind::InvalidConfig,
            format!("redis.sentinel.nodes[{sentinel}]"),
            message,
        ));
    }
    let mut asked = shared.asked();
    asked.mark_unchanged();
    let mut watcher = Watcher { talk, is_heard: false, answers: Vec::new() };
    timeout(ANSWER_LIMIT, watcher.subscribe()).await.unwrap_or_else(|_| Err(silent()))?;
    // Asked only now, so that nothing happens between the answer and the first event.
    let (mut is_due, mut answer_by) = (true, None);
    let mut next = Instant::now();
    loop {
        // An answer that is on its way may be from before what makes a question due.
        if is_due && answer_by.is_none() {
            is_due = false;
            watcher.ask(shared.name()).await?;
            answer_by = Some(Instant::now() + ANSWER_LIMIT);
        }
        tokio::select! {
            said = watcher.talk.answer(|reply| Said::read(&reply)) => match said? {
                Said::Event(words) => {
                    if words.split(' ').any(|word| word == shared.name()) {
                        debug!(sentinel = %address, words, "a sentinel tells of a failover");
                        is_due = true;
                    }
                }
                Said::Subscribed => {}
                Said::Answer(answer) => {
                    if let Some(opinion) = watcher.answered(answer) {
                        answer_by = None;
                        backoff.reset();
                        next = Instant::now() + if watcher.is_heard { shared.heartbeat } else { POLL };
                        shared.told(sentinel, opinion);
                    }
                }
            },
            changed = asked.changed() => match changed {
                Ok(()) => is_due = true,
                Err(_) => return std::future::pending().await,
            },
            () = sleep_until(answer_by.unwrap_or(next)) => match answer_by {
                Some(_) => return Err(silent()),
                None => is_due = true,
            },
        }
    }
}

struct Watcher {
    talk: OpenConnection,
    /// Whether the sentinel tells by itself what happens.
    is_heard: bool,
    /// The answers so far to the question that is under way.
    answers: Vec<Answer>,
}

impl Watcher {
    async fn subscribe(&mut self) -> Result<(), BusError> {
        self.talk.send([&cmd("SUBSCRIBE").arg(&CHANNELS).to_owned()]).await?;
        match self.talk.answer(|reply| Said::read(&reply)).await? {
            Said::Answer(Answer::Refused(error)) if server_error::is_withheld(&error) => {
                debug!(sentinel = %self.talk.address, error, "a sentinel may not be listened to, and is asked instead");
            }
            Said::Answer(Answer::Refused(error)) => {
                return Err(server_error::classify(&error).into_error(&error));
            }
            _ => self.is_heard = true,
        }
        Ok(())
    }

    async fn ask(&mut self, name: &str) -> Result<(), BusError> {
        self.answers.clear();
        let question = |about: &str| cmd("SENTINEL").arg(about).arg(name).to_owned();
        let mut commands = vec![question("GET-MASTER-ADDR-BY-NAME"), question("MASTER")];
        if self.talk.protocol == Protocol::Resp2 && self.is_heard {
            // Who listens in this protocol may ask nothing. The server carries out what it reads at once without a break, so
            // no event is missed.
            commands.insert(0, cmd("UNSUBSCRIBE").arg(&CHANNELS).to_owned());
            commands.push(cmd("SUBSCRIBE").arg(&CHANNELS).to_owned());
        }
        self.talk.send(commands.iter().collect::<Vec<&Cmd>>()).await
    }

    /// Takes an answer; the second one completes the opinion.
    fn answered(&mut self, answer: Answer) -> Option<Opinion> {
        self.answers.push(answer);
        let details = self.answers.get(1)?;
        let opinion = opinion(self.answers.first()?.clone(), details);
        Some(opinion)
    }
}

fn silent() -> BusError {
    let message = format!("no answer within {} ms", ANSWER_LIMIT.as_millis());
    BusError::new(ErrorKind::ConnectionLost, message)
}
