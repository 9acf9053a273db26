/** Values of every kind, and what a call makes of them. */

import { EventBusError, ValidationError } from '../..';

class Instance {}

/** A value of every kind; a test names the kinds that its option takes. */
export const VALUES = {
  number: 5,
  negative: -1,
  fraction: 1.5,
  NaN: Number.NaN,
  infinity: Number.POSITIVE_INFINITY,
  huge: 2 ** 53,
  text: 'x',
  empty: '',
  control: 'a\u0000b',
  boolean: true,
  null: null,
  object: {},
  array: [],
  function: () => {},
  symbol: Symbol('x'),
  bigint: 1n,
  instance: new Instance(),
};
export type Kind = keyof typeof VALUES;
export const KINDS = Object.keys(VALUES) as Kind[];
export const IDENTIFIER: Kind[] = ['text'];
export const COUNT: Kind[] = ['number'];
export const FLAG: Kind[] = ['boolean'];

export async function refusal(call: () => unknown): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Fails unless `call` throws or rejects with a `ValidationError` at `path`, or at the first item of it. */
export async function expectRefused(what: string, path: string | undefined, call: () => unknown) {
  const error = await refusal(call);
  if (
    error instanceof ValidationError &&
    [undefined, error.path, `${error.path}`.replace('[0]', '')].includes(path)
  )
    return;
  const path_ = error instanceof EventBusError ? ` at '${error.path}'` : '';
  throw new Error(`${what}: ${error === undefined ? 'accepted' : `${error}${path_}`}`);
}

/** Fails if `call` is refused; that its time is over (5 ms are short) is not the value's fault. */
export async function expectTaken(what: string, call: () => unknown) {
  const error = await refusal(call);
  if (error instanceof ValidationError) throw new Error(`${what}: refused: ${error.message}`);
}
