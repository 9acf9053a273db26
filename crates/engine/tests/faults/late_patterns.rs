//! What a group has read past is taken up over connections that break.

use std::time::Duration;

use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};

use crate::setup::ready;
use crate::support::{Inbox, PATIENCE, Record};

fn storing(url: &str) -> Value {
    json!({ "redis": url, "streams": [{ "name": "jobs", "events": ["job.*"] }] })
}

/// A loss that the server has told into a connection that broke is told all the same, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_told_though_the_connection_breaks_that_tells_it() {
    let server = RedisServer::start().await;
    let proxy = FaultProxy::start(server.addr()).await;
    let group = || json!({ "group": "workers" });
    let keeper = ready(storing(&server.url())).await;
    let _known = Inbox::with(&keeper, &["job.cancelled"], group()).await;
    keeper.publish_many(vec![Record::new("job.paid", 1); 20]).await;
    let skipped = || async { keeper.stats().counts.events_skipped == 20 };
    eventually(PATIENCE, "entries that are read past", skipped).await;
    server.command(&["XTRIM", "jobs", "MAXLEN", "0"]).await;

    // The server has told the loss while the answer is still on its way.
    let late = ready(storing(&proxy.url())).await;
    proxy.delay(Duration::from_millis(300));
    let tasks = async || server.command(&["HVALS", "jobs:group:workers:tasks"]).await;
    let told = || async { tasks().await.items().iter().any(|task| task.text().contains(" !")) };
    let breaking = async {
        eventually(PATIENCE, "a loss that the server has told", told).await;
        proxy.cut_all();
        proxy.delay(Duration::ZERO);
        assert_eq!(late.stats().counts.events_lost, 0);
    };
    let (_paid, ()) = tokio::join!(Inbox::with(&late, &["job.paid"], group()), breaking);

    let lost = || async { late.stats().counts.events_lost == 20 };
    eventually(PATIENCE, "that the loss is told", lost).await;
    eventually(PATIENCE, "that the server knows it", || async { tasks().await.items().is_empty() }).await;
    assert_eq!((late.stats().counts.events_lost, keeper.stats().counts.events_lost), (20, 0));
    keeper.disconnect().await;
    late.disconnect().await;
}
