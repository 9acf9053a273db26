/** The arguments of `subscribe`, read and written as they cross to the engine. */

import type { BusEvent, EventHandler, SubscribeOptions } from '../../index';
import { invalidAt } from '../errors';
import { isPlainObject, jsonOf } from '../input/json';
import { copyOptions, readPosition, refuseUndefined } from '../input/options';
import { checkSignal } from '../input/signal';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const PATTERN = 'ERR_BUS_INVALID_PATTERN';

export interface SubscribeArguments {
  patterns: string[];
  /** Whether the patterns address event types, and not channels. */
  ofTypes: boolean;
  /** Whether it has a group. */
  isDurable: boolean;
  /** The pattern as the user will see it: a text, or a frozen array. */
  shown: string | readonly string[];
  handler: EventHandler<BusEvent>;
  /** JSON of the options that the engine reads. */
  json: string;
  retryIf: SubscribeOptions['retryIf'];
  /** Whether the handler gets data as JSON text. */
  raw: boolean;
  signal: AbortSignal | undefined;
}

/** Throws `INVALID_PATTERN` or `INVALID_OPTIONS` for wrong arguments. */
export function readSubscribeArguments(
  pattern: unknown,
  handler: unknown,
  options: unknown,
): SubscribeArguments {
  const patterns = readPatterns(pattern);
  if (typeof handler !== 'function') throw invalidAt(OPTIONS, 'handler', 'must be a function');
  const given: SubscribeOptions = copyOptions(options);
  checkGiven(given as Record<string, unknown>);
  const json = jsonOf(withPosition(given), OPTIONS, 'options', ['retryIf', 'signal']);
  const { retryIf, signal } = given;
  if (retryIf !== undefined && typeof retryIf !== 'function') {
    throw invalidAt(OPTIONS, 'retryIf', 'must be a function');
  }
  checkSignal(signal);
  const shown = typeof pattern === 'string' ? pattern : Object.freeze(patterns);
  const ofTypes = given.by !== 'channel';
  const called = handler as EventHandler<BusEvent>;
  const raw = (given as { data?: unknown }).data === 'raw';
  const isDurable = given.group !== undefined;
  return { patterns, ofTypes, isDurable, shown, handler: called, json, retryIf, raw, signal };
}

/** Without its group a subscription is live and misses what is stored; without a condition a filter takes everything. */
function checkGiven(options: Record<string, unknown>): void {
  refuseUndefined(options, 'group', 'for a live subscription');
  refuseUndefined(options, 'filter', 'for all events');
  const { filter } = options;
  if (!isPlainObject(filter)) return;
  for (const [path, value] of Object.entries(filter)) {
    if (value !== undefined) continue;
    throw invalidAt(
      OPTIONS,
      `filter.${path}`,
      'is undefined: leave it out where any value will do',
    );
  }
}

/** The options with their streams, and their position in them, as JSON can hold them. */
function withPosition(options: SubscribeOptions): unknown {
  if (!('from' in options) && !('streams' in options)) return options;
  const { from, streams } = options;
  return {
    ...options,
    from: readPosition(from, 'from'),
    streams: typeof streams === 'string' ? [streams] : streams,
  };
}

function readPatterns(pattern: unknown): string[] {
  let patterns: unknown[];
  try {
    patterns = Array.isArray(pattern) ? [...pattern] : [pattern];
  } catch (cause) {
    throw invalidAt(PATTERN, 'pattern', 'cannot be read', cause);
  }
  if (patterns.length === 0) throw invalidAt(PATTERN, 'pattern', 'is missing');
  for (const one of patterns) {
    if (typeof one !== 'string') {
      const message = `must be a string, not ${one === null ? 'null' : typeof one}`;
      throw invalidAt(PATTERN, 'pattern', message);
    }
  }
  return patterns as string[];
}
