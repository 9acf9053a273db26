/** Compiled, never run: the types of requests and replies. */

import { type Answer, type Answers, EventBusClient, type Responder } from '..';
import { createTestBus } from '../testing';

type Events = {
  'sum.asked': { a: number; b: number };
  'clock.asked': undefined;
  'photo.deleted': null;
};
type Replies = { 'sum.asked': { sum: number; at: Date }; 'clock.asked': string };

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

declare const plain: EventBusClient<Events>;
declare const loose: EventBusClient;
const typed = new EventBusClient<Events, Replies>();

export async function requests(): Promise<void> {
  // Without a map of replies the caller says what comes, or it is unknown.
  const unknown = await plain.request('sum.asked', { a: 1, b: 2 });
  holds<Equal<typeof unknown, unknown>>();
  const said = await plain.request<'sum.asked', number>('sum.asked', { a: 1, b: 2 });
  holds<Equal<typeof said, number>>();
  const anything = await loose.request('whatever', [1]);
  holds<Equal<typeof anything, unknown>>();
  // With one it is what JSON brings of the reply.
  const sum = await typed.request('sum.asked', { a: 1, b: 2 }, { timeout: 1 });
  holds<Equal<typeof sum, { sum: number; at: string }>>();
  const clock = await typed.request('clock.asked');
  holds<Equal<typeof clock, string>>();
  const answers = typed.request('sum.asked', { a: 1, b: 2 }, { all: true });
  holds<Equal<typeof answers, Answers<{ sum: number; at: string }>>>();
  for await (const answer of answers) {
    holds<Equal<typeof answer, Answer<{ sum: number; at: string }>>>();
    if (answer.error === undefined) holds<Equal<typeof answer.data.sum, number>>();
    else holds<Equal<typeof answer.error, Error>>();
  }
  for await (const answer of typed.request('clock.asked', null, { all: true })) {
    holds<Equal<typeof answer, Answer<string>>>();
  }

  // @ts-expect-error no type of the map
  await typed.request('sum', 1);
  // @ts-expect-error no data of the type
  await typed.request('sum.asked', { a: 1 });
  // @ts-expect-error data is missing
  await typed.request('sum.asked');
  // @ts-expect-error no option of a request
  await typed.request('clock.asked', null, { stream: 'x' });
}

export async function responders(): Promise<void> {
  const responder = await typed.respond('sum.asked', async ({ type, data }, ctx) => {
    holds<Equal<typeof type, 'sum.asked'>>();
    holds<Equal<typeof data, { a: number; b: number }>>();
    holds<Equal<typeof ctx.signal, AbortSignal>>();
    return { sum: data.a + data.b, at: new Date() };
  });
  holds<Equal<typeof responder, Responder>>();
  await typed.respond('clock.asked', () => 'now', { concurrency: 1 });
  await typed.respond('photo.deleted', () => undefined);
  await plain.respond('sum.asked', ({ data }) => data.a);
  await loose.respond('whatever', ({ data }) => data.anything);
  await createTestBus<Events>().respond('sum.asked', ({ data }) => data.a);

  // @ts-expect-error no reply of the type
  await typed.respond('sum.asked', () => ({ sum: 'x' }));
  // @ts-expect-error no type of the map
  await typed.respond('sum', () => 1);
}

// A client with a map of replies may stand for one without.
declare function takesPlain(client: EventBusClient<Events>): void;
declare function takesAny(client: EventBusClient): void;
takesPlain(typed);
takesAny(typed);
