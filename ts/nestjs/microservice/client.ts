/** `OxbusClient`: `send` and `emit` of Nest on the bus. */

import type { EventBusClient, PublishOptions, Subscription } from '../../../index';
import type { OxbusClientOptions, OxbusStatus } from '../../../nestjs';
import { stackFromCaller } from '../../caller-stacks';
import { requestReplyOf } from '../../client/internals';
import { readOptions } from '../../input/options';
import {
  type ParsedRequestOptions,
  readRequestOptions,
  withMetadata,
} from '../../request/request-options';
import type { BegunRequest } from '../../request/requester';
import { Asking, type Askings } from './asking';
import { busOf, type UsedBus } from './bus-of';
import { OxbusRecord } from './context';
import { microservices, type Rxjs, rxjs } from './packages';
import { typeOfPattern } from './patterns';
import { ANSWERS_TYPE, ASKS, answersFor, PACKET, type SentAnswers } from './protocol';
import { followStatus } from './status';

interface Packet {
  pattern: unknown;
  data: unknown;
  /** What a hook has said of it, in Nest 12. */
  metadata?: Record<string, string>;
}

export class OxbusClient extends microservices.ClientProxy {
  readonly #used: UsedBus;
  readonly #timeout: number | undefined;
  /** Of a message without options of its own. */
  #plain: ParsedRequestOptions | undefined;
  readonly #asking: Askings = new Map();
  #last = 0;
  #answers: Promise<Subscription> | undefined;
  /** Whether answers would be heard. */
  #isConnected = false;
  #unfollow: (() => void) | undefined;

  constructor(options?: OxbusClientOptions) {
    super();
    try {
      const given = readOptions(options, ['bus', 'timeout']);
      this.#used = busOf(given.bus);
      this.#timeout = given.timeout as number | undefined;
    } catch (error) {
      throw stackFromCaller(error, OxbusClient);
    }
  }

  async connect(): Promise<void> {
    if (this.#answers === undefined) {
      const { bus } = this.#used;
      this.#unfollow ??= followStatus(bus, (status) => this._status$.next(status));
      const channel = `user:${answersFor(bus.instanceId)}`;
      this.#answers = bus.subscribe(channel, ({ type, data }) => {
        if (type === ANSWERS_TYPE) this.#take(data as SentAnswers);
      });
      this.#answers.catch(() => {
        // The next call tries again.
        this.#answers = undefined;
      });
    }
    const answers = this.#answers;
    await answers;
    this.#isConnected = this.#answers === answers;
  }

  async close(): Promise<void> {
    const answers = this.#answers;
    this.#answers = undefined;
    this.#isConnected = false;
    for (const one of [...this.#asking.values()]) one.close();
    if (this.#used.isOwn) return this.#used.bus.disconnect();
    this.#unfollow?.();
    this.#unfollow = undefined;
    await (await answers?.catch(() => undefined))?.unsubscribe();
  }

  override get status(): Rxjs.Observable<OxbusStatus> {
    return super.status as Rxjs.Observable<OxbusStatus>;
  }

  // biome-ignore lint/complexity/noBannedTypes: as Nest has it
  override on(event: string, callback: Function): void {
    this.#used.bus.on(event as 'ready', callback as () => unknown);
  }

  unwrap<T = EventBusClient>(): T {
    return this.#used.bus as T;
  }

  /** As in Nest; where it is connected, without the promises and streams by which Nest waits for that. */
  override send<Result = unknown, Input = unknown>(
    pattern: unknown,
    data: Input,
  ): Rxjs.Observable<Result> {
    if (pattern === undefined || pattern === null || data === undefined || data === null) {
      return super.send(pattern, data);
    }
    return new rxjs.Observable((observer) => {
      if (!this.#isConnected) return super.send<Result, Input>(pattern, data).subscribe(observer);
      // Nest 11 knows of no hook.
      const packet = this.createPacket?.(pattern, data) ?? { pattern, data };
      return this.publish(packet, this.createObserver(observer));
    });
  }

  protected override publish(packet: Packet, callback: (packet: object) => void): () => void {
    this.#last += 1;
    const asking = new Asking(callback, this.#asking, this.#last);
    try {
      asking.follow(this.#begin(packet, this.#last));
    } catch (error) {
      asking.fail(error);
    }
    return () => asking.takeBack();
  }

  /** A controller and a signal for each message would take as long as all else that is done here for it. */
  #begin({ pattern, data: given, metadata }: Packet, number: number): BegunRequest {
    const isRecord = given instanceof OxbusRecord;
    const data = isRecord ? given.data : given;
    const options = withPacket(isRecord ? given.options : undefined, metadata);
    const timeout = this.#timeout;
    if (options === undefined) this.#plain ??= readRequestOptions({ timeout });
    const read = options === undefined ? this.#plain : readRequestOptions({ ...options, timeout });
    const noted = withMetadata(read as ParsedRequestOptions, `"${ASKS}":${number},`);
    return requestReplyOf(this.#used.bus).begin(typeOfPattern(pattern), data, noted);
  }

  protected override async dispatchEvent<T = unknown>(packet: Packet): Promise<T> {
    const { pattern, data: given, metadata } = packet;
    const isRecord = given instanceof OxbusRecord;
    const options = withPacket(isRecord ? given.options : undefined, metadata);
    const data = isRecord ? given.data : given;
    return (await this.#used.bus.publish(typeOfPattern(pattern), data, options)) as T;
  }

  #take({ request, at, answers }: SentAnswers): void {
    this.#asking.get(request)?.take(at, answers);
  }
}

/** Options of a publish, with what the hook of the client has said of the packet. */
function withPacket(
  options: PublishOptions | undefined,
  said: object | undefined,
): PublishOptions | undefined {
  if (said === undefined) return options;
  return { ...options, metadata: { ...options?.metadata, [PACKET]: said } };
}
