/** The options of `request` and `respond`. */

import type { PublishOptions, RequestOptions, RespondOptions } from '../../index';
import { invalidAt } from '../errors';
import { isPlainObject, jsonOf } from '../input/json';
import { readOptions } from '../input/options';
import { checkSignal } from '../input/signal';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

/** The longest time that a timer of Node can hold, in ms. */
const MAX_TIMEOUT = 2 ** 31 - 1;
/** The longest time that a publish may take, in ms. */
const MAX_PUBLISH_TIMEOUT = 3_600_000;
/** The bound of `concurrency` and of `maxQueued`: together they are what the engine hands out at once. */
const MAX_CALLS = 50_000;

const DEFAULT_TIMEOUT = 5000;
const DEFAULT_HANDLER_TIMEOUT = 30_000;
const DEFAULT_CONCURRENCY = 256;
const DEFAULT_QUEUED = 1000;

/** Options that a request has in common with a publish. */
const PUBLISH_KEYS = [
  'correlationId',
  'causationId',
  'userId',
  'organizationId',
  'traceparent',
  'tracestate',
  'metadata',
] as const satisfies readonly (keyof PublishOptions)[];

const REQUEST_KEYS = ['timeout', 'signal', 'all', ...PUBLISH_KEYS];
const RESPOND_KEYS = ['concurrency', 'maxQueued', 'timeout', 'signal'];

export interface ParsedRequestOptions {
  timeout: number;
  signal: AbortSignal | undefined;
  all: boolean;
  /** In ms. */
  publishTimeout: number;
  /** How the request is published, as JSON members with a comma behind each: of the options, and of the metadata. */
  members: string;
  metadata: string;
  /** The text of the metadata of a request before its id, and behind it. */
  beforeId: string;
  behindId: string;
}

export interface ParsedRespondOptions {
  concurrency: number;
  maxQueued: number;
  /** 0: none. */
  timeout: number;
  signal: AbortSignal | undefined;
}

const NO_OPTIONS = withTexts({
  timeout: DEFAULT_TIMEOUT,
  signal: undefined,
  all: false,
  publishTimeout: DEFAULT_TIMEOUT,
  members: `"timeout":${DEFAULT_TIMEOUT},`,
  metadata: '',
});

/** Adds the texts that are the same for every request with these options. */
function withTexts(
  options: Omit<ParsedRequestOptions, 'beforeId' | 'behindId'>,
): ParsedRequestOptions {
  const { metadata, timeout } = options;
  return {
    ...options,
    beforeId: `${metadata}"request":{"id":`,
    behindId: `,"timeout":${timeout}}`,
  };
}

/** Throws `INVALID_OPTIONS`. */
export function readRequestOptions(options: unknown): ParsedRequestOptions {
  if (options === undefined) return NO_OPTIONS;
  const given = readOptions(options, REQUEST_KEYS) as RequestOptions & { all?: unknown };
  const { timeout = DEFAULT_TIMEOUT, signal, all = false, metadata, ...own } = given;
  checkNumber(timeout, 'timeout', 1, MAX_TIMEOUT);
  checkSignal(signal);
  if (typeof all !== 'boolean') throw invalidAt(OPTIONS, 'all', 'must be a boolean');
  if (metadata !== undefined && !isPlainObject(metadata)) {
    throw invalidAt(OPTIONS, 'metadata', 'must be a plain object');
  }
  for (const [key, value] of Object.entries(own)) {
    // The engine checks the rest when the request is sent.
    if (value !== undefined && typeof value !== 'string') {
      throw invalidAt(OPTIONS, key, 'must be a string');
    }
  }
  // As it is now: the caller may change it while the request waits for the list of responders.
  const publishTimeout = Math.min(timeout, MAX_PUBLISH_TIMEOUT);
  const members = membersOf(jsonOf({ ...own, timeout: publishTimeout }, OPTIONS, 'options'));
  const written = metadata === undefined ? '' : membersOf(metadataJson(metadata));
  return withTexts({ timeout, signal, all, publishTimeout, members, metadata: written });
}

/** The same with metadata on top: JSON members, with a comma behind each. */
export function withMetadata(options: ParsedRequestOptions, members: string): ParsedRequestOptions {
  return withTexts({ ...options, metadata: options.metadata + members });
}

/** As a member, so that an error names its path. */
function metadataJson(metadata: Record<string, unknown>): string {
  const json = jsonOf({ metadata }, OPTIONS, 'options').slice('{"metadata":'.length, -1);
  if (!json.startsWith('{')) throw invalidAt(OPTIONS, 'metadata', 'must be a plain object');
  return json;
}

/** The members of the JSON of an object, with a comma behind them. */
function membersOf(json: string): string {
  return json === '{}' ? '' : `${json.slice(1, -1)},`;
}

/** Throws `INVALID_OPTIONS`. */
export function readRespondOptions(options: unknown): ParsedRespondOptions {
  const {
    concurrency = DEFAULT_CONCURRENCY,
    maxQueued = DEFAULT_QUEUED,
    timeout = DEFAULT_HANDLER_TIMEOUT,
    signal,
  } = readOptions(options, RESPOND_KEYS) as RespondOptions;
  checkNumber(concurrency, 'concurrency', 1, MAX_CALLS);
  checkNumber(maxQueued, 'maxQueued', 0, MAX_CALLS);
  checkNumber(timeout, 'timeout', 0, MAX_TIMEOUT);
  checkSignal(signal);
  return { concurrency, maxQueued, timeout, signal };
}

function checkNumber(value: unknown, path: string, from: number, to: number): void {
  if (Number.isInteger(value) && (value as number) >= from && (value as number) <= to) return;
  throw invalidAt(OPTIONS, path, `must be an integer from ${from} to ${to}`);
}
