//! What the health report asks: each connection by itself, and a server what it says of itself.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use oxbus_model::{BusError, ErrorKind, Outcome, server_error};
use redis::cmd;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::time::timeout as time_limit;

use super::RedisTransport;
use crate::redis::connection::server_info;
use crate::redis::resp::value::RespValue;
use crate::redis::subscriber;
use crate::redis::topology::cluster::report::NO_REPLICA;
use crate::runtime::joined::join_bounded;
use crate::transport::link_id::LinkId;
use crate::transport::{CLUSTER_MODE, NO_ANSWER, Probe};

/// How many nodes of a Cluster are asked what they say of themselves; the first that answers is enough.
const INFORMANTS: usize = 3;

impl RedisTransport {
    /// Asks all connections, for at most `timeout` milliseconds.
    pub(super) async fn probe_all(&self, timeout: u64) -> Probe {
        let limit = Duration::from_millis(timeout);
        // Earlier than the limit, so that each link of a node says by itself that it has no answer.
        let deadline = self.context.clock.now_ms().saturating_add(timeout - timeout / 10);
        // The replicated link is not probed: a pending WAIT may block it legitimately. The report judges it by the
        // age of its last reply.
        let (publisher, subscriber, consumers) = tokio::join!(
            time_limit(limit, self.probe_publisher(deadline)),
            time_limit(limit, self.probe_subscriber()),
            self.commands.probe(deadline),
        );
        let mut asked = vec![(LinkId::Subscriber, subscriber.is_ok())];
        if !self.routes.is_of_cluster() {
            asked.push((LinkId::Publisher, publisher.is_ok()));
        }
        let late = |error: &BusError| error.kind == ErrorKind::CommandTimeout;
        asked
            .extend(consumers.iter().map(|(link, answer)| (link.clone(), !answer.as_ref().is_err_and(late))));
        let errors = || consumers.iter().filter_map(|(_, answer)| answer.as_ref().err());
        let refuses_writes = errors().find(|error| server_error::refuses_writes(&error.message)).cloned();
        let no_answer = || failed(BusError::new(ErrorKind::CommandTimeout, "no answer in time"));
        let mut probe = Probe { asked, refuses_writes, ..publisher.unwrap_or_else(|_| no_answer()) };
        if self.routes.is_of_cluster() {
            // Each of them names its node. The error of the report is told of there.
            let is_told = |error: &BusError| probe.error.as_ref().is_some_and(|e| e.message == error.message);
            let silent = errors().filter(|error| late(error) && !is_told(error));
            let silent: Vec<_> = silent.map(|error| (NO_ANSWER, error.message.clone())).collect();
            probe.warnings.extend(silent);
        }
        if let (Some((report, warnings)), Some(server)) =
            (self.connector.endpoint.report(), probe.server.as_object_mut())
        {
            server.insert(self.routes.report_name().to_owned(), report);
            let is_wanted = |(code, _): &(&str, String)| *code != NO_REPLICA || self.replicated.is_started();
            probe.warnings.extend(warnings.into_iter().filter(is_wanted));
        }
        probe
    }

    /// One round trip on the publisher, by asking for what the report needs.
    async fn probe_publisher(&self, deadline: u64) -> Probe {
        let (info, latency) = self.info(deadline).await;
        let now = self.context.clock.wall_ms();
        match info.and_then(RespValue::text) {
            Ok(info) => {
                let stores = !self.context.config.streams.is_empty();
                let replicas = self.context.most_replicas.load(Relaxed);
                let mut probe = server_info::of(&info, latency, now, stores, replicas);
                // It is for clients of one server, which cannot follow its slots.
                probe.warnings.retain(|(code, _)| *code != CLUSTER_MODE || !self.routes.is_of_cluster());
                probe
            }
            // The server answered: the link is well, and only its details are secret.
            Err(error) if error.outcome == Some(Outcome::Rejected) && !error.kind.retryable() => {
                server_info::withheld(&error, latency)
            }
            Err(error) => failed(error),
        }
    }

    /// What the server says of itself, and how long it took in milliseconds; of a Cluster the first of some masters, in the
    /// order of their addresses, that answers.
    async fn info(&self, deadline: u64) -> (Result<RespValue, BusError>, f64) {
        let started = Instant::now();
        let since = |started: Instant| started.elapsed().as_secs_f64() * 1_000.0;
        if !self.routes.is_of_cluster() {
            let answer = self.ask_publisher(cmd("INFO")).await;
            return (answer, since(started));
        }
        let masters = match self.commands.nodes_in_use(deadline).await {
            Ok(masters) => masters,
            Err(error) => return (Err(error), since(started)),
        };
        let ask = |master| async move {
            let started = Instant::now();
            let answer = self.commands.ask_node(Some(master), &cmd("INFO"), deadline).await;
            (answer, since(started))
        };
        let asked = masters.iter().take(INFORMANTS).map(ask).collect();
        let answers = join_bounded(INFORMANTS, asked).await;
        let best = answers.into_iter().min_by_key(|(answer, _)| answer.is_err());
        let nobody = || BusError::new(ErrorKind::ConnectionLost, "the cluster has no master");
        best.unwrap_or_else(|| (Err(nobody()), since(started)))
    }

    async fn probe_subscriber(&self) {
        let (sender, answer) = oneshot::channel();
        let sent =
            self.links().subscriber.as_ref().is_some_and(|link| link.send(subscriber::Input::Probe(sender)));
        if sent {
            // The age of its last answer, in the report, tells whether it came.
            let _ = answer.await;
        }
    }
}

fn failed(error: BusError) -> Probe {
    Probe { server: json!({ "connected": false }), error: Some(error), ..Probe::default() }
}
