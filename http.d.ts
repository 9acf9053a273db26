/*
 * `oxbus/http`: a bus over HTTP. One handler answers in any server: Fetch (Next.js, Hono, Bun, Deno), `node:http`, Express 4
 * and 5, and Fastify. All durations are milliseconds, all sizes bytes.
 *
 * | route | answer |
 * |---|---|
 * | `GET /health` | 200 healthy, 200 degraded, 503 unhealthy; `?live`: 200 unless the client is closed |
 * | `GET /history?eventType&type&from&to&limit&order&source&correlationId` | `{ events, complete }` |
 * | `POST /publish` with `{ type, payload | data, options }` | 200 and the `PublishResult`, when the server has confirmed it |
 * | `GET /metrics` | the text of `metrics()`, and the counters of the handler |
 * | `GET /stream?pattern=` | server-sent events |
 *
 * Everything but the bare status of `/health` is refused until `authorize` allows it. Errors are problem details (RFC 9457);
 * `code` is the code of the bus.
 */

import type { EventBusClient, PublishOptions } from './index';

/** A request as `authorize` gets it, the same for every kind of server. */
export interface HttpRequest {
  readonly method: string;
  /** Absolute, with path and query as the client has sent them. Its host is what the client claims. */
  readonly url: string;
  readonly headers: Headers;
  /** What the server gave: a `Request`, an `IncomingMessage`, or that of Express or Fastify (`request.raw`). */
  readonly raw: unknown;
}

/** What a request wants to do. */
export type HttpAction =
  /** To see the whole health report instead of its status alone. */
  | { readonly name: 'health' }
  /** `type` is a pattern; undefined: events of all types. */
  | { readonly name: 'history'; readonly type: string | undefined }
  /** `options` are those of the body, as they came: they count only if `authorize` returns them. */
  | { readonly name: 'publish'; readonly type: string; readonly options: unknown }
  | { readonly name: 'metrics' }
  /** A pattern of types, or of channels such as `room:7`, `user:ann`. */
  | { readonly name: 'stream'; readonly pattern: string };

/**
 * `true` allows; `false`, and what is undefined or null, denies. An object with `options` allows a publish with these options; one with
 * `refuse` denies with that status, 401 with the `challenge` as `WWW-Authenticate`. Anything else denies, and is an error.
 */
export type Authorization =
  | boolean
  | null
  | undefined
  | { readonly options?: PublishOptions | undefined; readonly refuse?: undefined }
  | { readonly refuse: 401 | 403; readonly challenge?: string | undefined };

export type Authorize = (
  request: HttpRequest,
  action: HttpAction,
) => Authorization | Promise<Authorization>;

/** Which other origins may use the handler from a browser. */
export interface CorsOptions {
  /** `'https://app.example.com'`, …; `'*'`: any, not together with `credentials`. */
  readonly origins: '*' | readonly string[];
  /** Whether browsers may send cookies; default false. */
  readonly credentials?: boolean | undefined;
}

/** Options of server-sent events. */
export interface StreamOptions {
  /** How often a comment is sent, in ms, 1000–3 600 000; default 15 000. A client that took nothing between two is dropped. */
  readonly heartbeat?: number | undefined;
  /** After how many ms a client that lost the connection comes back, 0–3 600 000; default 2000. */
  readonly retry?: number | undefined;
  /** Streams at once, 1–1 000 000; default 10 000. Beyond: 503. */
  readonly maxClients?: number | undefined;
  /**
   * Bytes that may wait for one client, 1024–1 073 741 824; default 1 MiB. A client for which more would wait is dropped, and
   * counted in `slowClientsDropped`. What was written in one turn of the event loop goes to a client for which nothing waits,
   * whatever its size.
   */
  readonly maxBufferBytes?: number | undefined;
  /** How many events `Last-Event-ID` may bring back, 0–10 000; default 1000. Where there are more: `gap`. */
  readonly maxResume?: number | undefined;
  /**
   * Whether each event is sent with `event: <type>`, for `addEventListener(type, …)`; default false: `onmessage` gets all of
   * them, and the type is in the data.
   */
  readonly named?: boolean | undefined;
}

