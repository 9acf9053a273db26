//! Publishing in memory: events go to streams and to subscribers, and are settled before it returns.
//!
//! There are no replicas; an event that waits for some is as safe as one in a single process can be.

use std::mem::replace;
use std::sync::Arc;

use oxbus_model::config::{KeyNames, PersistenceConfig};
use oxbus_model::stream_store::Fields;

use super::Broker;
use crate::host::{Failed, Published, StoredEntries};
use crate::memory::broker::{NewEntry, PersistedEvent};
use crate::memory::readers::EndedRead;
use crate::publish::encoder::{Encoded, Encoder, Stamp};
use crate::transport::Submission;
use crate::transport::context::TransportContext;
use crate::transport::events::PublishReport;

/// Publishes the events of a client.
pub(super) struct Publishing {
    encoder: Encoder,
    /// The streams and their caps.
    streams: Box<[(Arc<str>, u64)]>,
    kept: Option<PersistenceConfig>,
    keys: KeyNames,
}

/// The outcome of a submission.
#[derive(Default)]
pub(super) struct Settled {
    pub(super) report: PublishReport,
    /// Reads that have ended with it.
    pub(super) ended: Vec<EndedRead>,
}

impl Publishing {
    pub(super) fn new(context: &TransportContext) -> Self {
        let TransportContext { config, .. } = context;
        Publishing {
            encoder: Encoder::new(context),
            streams: config.streams.iter().map(|stream| (stream.name.as_str().into(), stream.cap)).collect(),
            kept: config.persistence,
            keys: config.keys.clone(),
        }
    }

    /// Publishes the events of a submission. The caller tells of the reads that end.
    pub(super) fn publish(&mut self, broker: &Broker, submission: &Submission, stamp: &Stamp) -> Settled {
        let Submission { batch, count, records } = submission;
        let Publishing { encoder, streams, kept, keys } = self;
        let batch = *batch;
        let Settled { mut report, mut ended } = Settled::default();
        let run = |first, stream: Option<&Arc<str>>| Published {
            batch,
            first,
            timestamp: stamp.text.clone(),
            items: Vec::new(),
            stored: stream.map(|stream| StoredEntries { stream: stream.clone(), entries: Vec::new() }),
            is_quiet: false,
        };
        let mut current = run(0, None);
        for (index, record) in (0..*count).zip(records.iter()) {
            let event = match encoder.encode(record, stamp) {
                Ok(event) => event,
                Err(error) => {
                    report.failed.push(Failed { batch, index, error, message_id: None });
                    report.published.push(replace(&mut current, run(index + 1, None)));
                    continue;
                }
            };
            let target = event.stream.and_then(|stream| streams.get(stream));
            if target.map(|(name, _)| name) != current.stored.as_ref().map(|stored| &stored.stream) {
                report.published.push(replace(&mut current, run(index, target.map(|(name, _)| name))));
            }
            let kept = kept.map(|kept| (kept, &*keys));
            let receivers = match target {
                Some((stream, cap)) => {
                    let (stored, over) = broker.store(new_entry(stream, *cap, &event));
                    ended.extend(over);
                    if let Some(run) = &mut current.stored {
                        run.entries.push((stored.id, stored.duplicate));
                    }
                    if !stored.duplicate {
                        keep(broker, kept, &event, &mut report.recent);
                    }
                    stored.receivers
                }
                None => {
                    keep(broker, kept, &event, &mut report.recent);
                    let (_, payload) = event.messages.first();
                    event.messages.channels().map(|channel| broker.publish(channel.as_bytes(), payload)).sum()
                }
            };
            report.count(event.stream, event.type_number);
            current.items.push((event.id, receivers));
        }
        report.published.push(current);
        report.published.retain(|run| !run.items.is_empty());
        report.release(*count as usize, records.bytes());
        Settled { report, ended }
    }
}

fn new_entry<'a>(stream: &'a str, cap: u64, event: &'a Encoded<'_>) -> NewEntry<'a> {
    NewEntry {
        stream,
        fields: fields(event),
        cap,
        once: event.options.deduplicate.map(|window| (event.event_id(), window)),
        live: event.live.then_some(event.messages),
    }
}

fn keep(
    broker: &Broker,
    kept: Option<(PersistenceConfig, &KeyNames)>,
    event: &Encoded<'_>,
    recent: &mut Vec<Box<[u8]>>,
) {
    let Some((PersistenceConfig { ttl, history }, keys)) = kept else { return };
    let (_, payload) = event.messages.first();
    recent.push(payload.into());
    broker.keep(PersistedEvent {
        key: &keys.events.of(event.event_id()),
        json: payload,
        ttl,
        history: history.then(|| (&*keys.history, fields(event))),
    });
}

fn fields(event: &Encoded<'_>) -> Fields {
    let mut fields = Vec::with_capacity(8);
    event.fields(&mut |name, value| fields.push((name.into(), value.into())));
    fields
}
