/** `request` and `respond` of a client. */
// biome-ignore-all lint/complexity/noArguments: rest parameters would change the `length` of a method

import type {
  Answers,
  EventOf,
  EventType,
  RawJson,
  ReceivedEvents,
  ReplyOf,
  RequestHandler,
  RequestOptions,
  Responder,
  RespondOptions,
  VoidType,
} from '../../index';
import { stackFromCaller, startAsyncStacksAtCaller, traceCall } from '../caller-stacks';
import { requestReplyOf } from '../client/internals';

export class RequestMethods<Events, Received = ReceivedEvents<Events>, Replies = unknown> {
  request<K extends EventType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: Events[K] | RawJson,
    options: RequestOptions & { all: true },
  ): Answers<R>;
  request<K extends VoidType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: null,
    options: RequestOptions & { all: true },
  ): Answers<R>;
  request<K extends EventType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data: Events[K] | RawJson,
    options?: RequestOptions,
  ): Promise<R>;
  request<K extends VoidType<Events>, R = ReplyOf<Replies, K>>(
    type: K,
    data?: null,
    options?: RequestOptions,
  ): Promise<R>;
  request(type: string, data?: unknown, options?: unknown): unknown {
    // What is not given is null, and what is given as undefined is refused.
    const payload = arguments.length < 2 ? null : data;
    const requests = requestReplyOf(this);
    if (isForAll(options)) return requests.requestAll(type, payload, options, traceCall(1));
    try {
      return replyOf(requests.request(type, payload, options));
    } catch (error) {
      return Promise.reject(stackFromCaller(error, RequestMethods.prototype.request));
    }
  }

  respond<K extends EventType<Events>>(
    type: K,
    handler: RequestHandler<EventOf<Received, K & EventType<Received>>, Replies, K>,
    options?: RespondOptions,
  ): Promise<Responder>;
  respond(type: string, handler: unknown, options?: unknown): Promise<Responder> {
    return requestReplyOf(this).respond(type, handler, options);
  }
}

startAsyncStacksAtCaller(RequestMethods, ['respond']);

/** The callers are looked for when a request fails: to note the line of each would be a tenth of what it costs here. */
async function replyOf(reply: Promise<unknown>): Promise<unknown> {
  try {
    return await reply;
  } catch (error) {
    throw stackFromCaller(error, replyOf);
  }
}

/** Whether answers are wanted as an iterator; options that cannot be read are refused where they are read. */
function isForAll(options: unknown): boolean {
  try {
    return (options as RequestOptions | null | undefined)?.all === true;
  } catch {
    return false;
  }
}
