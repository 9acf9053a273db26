/** Templates of rooms: `campaign:{data.campaignId}`. */

import type { BusEvent } from '../../index';
import { invalidAt } from '../errors';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
const FIELD = /^(?:id|type|data|metadata)$/;

/** Ways to a field, of which the first that leads to one counts. */
type Paths = readonly (readonly string[])[];

export class Template {
  /** The fields that its braces name, as they were written. */
  readonly fields: string;
  readonly #texts: readonly string[];
  readonly #fields: readonly Paths[];

  /** Throws `INVALID_OPTIONS` for a template that cannot be read, or that names what no event has. */
  constructor(source: string, path: string) {
    const parts = source.split(/\{([^{}]*)\}/);
    const texts = parts.filter((_, index) => index % 2 === 0);
    const named = parts.filter((_, index) => index % 2 === 1);
    if (texts.some((text) => /[{}]/.test(text))) {
      throw invalidAt(OPTIONS, path, 'has a brace without the other one');
    }
    this.fields = named.join(', ');
    this.#texts = texts;
    this.#fields = named.map((field) => readPaths(field, path));
  }

  /** The room of an event; undefined where it lacks a field. */
  render(event: BusEvent): string | undefined {
    let room = this.#texts[0] as string;
    for (const [index, paths] of this.#fields.entries()) {
      const value = textAt(event, paths);
      if (value === undefined) return undefined;
      room += value + (this.#texts[index + 1] as string);
    }
    return room;
  }
}

function readPaths(field: string, path: string): Paths {
  return field.split('|').map((one) => {
    const members = one.trim().split('.');
    const [first = ''] = members;
    const isDeep = first === 'data' || first === 'metadata';
    if (!FIELD.test(first) || members.includes('') || (members.length > 1 && !isDeep)) {
      const message = `'{${field}}' must name id, type, data.… or metadata.…`;
      throw invalidAt(OPTIONS, path, message);
    }
    return members;
  });
}

function textAt(event: BusEvent, paths: Paths): string | undefined {
  for (const members of paths) {
    let value: unknown = event;
    for (const name of members) {
      // Members that every object has are no fields of an event.
      value =
        typeof value === 'object' && value !== null && Object.hasOwn(value, name)
          ? (value as Record<string, unknown>)[name]
          : undefined;
    }
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  }
  return undefined;
}
