/** `OxbusClient`: `send` and `emit` of Nest on the bus. */

import type { EventBusClient, PublishOptions, Subscription } from '../../../index';
import type { OxbusClientOptions } from '../../../nestjs';
import { stackFromCaller } from '../../caller-stacks';
import { requestReplyOf } from '../../client/internals';
import { HandlerError, member } from '../../errors';
import { readOptions } from '../../input/options';
import {
  type ParsedRequestOptions,
  readRequestOptions,
  withMetadata,
} from '../../request/request-options';
import type { BegunRequest } from '../../request/requester';
import { Asking } from './asking';
import { busOf, type UsedBus } from './bus-of';
import { OxbusRecord } from './context';
import { microservices } from './packages';
import { typeOfPattern } from './patterns';
import { ANSWERS_TYPE, ASKS, answersFor, errorFor, noteIn, type SentAnswers } from './protocol';
import { rpcException } from './rpc-exception';

interface Packet {
  pattern: unknown;
  data: unknown;
}

export class OxbusClient extends microservices.ClientProxy {
  readonly #used: UsedBus;
  readonly #timeout: number | undefined;
  /** Of a message without options of its own. */
  #plain: ParsedRequestOptions | undefined;
  readonly #asking = new Map<number, Asking>();
  #last = 0;
  #answers: Promise<Subscription> | undefined;

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
      const channel = `user:${answersFor(bus.instanceId)}`;
      this.#answers = bus.subscribe(channel, ({ type, data }) => {
        if (type === ANSWERS_TYPE) this.#take(data as SentAnswers);
      });
      this.#answers.catch(() => {
        // The next call tries again.
        this.#answers = undefined;
      });
    }
    await this.#answers;
  }

  async close(): Promise<void> {
    const answers = this.#answers;
    this.#answers = undefined;
    if (this.#used.isOwn) return this.#used.bus.disconnect();
    await (await answers?.catch(() => undefined))?.unsubscribe();
  }

  // biome-ignore lint/complexity/noBannedTypes: as Nest has it
  override on(event: string, callback: Function): void {
    this.#used.bus.on(event as 'ready', callback as () => unknown);
  }

  unwrap<T = EventBusClient>(): T {
    return this.#used.bus as T;
  }

  protected override publish(packet: Packet, callback: (packet: object) => void): () => void {
    this.#last += 1;
    const number = this.#last;
    const asking = new Asking(callback, () => this.#asking.delete(number));
    this.#asking.set(number, asking);
    const failed = (error: unknown) => asking.fail(exceptionOf(error));
    try {
      const begun = this.#begin(packet, number);
      begun.reply.then((reply) => {
        const note = noteIn(reply);
        if (note === undefined) asking.only(reply);
        else asking.end(note);
      }, failed);
      return () => {
        asking.forget();
        begun.takeBack();
      };
    } catch (error) {
      failed(error);
      return () => undefined;
    }
  }

  /** A controller and a signal for each message would take as long as all else that is done here for it. */
  #begin({ pattern, data: given }: Packet, number: number): BegunRequest {
    const { data, options } = recordOf(given);
    const timeout = this.#timeout;
    if (options === NONE) this.#plain ??= readRequestOptions({ timeout });
    const read = options === NONE ? this.#plain : readRequestOptions({ ...options, timeout });
    const noted = withMetadata(read as ParsedRequestOptions, `"${ASKS}":${number},`);
    return requestReplyOf(this.#used.bus).begin(typeOfPattern(pattern), data, noted);
  }

  protected override async dispatchEvent<T = unknown>(packet: Packet): Promise<T> {
    const { data, options } = recordOf(packet.data);
    const { bus } = this.#used;
    return (await bus.publish(typeOfPattern(packet.pattern), data, options)) as T;
  }

  #take({ request, at, answers }: SentAnswers): void {
    this.#asking.get(request)?.take(at, answers);
  }
}

const NONE: PublishOptions = {};

function recordOf(data: unknown): OxbusRecord {
  return data instanceof OxbusRecord ? data : new OxbusRecord(data, NONE);
}

/** What the handler has failed with is an `RpcException`; what is of the bus stays so. */
function exceptionOf(error: unknown): unknown {
  if (!(error instanceof HandlerError) || error.code !== 'ERR_BUS_HANDLER_FAILED') return error;
  return rpcException(errorFor(member(error, 'cause') ?? error));
}
