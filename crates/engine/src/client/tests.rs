//! Logs of several clients in one process.

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::config::{Config, Environment};
use oxbus_model::submission::append;
use oxbus_testkit::eventually;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use super::Client;
use crate::host::{Drained, Host, Notice};
use crate::memory::Broker;

const PATIENCE: Duration = Duration::from_secs(10);

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

/// A client in memory that logs from a level on.
fn client(level: &str, broker: &Arc<Broker>) -> Client {
    let config = json!({
        "mode": "memory", "logLevel": level,
        "streams": [{ "name": "orders", "events": "order.*" }],
    });
    let config = Config::resolve(&config.to_string(), &Environment::default()).unwrap();
    Client::new(config, Some(broker.clone()), Arc::new(Deaf), Handle::current())
}

async fn drain_until(client: &Client, what: &str, enough: impl Fn(&Drained) -> bool) -> Drained {
    let mut all = Drained::default();
    eventually(PATIENCE, what, || {
        let drained = client.drain();
        all.deliveries.extend(drained.deliveries);
        all.replies.extend(drained.replies);
        all.notices.extend(drained.notices);
        std::future::ready(enough(&all))
    })
    .await;
    all
}

/// Level, message and fields of the lines for the log.
fn lines(drained: Drained) -> Vec<(&'static str, String, Value)> {
    let notices = drained.notices.into_iter();
    let line = |notice| match notice {
        Notice::Log { level, message, fields } => Some((level, message, fields)),
        _ => None,
    };
    notices.filter_map(line).collect()
}

#[tokio::test]
async fn each_client_logs_its_own_lines_from_its_own_level_on() {
    let broker = Arc::new(Broker::new());
    let levels = ["debug", "info", "warn"];
    let clients = levels.map(|level| client(level, &broker));
    for (client, level) in clients.iter().zip(levels) {
        // The first publish connects.
        let mut text = String::new();
        append(&mut text, ["order.placed", "", r#""a secret""#]);
        client.publish(1, 1, text);
        let options = json!({ "group": level, "from": "beginning" }).to_string();
        client.subscribe(1, &["order.*".to_owned()], &options).unwrap();
    }
    let [debug, info, warn] = &clients;
    // What is published by one is pumped on its thread through the groups of all.
    let mut text = String::new();
    append(&mut text, ["order.placed", "", r#""a secret""#]);
    info.publish(2, 1, text);
    for client in &clients {
        client.request(2, "streams.info".to_owned(), r#"{"name":"orders"}"#.to_owned());
        client.request(3, "streams.nothing".to_owned(), "{}".to_owned());
        client.health(4);
    }
    let came = |drained: &Drained| drained.replies.len() == 4 && drained.deliveries.len() == 4;
    let debug = lines(drain_until(debug, "all of the first", came).await);
    let info = lines(drain_until(info, "all of the second", came).await);
    let warn = lines(drain_until(warn, "all of the third", came).await);

    let connected = ("info", "connected".to_owned(), json!({ "link": "memory" }));
    assert_eq!((info, warn), (vec![connected.clone()], vec![]));
    assert_eq!(debug[0], connected);
    let line = |message: &str| {
        let mut found = debug.iter().filter(|(level, said, _)| *level == "debug" && said == message);
        let line = found.next().unwrap_or_else(|| panic!("no line {message:?} in {debug:?}"));
        assert!(found.next().is_none(), "{message:?} in {debug:?}");
        &line.2
    };
    let group = line("the group is there");
    assert_eq!((&group["stream"], &group["group"]), (&json!("orders"), &json!("debug")));
    assert_eq!(line("a request was answered"), &json!({ "method": "streams.info" }));
    let failed = line("a request failed");
    assert_eq!((&failed["method"], &failed["code"]), (&json!("streams.nothing"), &json!("ERR_BUS_INTERNAL")));
    assert_eq!(line("the links were probed")["status"], "healthy");
    assert!(!format!("{debug:?}").contains("a secret"));
}
