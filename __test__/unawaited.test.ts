/**
 * What a process tells of a rejection that nobody awaits: it ends with the line of the user. `OXBUS_NODES` names further
 * runtimes for these tests, as paths.
 */

import { delimiter } from 'node:path';
import { freePort } from './support/redis-server';
import { runScript } from './support/scripts';

const others = (process.env.OXBUS_NODES ?? '').split(delimiter).filter((path) => path !== '');
const runtimes: [string, string | undefined][] = [
  ['this runtime', undefined],
  ...others.map((path): [string, string] => [path, path]),
];

describe.each(runtimes)('%s', (_, program) => {
  test.each([
    ['publish', `bus.publish('a', 1);`],
    ['publishBatch of a wrong item', `bus.publishBatch('a');`],
    ['broadcast', `bus.broadcast('a', 1);`],
    ['subscribe', `bus.subscribe('a', () => {});`],
    ['joinRoom', `bus.joinRoom('r');`],
    ['connect', `bus.connect();`],
    ['a group', `bus.subscribe('a', () => {}, { group: 'g' });`],
    ['streams.info', `bus.streams.info('orders');`],
  ])('%s', async (_name, call) => {
    const code = `
      const bus = new oxbus.EventBusClient({
        redis: { url: args[0], commandTimeout: 100, connectTimeout: 100 }, logLevel: 'silent',
        streams: [{ name: 'orders', events: 'a' }],
      });
      function ofTheUser() {
        ${call}
      }
      ofTheUser();`;
    const ended = await runScript(code, [`redis://127.0.0.1:${await freePort()}`], {
      ...(program !== undefined && { program }),
    });
    expect(ended.code).not.toBe(0);
    const frames = ended.err.split('\n').filter((line) => line.trim().startsWith('at '));
    expect(frames[0]).toContain('ofTheUser');
  });
});
