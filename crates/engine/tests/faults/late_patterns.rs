//! What a group has read past is taken up over connections that break.

use std::time::Duration;

use oxbus_testkit::{FaultProxy, RedisServer, eventually};
use serde_json::{Value, json};

use crate::setup::{FAR, ready};
use crate::support::{Inbox, PATIENCE, Record};

fn storing(url: &str) -> Value {
    json!({ "redis": url, "streams": [{ "name": "jobs", "events": ["job.*"] }] })
}

/// A loss that the server has told into a connection that broke is told all the same, and once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_loss_is_told_though_the_connection_breaks_that_tells_it() {
    let mut rounds = 0;
    // On a busy machine the answer may be here before the connection is cut.
    while !is_told_though_cut().await {
        rounds += 1;
        assert!(rounds < 10, "the answer was always there first");
    }
}

/// Whether the connection was cut before the answer was there. In each case the loss is told, and once.
async fn is_told_though_cut() -> bool {
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
    let mut patient = storing(&proxy.url());
    patient["redis"] = json!({ "url": proxy.url(), "connectTimeout": FAR, "commandTimeout": FAR });
    let late = ready(patient).await;
    proxy.delay(Duration::from_millis(300));
    let tasks = async || server.command(&["HVALS", "jobs:group:workers:tasks"]).await;
    let told = || async { tasks().await.items().iter().any(|task| task.text().contains(" !")) };
    let lost = || late.stats().counts.events_lost;
    let breaking = async {
        eventually(PATIENCE, "a loss that the server has told", || async { lost() > 0 || told().await })
            .await;
        proxy.cut_all();
        proxy.delay(Duration::ZERO);
        lost() == 0
    };
    let (_paid, is_cut) = tokio::join!(Inbox::with(&late, &["job.paid"], group()), breaking);

    eventually(PATIENCE, "that the loss is told", || async { lost() == 20 }).await;
    eventually(PATIENCE, "that the server knows it", || async { tasks().await.items().is_empty() }).await;
    assert_eq!((lost(), keeper.stats().counts.events_lost), (20, 0));
    keeper.disconnect().await;
    late.disconnect().await;
    is_cut
}
