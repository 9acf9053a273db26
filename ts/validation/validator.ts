/** `EventValidator`: the rules of `publish`, for single values. */

import type { ValidationConfig } from '../../index';
import { stackFromCaller, startStacksAtCaller } from '../caller-stacks';
import { invalidAt, unwrap } from '../errors';
import { isPlainObject, jsonOf, jsonOfData } from '../input/json';
import { native, type Settings } from '../native/native';

/** Keys that change an object's prototype, or that stand for it. */
const UNSAFE_KEYS = new Set(['__proto__', 'constructor', 'prototype']);
/** All control characters except tab, line feed and carriage return. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g;

export class EventValidator {
  readonly #maxEventBytes: number;
  readonly #maxDataBytes: number;

  constructor(limits: ValidationConfig = {}) {
    try {
      const given = { mode: 'memory', validation: limits };
      const config = jsonOf(given, 'ERR_BUS_INVALID_CONFIG', 'limits');
      const settings = unwrap<Settings>(native.settings(config, '{}'));
      this.#maxEventBytes = settings.maxEventBytes;
      this.#maxDataBytes = settings.maxDataBytes;
    } catch (error) {
      throw stackFromCaller(error, new.target);
    }
  }

  validateEvent(event: unknown): void {
    if (isPlainObject(event) && event.data !== undefined) {
      this.#measure('data', jsonOfData(event.data), this.#maxDataBytes);
      this.#measure('event', jsonOfData(event), this.#maxEventBytes);
      // The sizes are measured by this validator's own limits, so the engine gets the event without its data.
      this.#ask('event', { ...event, data: null });
    } else {
      this.#ask('event', event);
    }
  }

  validateEventType(type: unknown): void {
    this.#ask('type', type);
  }

  validateMetadata(metadata: unknown): void {
    this.#ask('metadata', metadata);
  }

  validateTimestamp(timestamp: unknown): void {
    this.#ask('timestamp', timestamp);
  }

  validateEventSize(event: unknown): void {
    this.#measure('event', jsonOfData(event), this.#maxEventBytes);
  }

  validateDataSize(data: unknown): void {
    this.#measure('data', jsonOfData(data), this.#maxDataBytes);
  }

  sanitize<T>(value: T): T {
    return clean(JSON.parse(jsonOfData(value))) as T;
  }

  #ask(what: 'event' | 'type' | 'metadata' | 'timestamp', value: unknown): void {
    unwrap<null>(native.validate(what, value === undefined ? 'null' : jsonOfData(value)));
  }

  #measure(what: string, json: string, limit: number): void {
    const bytes = Buffer.byteLength(json);
    if (bytes <= limit) return;
    const message = `has ${bytes} bytes of JSON, more than ${limit}`;
    throw invalidAt('ERR_BUS_EVENT_TOO_LARGE', what, message);
  }
}

startStacksAtCaller(EventValidator, [
  'validateEvent',
  'validateEventType',
  'validateMetadata',
  'validateTimestamp',
  'validateEventSize',
  'validateDataSize',
  'sanitize',
]);

function clean(value: unknown): unknown {
  if (typeof value === 'string') return value.replace(CONTROL, '');
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(clean);
  const copy: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (!UNSAFE_KEYS.has(key)) copy[key.replace(CONTROL, '')] = clean(member);
  }
  return copy;
}
