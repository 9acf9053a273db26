//! The format of campaign: metadata and data apart, and channels that are named by what the data says.
//!
//! Its entries have the fields of those of Oxbus, which were taken from it. Its dead letters are in a list, in which Oxbus puts copies
//! of those that its stream of dead letters has.

use crate::codec::mapped::channels::ChannelRules;
use crate::codec::mapped::letters::LetterFormat;
use crate::codec::mapped::source::{Slot, Source};
use crate::codec::mapped::{Format, Parts};

/// Which events go to which channels. A subscriber of campaign knows them by these names.
const CHANNELS: &[(&str, &[&str])] = &[
    ("campaign.status.changed", &["campaign:{data.campaignId}", "campaign:{data.campaignId}:status"]),
    ("campaign.timer.executed", &["campaign:{data.campaignId}"]),
    ("campaign.error", &["campaign:{data.campaignId}"]),
    ("timer.executed", &["timer:{data.timerId}:executed"]),
    ("system.alert", &["system:alerts"]),
    ("*", &["notifications:general"]),
];

/// `{"metadata":{"eventId","eventType","timestamp",…},"data"}`.
pub(super) fn format() -> Format {
    let places = [
        ("metadata.eventId", Source::Slot(Slot::Id)),
        ("metadata.eventType", Source::Slot(Slot::Type)),
        ("metadata.timestamp", Source::Slot(Slot::Timestamp)),
        ("metadata.source", Source::Slot(Slot::Source)),
        ("metadata.correlationId", Source::Slot(Slot::CorrelationId)),
        ("metadata.causationId", Source::Slot(Slot::CausationId)),
        ("metadata", Source::OtherMetadata),
        ("data", Source::Slot(Slot::Data)),
    ];
    // The rules are those above, which a test reads.
    let channels = ChannelRules::new(CHANNELS).ok();
    Format::new(Parts { name: "campaign", write: &places, read: &places, channels, ..Parts::default() })
        .with_letters(LetterFormat::copied_to("dlq:{stream}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::mapped::tests::{Rig, event};

    #[test]
    fn a_message_is_what_a_subscriber_of_campaign_parses() {
        let rig = Rig::new(format());
        assert_eq!(
            rig.written(&event("campaign.error", r#"{"campaignId":"7","text":"\"é\""}"#)),
            r#"{"metadata":{"eventId":"id-1","eventType":"campaign.error","timestamp":"2026-11-21T03:04:05.678Z","source":"api","correlationId":"id-1","instanceId":"i-1"},"data":{"campaignId":"7","text":"\"é\""}}"#
        );
        rig.reads_back(&event("campaign.error", r#"{"campaignId":"7","a":[null,{"b":null}]}"#));
    }

    #[test]
    fn what_campaign_publishes_is_an_event() {
        let rig = Rig::new(format());
        rig.reads(
            r#"{"metadata":{"eventId":"e1","eventType":"timer.executed","timestamp":"2025-01-02T03:04:05.000Z","source":"lifecycle","correlationId":"c1","tenant":"t"},"data":{"timerId":"9"}}"#,
            r#"{"id":"e1","type":"timer.executed","data":{"timerId":"9"},"metadata":{"timestamp":"2025-01-02T03:04:05.000Z","source":"lifecycle","correlationId":"c1","tenant":"t"}}"#,
        );
        rig.refuses(r#"{"type":"a","data":1}"#);
        rig.refuses(r#"{"metadata":{"eventType":"a"},"payload":1}"#);
    }

    #[test]
    fn channels_are_named_by_the_data() {
        let rig = Rig::new(format());
        let to = |kind, data| rig.channels(&event(kind, data));
        let id = r#"{"campaignId":"7","timerId":9}"#;
        assert_eq!(to("campaign.status.changed", id).unwrap(), ["campaign:7", "campaign:7:status"]);
        assert_eq!(to("campaign.error", id).unwrap(), ["campaign:7"]);
        assert_eq!(to("timer.executed", id).unwrap(), ["timer:9:executed"]);
        assert_eq!(to("system.alert", "null").unwrap(), ["system:alerts"]);
        assert_eq!(to("anything.else", "null").unwrap(), ["notifications:general"]);
        for data in [
            "null",
            "{}",
            r#"{"campaignId":""}"#,
            r#"{"campaignId":null}"#,
            r#"{"campaignId":{}}"#,
            r#"{"campaignId":"a\n"}"#,
        ] {
            let error = to("campaign.error", data).unwrap_err();
            assert_eq!(
                (error.kind, error.path.as_deref()),
                (crate::ErrorKind::InvalidData, Some("data.campaignId")),
                "{data}"
            );
        }
    }

    #[test]
    fn a_pattern_subscribes_to_the_channels_of_its_types() {
        let rig = Rig::new(format());
        assert_eq!(rig.subscriptions("campaign.status.changed"), ["P campaign:*", "P campaign:*:status"]);
        assert_eq!(rig.subscriptions("timer.executed"), ["P timer:*:executed"]);
        assert_eq!(rig.subscriptions("system.alert"), ["C system:alerts"]);
        assert_eq!(rig.subscriptions("other"), ["C notifications:general"]);
        assert_eq!(
            rig.subscriptions("*"),
            [
                "P campaign:*",
                "P campaign:*:status",
                "P timer:*:executed",
                "C system:alerts",
                "C notifications:general"
            ]
        );
    }
}
