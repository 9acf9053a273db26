// Hybrid mode: this client's handlers get an event at once, others through Redis, and nobody waits for a Redis that is away.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

// Without REDIS_URL, a port on which nothing listens: the service works for itself.
const where = connection.redis ? connection : { redis: 'redis://127.0.0.1:1' };
const bus = new EventBusClient({ ...where, mode: 'hybrid', serviceName: 'api', logLevel: 'error' });
bus.on('warning', ({ code, message }) => console.log(code, message));
await bus.connect();

const handled = [];
await bus.subscribe('photo.*', ({ data }) => handled.push(data.photoId));
if (connection.redis) await bus.waitUntilReady();

const { local, remote } = await bus.publish('photo.uploaded', { photoId: '1' });
console.log({ local, remote, mode: bus.getStats().mode });
const own = await bus.publish('photo.uploaded', { photoId: '2' }, { localOnly: true });
console.log({ local: own.local, remote: own.remote });

const expected = connection.redis ? 'resolved' : 'not_sent';
if (handled.join() !== '1,2' || remote !== expected) throw new Error(`${handled} ${remote}`);
await bus.disconnect();
console.log('ok');
