/** The methods of an application that handle events of a bus, and how Nest calls them. */

import type { BusEvent, EventHandler, HandlerContext } from '../../index';
import { NonRetryableError, ValidationError } from '../errors';
import { CONTEXT, DATA, EVENT, notesOf, type OnEventNote, PARAMETERS } from './decorators';
import { type Core, common, core } from './packages';
import { DEFAULT_NAME } from './tokens';

type Modules = InstanceType<typeof Core.ModulesContainer>;
type ModuleOfNest = NonNullable<ReturnType<Modules['get']>>;
type Wrapper = ModuleOfNest['providers'] extends Map<unknown, infer W> ? W : never;

/** A method that is to be subscribed. */
export interface FoundHandler {
  /** `Class.method`, for messages. */
  readonly name: string;
  readonly note: OnEventNote;
  readonly handler: EventHandler<BusEvent>;
}

/** What of Nest finds and calls handlers. */
export interface NestParts {
  readonly modules: Modules;
  readonly contexts: InstanceType<typeof Core.ExternalContextCreator>;
}

/** Options of `@OnEvent` for all handlers of a module, as `forFeature` gives them. */
export interface FeatureDefaults {
  readonly bus: string | undefined;
  readonly options: Record<string, unknown>;
}

/** Kept by the class and the token of a module that `forFeature` has made. */
export const FEATURES = 'oxbus:feature';

/** All handlers of a bus, in the order of the modules. */
export function findHandlers(nest: NestParts, busName: string): FoundHandler[] {
  const found: FoundHandler[] = [];
  for (const module of nest.modules.values()) {
    const defaults = defaultsOf(module);
    for (const collection of [module.controllers, module.providers]) {
      for (const wrapper of collection.values()) {
        for (const { method, notes } of methodsOf(wrapper as Wrapper)) {
          for (const note of notes) {
            if ((note.bus ?? defaults.bus ?? DEFAULT_NAME) !== busName) continue;
            const options = { ...defaults.options, ...note.options };
            found.push({
              name: `${(wrapper as Wrapper).name}.${method}`,
              note: { ...note, options: { retryIf: isWorthRetrying, ...options } },
              handler: handlerOf(nest, module, wrapper as Wrapper, method),
            });
          }
        }
      }
    }
  }
  return found;
}

/** What the modules that a module imports by `forFeature` say of its handlers; of several, the last. */
function defaultsOf(module: ModuleOfNest): FeatureDefaults {
  let defaults: FeatureDefaults = { bus: undefined, options: {} };
  for (const imported of module.imports) {
    const feature = imported.providers.get(FEATURES)?.instance as FeatureDefaults | undefined;
    if (feature !== undefined) {
      defaults = {
        bus: feature.bus ?? defaults.bus,
        options: { ...defaults.options, ...feature.options },
      };
    }
  }
  return defaults;
}

const scanner = new core.MetadataScanner();

function* methodsOf(
  wrapper: Wrapper,
): Generator<{ method: string; notes: readonly OnEventNote[] }> {
  const instance: unknown = wrapper.instance;
  if (wrapper.isAlias || typeof instance !== 'object' || instance === null) return;
  const prototype = Object.getPrototypeOf(instance) as object | null;
  if (prototype === null || prototype === Object.prototype) return;
  for (const method of scanner.getAllMethodNames(prototype)) {
    const notes = notesOf((prototype as Record<string, unknown>)[method]);
    if (notes.length > 0) yield { method, notes };
  }
}

/** The values of the parameters that decorators ask for. */
const parameters = {
  exchangeKeyForValue(kind: number, data: unknown, [event, context]: [unknown, HandlerContext]) {
    if (kind === CONTEXT) return context;
    if (kind === EVENT) return event;
    if (kind !== DATA) return null;
    if (Array.isArray(event)) return event.map((one: BusEvent) => memberOf(one.data, data));
    return memberOf((event as BusEvent).data, data);
  },
};

function memberOf(value: unknown, name: unknown): unknown {
  if (typeof name !== 'string') return value;
  return (value as Record<string, unknown> | null | undefined)?.[name];
}

/** Calls the method through guards, interceptors, pipes and filters. One that is not static has an instance for each event. */
function handlerOf(
  { contexts }: NestParts,
  module: ModuleOfNest,
  wrapper: Wrapper,
  method: string,
): EventHandler<BusEvent> {
  const calling = (instance: object, contextId?: Core.ContextId, inquirer?: string) =>
    contexts.create(
      instance as never,
      (instance as Record<string, never>)[method] as never,
      method,
      PARAMETERS,
      parameters as never,
      contextId,
      inquirer,
      undefined,
      'oxbus',
    );
  if (wrapper.isDependencyTreeStatic() && !wrapper.isTransient) {
    const call = calling(wrapper.instance as object);
    return (event, context) => call(event, context);
  }
  const reference = module.providers.get(core.ModuleRef)?.instance as InstanceType<
    typeof Core.ModuleRef
  >;
  return async (event, context) => {
    const request = { event, context };
    const contextId = core.ContextIdFactory.getByRequest(request as never);
    // A strategy for durable providers has a say in what is injected, as in Nest itself.
    const { payload } = contextId as { payload?: object };
    const provided = wrapper.isDependencyTreeDurable() ? payload : Object.assign(request, payload);
    reference.registerRequestByContextId(provided, contextId);
    const instance = await reference.resolve<object>(wrapper.token as never, contextId, {
      strict: true,
    });
    return calling(instance, contextId, wrapper.id)(event, context);
  };
}

/** Answers of HTTP that another attempt may change. */
const PASSING = [408, 425, 429];

/** The rule of the bus, and that what a pipe or a guard refuses is refused again. */
export function isWorthRetrying(error: unknown): boolean {
  if (error instanceof NonRetryableError || error instanceof ValidationError) return false;
  if (!(error instanceof common.HttpException)) return true;
  const status = error.getStatus();
  return status < 400 || status > 499 || PASSING.includes(status);
}
