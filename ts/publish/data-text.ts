/** The data of an event as the engine takes it. */

import { describe, invalidAt } from '../errors';
import { jsonOfData } from '../input/json';
import { RawJson } from '../raw-json';
import type { LossyValues } from './lossy-values';

/** The JSON text of data, or what has it as bytes. What JSON loses of it is told, or refused. Throws `INVALID_DATA`. */
export function textOfData(data: unknown, type: string, lossy: LossyValues): string | RawJson {
  if (RawJson.is(data)) return RawJson.hasBytes(data) ? data : lineOf(data);
  const text = jsonOfData(data);
  lossy.check(type, data, text);
  return text;
}

/**
 * Behind a space, which says that nobody knows yet whether it is JSON, and without line feeds, which end a record. Between the
 * parts of JSON a carriage return means the same, and within a string neither is JSON.
 */
export function lineOf(raw: RawJson): string {
  let text: string;
  try {
    text = raw.text;
  } catch (cause) {
    throw invalidAt('ERR_BUS_INVALID_DATA', 'data', `is not UTF-8: ${describe(cause)}`, cause);
  }
  if (!text.isWellFormed()) {
    throw invalidAt('ERR_BUS_INVALID_DATA', 'data', 'holds half of a surrogate pair');
  }
  return ` ${text.includes('\n') ? text.replaceAll('\n', '\r') : text}`;
}
