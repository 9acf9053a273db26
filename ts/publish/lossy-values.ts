/** Finds values in published data that JSON changes without a word. */

import { types } from 'node:util';
import { invalidAt } from '../errors';

/** So many warnings a client gives. Then it looks no more. */
const MAX_WARNED = 100;
/** So many types are told apart. Events of others are not looked at. */
const MAX_TYPES = 1000;
/** So many events of a type are looked at, and one in so many after them: to look at each costs a tenth of a publish, or more. */
const LOOKED_AT = 100;

const ARRIVES_EMPTY: readonly [what: string, is: (value: unknown) => boolean][] = [
  ['a Map', types.isMap],
  ['a Set', types.isSet],
  ['an Error', types.isNativeError],
  ['an ArrayBuffer', types.isAnyArrayBuffer],
  ['a DataView', types.isDataView],
  ['a Promise', types.isPromise],
  ['a RegExp', types.isRegExp],
  ['a WeakMap', types.isWeakMap],
  ['a WeakSet', types.isWeakSet],
];

interface LossyValue {
  /** Such as `data.items[3].price`. */
  path: string;
  what: string;
  /** What handlers get in its place. */
  arrives: string;
}

/** Whether a text shows that something in it may have been changed. It says no for most events, and costs little. */
const showsSigns = (text: string): boolean =>
  text.includes('{}') || text.includes('{"0":') || text.includes('null');

export class LossyValues {
  readonly #strict: boolean;
  readonly #warn: (code: string, message: string) => void;
  /** How many events of each type have come. */
  readonly #types = new Map<string, { events: number }>();
  readonly #warned = new Set<string>();

  constructor(rule: 'lenient' | 'strict', warn: (code: string, message: string) => void) {
    this.#strict = rule === 'strict';
    this.#warn = warn;
  }

  /**
   * Looks through the data of an event whose JSON is `text`. Strict: throws `INVALID_DATA` for the first value that JSON
   * changes. Lenient: warns, once for each type and path.
   */
  check(type: string, data: unknown, text: string): void {
    if (data === null || (!this.#strict && !this.#looksAt(type)) || !showsSigns(text)) return;
    if (this.#strict) {
      for (const { path, what, arrives } of lossyValues(data)) {
        const message = `${what} is not a JSON value: it would arrive as ${arrives}`;
        throw invalidAt('ERR_BUS_INVALID_DATA', path, message);
      }
      return;
    }
    for (const value of lossyValues(data)) this.#tell(type, value);
  }

  #looksAt(type: string): boolean {
    if (this.#warned.size >= MAX_WARNED) return false;
    let counted = this.#types.get(type);
    if (counted === undefined) {
      if (this.#types.size >= MAX_TYPES) return false;
      counted = { events: 0 };
      this.#types.set(type, counted);
    }
    const before = counted.events;
    counted.events += 1;
    return before < LOOKED_AT || before % LOOKED_AT === 0;
  }

  #tell(type: string, { path, what, arrives }: LossyValue): void {
    const member = path.replace(/\[\d+\]/g, '[]');
    const key = `${type}\n${member}`;
    if (this.#warned.has(key) || this.#warned.size >= MAX_WARNED) return;
    this.#warned.add(key);
    const message = `${type}: ${member} is ${what}, which arrives as ${arrives}; json: 'strict' refuses such data`;
    this.#warn('DATA_CHANGED', message);
  }
}

/** The values in `data` that JSON changes. An object that throws when it is read once more is left out. */
function lossyValues(data: unknown): LossyValue[] {
  const search = new Search();
  try {
    search.visit(data, '');
  } catch {
    // A getter, or data that is nearly too deep for JSON.
  }
  return search.found;
}

class Search {
  readonly found: LossyValue[] = [];
  /** The keys on the way to the value in hand: a path is made of them only when something is found. */
  readonly #keys: (string | number)[] = [];

  visit(given: unknown, key: string | number): void {
    if (typeof given === 'number') {
      if (!Number.isFinite(given)) this.#add(String(given), 'null');
      return;
    }
    if (typeof given !== 'object' || given === null) return;
    let value: object = given;
    const toJSON = (given as { toJSON?: unknown }).toJSON;
    if (typeof toJSON === 'function') {
      const output: unknown = toJSON.call(given, String(key));
      if (output === null && types.isDate(given)) this.#add('an invalid Date', 'null');
      if (typeof output !== 'object' || output === null) return;
      value = output;
    }
    if (Array.isArray(value)) {
      for (let index = 0; index < value.length; index += 1) this.#member(value[index], index);
      return;
    }
    const what = Object.getPrototypeOf(value) === Object.prototype ? undefined : nameOf(value);
    if (what !== undefined) this.#add(what, shownAs(value));
    else for (const name of Object.keys(value)) this.#member(Reflect.get(value, name), name);
  }

  #member(value: unknown, key: string | number): void {
    // A text is most of what there is, and never changed.
    if (typeof value === 'string' || this.found.length >= MAX_WARNED) return;
    this.#keys.push(key);
    this.visit(value, key);
    this.#keys.pop();
  }

  #add(what: string, arrives: string): void {
    const keys = this.#keys.map((key) => (typeof key === 'number' ? `[${key}]` : `.${key}`));
    this.found.push({ path: `data${keys.join('')}`, what, arrives });
  }
}

/** What a value is, if JSON does not hold it. */
function nameOf(value: object): string | undefined {
  if (types.isTypedArray(value)) return `a ${value[Symbol.toStringTag]}`;
  return ARRIVES_EMPTY.find(([, is]) => is(value))?.[0];
}

function shownAs(value: object): string {
  if (Object.keys(value).length === 0) return '{}';
  return types.isTypedArray(value) ? '{"0":…}' : 'the members that were added to it';
}
