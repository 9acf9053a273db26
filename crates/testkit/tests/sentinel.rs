//! The kit's sentinels fail over.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is a failure")]

use oxbus_testkit::SentinelSet;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_set_fails_over_on_command_and_by_itself() {
    let started = std::time::Instant::now();
    let set = SentinelSet::start().await;
    println!("started after {:?}", started.elapsed());
    let first = set.servers[0].port();
    for sentinel in 0..3 {
        assert_eq!(set.named_by(sentinel).await.unwrap().port(), first);
    }
    let started = std::time::Instant::now();
    set.fail_over().await;
    let second = set.successor_of(first).await;
    println!("failed over after {:?}", started.elapsed());
    let role = second.command(&["ROLE"]).await.items()[0].clone().text();
    assert_eq!(role, "master");
    let started = std::time::Instant::now();
    set.sentinels[2].kill();
    second.kill();
    let third = set.successor_of(second.port()).await;
    println!("failed over by itself after {:?}", started.elapsed());
    assert_eq!(third.command(&["ROLE"]).await.items()[0].clone().text(), "master");
}
