/*
 * `oxbus/nestjs`: the bus in an application of NestJS 11 or 12. It needs `@nestjs/common` and `@nestjs/core` of the application;
 * `OxbusServer`, `OxbusClient` and what belongs to them also `@nestjs/microservices`. A program that does not import this entry
 * needs nothing and pays nothing. All durations are milliseconds.
 */

// Optional peers: where they are missing, or are modules that a program in CommonJS may not import, nothing here refers to them.
// @ts-ignore
import type { BaseRpcContext, ClientProxy, Server } from '@nestjs/microservices';
// @ts-ignore
import type { Observable } from 'rxjs';
import type {
  BatchSubscribeOptions,
  BusEvent,
  EventBusClient,
  EventBusConfig,
  HandlerContext,
  PublishOptions,
  Raw,
  RespondOptions,
  SubscribeOptions,
  WaitOptions,
} from './index';

// --------------------------------------------------------------------------------------- module

/** What a module of Nest is made of: a `DynamicModule`. */
export interface OxbusModuleDefinition {
  module: new (
    // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
    ...args: any[]
  ) => object;
  global?: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
  imports?: any[];
  // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
  providers?: any[];
  // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
  exports?: any[];
}

/** How a client lives with its application. Unknown keys and bad values: `INVALID_OPTIONS`. */
export interface OxbusModuleOptions {
  /** Of several clients each has a name of its own; default `'default'`. */
  readonly name?: string | undefined;
  /**
   * The options of the `connect()` that the start of the application waits for; it fails as that does. `false`: it waits for
   * nothing, and all `@OnEvent` are `whenReady`; one that is refused is logged.
   */
  readonly connect?: WaitOptions | false | undefined;
  /** How long running handlers may take when the application ends, 0–2 147 483 647; default 10 000. */
  readonly drainTimeout?: number | undefined;
  /** Whether the end of the application disconnects the client; default true. */
  readonly disconnect?: boolean | undefined;
}

/** Options of `forRootAsync`. */
export interface OxbusAsyncOptions extends OxbusModuleOptions {
  // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
  readonly imports?: readonly any[] | undefined;
  // biome-ignore lint/suspicious/noExplicitAny: as Nest has it
  readonly inject?: readonly any[] | undefined;
  /** What `forRoot` takes, or a promise of it. */
  readonly useFactory: (
    // biome-ignore lint/suspicious/noExplicitAny: what `inject` names
    ...args: any[]
  ) => EventBusConfig | EventBusClient | Promise<EventBusConfig | EventBusClient>;
}

/** Options of a subscription, with the name of its bus. */
export type OnEventOptions = (
  | SubscribeOptions
  | BatchSubscribeOptions
  | Raw<SubscribeOptions>
  | Raw<BatchSubscribeOptions>
) & {
  /** The name of the client that subscribes; default: that of `forFeature`, else `'default'`. */
  readonly bus?: string | undefined;
};

/** What `forFeature` says of the handlers of the module that imports it. */
export type OxbusFeatureOptions = OnEventOptions;

/**
 * A client of the bus for the whole application, which it begins and ends.
 *
 * While modules are initialised, what they subscribe to with a `group` is confirmed as ever, and no group reads. All groups begin
 * together in `onApplicationBootstrap` of this module, with all handlers of `@OnEvent` and all that `onModuleInit` has
 * subscribed to: an event that several of them take reaches each of them.
 *
 * In `onModuleDestroy` the subscriptions end, and running handlers have `drainTimeout`; in `onApplicationShutdown`, behind the
 * servers of the application, the client disconnects. `app.close()` and `enableShutdownHooks()` call both.
 */
