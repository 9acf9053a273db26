'use strict';
/** The Python library eventsource on ioredis, written anew by what its document and its entries show: who stores, and who consumes. */

const { randomUUID } = require('node:crypto');
const { fieldsOf } = require('./campaign.js');

/** So many entries are looked at by one recovery. */
const BATCH = 100;
/** The one consumer under which all processes recover. */
const RECOVERY = 'recovery-worker';

function makeDomainEvent(type, data, id = randomUUID()) {
  const at = new Date().toISOString().slice(0, -1);
  const own = { event_id: id, event_type: type, event_version: 1, occurred_at: `${at}000Z` };
  const of = { aggregate_id: randomUUID(), aggregate_type: 'Order', aggregate_version: 1 };
  const rest = { tenant_id: null, actor_id: null, correlation_id: id, causation_id: null };
  return { ...own, ...of, ...rest, metadata: {}, ...data };
}

function serialized(event) {
  const { event_id, event_type, aggregate_id, aggregate_type, tenant_id, occurred_at } = event;
  return [
    ...['event_id', event_id, 'event_type', event_type, 'aggregate_id', aggregate_id],
    ...['aggregate_type', aggregate_type, 'tenant_id', tenant_id ?? ''],
    ...['occurred_at', occurred_at.replace('Z', '+00:00'), 'payload', JSON.stringify(event)],
  ];
}

/** Stores a domain event. Answers with the id of its entry. */
function storeDomainEvent(redis, stream, event) {
  return redis.xadd(stream, '*', ...serialized(event));
}

/** One consumer of a group: it renews nothing, leaves pending what has failed, and recovers what is idle when it is told to. */
class EventsourceConsumer {
  #redis;
  #config;
  #handler;
  #running = false;
  #loop = Promise.resolve();

  /** @param config stream, group, consumer; blockTime 200 ms, minIdle 60,000 ms, maxRetries 3; types: those that it knows */
  constructor(redis, config, handler) {
    this.#redis = redis;
    this.#config = { blockTime: 200, minIdle: 60_000, maxRetries: 3, ...config };
    this.#handler = handler;
  }

  async start() {
    this.#running = true;
    const { stream, group } = this.#config;
    await this.#redis.xgroup('CREATE', stream, group, '0', 'MKSTREAM').catch((error) => {
      if (!error.message.includes('BUSYGROUP')) throw error;
    });
    this.#loop = this.#consume();
  }

  async stop() {
    this.#running = false;
    await this.#loop;
  }

  /** Claims what is idle for long enough and handles it, or gives it up after its last retry. Answers how many were claimed. */
  async takeUp() {
    const { stream, group, minIdle, maxRetries } = this.#config;
    const pending = await this.#redis.xpending(stream, group, '-', '+', BATCH);
    let taken = 0;
    for (const [id, , idle, deliveries] of pending) {
      if (idle < minIdle) continue;
      const [entry] = await this.#redis.xclaim(stream, group, RECOVERY, minIdle, id);
      if (!entry) continue;
      taken += 1;
      if (deliveries > maxRetries) await this.#giveUp(entry, deliveries - 1);
      else await this.#handle([entry]);
    }
    return taken;
  }

  async #giveUp([messageId, list], retries) {
    const { stream, group } = this.#config;
    const more = ['original_message_id', messageId, 'retry_count', retries];
    const at = ['dlq_timestamp', new Date().toISOString()];
    await this.#redis.xadd(`${stream}_dlq`, '*', ...list, ...more, ...at);
    await this.#redis.xack(stream, group, messageId);
  }

  async #consume() {
    const { stream, group, consumer, blockTime } = this.#config;
    const place = ['COUNT', BATCH, 'BLOCK', blockTime, 'STREAMS', stream, '>'];
    while (this.#running) {
      const read = await this.#redis.xreadgroup('GROUP', group, consumer, ...place);
      if (read !== null) await this.#handle(read[0][1]);
    }
  }

  async #handle(entries) {
    const { stream, group, types } = this.#config;
    for (const [messageId, list] of entries) {
      try {
        const { event_type, payload } = fieldsOf(list);
        // What it does not know it acknowledges unseen.
        if (types.includes(event_type)) await this.#handler(JSON.parse(payload), messageId);
        await this.#redis.xack(stream, group, messageId);
      } catch {
        // It stays pending.
      }
    }
  }
}

module.exports = { EventsourceConsumer, makeDomainEvent, storeDomainEvent };
