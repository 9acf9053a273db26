'use strict';
/** campaign's bus on ioredis, written anew by what its document and its entries show: who publishes, who consumes, who listens. */

const { randomUUID } = require('node:crypto');

/** So many pending entries a consumer takes up when it starts. */
const TAKEN_UP = 10;

/** The fields of an entry as an object. */
function fieldsOf(list) {
  const fields = {};
  for (let at = 0; at < list.length; at += 2) fields[list[at]] = list[at + 1];
  return fields;
}

function makeEvent(eventType, data, eventId = randomUUID()) {
  const timestamp = new Date().toISOString();
  return { metadata: { eventId, eventType, timestamp, source: 'main-api' }, data };
}

function serialized({ metadata, data }) {
  return [
    ...['eventId', metadata.eventId, 'eventType', metadata.eventType],
    ...['timestamp', metadata.timestamp, 'source', metadata.source],
    ...['correlationId', metadata.correlationId ?? '', 'causationId', metadata.causationId ?? ''],
    ...['data', JSON.stringify(data)],
  ];
}

class CampaignPublisher {
  #redis;

  /** @param redis a connection of ioredis */
  constructor(redis) {
    this.#redis = redis;
  }

  /** Stores an event. Answers with the id of its entry. */
  store(stream, event) {
    return this.#redis.xadd(stream, 'MAXLEN', '~', '1000000', '*', ...serialized(event));
  }

  /** Stores an event and publishes it on both of its channels, as the two methods of the document do together. */
  async storeAndPublish(stream, event) {
    const messageId = await this.store(stream, event);
    const text = JSON.stringify(event);
    const channel = `campaign:${event.data.campaignId}`;
    await Promise.all([channel, `${channel}:status`].map((on) => this.#redis.publish(on, text)));
    return messageId;
  }
}

/** One consumer of a group: it renews nothing, and leaves pending what has failed. */
class CampaignConsumer {
  #redis;
  #config;
  #handler;
  #running = false;
  #loop = Promise.resolve();

  /** @param config stream, group, consumer; batchSize 10, blockTime 200 ms; minIdle 60,000 ms: for how long another's entry must be idle */
  constructor(redis, config, handler) {
    this.#redis = redis;
    this.#config = { batchSize: 10, blockTime: 200, minIdle: 60_000, ...config };
    this.#handler = handler;
  }

  /** Takes up pending entries, and reads until `stop`. */
  async start() {
    this.#running = true;
    await this.#makeGroup();
    await this.takeUp();
    this.#loop = this.#consume();
  }

  async stop() {
    this.#running = false;
    await this.#loop;
  }

  /** Claims of the first ten pending entries those that are idle for long enough. Answers how many they were. */
  async takeUp() {
    const { stream, group, consumer, minIdle } = this.#config;
    const pending = await this.#redis.xpending(stream, group, '-', '+', TAKEN_UP);
    let taken = 0;
    for (const [id] of pending) {
      const claimed = await this.#redis.xclaim(stream, group, consumer, minIdle, id);
      const entries = claimed.filter((entry) => entry !== null);
      taken += entries.length;
      await this.#handle(entries);
    }
    return taken;
  }

  async #makeGroup() {
    const { stream, group } = this.#config;
    await this.#redis.xgroup('CREATE', stream, group, '$', 'MKSTREAM').catch((error) => {
      if (!error.message.includes('BUSYGROUP')) throw error;
    });
  }

  async #consume() {
    const { stream, group, consumer, batchSize, blockTime } = this.#config;
    const place = ['COUNT', batchSize, 'BLOCK', blockTime, 'STREAMS', stream, '>'];
    while (this.#running) {
      const read = await this.#redis.xreadgroup('GROUP', group, consumer, ...place);
      if (read !== null) await this.#handle(read[0][1]);
    }
  }

  async #handle(entries) {
    const { stream, group } = this.#config;
    for (const [messageId, list] of entries) {
      try {
        const fields = fieldsOf(list);
        const { eventId, eventType, timestamp, source } = fields;
        const metadata = { eventId, eventType, timestamp: new Date(timestamp), source };
        await this.#handler({ metadata, data: JSON.parse(fields.data) }, messageId);
        await this.#redis.xack(stream, group, messageId);
      } catch {
        // It is not acknowledged: it stays pending.
      }
    }
  }
}

/** Who listens to the channels of campaigns: it hears each event on the second of its channels. */
class CampaignListener {
  #redis;

  /** @param redis a connection of its own */
  constructor(redis) {
    this.#redis = redis;
  }

  async start(handler) {
    this.#redis.on('pmessage', (_pattern, _channel, text) => handler(JSON.parse(text)));
    await this.#redis.psubscribe('campaign:*:status', 'timer:*:executed', 'system:*');
  }

  async stop() {
    await this.#redis.punsubscribe();
    this.#redis.removeAllListeners('pmessage');
  }
}

module.exports = { CampaignConsumer, CampaignListener, CampaignPublisher, fieldsOf, makeEvent };
