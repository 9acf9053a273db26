/** `bus.doctor()`: looks at a running bus for some seconds, without changing anything, and says what it finds. */

import type { DoctorReport, EventBusConfig } from '../../index';
import type { Address } from './address';
import { type Finding, sorted, worstOf } from './finding';
import { lanesOf, listen } from './listening';
import { proposeConfig } from './proposal';
import { infoOf } from './reply';
import { entriesOf, type LiveSample, type Seen, sampleLive, sampleStream } from './sampling';
import {
  factsOf,
  idleFinding,
  rightFindings,
  type ServerFacts,
  serverFindings,
} from './server-findings';
import { Servers } from './servers';
import {
  formatFindings,
  groupFindings,
  liveOnlyFindings,
  unstoredFindings,
} from './stream-findings';
import { streamKeysOf } from './stream-keys';
import {
  type Asked,
  lookAtStream,
  type Registries,
  readRegistries,
  type StreamSeen,
  scanStreams,
} from './streams-seen';

export interface Question {
  /** How long live events are listened to, in ms. */
  readonly duration: number;
  readonly scan: boolean;
  /** The most bytes of live messages that are looked at. */
  readonly sampleBytes: number;
  /** The user whose rights are looked at; default: the one that looks. */
  readonly user?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Streams that are looked at, entries that are compared with what was heard live. */
const [MAX_STREAMS, MAX_COMPARED] = [200, 1000];

/** Counts what it asks, so that the load of the server is told without it. */
class Counted implements Asked {
  asked = 0;
  readonly #servers: Asked;

  constructor(servers: Asked) {
    this.#servers = servers;
  }

  ask(...words: string[]) {
    this.asked += 1;
    return this.#servers.ask(...words);
  }
}

/** Rejects where no server can be reached, with what it said. */
export async function look(
  address: Address,
  config: EventBusConfig,
  question: Question,
): Promise<DoctorReport> {
  const servers = await Servers.open(address);
  try {
    return await new Look(servers, config, question).run();
  } finally {
    servers.close();
  }
}

class Look {
  readonly #servers: Servers;
  readonly #asked: Counted;
  readonly #config: EventBusConfig;
  readonly #question: Question;
  readonly #findings: Finding[] = [];

  constructor(servers: Servers, config: EventBusConfig, question: Question) {
    this.#servers = servers;
    this.#asked = new Counted(servers);
    this.#config = config;
    this.#question = question;
  }

  async run(): Promise<DoctorReport> {
    const prefix = this.#config.channelPrefix ?? '';
    const masters = await this.#servers.masters();
    const facts = await Promise.all(masters.map((link) => factsOf(link)));
    const started = Date.now();
    const before = this.#asked.asked;
    const lanes = await lanesOf(this.#servers, prefix);
    const live = await this.#listen(lanes);
    const registries = await readRegistries(this.#asked, prefix);
    if (!registries.isReadable) this.#add(REGISTRY_UNREAD);
    const streams = await this.#streams(registries, masters);
    const types = new Map<string, readonly string[]>();
    const seen: Seen[] = live.seen.filter(({ name }) => !name.startsWith(`${prefix}oxbus:`));
    for (const stream of streams) {
      const sample = await sampleStream(stream.name, this.#asked);
      seen.push(...sample.seen);
      types.set(stream.name, sample.types);
      if (sample.skipped !== undefined) this.#add(notSampled(stream.name, sample.skipped));
    }
    for (const one of facts) this.#add(...serverFindings(one, streams.length > 0));
    for (const stream of streams) this.#add(...groupFindings(stream));
    this.#add(...unstoredFindings(registries));
    const held = await this.#heldSince(facts[0], started, streams, live);
    this.#add(...liveOnlyFindings(live.events, registries.wanted, held));
    this.#add(...formatFindings(seen));
    const seconds = (Date.now() - started) / 1000;
    const [first] = facts;
    const info = infoOf((await this.#servers.home.ask('INFO')) ?? null);
    if (first !== undefined) {
      // Lanes are spread evenly over the masters.
      const own = this.#asked.asked - before + 2 + Math.round(lanes.length / masters.length);
      this.#add(...idleFinding(first, info, own, seconds));
    }
    const keys = { prefix, stream: streams[0]?.name ?? `${prefix}stream`, lane: lanes[0] };
    this.#add(...(await rightFindings(this.#servers.home, this.#question.user, keys)));
    const findings = sorted(this.#findings);
    return {
      worst: worstOf(findings),
      findings,
      config: proposeConfig(this.#config, streams, types, registries, {
        seen,
        lanes: lanes.length,
      }),
    };
  }

  #add(...findings: Finding[]): void {
    this.#findings.push(...findings);
  }

  async #listen(lanes: readonly string[]): Promise<LiveSample> {
    const { duration, sampleBytes, signal } = this.#question;
    const live = await sampleLive(
      (hear) => listen(this.#servers, lanes, sampleBytes, hear),
      duration,
      sampleBytes,
      signal,
    );
    const rights = lanes.length > 0 ? '+psubscribe +ssubscribe' : '+psubscribe';
    if (live.refused !== undefined) {
      this.#add({
        code: 'NOT_HEARD',
        severity: 'warning',
        subject: 'live events',
        message: `${live.isHeard ? 'some ' : ''}live events could not be listened to: ${live.refused}`,
        advice: `run it as a user that may subscribe to all channels (allchannels ${rights})`,
      });
    }
    if (live.isHeard) {
      const end = live.isCut ? `, until ${sampleBytes} bytes were read` : '';
      const where = lanes.length > 0 ? ` by PUBLISH and on ${lanes.length} lanes` : '';
      this.#add({
        code: 'HEARD',
        severity: 'info',
        subject: 'live events',
        message: `${live.messages} live messages (${live.bytes} bytes) were heard${where}${end}`,
        advice:
          live.messages === 0
            ? 'listen for longer (--seconds) to see which formats are published'
            : 'nothing to do',
      });
    }
    return live;
  }

