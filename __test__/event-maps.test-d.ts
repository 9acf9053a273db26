/** Compiled, never run: what event maps and schemas make of the types of a client. */

import {
  EventBusClient,
  type EventType,
  type Jsonify,
  type PatternEvent,
  type PublishResult,
  type ReceivedEvents,
  type StandardSchemaV1,
  type Subscription,
} from '..';
import { createTestBus } from '../testing';

type Events = {
  'photo.uploaded': { photoId: string; userId: string };
  'photo.deleted': { photoId: string };
  'user.created': { name: string };
};
type All = keyof Events;

type Equal<A, B> =
  (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function holds<T extends true>(): T | undefined {
  return undefined;
}

declare const bus: EventBusClient<Events>;
declare const loose: EventBusClient;

// A client may stand for one without a map, and for one of a smaller map; not the other way round.
interface EventsAsInterface {
  'photo.uploaded': { photoId: string; userId: string };
  'photo.deleted': { photoId: string };
}
type Deleted = { 'photo.deleted': { photoId: string } };
declare const small: EventBusClient<Deleted>;
declare const ofInterface: EventBusClient<EventsAsInterface>;
declare function takesAny(client: EventBusClient): void;
declare function takesDeleted(client: EventBusClient<Deleted>): void;
declare function takesEvents(client: EventBusClient<Events>): void;
export function handedOn(): void {
  takesAny(bus);
  takesAny(ofInterface);
  takesAny(createTestBus<Events>());
  takesDeleted(bus);
  takesDeleted(ofInterface);
  takesEvents(createTestBus<Events>());
  // @ts-expect-error it has too few types
  takesEvents(small);
}

// The wrapper that everybody writes, for one map and for any.
export function on<K extends EventType<Events>>(
  type: K,
  handler: (event: PatternEvent<Events, K>) => void,
): Promise<Subscription> {
  return bus.subscribe(type, handler, { group: 'g' });
}
export class Wrapper<E> {
  readonly client: EventBusClient<E>;
  constructor(client: EventBusClient<E>) {
    this.client = client;
  }
  publish<K extends EventType<E>>(type: K, data: E[K]): Promise<PublishResult> {
    return this.client.publish(type, data, { key: 'k' });
  }
  on<K extends EventType<E>>(
    type: K,
    handler: (event: PatternEvent<ReceivedEvents<E>, K>) => void,
  ): Promise<Subscription> {
    return this.client.subscribe(type, handler);
  }
}
export async function wrapped(): Promise<void> {
  await on('user.created', (event) => event.data.name.trim());
  const wrapper = new Wrapper(bus);
  await wrapper.on('user.created', (event) => event.data.name.trim());
  await wrapper.publish('user.created', { name: 'n' });
  // @ts-expect-error the data of another type
  await wrapper.publish('user.created', { photoId: '1' });
}

export async function patterns(dynamic: string, several: string[]): Promise<void> {
  // @ts-expect-error no such type
  await bus.subscribe('photo.renamed', () => {});
  // @ts-expect-error no such type
  await bus.subscribe(['photo.deleted', 'photo.renamed'], () => {});
  // @ts-expect-error no such type
  await bus.subscribe('photo.renamed', () => {}, { group: 'g' });
  // @ts-expect-error of AMQP
  await bus.subscribe('photo.#', () => {});
  // @ts-expect-error of NATS
  await bus.subscribe('photo.>', () => {});
  // @ts-expect-error of shells
  await bus.subscribe('{photo,user}.*', () => {});
  // @ts-expect-error no such type
  bus.events('photo.renamed');
  // @ts-expect-error no such type
  await bus.getHistory({ type: 'photo.renamed' });
  // @ts-expect-error no such type
  await bus.replay({ pattern: 'photo.renamed', handler: () => {} });
  // @ts-expect-error no such type
  createTestBus<Events>().published('photo.renamed');
  await bus.subscribe('room:a{b}', () => {});
  await bus.subscribe('user:ann', () => {});
  await bus.subscribe('broadcast', () => {});
  await bus.subscribe('system.status', () => {});
  await bus.subscribe('photo.renamed', () => {}, { by: 'channel' });
  bus.events('photo.#', { by: 'channel' });
  await bus.subscribe(dynamic, (event) => event.type satisfies All);
  await bus.subscribe(several, (event) => event.type satisfies All);
  await bus.subscribe(`photo.${dynamic}`, () => {});
  await bus.subscribe<string | string[]>(dynamic === '' ? several : dynamic, () => {});
  await loose.subscribe('anything.at-all', () => {});
}

interface Tree {
  name: string;
  children: Tree[];
}
holds<Equal<Jsonify<Tree>, Tree>>();
holds<Equal<Jsonify<any>, any>>();
holds<Equal<Jsonify<unknown>, unknown>>();
holds<Equal<Jsonify<[string, Date]>, [string, string]>>();
holds<Equal<ReceivedEvents<Events>, Events>>();
holds<Equal<ReceivedEvents<EventsAsInterface>, EventsAsInterface>>();

type Rich = {
  // biome-ignore lint/suspicious/noConfusingVoidType: an event without data
  ping: void;
  made: { at: Date; tags: Set<string>; by?: string; run: () => void; deep: { at: Date }[] };
};
export async function asJson(rich: EventBusClient<Rich>): Promise<void> {
  const data = { at: new Date(), tags: new Set(['a']), run() {}, deep: [{ at: new Date() }] };
  await rich.publish('made', data);
  // @ts-expect-error a Date is published
  await rich.publish('made', { ...data, at: 'today' });
  await rich.subscribe('made', (event) => {
    event.data.at.trim();
    event.data.by?.trim();
    event.data.deep[0]?.at.trim();
    // @ts-expect-error a Set arrives as an object without members
    event.data.tags.has('a');
    // @ts-expect-error a function does not arrive
    event.data.run();
  });
  await rich.publish('ping');
  await rich.publish('ping', null, { key: 'k' });
  await rich.broadcast('ping');
  await rich.publishToRoom('r', 'ping');
  await rich.publishToUser('u', 'ping');
  await rich.publishBatch([{ type: 'ping', data: null }]);
  await rich.subscribe('ping', ({ data }) => data satisfies null);
  // @ts-expect-error it has data
  await rich.publish('made');
}

declare const dated: StandardSchemaV1<{ at: string }, { at: Date }>;
declare const named: StandardSchemaV1<{ name?: string }, { name: string }>;
const schemas = { 'a.dated': dated, 'a.named': named };
export async function bySchemas(): Promise<void> {
  const inferred = new EventBusClient({ serviceName: 's', schemas });
  await inferred.publish('a.named', {});
  // @ts-expect-error the schema takes a text
  await inferred.publish('a.dated', { at: new Date() });
  // @ts-expect-error no schema
  await inferred.publish('a.other', {});
  await inferred.subscribe('a.dated', ({ data }) => data.at satisfies string);
  await inferred.subscribe('a.named', ({ data }) => data.name satisfies string);
  const validated = createTestBus({ schemas, validateOnReceive: true });
  await validated.subscribe('a.dated', ({ data }) => data.at satisfies Date);
  const given = new EventBusClient<Events>({ schemas });
  await given.publish('photo.deleted', { photoId: '1' });
  takesAny(inferred);
}

export async function typedDeadLetters(): Promise<void> {
  const [letter] = await bus.deadLetters.list();
  if (letter?.event?.type === 'user.created') letter.event.data.name.trim();
  bus.on('deadLetter', ({ event }) => {
    if (event?.type === 'photo.uploaded') event.data.userId.trim();
    // @ts-expect-error no such type
    if (event?.type === 'photo.renamed') return;
  });
}

export class Extended extends EventBusClient<Events> {
  constructor() {
    super({ serviceName: 's' });
  }
}
takesEvents(new Extended());
