'use strict';
/**
 * An old bus on ioredis with a format of its own, for tests of formats that users describe: entries of the fields `type` and
 * `event`, a JSON text, and dead letters in the list `dlq:{stream}`.
 */

const { randomUUID } = require('node:crypto');

/** How many letters the list has. */
const LETTERS = 50;

/** Stores an event. Answers with the id of its entry. */
function store(redis, stream, type, payload, id = randomUUID()) {
  const event = JSON.stringify({ head: { uid: id, kind: type }, ts: Date.now(), payload });
  return redis.xadd(stream, '*', 'type', type, 'event', event);
}

/** Puts a letter into the list, as the bus does with what it gives up. */
async function bury(redis, stream, message, error) {
  const why = { message: error.message, timestamp: new Date().toISOString() };
  const letter = JSON.stringify({ originalMessage: message, error: why, retryCount: 0 });
  await redis.lpush(`dlq:${stream}`, letter);
  await redis.ltrim(`dlq:${stream}`, 0, LETTERS - 1);
}

/** A consumer: one entry after the other, which it acknowledges when it is handled or a dead letter. */
class ShopConsumer {
  #redis;
  #config;
  #handler;
  #running = true;
  #loop = Promise.resolve();

  /** @param config stream, group, consumer; minIdle in ms: for how long the entry of another one must be idle to be taken */
  constructor(redis, config, handler) {
    this.#redis = redis;
    this.#config = config;
    this.#handler = handler;
  }

  async start() {
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

  /** Claims pending entries that are idle for long enough, and handles them. */
  async takeUp() {
    const { stream, group, consumer, minIdle } = this.#config;
    const claimed = await this.#redis.xautoclaim(
      stream,
      group,
      consumer,
      minIdle,
      '0',
      'COUNT',
      100,
    );
    for (const entry of claimed[1]) if (entry) await this.#handle(entry);
  }

  async #consume() {
    const { stream, group, consumer } = this.#config;
    const place = ['COUNT', 5, 'BLOCK', 100, 'STREAMS', stream, '>'];
    while (this.#running) {
      const read = await this.#redis.xreadgroup('GROUP', group, consumer, ...place);
      for (const entry of read?.[0][1] ?? []) await this.#handle(entry);
    }
  }

  async #handle([messageId, list]) {
    const { stream, group } = this.#config;
    const { head, payload } = JSON.parse(list[list.indexOf('event') + 1]);
    const event = { id: head.uid, type: head.kind, payload };
    try {
      await this.#handler(event, messageId);
    } catch (error) {
      await bury(this.#redis, stream, JSON.parse(list[list.indexOf('event') + 1]), error);
    }
    await this.#redis.xack(stream, group, messageId);
  }
}

module.exports = { ShopConsumer, bury, store };
