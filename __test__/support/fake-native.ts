/**
 * A native module of a few lines, for the parts of `ts/` that need an answer but no engine. The compiler checks it
 * against the types of the addon; patterns are `*`, a prefix with `*`, or exact.
 */

import { version } from '../../package.json';
import type { Drained } from '../../ts/native/drained';
import type {
  ErrorValue,
  NativeModule,
  Notice,
  RunInfo,
  Settings,
  Subscribed,
} from '../../ts/native/native';
import { withEventsBeside } from './events-beside';

type Native = InstanceType<NativeModule['NativeClient']>;
type Member = keyof Drained;
type Deliver = { sub: number; event: unknown; info?: object };

/** Set in the tokens of durable calls. */
const DURABLE = 2 ** 31;
const JSON_TEXT = 6;

export const controls = {
  /** What `settle` was told, per call: `[token, kind, argument]`. */
  settled: [] as [number, number, number][],
  clients: [] as FakeClient[],
  publishCalls: 0,
  /** Makes every publish fail with this error, as often as counted. */
  failures: [] as ErrorValue[],
  /** Publishes stay unanswered. */
  silent: false,
  /** What `setError` was told: `[token, error]`. */
  errors: [] as [number, any][],
  /** What `request` was asked: `[method, args]`. */
  requests: [] as [string, any][],
  /** What it answers, by method; a promise later, a thrown error value as a failure. */
  answers: {} as Record<string, (args: any) => unknown>,
  /** Published types that are stored, with the number of their last entry. */
  stored: new Map<string, number>(),
  brokers: [] as FakeBroker[],
};

export function reset(): void {
  controls.settled = [];
  controls.clients = [];
  controls.publishCalls = 0;
  controls.failures = [];
  controls.silent = false;
  controls.errors = [];
  controls.requests = [];
  controls.answers = {};
  controls.stored = new Map();
  controls.brokers = [];
}

/** A broker that has nothing but a clock, and things that are due. */
export class FakeBroker {
  readonly virtual: boolean;
  #now = 1_000_000;
  #due: { at: number; run: () => void }[] = [];

  constructor(virtual: boolean) {
    this.virtual = virtual;
    controls.brokers.push(this);
  }

  now(): number {
    return this.#now;
  }
  advance(to: number): void {
    if (to < this.#now) throw new Error('back in time');
    this.#now = to;
    const due = this.#due.filter(({ at }) => at <= to).sort((a, b) => a.at - b.at);
    this.#due = this.#due.filter(({ at }) => at > to);
    for (const { run } of due) run();
  }
  nextDue(): number | null {
    return this.#due.length === 0 ? null : Math.min(...this.#due.map(({ at }) => at));
  }
  unsettled(_stream: string): string {
    return '[]';
  }
  later(ms: number, run: () => void): void {
    this.#due.push({ at: this.#now + ms, run });
  }
}

export class FakeClient {
  readonly instanceId = `fake-${controls.clients.length}`;
  readonly #wake: () => void;
  readonly #subs = new Map<number, string[]>();
  readonly records: string[] = [];
  held = false;
  #state: ReturnType<Native['state']> = 'idle';
  #out: { [K in Member]?: unknown[] } = {};
  /** The events for the next drain: those of answers, and for handlers words and the strings that they stand for. */
  #told: unknown[] = [];
  readonly #words: number[] = [];
  readonly #texts: string[] = [];
  #columns = Buffer.alloc(0);
  #token = 0;
  #woken = false;
  #last = 0;
  /** Answers that take a while. */
  #working = 0;

  constructor(_config: string, _env: string, _broker: object | null | undefined, wake: () => void) {
    this.#wake = wake;
    controls.clients.push(this);
  }

