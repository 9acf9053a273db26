/**
 * A native module of a few lines, for the parts of `ts/` that need an answer but no engine. It keeps
 * to `docs/design/boundary.md`; patterns are `*`, a prefix with `*`, or exact.
 */

type Deliver = { sub: number; event: unknown; info?: object };

export const controls = {
  /** What `settle` was told, per call: `[token, kind, argument]`. */
  settled: [] as [number, number, number][],
  clients: [] as FakeClient[],
  publishCalls: 0,
  /** Makes every publish fail with this error, as often as counted. */
  failures: [] as object[],
  /** Publishes stay unanswered. */
  silent: false,
};

export function reset(): void {
  controls.settled = [];
  controls.clients = [];
  controls.publishCalls = 0;
  controls.failures = [];
  controls.silent = false;
}

export class FakeClient {
  readonly instanceId = `fake-${controls.clients.length}`;
  readonly #wake: () => void;
  readonly #subs = new Map<number, string[]>();
  readonly records: string[] = [];
  held = false;
  #state = 'idle';
  #out: Record<string, unknown[]> = {};
  #token = 0;
  #woken = false;
  #last = 0;

  constructor(_config: string, _env: string, _broker: object | null, wake: () => void) {
    this.#wake = wake;
    controls.clients.push(this);
  }

  state(): string {
    return this.#state;
  }
  hold(keep: boolean): void {
    this.held = keep;
  }
  connect(ticket: number): void {
    this.#state = 'ready';
    this.#push('r', [ticket, null]);
  }
  waitUntilReady(ticket: number): void {
    this.#push('r', [ticket, null]);
  }
  disconnect(ticket: number): void {
    this.#state = 'closed';
    this.#push('r', [ticket, null]);
    this.#push('n', { event: 'closed' });
  }
  publish(batch: number, count: number, records: string): void {
    controls.publishCalls += 1;
    this.records.push(records);
    if (controls.silent) return;
    const lines = records.split('\n');
    for (let index = 0; index < count; index += 1) {
      const error = controls.failures.shift();
      if (error !== undefined) {
        this.#push('f', [batch, index, error]);
        continue;
      }
      const [type, options, data] = lines.slice(index * 3, index * 3 + 3) as [
        string,
        string,
        string,
      ];
      const given = options === '' ? {} : JSON.parse(options);
      const id = given.id ?? `id-${++this.#last}`;
      const timestamp = '2026-01-01T00:00:00.000Z';
      const correlationId = given.correlationId ?? id;
      const { causationId } = given;
      const metadata = { timestamp, source: 'fake', correlationId, causationId };
      this.#push('p', [batch, index, timestamp, given.id === undefined ? id : 0, 1]);
      this.event(type, { id, type, data: JSON.parse(data), metadata });
    }
  }
  cancelPublish(batch: number, index: number): void {
    this.#push('f', [
      batch,
      index,
      { code: 'ERR_BUS_ABORTED', message: 'aborted', outcome: 'unknown' },
    ]);
  }
  subscribe(ticket: number, patterns: string, options: string): string {
    const sub = ++this.#last;
    const { timeout = 30_000, retryOnError = true, maxRetries = 3 } = JSON.parse(options);
    this.#subs.set(sub, JSON.parse(patterns));
    this.#push('r', [ticket, null]);
    return JSON.stringify({ ok: { sub, timeout, retryOnError, maxRetries } });
  }
  unsubscribe(ticket: number, sub: number): void {
    this.#push('r', [ticket, this.#subs.delete(sub)]);
  }
  pause(): void {}
  settle(records: Uint32Array, count: number): void {
    for (let at = 0; at < count * 4; at += 4) {
      controls.settled.push([records[at]!, records[at + 1]!, records[at + 3]!]);
    }
  }
  stats(): string {
    return JSON.stringify({ mode: 'memory' });
  }
  health(): void {}
  drain(): string {
    this.#woken = false;
    const out = JSON.stringify(this.#out);
    this.#out = {};
    return out === '{}' ? '' : out;
  }
  destroy(): void {
    this.#state = 'closed';
  }

  /** An event comes in. */
  event(type: string, event: unknown, info?: object): void {
    for (const [sub, patterns] of this.#subs) {
      const matches = patterns.some((pattern) =>
        pattern.endsWith('*') ? type.startsWith(pattern.slice(0, -1)) : pattern === type,
      );
      if (matches) this.deliver({ sub, event, info });
    }
  }
  deliver({ sub, event, info }: Deliver): void {
    this.#push('d', [sub, this.#token++, info ?? 0, event]);
  }
  notice(notice: object): void {
    this.#push('n', notice);
  }

  #push(kind: string, value: unknown): void {
    this.#out[kind] ??= [];
    this.#out[kind].push(value);
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(this.#wake);
  }
}

const CODES = [
  ['ERR_BUS_INVALID_DATA', 'validation', false],
  ['ERR_BUS_INVALID_TYPE', 'validation', false],
  ['ERR_BUS_INVALID_OPTIONS', 'validation', false],
  ['ERR_BUS_INVALID_PATTERN', 'validation', false],
  ['ERR_BUS_INVALID_CONFIG', 'validation', false],
  ['ERR_BUS_CONNECTION_LOST', 'connection', true],
  ['ERR_BUS_CLOSED', 'connection', false],
  ['ERR_BUS_HANDLER_FAILED', 'handler', true],
  ['ERR_BUS_HANDLER_TIMEOUT', 'timeout', true],
  ['ERR_BUS_ABORTED', 'timeout', false],
];

/** For `jest.mock('#native', …, { virtual: true })`. */
export function fakeNative(): object {
  return {
    errorCodes: () => JSON.stringify(CODES),
    settings: (config: string) => {
      const { channelPrefix = '', inherit = true, validateOnReceive = false } = JSON.parse(config);
      const {
        batchSize = 256,
        maxRetries = 0,
        retryDelay = 1,
      } = JSON.parse(config).performance ?? {};
      return JSON.stringify({
        ok: {
          serviceName: 'fake',
          mode: 'memory',
          memory: 'fake',
          channelPrefix,
          inherit,
          logLevel: 'error',
          validateOnReceive,
          batchSize,
          batchInterval: 0,
          maxRetries,
          retryDelay,
          commandTimeout: 5000,
          maxEventBytes: 1_048_576,
          maxDataBytes: 524_288,
          notices: [],
        },
      });
    },
    escapePattern: (text: string) => text,
    validate: () => '{"ok":null}',
    NativeBroker: class {},
    NativeClient: FakeClient,
  };
}
