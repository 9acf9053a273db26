//! The kit's sentinels fail over.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is a failure")]

use oxbus_testkit::SentinelSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_fails_over_on_command_and_by_itself() {
    let set = SentinelSet::start().await;
    let first = set.servers[0].port();
    for sentinel in 0..3 {
        assert_eq!(set.named_by(sentinel).await.unwrap().port(), first);
    }
    set.fail_over().await;
    let second = set.successor_of(first).await;
    let role = second.command(&["ROLE"]).await.items()[0].clone().text();
    assert_eq!(role, "master");
    set.quiet().await;
    set.sentinels[2].kill();
    second.kill();
    let third = set.successor_of(second.port()).await;
    assert_eq!(third.command(&["ROLE"]).await.items()[0].clone().text(), "master");
}
