//! The seam between a client and its transport: a client over a transport that is made up, and one whose transport
//! reports through a layer.

mod layer;
mod scripted;

use std::sync::Arc;
use std::time::Duration;

use oxbus_model::config::{Config, Environment};
use oxbus_model::submission::append;
use oxbus_testkit::eventually;
use tokio::runtime::Handle;

use crate::client::Client;
use crate::host::{Drained, Host, Notice};
use crate::memory::{Broker, MemoryTransport};
use crate::runtime::clock::Clock;
use crate::state::lifecycle::State;
use layer::Layer;
use scripted::Scripted;

const PATIENCE: Duration = Duration::from_secs(10);

struct Deaf;

impl Host for Deaf {
    fn wake(&self) {}
}

fn config(text: &str) -> Config {
    Config::resolve(text, &Environment::default()).unwrap()
}

fn submission(event_type: &str) -> String {
    let mut text = String::new();
    append(&mut text, [event_type, "", "1"]);
    text
}

/// Adds what the client has ready to `all`, until `enough`.
async fn drain_until(client: &Client, all: &mut Drained, what: &str, enough: impl Fn(&Drained) -> bool) {
    eventually(PATIENCE, what, || {
        let drained = client.drain();
        all.published.extend(drained.published);
        all.failed.extend(drained.failed);
        all.deliveries.extend(drained.deliveries);
        all.replies.extend(drained.replies);
        all.notices.extend(drained.notices);
        std::future::ready(enough(all))
    })
    .await;
}

#[tokio::test]
async fn a_client_works_over_any_transport() {
    let mut made = None;
    let client =
        Client::over(config("{}"), Arc::new(Deaf), Clock::start(None), Handle::current(), |events| {
            let transport = Arc::new(Scripted::new(events.context(events.clone())));
            made = Some(transport.clone());
            transport
        });
    let (client, transport, mut seen) = (client, made.unwrap(), Drained::default());
    client.connect(1, None);
    client.subscribe(2, &["photo.*".to_owned()], "").unwrap();
    drain_until(&client, &mut seen, "both replies", |seen| seen.replies.len() == 2).await;
    assert!(seen.replies.iter().all(|(_, result)| result.is_ok()));
    assert_eq!(client.state(), State::Ready);

    client.publish(7, 1, submission("photo.uploaded"));
    let came = |seen: &Drained| !seen.published.is_empty() && !seen.deliveries.is_empty();
    drain_until(&client, &mut seen, "the result and the event", came).await;
    assert_eq!((seen.published[0].batch, seen.published[0].items[0].1), (7, 1));
    assert!(seen.deliveries[0].event.json.contains("photo.uploaded"));
    let stats = client.stats();
    assert_eq!((stats.counts.events_published, stats.counts.events_received, stats.in_flight), (1, 1, 0));

    transport.lose_connection();
    assert_eq!(client.state(), State::Reconnecting);
    client.publish(8, 1, submission("photo.uploaded"));
    let failed = |seen: &Drained| {
        !seen.failed.is_empty() && seen.notices.iter().any(|n| matches!(n, Notice::Disconnected { .. }))
    };
    drain_until(&client, &mut seen, "the failure", failed).await;
    assert_eq!((seen.failed[0].batch, client.stats().in_flight), (8, 0));
}

#[tokio::test]
async fn what_a_transport_reports_can_go_through_a_layer() {
    let mut made = None;
    let config = config(r#"{"mode":"memory"}"#);
    let client = Client::over(config, Arc::new(Deaf), Clock::start(None), Handle::current(), |events| {
        let layer = Arc::new(Layer::over(events.clone()));
        made = Some(layer.clone());
        Arc::new(MemoryTransport::new(events.context(layer), Arc::new(Broker::new())))
    });
    let (client, layer, mut seen) = (client, made.unwrap(), Drained::default());
    client.connect(1, None);
    client.subscribe(2, &["photo.*".to_owned()], "").unwrap();
    for batch in [1, 2] {
        // Of the first the message gets lost, though the publish succeeds.
        layer.lose_messages(batch == 1);
        client.publish(batch, 1, submission(&format!("photo.{batch}")));
    }
    let came = |seen: &Drained| seen.published.len() == 2 && !seen.deliveries.is_empty();
    drain_until(&client, &mut seen, "results and the event", came).await;
    assert_eq!(seen.deliveries.len(), 1);
    assert!(seen.deliveries[0].event.json.contains("photo.2"));
    let calls = ["link_up memory", "confirmed", "messages lost", "published", "messages", "published"];
    assert_eq!(layer.calls(), calls);
    layer.report_down();
    assert_eq!(client.state(), State::Reconnecting);
}

/// A store of no streams.
struct NoStore;

impl crate::transport::store::Store for NoStore {
    fn execute(
        &self,
        _request: oxbus_model::stream_store::Request,
    ) -> crate::transport::store::PendingResponse {
        let error = oxbus_model::BusError::new(oxbus_model::ErrorKind::NoGroup, "there are no streams");
        Box::pin(std::future::ready(Err(error)))
    }
}
