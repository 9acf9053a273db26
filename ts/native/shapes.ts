/** Constructors of objects, one for each shape that the engine has found in what a client receives. */

/** `[shape, keys]`, or `[shape]` when there are no such objects any more. */
export type ShapeChange = [shape: number, keys?: string[]];

/** Makes an object of its values, in the order of its keys. */
type Build = (values: readonly unknown[]) => unknown;

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

export function constructorOf(keys: readonly string[]): Constructor {
  const made: Constructor = {
    count: keys.length,
    // Compiled when it is used: keys that came twice may never come again.
    build(values) {
      made.build = compile(keys);
      return made.build(values);
    },
  };
  return made;
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
