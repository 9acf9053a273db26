/** Constructors of objects, one for each shape that the engine has found in what a client receives. */

/** `[shape, keys]`, or `[shape]` when there are no such objects any more. */
export type ShapeChange = [shape: number, keys?: string[]];

/** Makes an object of its values, in the order of its keys. */
type Build = (values: readonly unknown[]) => unknown;

type Members = Record<string, unknown>;

/** Makes the objects of a shape. */
export interface Constructor {
  /** How many values an object has. */
  readonly count: number;
  build: Build;
}

/** A key that may stand in code as it is. Nothing else of a shape does. */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

/** Whether code may be generated: not where `--disallow-code-generation-from-strings` is set. */
export const mayBuild = mayGenerateCode();

/** A client with no more shapes than these generates code for them at once. */
const FEW = 64;
/** So many objects of a further shape are copies of a template, before code is generated. */
const COPIES = copiesFast() ? 512 : 0;
/** An object with more keys is never a copy: V8 makes a slow dictionary of what gets many members (18 with V8 13.6) by `o[key] = value`. */
const MOST_COPIED = 16;

/** Of the language, whoever replaces them later. */
const { assign, keys: keysOf } = Object;

/** How many objects of the shape with this number are copies. */
export function copiesOf(shape: number): number {
  return shape < FEW ? 0 : COPIES;
}

/**
 * Generated code is the fastest way for a shape that comes often, but it costs 0.1 ms until V8 has made the best of it, which is much for
 * thousands of shapes. So the first objects may be copies of a template, with their values put in its places.
 */
export function constructorOf(keys: readonly string[], copies: number): Constructor {
  let left = keys.length > MOST_COPIED ? 0 : copies;
  let template: Members | undefined;
  const made: Constructor = {
    count: keys.length,
    build(values) {
      if (left > 0) {
        left -= 1;
        template ??= copyOf({}, keys, new Array(keys.length).fill(null));
        const copy = template && copyOf(template, keys, values);
        if (copy !== undefined) return copy;
      }
      template = undefined;
      // Compiled when it is used: keys that came twice may never come again.
      made.build = compile(keys);
      return made.build(values);
    },
  };
  return made;
}

/**
 * A copy of the template, with these values. V8 copies what began as `{}` in one step, and not what `JSON.parse` has made: so a template
 * is made here as well, of nothing. Undefined if a key is not a member of the copy itself, as someone has put a setter for it, or
 * a member that nobody may write, into `Object.prototype`: generated code defines members, and never assigns them.
 */
function copyOf(
  template: Members,
  keys: readonly string[],
  values: readonly unknown[],
): Members | undefined {
  try {
    const copy: Members = assign({}, template);
    for (let index = 0; index < keys.length; index += 1) {
      copy[keys[index] as string] = values[index];
    }
    return keysOf(copy).length === keys.length ? copy : undefined;
  } catch {
    return undefined;
  }
}

/** Where `Object.assign` copies in one step (seen with V8 13.6, not with 11.3); without that, copies cost more than code does. */
function copiesFast(): boolean {
  const { v8, bun } = process.versions;
  return bun === undefined && Number.parseInt(v8 ?? '', 10) >= 13;
}

/**
 * The code does nothing but to put values in their places: it costs V8 little to compile, for hundreds of shapes, and everything else is
 * in functions that all shapes share.
 */
function compile(keys: readonly string[]): Build {
  const members = keys.map((key, index) => `${nameOf(key, index)}:v[${index}]`);
  const make = new Function('K', `return v=>({${members.join(',')}})`) as (keys: unknown) => Build;
  return make(keys);
}

/** In code: the key, if it cannot be anything else there, or else where it stands among the data. */
function nameOf(key: string, index: number): string {
  return IDENTIFIER.test(key) && key !== '__proto__' ? key : `[K[${index}]]`;
}

function mayGenerateCode(): boolean {
  try {
    return new Function('return true')() as boolean;
  } catch {
    return false;
  }
}