// biome-ignore lint/complexity/noStaticOnlyClass: as Nest has modules
export declare class OxbusModule {
  /**
   * Makes a client of a configuration, by default that of the environment, or takes one, such as that of `createTestBus`.
   * @throws ValidationError `INVALID_OPTIONS`. A wrong configuration fails when the application is made.
   */
  static forRoot(
    bus?: EventBusConfig | EventBusClient,
    options?: OxbusModuleOptions,
  ): OxbusModuleDefinition;
  /** As `forRoot`, with what a factory returns. */
  static forRootAsync(options: OxbusAsyncOptions): OxbusModuleDefinition;
  /** Defaults for all `@OnEvent` of the module that imports it, such as their `group`; each may say otherwise. */
  static forFeature(options: OxbusFeatureOptions): OxbusModuleDefinition;
}

/** The token of a client, for `overrideProvider` and `inject`. */
export declare function getBusToken(name?: string): string;

/** Injects a client. */
export declare function InjectBus(name?: string): PropertyDecorator & ParameterDecorator;

// -------------------------------------------------------------------------------------- handlers

/** A pipe, or its class. */
export type ParameterPipe = object;

/**
 * Subscribes a method of a provider or controller. It gets the event and the `ctx`, or what the decorators of its parameters ask for,
 * and is called through the guards, interceptors, pipes and exception filters of Nest, with `'oxbus'` as the type of the
 * `ExecutionContext`. A provider that is not a singleton has an instance for each event; `REQUEST` is `{ event, context }` there.
 *
 * What no filter has caught is a failure, and is tried again unless it is a `NonRetryableError`, a `ValidationError` or an
 * `HttpException` of 400–499 (without 408, 425 and 429), such as a pipe or a guard throws; `retryIf` decides otherwise.
 *
 * @throws ValidationError `INVALID_OPTIONS`, `INVALID_PATTERN`; what the bus refuses fails the start of the application.
 */
export declare function OnEvent(
  pattern: string | readonly string[],
  options?: OnEventOptions,
): MethodDecorator;

/** A parameter with the data of the event, or a member of it, through pipes; of a batch an array. `@Payload()` does the same. */
export declare function EventData(...pipes: ParameterPipe[]): ParameterDecorator;
export declare function EventData(member: string, ...pipes: ParameterPipe[]): ParameterDecorator;
/** A parameter with the `ctx` of the handler. `@Ctx()` does the same. */
export declare function EventContext(): ParameterDecorator;
/** A parameter with the whole event, through pipes; of a batch an array. */
export declare function WholeEvent(...pipes: ParameterPipe[]): ParameterDecorator;

// ---------------------------------------------------------------------------------------- health

export interface HealthCheckOptions {
  /** The name of the client; default `'default'`. */
  readonly bus?: string | undefined;
}

/** A `HealthIndicatorResult` of terminus: the health report, whose own status is `health`. */
export type BusHealthResult<Key extends string = string> = Record<
  Key,
  {
    /** `'down'` where the report says `unhealthy`. */
    status: 'up' | 'down';
    health: 'healthy' | 'degraded' | 'unhealthy';
    [detail: string]: unknown;
  }
>;

/** For the checks of `@nestjs/terminus` 11 and 12. A provider of `forRoot`. */
export declare class OxbusHealthIndicator {
  /** Nest calls it, with its `ModuleRef`. */
  constructor(providers: { get(token: string, options: { strict: false }): unknown });
  /** Answers within 1 s. Rejects only where there is no client of that name. */
  isHealthy<const Key extends string>(
    key: Key,
    options?: HealthCheckOptions,
  ): Promise<BusHealthResult<Key>>;
}

// ----------------------------------------------------------------------------------- microservices

/**
 * How the bus of a server or a client is connected: `status` of both tells it, and each change. `'reconnecting'` from the loss of a
 * connection on; `'disconnected'` when the bus is closed.
 */
export type OxbusStatus = 'connected' | 'reconnecting' | 'disconnected';

/** Options of {@link OxbusServer}. Unknown keys and bad values: `INVALID_OPTIONS`. */
export interface OxbusServerOptions {
  /** A client, which stays open when the server closes; or the configuration of one of its own. Default: the environment. */
  readonly bus?: EventBusClient | EventBusConfig | undefined;
  /** Options for all `@EventPattern`, such as their `group`. Without a group events are live, and each process gets them. */
  readonly events?: SubscribeOptions | undefined;
  /** Options for all `@MessagePattern`. */
  readonly messages?: RespondOptions | undefined;
}

