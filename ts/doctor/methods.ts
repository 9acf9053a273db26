/** `doctor` of a client. */

import type { DoctorOptions, DoctorReport, EventBusConfig, ReceivedEvents } from '../../index';
import { startAsyncStacksAtCaller } from '../caller-stacks';
import { internalsOf } from '../client/internals';
import { busError, invalidAt } from '../errors';
import { readOptions } from '../input/options';
import { checkSignal } from '../input/signal';
import { RequestMethods } from '../request/methods';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const [DURATION, MAX_DURATION] = [3000, 60_000];
const [SAMPLE_BYTES, MAX_SAMPLE_BYTES] = [1 << 20, 64 << 20];

export class DoctorMethods<
  Events,
  Received = ReceivedEvents<Events>,
  Replies = unknown,
> extends RequestMethods<Events, Received, Replies> {
  doctor(options?: DoctorOptions): Promise<DoctorReport> {
    return examine(internalsOf(this)?.config ?? {}, options);
  }
}

startAsyncStacksAtCaller(DoctorMethods, ['doctor']);

async function examine(
  config: EventBusConfig,
  options: DoctorOptions | undefined,
): Promise<DoctorReport> {
  const read = readOptions(options, ['duration', 'scan', 'sampleBytes', 'user', 'signal']);
  const { signal } = read;
  checkSignal(signal);
  const question = {
    duration: count(read.duration, 'duration', MAX_DURATION) ?? DURATION,
    sampleBytes: count(read.sampleBytes, 'sampleBytes', MAX_SAMPLE_BYTES) ?? SAMPLE_BYTES,
    scan: truth(read.scan, 'scan') ?? false,
    user: text(read.user, 'user'),
    signal,
  };
  // Services do not load what only this needs.
  const { addressOf } = require('./address') as typeof import('./address');
  const address = config.mode === 'memory' ? undefined : addressOf(config, process.env);
  if (address === undefined) {
    throw busError(
      'ERR_BUS_INVALID_CONFIG',
      'there is no server to look at: the client has no address',
    );
  }
  const { look } = require('./doctor') as typeof import('./doctor');
  try {
    return await look(address, config, question);
  } catch (cause) {
    throw failure(cause);
  }
}

function failure(cause: unknown): Error {
  const message = cause instanceof Error ? cause.message : String(cause);
  const code = /^(?:WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(message)
    ? 'ERR_BUS_AUTH_FAILED'
    : /^NOPERM/.test(message)
      ? 'ERR_BUS_PERMISSION_DENIED'
      : /ECONNREFUSED|ENOENT|EHOSTUNREACH|ENOTFOUND/.test(message)
        ? 'ERR_BUS_CONNECTION_REFUSED'
        : 'ERR_BUS_CONNECTION_LOST';
  return busError(code, message, { cause });
}

function count(value: unknown, path: string, most: number): number | undefined {
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= most) {
    return value as number;
  }
  throw invalidAt(OPTIONS, path, `must be an integer from 1 to ${most}`);
}

function truth(value: unknown, path: string): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value;
  throw invalidAt(OPTIONS, path, 'must be true or false');
}

function text(value: unknown, path: string): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw invalidAt(OPTIONS, path, 'must be a text');
}
