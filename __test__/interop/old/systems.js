'use strict';
/** The two older buses whose groups Oxbus may share, each with the same calls. */

const { CampaignConsumer, CampaignPublisher, makeEvent } = require('./campaign.js');
const { EventsourceConsumer, makeDomainEvent, storeDomainEvent } = require('./eventsource.js');

/** The types that the consumers of eventsource know. */
const TYPES = ['OrderCreated', 'OrderBroken'];

const systems = {
  campaign: {
    wire: 'campaign',
    stream: 'campaign-events',
    letters: 'campaign-events:dlq',
    type: 'campaign.created',
    broken: 'campaign.broken',
    store: (redis, stream, type, data) =>
      new CampaignPublisher(redis).store(stream, makeEvent(type, data)),
    consumer: (redis, config, handler) =>
      new CampaignConsumer(redis, config, ({ metadata, data }, messageId) =>
        handler({ id: metadata.eventId, type: metadata.eventType, data }, messageId),
      ),
  },
  eventsource: {
    wire: 'eventsource',
    stream: 'orders:stream',
    letters: 'orders:stream_dlq',
    type: 'OrderCreated',
    broken: 'OrderBroken',
    store: (redis, stream, type, data) =>
      storeDomainEvent(redis, stream, makeDomainEvent(type, data)),
    consumer: (redis, config, handler) =>
      new EventsourceConsumer(redis, { ...config, types: TYPES }, (event, messageId) =>
        handler({ id: event.event_id, type: event.event_type, data: event }, messageId),
      ),
  },
};

module.exports = { systems };
