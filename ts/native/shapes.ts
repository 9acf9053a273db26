/** Constructors of objects, one for each shape that the engine has found in what a client receives. */

/** `[shape, hints, keys]`, or `[shape]` when there are no such objects any more. */
export type ShapeChange = [shape: number, hints: string, keys: string[]] | [shape: number];

/** Builds an object of the next values. */
type Build<Source> = (source: Source) => unknown;

/** What a constructor reads its values by, named in its code by one letter each. */
export interface Readers<Source> {
  readonly any: Build<Source>;
  readonly string: Build<Source>;
  readonly integer: Build<Source>;
}

/** A key that may stand in code as it is. Nothing else of a shape does. */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;

export class Constructors<Source> {
  readonly #readers: Readers<Source>;
  readonly #builds: (Build<Source> | undefined)[] = [];

  constructor(readers: Readers<Source>) {
    this.#readers = readers;
  }

  /** Whether code may be generated: not where `--disallow-code-generation-from-strings` is set. */
  static readonly possible = mayGenerateCode();

  change([shape, hints, keys]: ShapeChange): void {
    if (keys === undefined) this.#builds[shape] = undefined;
    // Compiled when it is used: keys that came twice may never come again.
    else this.#builds[shape] = (source) => this.#compile(shape, hints as string, keys)(source);
  }

  build(shape: number, source: Source): unknown {
    return (this.#builds[shape] as Build<Source>)(source);
  }

  #compile(shape: number, hints: string, keys: readonly string[]): Build<Source> {
    const members = keys.map((key, index) => `${nameOf(key, index)}:${readerOf(hints[index])}(c)`);
    const code = `return c=>({${members.join(',')}})`;
    const { any, string, integer } = this.#readers;
    const make = new Function('V', 'S', 'N', 'K', code) as (...given: unknown[]) => Build<Source>;
    const build = make(any, string, integer, keys);
    this.#builds[shape] = build;
    return build;
  }
}

/** In code: the key, if it cannot be anything else there, or else where it stands among the data. */
function nameOf(key: string, index: number): string {
  return IDENTIFIER.test(key) && key !== '__proto__' ? key : `[K[${index}]]`;
}

function readerOf(hint: string | undefined): string {
  if (hint === 's') return 'S';
  return hint === 'n' ? 'N' : 'V';
}

function mayGenerateCode(): boolean {
  try {
    return new Function('return true')() as boolean;
  } catch {
    return false;
  }
}
