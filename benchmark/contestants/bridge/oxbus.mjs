import { EventBusClient } from '../../../index.js';
import { attachSocketIO } from '../../../socket.io.js';
import { PATTERN } from '../../support/channel.mjs';

/** Events of a pattern to sockets, by `oxbus/socket.io`. */
export async function attach(url, io, to) {
  const bus = new EventBusClient({ redis: url, logLevel: 'error' });
  await bus.connect();
  await attachSocketIO(bus, io, [{ on: PATTERN, to, emit: 'shipped' }]).ready();
}
