import { Redis } from 'ioredis';
import { PATTERN } from '../../support/channel.mjs';

/** Events of a pattern to sockets, as users write it: each process parses, and emits to its own. */
export async function attach(url, io, to) {
  const subscriber = new Redis(url, { lazyConnect: true });
  await subscriber.connect();
  subscriber.on('pmessage', (_pattern, _channel, text) => {
    const event = JSON.parse(text);
    if (to === 'all') io.local.emit('shipped', event);
    else io.local.to(`room:${event.data.room}`).emit('shipped', event);
  });
  await subscriber.psubscribe(PATTERN);
}
