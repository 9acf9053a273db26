/** `OxbusModule`: a client of the bus for each name, for the whole application. */

import type { EventBusConfig } from '../../index';
import type {
  OxbusAsyncOptions,
  OxbusFeatureOptions,
  OxbusModuleDefinition,
  OxbusModuleOptions,
} from '../../nestjs';
import { stackFromCaller } from '../caller-stacks';
import { EventBusClient } from '../client/client';
import { internalsOf } from '../client/internals';
import { invalidAt } from '../errors';
import { readOptions } from '../input/options';
import { FEATURES, type FeatureDefaults } from './handlers';
import { OxbusHealthIndicator } from './health';
import { common, core } from './packages';
import { BusEnd, HandlerSubscriber, holdGroups, type LifeOptions } from './subscriber';
import { endToken, getBusToken, givenToken, readName, subscriberToken } from './tokens';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';
/** As `disconnect` has it. */
const DRAIN_TIMEOUT = 10_000;
const OF_MODULE = ['name', 'connect', 'drainTimeout', 'disconnect'];
const OF_ASYNC = [...OF_MODULE, 'imports', 'inject', 'useFactory'];

type Provider = NonNullable<OxbusModuleDefinition['providers']>[number];

/** Holds the client. Global, so its hooks come first when the application begins, and last when it ends. */
class OxbusCoreModule {}

/** Holds the defaults of a module that imports it. */
class OxbusFeatureModule {}

// biome-ignore lint/complexity/noStaticOnlyClass: as Nest has modules
export class OxbusModule {
  static forRoot(
    bus?: EventBusConfig | EventBusClient,
    options?: OxbusModuleOptions,
  ): OxbusModuleDefinition {
    try {
      const life = readLife(readOptions(options, OF_MODULE));
      return rootModule(life, { provide: givenToken(life.name), useFactory: () => bus }, []);
    } catch (error) {
      throw stackFromCaller(error, OxbusModule.forRoot);
    }
  }

  static forRootAsync(options: OxbusAsyncOptions): OxbusModuleDefinition {
    try {
      const { imports, inject, useFactory, ...rest } = readOptions(options, OF_ASYNC);
      if (typeof useFactory !== 'function') {
        throw invalidAt(OPTIONS, 'useFactory', 'must be a function');
      }
      const life = readLife(rest);
      const given = { provide: givenToken(life.name), useFactory, inject: inject ?? [] };
      return rootModule(life, given as Provider, (imports ?? []) as unknown[]);
    } catch (error) {
      throw stackFromCaller(error, OxbusModule.forRootAsync);
    }
  }

  static forFeature(options: OxbusFeatureOptions): OxbusModuleDefinition {
    if (typeof options !== 'object' || options === null) {
      const fault = invalidAt(OPTIONS, 'options', 'must be an object');
      throw stackFromCaller(fault, OxbusModule.forFeature);
    }
    const { bus, ...rest } = options as Record<string, unknown>;
    const name = bus === undefined ? undefined : readName(bus, 'bus');
    const defaults: FeatureDefaults = { bus: name, options: rest };
    return {
      module: OxbusFeatureModule,
      providers: [{ provide: FEATURES, useValue: defaults }],
    };
  }
}

for (const each of [OxbusModule, OxbusCoreModule, OxbusFeatureModule]) common.Module({})(each);

function readLife(given: Record<string, unknown>): LifeOptions {
  const { connect = {}, drainTimeout = DRAIN_TIMEOUT, disconnect = true } = given;
  if (connect !== false && (typeof connect !== 'object' || connect === null)) {
    throw invalidAt(OPTIONS, 'connect', 'must be false or the options of connect()');
  }
  if (typeof drainTimeout !== 'number' || !(drainTimeout >= 0 && drainTimeout <= 2 ** 31 - 1)) {
    throw invalidAt(OPTIONS, 'drainTimeout', 'must be a number of ms from 0');
  }
  if (typeof disconnect !== 'boolean') {
    throw invalidAt(OPTIONS, 'disconnect', 'must be true or false');
  }
  const name = readName(given.name);
  return { name, connect: connect as LifeOptions['connect'], drainTimeout, disconnect };
}

function rootModule(
  life: LifeOptions,
  given: Provider,
  imports: readonly unknown[],
): OxbusModuleDefinition {
  const bus = getBusToken(life.name);
  const holder = {
    module: OxbusCoreModule,
    global: true,
    imports: [...imports],
    providers: [
      given,
      { provide: bus, useFactory: openBus, inject: [givenToken(life.name)] },
      {
        provide: endToken(life.name),
        useFactory: (client: EventBusClient) => new BusEnd(client, life),
        inject: [bus],
      },
      {
        provide: OxbusHealthIndicator,
        useFactory: (modules: object) => new OxbusHealthIndicator(modules as never),
        inject: [core.ModuleRef],
      },
    ],
    exports: [bus, OxbusHealthIndicator],
  };
  return {
    module: OxbusModule,
    imports: [holder],
    providers: [
      {
        provide: subscriberToken(life.name),
        useFactory: (client: EventBusClient, modules: never, contexts: never) =>
          new HandlerSubscriber(client, { modules, contexts }, life),
        inject: [bus, core.ModulesContainer, core.ExternalContextCreator],
      },
    ],
    exports: [holder],
  } as OxbusModuleDefinition;
}

/** The client that was given, or one of the configuration. */
function openBus(given: unknown): EventBusClient {
  const isClient = typeof given === 'object' && given !== null && internalsOf(given) !== undefined;
  const client = isClient ? (given as EventBusClient) : new EventBusClient(given as EventBusConfig);
  holdGroups(client as never);
  return client;
}