/** Options of {@link createHttpHandler}. Unknown keys and bad values: `INVALID_OPTIONS` naming the path. */
export interface HttpHandlerOptions {
  /** Who may do what; default: nobody anything. When it throws, or rejects, the answer is 500. */
  readonly authorize?: Authorize | undefined;
  /** Before each route, such as `'/api/events'`; default `''`. Express and Fastify take their own prefix off first. */
  readonly basePath?: string | undefined;
  /** Default: none; browsers let only pages of the same origin read, and a `POST` of another origin is refused. */
  readonly cors?: CorsOptions | undefined;
  /** Size of the body of a publish, 1–1 073 741 824; default 1 MiB. Beyond: 413, without reading further. */
  readonly maxBodyBytes?: number | undefined;
  /** Time for a whole body to arrive, in ms, 1–3 600 000; default 10 000. Then: 408. */
  readonly bodyTimeout?: number | undefined;
  /** Bodies that are being read at once, 1–100 000; default 256. Beyond: 503. */
  readonly maxBodies?: number | undefined;
  /** Events in one answer of `/history`, 1–10 000; default 1000. */
  readonly maxHistory?: number | undefined;
  readonly stream?: StreamOptions | undefined;
  /** Told of what ended in a 500, such as an `authorize` that throws. Default: `process.emitWarning`. */
  readonly onError?: ((error: unknown) => void) | undefined;
}

/** Counters of a handler since it was made. They are on the page of `/metrics` too, as `oxbus_http_…`. */
export interface HttpStats {
  /** Requests for one of the routes. */
  requests: number;
  /** What `authorize` did not allow, and publishes from foreign origins. */
  denied: number;
  /** What was refused as `maxClients` or `maxBodies` was reached. */
  refused: number;
  /** Bodies that were too large or too slow, or whose client went away. */
  bodiesAborted: number;
  /** Bodies that are being read now. */
  bodiesOpen: number;
  /** Streams that are open now. */
  streamsOpen: number;
  /** Streams since the beginning. */
  streamsOpened: number;
  /** Streams of clients that did not read, or too slowly. */
  slowClientsDropped: number;
  /** Events sent, once for each client. */
  eventsSent: number;
  /** Notices `gap`, once for each client. */
  gaps: number;
}

/** What the handler uses of a request of Node. */
export interface NodeRequest {
  method?: string | undefined;
  url?: string | undefined;
  headers: { [name: string]: string | string[] | undefined };
}

/** What the handler uses of a response of Node. */
export interface NodeResponse {
  readonly writableEnded: boolean;
  end(): unknown;
}

/** What the handler uses of a Fastify instance. */
export interface FastifyScope {
  readonly prefix: string;
  removeAllContentTypeParsers(): unknown;
  addContentTypeParser(type: never, parser: never): unknown;
  route(options: never): unknown;
}

/** A handler. Its members need no `this`. */
export interface HttpHandler {
  /** A path that is none of its routes: 404. Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>;
  /** As `fetch`, for `http.createServer(handler.node)`; resolves when the answer is written, or a stream has begun. */
  readonly node: (req: NodeRequest, res: NodeResponse) => Promise<void>;
  /** A middleware of Express: a path that is none of its routes goes to `next`. */
  readonly express: (req: NodeRequest, res: NodeResponse, next: (error?: unknown) => void) => void;
  /** A plugin of Fastify: `app.register(handler.fastify, { prefix: '/events' })`. */
  readonly fastify: (scope: FastifyScope, options: unknown, done: (error?: Error) => void) => void;
  /** A copy of the counters. */
  readonly stats: () => HttpStats;
  /**
   * Ends all streams, so that a server can close; from now on `/stream` answers 503. The bus stays open. The handler does the same
   * when the bus closes. Idempotent.
   */
  readonly close: () => Promise<void>;
}

/**
 * Makes a handler for a bus; does no I/O. Subscriptions are shared: all clients of a pattern have one.
 *
 * @throws ValidationError `INVALID_OPTIONS`, naming the path.
 */
export declare function createHttpHandler<Events, Received>(
  bus: EventBusClient<Events, Received>,
  options?: HttpHandlerOptions,
): HttpHandler;