  state() {
    return this.#state;
  }
  ref(): void {
    this.held = true;
  }
  unref(): void {
    this.held = false;
  }
  connect(ticket: number): void {
    this.#state = 'ready';
    this.#push('replies', [ticket, null]);
  }
  waitUntilReady(ticket: number): void {
    this.#push('replies', [ticket, null]);
  }
  disconnect(ticket: number): void {
    this.#state = 'closed';
    this.#push('replies', [ticket, null]);
    this.#push('notices', { event: 'closed' });
  }
  publish(batch: number, count: number, records: string): void {
    controls.publishCalls += 1;
    this.records.push(records);
    if (controls.silent) return;
    const lines = records.split('\n');
    for (let index = 0; index < count; index += 1) {
      const error = controls.failures.shift();
      if (error !== undefined) {
        this.#push('failed', [batch, index, error]);
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
      const own = given.id === undefined ? id : 0;
      const last = controls.stored.get(type);
      if (last === undefined) {
        this.#push('published', [batch, index, timestamp, own, 1]);
      } else {
        const duplicate = given.deduplicate === true && last > 0;
        const entry = duplicate ? last : last + 1;
        controls.stored.set(type, entry);
        this.#push('stored', [
          batch,
          index,
          timestamp,
          's',
          own,
          1,
          `${entry}-0`,
          Number(duplicate),
        ]);
      }
      this.event(type, { id, type, data: JSON.parse(data), metadata });
    }
  }
  cancelPublish(batch: number, index: number): void {
    this.#push('failed', [
      batch,
      index,
      { code: 'ERR_BUS_ABORTED', message: 'aborted', outcome: 'unknown' },
    ]);
  }
  subscribe(ticket: number, patterns: string, options: string): string {
    const sub = ++this.#last;
    const given = JSON.parse(options);
    controls.requests.push(['subscribe', given]);
    const { timeout = 30_000, retryOnError = true, maxRetries = 3, group = null } = given;
    this.#subs.set(sub, JSON.parse(patterns));
    this.#push('replies', [ticket, null]);
    const { streams = [] } = given;
    const batch = 0;
    const ok: Subscribed = { sub, timeout, retryOnError, maxRetries, group, streams, batch };
    return JSON.stringify({ ok });
  }
  unsubscribe(ticket: number, sub: number): void {
    this.#push('replies', [ticket, this.#subs.delete(sub)]);
  }
  setMembership(
    ticket: number,
    joins: boolean,
    kind: string,
    name: string,
    member: string | null,
  ): string {
    controls.requests.push([joins ? 'join' : 'leave', { kind, name, member }]);
    this.#push('replies', [ticket, true]);
    return JSON.stringify({ ok: null });
  }
  hasJoined(): boolean {
    return false;
  }
  pause(): void {}
  settle(records: Uint32Array, count: number): void {
    for (let at = 0; at < count * 4; at += 4) {
      controls.settled.push([records[at]!, records[at + 1]!, records[at + 3]!]);
    }
  }
  setError(token: number, error: string): void {
    controls.errors.push([token, JSON.parse(error)]);
  }
  async request(ticket: number, method: string, text: string): Promise<void> {
    const args = JSON.parse(text);
    controls.requests.push([method, args]);
    this.#working += 1;
    try {
      const answer = (await controls.answers[method]?.(args)) ?? null;
      if (args.events === undefined) this.#push('replies', [ticket, answer]);
      else this.#answer(ticket, answer);
    } catch (error) {
      this.#push('refusals', [ticket, error as ErrorValue]);
    }
    this.#working -= 1;
  }
  isIdle(): boolean {
    return this.#working === 0;
  }
  stats(): string {
    return JSON.stringify({ mode: 'memory' });
  }
  health(): void {}
  refreshMetrics(ticket: number): void {
    this.#push('replies', [ticket, null]);
  }
  metrics(): string {
    return '';
  }
  drain(): string {
    this.#woken = false;
    const text = this.#texts.join('');
    const words = [...this.#told.map(() => JSON_TEXT), ...this.#words];
    if (words.length > 0) {
      this.#out.columns = [0, words.length, this.#texts.length, text.length];
      this.#out.json = [...this.#told, ...(this.#out.json ?? [])];
      const numbers = [...words, ...this.#texts.map(({ length }) => length << 1)];
      this.#columns = Buffer.concat([
        Buffer.from(new Int32Array(numbers).buffer),
        Buffer.from(text),
      ]);
    }
    const out = JSON.stringify(this.#out);
    this.#out = {};
    this.#told = [];
    this.#words.length = 0;
    this.#texts.length = 0;
    return out === '{}' ? '' : out;
  }
  publishWithRaw = this.publish;
  publishHereFirst = this.publish;
  sendHeld(): void {}
  takeColumns(target: Uint8Array): void {
    target.set(this.#columns);
  }
  buildByShapes(): void {}
  takeRaw(): string[] {
    return [];
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
    this.#event(event);
    this.#push('deliveries', [sub, this.#token++, 1, (info ?? 0) as RunInfo | 0]);
  }
  /** Entries of a stream come in, as one run: `[messageId, event]`. Answers with the first token. */
  entries(group: string, entries: [string, object][], info: { batch?: number } = {}): number {
    const sub = [...this.#subs.keys()].at(-1)!;
    const token = DURABLE + this.#token;
    this.#token += info.batch === undefined ? entries.length : 1;
    const stored = { stream: 's', group, deliveries: 1, ...info };
    for (const [messageId, event] of entries) {
      this.#words.push(messageId.length << 3);
      this.#texts.push(messageId);
      this.#event(event);
    }
    this.#push('deliveries', [sub, token, entries.length, stored]);
    return token;
  }
  notice(notice: Notice): void {
    this.#push('notices', notice);
  }

  #answer(ticket: number, answer: unknown): void {
    const first = this.#told.length;
    const value = withEventsBeside(answer, (text) => this.#told.push(JSON.parse(text)) - 1 - first);
    this.#push('replies', [ticket, value, this.#told.length - first]);
  }

  /** An event goes as JSON, which is how the engine hands over what has no shape. */
  #event(event: unknown): void {
    this.#words.push(JSON_TEXT);
    this.#push('json', event);
  }

  #push<K extends Member>(member: K, value: NonNullable<Drained[K]>[number]): void {
    const all: { [name in Member]?: unknown[] } = this.#out;
    all[member] = [...(all[member] ?? []), value];
    if (this.#woken) return;
    this.#woken = true;
    setImmediate(this.#wake);
  }
}

const CODES = [
  ['ERR_BUS_NO_STREAM', 'validation', false],
  ['ERR_BUS_NO_THREAD', 'resource', true],
  ['ERR_BUS_NOT_REPLICATED', 'resource', true],
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
  ['ERR_BUS_INTERNAL', 'internal', false],
];

/** For `jest.mock('#native', …, { virtual: true })`. */
export function fakeNative() {
  return {
    errorCodes: () => JSON.stringify(CODES),
    settings: (config: string) => {
      const { channelPrefix = '', inherit = true, validateOnReceive = false } = JSON.parse(config);
      const { json = 'lenient' } = JSON.parse(config);
      const {
        batchSize = 256,
        batchInterval = 0,
        maxRetries = 0,
        retryDelay = 1,
      } = JSON.parse(config).performance ?? {};
      const ok: Settings = {
        serviceName: 'fake',
        mode: 'memory',
        memory: 'fake',
        channelPrefix,
        inherit,
        logLevel: 'error',
        validateOnReceive,
        json,
        batchSize,
        batchInterval,
        maxRetries,
        retryDelay,
        commandTimeout: 5000,
        maxEventBytes: 1_048_576,
        maxDataBytes: 524_288,
        notices: [],
      };
      return JSON.stringify({ ok });
    },
    unknownKey: () => 'unknown key',
    questions: () => '[]',
    escapePattern: (text: string) => text,
    validate: () => '{"ok":null}',
    version: () => version,
    start: () => '{"ok":null}',
    withoutContext: (run) => run(),
    matches: (pattern, text) => new RegExp(`^${pattern.replace('*', '.*')}$`).test(text),
    lanes: () => [],
    NativeBroker: FakeBroker,
    NativeClient: FakeClient,
  } satisfies NativeModule;
}
