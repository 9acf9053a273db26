/** `publish`: an event by hand, or those of a file. */

import { createInterface } from 'node:readline';
import type { EventBusConfig, PublishOptions } from '../../index';
import { addressOf } from '../doctor/address';
import { matches } from '../doctor/glob';
import { Servers } from '../doctor/servers';
import { readRegistries } from '../doctor/streams-seen';
import type { Command } from './command';
import { EXIT, Failure, failureOf, notFound, usage } from './failure';
import type { Given } from './given';
import type { Session } from './session';

/** So many events of a file are published at once. */
const BATCH = 1000;
/** This client trims nothing: how long streams may be is for the services to say. */
const MAX_LENGTH = 1e12;

export const publish: Command = {
  name: 'publish',
  summary: 'publishes an event, and stores it where the services do',
  words: '<type> [json|-]',
  count: [1, 2],
  flags: {
    stream: { value: 'name', short: 's', text: 'store it in this stream' },
    live: { text: 'store it nowhere' },
    create: { text: 'with --stream: make the stream if there is none' },
    lines: { text: "with '-': each line of the input is the data of an event" },
    id: { value: 'id', text: 'the id of the event' },
    key: { value: 'text', text: 'what it is about (orderBy)' },
    source: { value: 'name', text: "default: 'oxbus-cli'" },
    correlation: { value: 'id', text: 'correlationId' },
    room: { value: 'name', text: 'to those in a room' },
    user: { value: 'id', text: 'to a user' },
  },
  examples: [
    {
      line: `publish order.paid '{"orderId":"4711"}'`,
      text: 'stored where a registered stream stores its type',
    },
    { line: 'publish cache.cleared --live', text: 'live only, without data' },
    { line: 'publish order.paid - --lines < orders.jsonl', text: 'an event for each line' },
  ],
  async run(session, given) {
    const [type = '', text] = given.words;
    const { flags } = given;
    if (flags.has('live') && flags.text('stream') !== undefined) {
      throw usage('give one of --live and --stream');
    }
    const first = text === undefined ? null : text === '-' ? undefined : parsed(text, 'the data');
    const { streams, stream } = await storage(session, given, type);
    const options: PublishOptions = {
      id: flags.text('id'),
      key: flags.text('key'),
      source: flags.text('source'),
      correlationId: flags.text('correlation'),
      ...(stream !== undefined && { stream }),
    };
    const bus = await session.publisher(streams);
    if (first === undefined && flags.has('lines')) {
      return fromLines(session, (items) =>
        bus.publishBatch(items.map((data) => ({ type, data, ...options })) as never),
      );
    }
    const data = first === undefined ? parsed(await allInput(), 'the input') : first;
    const [room, user] = [flags.text('room'), flags.text('user')];
    const result =
      room !== undefined
        ? await bus.publishToRoom(room, type, data, options)
        : user !== undefined
          ? await bus.publishToUser(user, type, data, options)
          : await bus.publish(type, data, options);
    const { terminal } = session;
    if (terminal.json) terminal.row(result);
    else {
      const where =
        result.stream === undefined
          ? 'not stored'
          : `stored in ${result.stream} as ${result.messageId}`;
      const heard = `${result.receivers} ${result.receivers === 1 ? 'subscription has' : 'subscriptions have'} it`;
      terminal.line(`${result.type} ${result.eventId}: ${where}, ${heard}`);
    }
    return undefined;
  },
};

function parsed(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw usage(`${what} is no JSON: ${(error as Error).message}`);
  }
}

async function allInput(): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  return Buffer.concat(parts).toString('utf8');
}

/** The streams that a client needs for an event of this type, and the one that is named for it. */
async function storage(
  session: Session,
  { flags }: Given,
  type: string,
): Promise<{ streams?: EventBusConfig['streams']; stream?: string | false }> {
  if (flags.has('live')) return { stream: false };
  const config = await session.config();
  const named = flags.text('stream');
  const isHere = config.streams?.some(({ name }) => named === undefined || name === named);
  const uncapped = config.streams?.map((one) => ({ ...one, maxLength: MAX_LENGTH }));
  if (isHere) return { streams: uncapped, ...(named !== undefined && { stream: named }) };
  const registered = await registry(config);
  if (named === undefined) {
    const isFor = flags.text('room') !== undefined || flags.text('user') !== undefined;
    const found = [...registered].find(([, events]) => events.some((one) => matches(one, type)));
    if (found === undefined || isFor) {
      if (!isFor)
        session.terminal.note(`no registered stream stores ${type}: it is published live only`);
      return { stream: false };
    }
    return { streams: [streamOf(...found)], stream: found[0] };
  }
  const events = registered.get(named);
  if (events === undefined && !flags.has('create') && !(await exists(session, named))) {
    throw notFound(`there is no stream '${named}': --create makes it`);
  }
  // Its registered patterns stay what they are: this client must not narrow them.
  return {
    streams: [streamOf(named, events ?? [type.replace(/[\\*?[]/g, '\\$&')])],
    stream: named,
  };
}

const streamOf = (name: string, events: readonly string[]) => ({
  name,
  events: [...events],
  maxLength: MAX_LENGTH,
});

async function exists(session: Session, name: string): Promise<boolean> {
  const bus = await session.observer();
  return bus.streams.exists(name);
}

/** What the services have registered: patterns by the name of the stream. */
async function registry(config: EventBusConfig): Promise<ReadonlyMap<string, readonly string[]>> {
  const address = addressOf(config, process.env);
  if (address === undefined) return new Map();
  let servers: Servers;
  try {
    servers = await Servers.open(address);
  } catch (error) {
    throw new Failure(EXIT.unreachable, failureOf(error).message);
  }
  try {
    const { streams, isReadable } = await readRegistries(servers, config.channelPrefix ?? '');
    if (isReadable || streams.size > 0) return streams;
  } finally {
    servers.close();
  }
  throw new Failure(
    EXIT.denied,
    'which streams there are cannot be read (HGETALL on oxbus:streams): give --stream, or --live',
  );
}

async function fromLines(
  session: Session,
  send: (items: unknown[]) => Promise<PromiseSettledResult<unknown>[]>,
): Promise<number | undefined> {
  let [published, failed, number] = [0, 0, 0];
  let reason: unknown;
  let items: unknown[] = [];
  const flush = async () => {
    const given = items;
    items = [];
    if (given.length === 0) return;
    for (const one of await send(given)) {
      if (one.status === 'fulfilled') published += 1;
      else {
        failed += 1;
        reason ??= one.reason;
      }
    }
  };
  for await (const line of createInterface({ input: process.stdin })) {
    number += 1;
    if (session.signal.aborted) break;
    if (line.trim() === '') continue;
    try {
      items.push(parsed(line, `line ${number}`));
    } catch (error) {
      await flush();
      session.terminal.note(`${published} were published before it`);
      throw error;
    }
    if (items.length >= BATCH) await flush();
  }
  await flush();
  const { terminal } = session;
  if (terminal.json) terminal.row({ published, failed });
  else terminal.line(`${published} published${failed > 0 ? `, ${failed} failed` : ''}`);
  if (reason !== undefined) throw failureOf(reason);
  return session.signal.aborted ? EXIT.interrupted : undefined;
}
