/** Stored events and their settlements, for tests against the fake of the native module. */

import { controls } from './fake-native';

export const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/** Lets everything run that the fake has ready. */
export const tick = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

const metadata = { timestamp: '2026-01-01T00:00:00.000Z', source: 'x', correlationId: 'c' };
export const event = (n: number, data: unknown = n) => ({ id: `e${n}`, type: 'a', data, metadata });

/** How the calls so far have ended. */
export const kinds = () => controls.settled.map(([, kind]) => kind);

export function fail(value: unknown): never {
  throw value;
}
