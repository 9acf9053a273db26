// What the user of a plain Redis client writes: a channel of requests, an inbox for each requester, a table of those that
// are under way, a timer for each. Nobody chooses a responder: whoever listens to the channel answers.

import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';

const TIMEOUT = 5000;

async function open(url, enableAutoPipelining) {
  const client = new Redis(url, { lazyConnect: true, enableAutoPipelining });
  await client.connect();
  return client;
}

export async function createResponder(url, type, handler, { autoPipelining = false } = {}) {
  const [publisher, subscriber] = [await open(url, autoPipelining), await open(url, false)];
  subscriber.on('message', async (_channel, text) => {
    const { id, inbox, data } = JSON.parse(text);
    let reply;
    try {
      reply = { id, data: await handler(data) };
    } catch (error) {
      reply = { id, error: { message: error.message } };
    }
    await publisher.publish(inbox, JSON.stringify(reply));
  });
  await subscriber.subscribe(`requests:${type}`);
  return {
    async close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}

export async function createRequester(url, { autoPipelining = false } = {}) {
  const [publisher, subscriber] = [await open(url, autoPipelining), await open(url, false)];
  const inbox = `replies:${randomUUID()}`;
  const pending = new Map();
  let last = 0;
  subscriber.on('message', (_channel, text) => {
    const { id, data, error } = JSON.parse(text);
    const request = pending.get(id);
    if (request === undefined) return;
    pending.delete(id);
    clearTimeout(request.timer);
    if (error === undefined) request.resolve(data);
    else request.reject(new Error(error.message));
  });
  await subscriber.subscribe(inbox);
  return {
    request: (type, data) =>
      new Promise((resolve, reject) => {
        last += 1;
        const id = last;
        const timer = setTimeout(() => {
          pending.delete(id);
          reject(new Error('no reply in time'));
        }, TIMEOUT);
        pending.set(id, { resolve, reject, timer });
        publisher.publish(`requests:${type}`, JSON.stringify({ id, inbox, data })).catch(reject);
      }),
    async close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