  async #streams(registries: Registries, masters: readonly Asked[]): Promise<StreamSeen[]> {
    const keyOf = streamKeysOf(this.#config);
    const configured = (this.#config.streams ?? []).map(({ name }) => keyOf(name));
    const names = new Set([...configured, ...registries.streams.keys()]);
    if (this.#question.scan) {
      const { names: found, isComplete } = await scanStreams(masters);
      const suffix = this.#config.deadLetter?.suffix ?? ':dlq';
      for (const name of found) if (!name.endsWith(suffix)) names.add(name);
      if (!isComplete) this.#add(SCAN_CUT);
    }
    const known = [...names].slice(0, MAX_STREAMS);
    if (known.length < names.size) this.#add(tooMany(names.size));
    const streams: StreamSeen[] = [];
    for (const name of known) {
      const stream = await lookAtStream(this.#asked, name, registries.streams.has(name));
      if (stream !== undefined) streams.push(stream);
    }
    for (const { name, isRegistered } of streams) {
      if (isRegistered || configured.includes(name)) continue;
      this.#add({
        code: 'STREAM_UNKNOWN',
        severity: 'info',
        subject: name,
        message: `no client of this bus has registered the stream ${name}`,
        advice: 'it belongs to another program or another channelPrefix, or its clients are older',
      });
    }
    return streams;
  }

  /** The ids of the events that each stream got since `started`, where all of them could be read. */
  async #heldSince(
    facts: ServerFacts | undefined,
    started: number,
    streams: readonly StreamSeen[],
    live: LiveSample,
  ): Promise<Map<string, Set<string>>> {
    const held = new Map<string, Set<string>>();
    if (live.events.length === 0) return held;
    // By the clock of the server, and a second before: an event is stored before it is heard.
    const from = Math.max(0, Math.floor(started + (facts?.skew ?? 0) - 1000));
    for (const { name } of streams) {
      const words = ['XRANGE', name, String(from), '+', 'COUNT', String(MAX_COMPARED)];
      const entries = entriesOf(await this.#asked.ask(...words));
      if (entries.length === MAX_COMPARED) continue;
      held.set(
        name,
        new Set(entries.map(({ fields }) => fields.get('id') ?? fields.get('eventId') ?? '')),
      );
    }
    return held;
  }
}

const REGISTRY_UNREAD: Finding = {
  code: 'REGISTRY_UNREAD',
  severity: 'warning',
  subject: 'registry',
  message: 'what clients have registered cannot be read, so their streams are not known',
  advice: 'allow this user HLEN and HGETALL on {channelPrefix}oxbus:*, or run it with --scan',
};

const SCAN_CUT: Finding = {
  code: 'STREAMS_NOT_LISTED',
  severity: 'info',
  subject: 'scan',
  message: 'the scan for streams has stopped before the last key, or was refused',
  advice:
    'name the streams in the configuration; a scan looks at 100 000 keys of a server at the most',
};

const tooMany = (count: number): Finding => ({
  code: 'STREAMS_NOT_LISTED',
  severity: 'info',
  subject: 'streams',
  message: `of ${count} streams ${MAX_STREAMS} were looked at`,
  advice: 'name the others in a configuration of their own',
});

const notSampled = (name: string, why: string): Finding => ({
  code: 'NOT_SAMPLED',
  severity: 'info',
  subject: name,
  message: `the entries of ${name} were not looked at: ${why}`,
  advice: 'look at one by hand: XREVRANGE with COUNT 1',
});
