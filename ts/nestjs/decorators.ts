/** The decorators: which client is injected, which methods handle events, and what their parameters get. */

import type { OnEventOptions, ParameterPipe } from '../../nestjs';
import { invalidAt } from '../errors';
import { common } from './packages';
import { getBusToken, readName } from './tokens';

/** Where a method has its handlers; of the package, so that two copies of it agree. */
const HANDLERS = 'oxbus:handlers';
/** Where Nest has the parameters of a method that its pipes see. The decorators of controllers write there too. */
export const PARAMETERS = '__routeArguments__';

/** The kinds of parameters. The first two are those of a payload and a context in Nest, so its own decorators work as well. */
export const DATA = 3;
export const CONTEXT = 6;
export const EVENT = 11;

/** What one `@OnEvent` says. */
export interface OnEventNote {
  readonly pattern: string | readonly string[];
  /** The name of the bus. */
  readonly bus: string | undefined;
  readonly options: Record<string, unknown>;
}

/** The metadata of `reflect-metadata`, which Nest loads. */
interface Metadata {
  getMetadata(key: string, target: object, property?: string | symbol): unknown;
  defineMetadata(key: string, value: unknown, target: object, property?: string | symbol): void;
}
const metadata = Reflect as unknown as Metadata;

export function InjectBus(name?: string): PropertyDecorator & ParameterDecorator {
  return common.Inject(getBusToken(name));
}

export function OnEvent(
  pattern: string | readonly string[],
  options?: OnEventOptions,
): MethodDecorator {
  const given = readOnEvent(pattern, options);
  return (_target, key, descriptor) => {
    const method: unknown = descriptor?.value;
    if (typeof method !== 'function') {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', String(key), 'must be a method');
    }
    // Decorators run from the last to the first.
    metadata.defineMetadata(HANDLERS, [given, ...notesOf(method)], method);
  };
}

function readOnEvent(pattern: unknown, options: unknown): OnEventNote {
  const texts = Array.isArray(pattern) ? pattern : [pattern];
  if (texts.length === 0 || !texts.every((one) => typeof one === 'string')) {
    throw invalidAt('ERR_BUS_INVALID_PATTERN', 'pattern', 'must be a text or an array of texts');
  }
  if (options !== undefined && (typeof options !== 'object' || options === null)) {
    throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'options', 'must be an object');
  }
  const { bus, ...rest } = (options ?? {}) as Record<string, unknown>;
  const shown = Array.isArray(pattern) ? [...(pattern as string[])] : (pattern as string);
  return {
    pattern: shown,
    bus: bus === undefined ? undefined : readName(bus, 'bus'),
    options: rest,
  };
}

/** What the decorators of a method say, the first one first. */
export function notesOf(method: unknown): readonly OnEventNote[] {
  if (typeof method !== 'function') return [];
  return (metadata.getMetadata(HANDLERS, method) as OnEventNote[] | undefined) ?? [];
}

export function EventData(...pipes: ParameterPipe[]): ParameterDecorator;
export function EventData(member: string, ...pipes: ParameterPipe[]): ParameterDecorator;
export function EventData(...given: (string | ParameterPipe)[]): ParameterDecorator {
  return parameter(DATA, given);
}
export const EventContext = (): ParameterDecorator => parameter(CONTEXT, []);
export const WholeEvent = (...pipes: ParameterPipe[]): ParameterDecorator =>
  parameter(EVENT, pipes);

/** As Nest keeps a parameter: by its kind and its place, with the member that it asks for and its pipes. */
function parameter(kind: number, given: readonly (string | ParameterPipe)[]): ParameterDecorator {
  return (target, key, index) => {
    if (key === undefined) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'parameter', 'must be that of a method');
    }
    const [first] = given;
    const data = typeof first === 'string' ? first : undefined;
    const pipes = data === undefined ? given : given.slice(1);
    const known = metadata.getMetadata(PARAMETERS, target.constructor, key) ?? {};
    const all = { ...known, [`${kind}:${index}`]: { index, data, pipes } };
    metadata.defineMetadata(PARAMETERS, all, target.constructor, key);
  };
}
