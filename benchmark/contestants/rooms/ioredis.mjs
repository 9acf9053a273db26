import { Redis } from 'ioredis';
import { dispatch, encodeEvent } from '../envelope.mjs';

const TTL_MS = 30_000;
const RENEWAL_MS = 10_000;

/** A client of a room as users write it on ioredis: SUBSCRIBE, and a sorted set that a timer renews. */
export function createRoomClient(url, { autoPipelining = false } = {}) {
  const open = () => new Redis(url, { lazyConnect: true, enableAutoPipelining: autoPipelining });
  const [commands, subscriber] = [open(), open()];
  const handlers = [];
  const joined = new Map();
  let timer;
  const attend = async (room, member) => {
    const key = `presence:${room}`;
    await commands.zadd(key, Date.now() + TTL_MS, member);
    await commands.pexpire(key, TTL_MS);
  };
  return {
    async connect() {
      subscriber.on('message', (_channel, text) => dispatch(handlers, text));
      await Promise.all([commands.connect(), subscriber.connect()]);
      timer = setInterval(() => {
        for (const [room, member] of joined) attend(room, member).catch(() => {});
      }, RENEWAL_MS);
    },
    async subscribe(pattern, handler) {
      const prefix = pattern.replace('*', '');
      handlers.push((event) => (event.type.startsWith(prefix) ? handler(event) : undefined));
    },
    async join(room, member) {
      await subscriber.subscribe(`room:${room}`);
      await attend(room, member);
      joined.set(room, member);
    },
    async members(room) {
      const key = `presence:${room}`;
      await commands.zremrangebyscore(key, '-inf', Date.now());
      return (await commands.zrange(key, 0, -1)).sort();
    },
    publish: (room, type, data) =>
      commands.publish(`room:${room}`, encodeEvent('benchmark', type, data)),
    async close() {
      clearInterval(timer);
      commands.disconnect();
      subscriber.disconnect();
    },
  };
}