/**
 * A transport strategy: `app.connectMicroservice({ strategy: new OxbusServer({ bus }) })`.
 *
 * `@EventPattern` subscribes, and `{ oxbus: { group, … } }` in its extras are options for it alone; a handler that fails is
 * tried again as any handler of the bus. `@MessagePattern` responds. A pattern that is an object is the type
 * {@link typeOfPattern} says.
 */
export declare class OxbusServer extends Server {
  /** For decorators that name a transport. */
  static readonly transport: symbol;
  readonly transportId: symbol;
  readonly propagatesEventHandlerErrors: boolean;
  constructor(options?: OxbusServerOptions);
  /** From the start of `listen` until `close`. */
  get status(): Observable<OxbusStatus>;
  listen(callback: (error?: unknown) => void): void;
  close(): Promise<void>;
  /** As `on` of the client. */
  // biome-ignore lint/complexity/noBannedTypes: as Nest has it
  on(event: string, callback: Function): void;
  /** The client. */
  unwrap<T = EventBusClient>(): T;
}

/** Options of {@link OxbusClient}. Unknown keys and bad values: `INVALID_OPTIONS`. */
export interface OxbusClientOptions {
  /** A client, which stays open when this one closes; or the configuration of one of its own. Default: the environment. */
  readonly bus?: EventBusClient | EventBusConfig | undefined;
  /** For how long `send` waits for its last answer, in ms, 1–2 147 483 647; default 5000. */
  readonly timeout?: number | undefined;
}

/**
 * `send` asks one responder, by `request`: it emits its answers and completes. It errors with an `RpcException` of what the handler
 * has failed with, or with an error of the bus, such as `NO_RESPONDERS` at once. Unsubscribing aborts the signal of the handler.
 * `emit` publishes.
 */
export declare class OxbusClient extends ClientProxy {
  constructor(options?: OxbusClientOptions);
  /** From the start of `connect`, which the first `send` and `emit` call, until `close`. */
  get status(): Observable<OxbusStatus>;
  connect(): Promise<void>;
  /** Errors each `send` that waits with `CLOSED`. */
  close(): Promise<void>;
  // biome-ignore lint/complexity/noBannedTypes: as Nest has it
  on(event: string, callback: Function): void;
  unwrap<T = EventBusClient>(): T;
  protected publish(
    packet: { pattern: unknown; data: unknown },
    callback: (packet: object) => void,
  ): () => void;
  protected dispatchEvent<T = unknown>(packet: { pattern: unknown; data: unknown }): Promise<T>;
}

/** Data with options of its publish: `client.emit('order.placed', new OxbusRecord(order, { key }))`. */
export declare class OxbusRecord<T = unknown> {
  constructor(data: T, options?: PublishOptions);
  readonly data: T;
  readonly options: PublishOptions;
}

/** What `@Ctx()` gives to a handler of `OxbusServer`. */
export declare class OxbusContext extends BaseRpcContext<[BusEvent, HandlerContext]> {
  getEvent(): BusEvent;
  getHandlerContext(): HandlerContext;
  /** What the hook for packets of the client has said of this one (`setOnDispatchHook` of Nest 12); undefined where there is nothing. */
  getMetadata(): Record<string, string> | undefined;
}

/**
 * Lets what a handler throws reach the bus, and who has asked, as it is. Without it Nest makes `Internal server error` of
 * everything but an `RpcException`, and the bus learns nothing of a `RetryLater` or a `NonRetryableError`.
 */
export declare class OxbusExceptionFilter {
  catch(exception: unknown): Observable<never>;
}

/**
 * The type of a pattern: a text is itself; `{ cmd: 'sum', of: 'cart' }` is `cmd:sum/of:cart`, in the order of the keys; any other
 * is written out behind `nest/`.
 */
export declare function typeOfPattern(pattern: unknown): string;
