import { Redis } from 'ioredis';
import campaign from '../../__test__/interop/old/campaign.js';
import { EventBusClient } from '../../index.js';
import { ServiceProcess } from './process.mjs';
import { CUT, hearsOld, MOVED, SERVICES, STREAM, WAYS } from './scenario.mjs';

const QUIET_MS = 15_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Three services on campaign's bus go a way, one step and one service after the other, while they publish.
 *
 * @param options `redis`: the URL; `way`: 'wires' or 'import'; `rate`: events per second of all; `rest`: ms between two steps
 * @returns what was published, and for each service what its handlers have lost and got more than once
 */
export async function runMove({ redis: url, way, rate, rest }) {
  const fleet = new Fleet(url, rate);
  try {
    await fleet.begin();
    const started = performance.now();
    await pause(rest);
    const moves = WAYS[way].flatMap(({ config }) =>
      SERVICES.map((service) => ({ service, config })),
    );
    const next = moves.map(
      ({ service, config }) =>
        () =>
          fleet.spawn(service, config, true),
    );
    let ready = next.shift()?.();
    for (const { service } of moves) {
      const after = ready;
      // Meanwhile the one behind it starts.
      ready = next.shift()?.();
      await fleet.move(service, after);
      await pause(rest);
    }
    const seconds = (performance.now() - started) / 1000;
    return { seconds, ...(await fleet.end()) };
  } finally {
    fleet.close();
  }
}

class Fleet {
  #url;
  #rate;
  #redis;
  /** By service: the process that works for it. */
  #working = new Map();
  #reports = [];
  #starts = 0;
  #moves = 0;

  constructor(url, rate) {
    this.#url = url;
    this.#rate = rate / SERVICES.length;
    this.#redis = new Redis(url);
  }

  close() {
    this.#redis.disconnect();
  }

  /** All on the old bus. Their groups get what comes from then on, so nobody publishes before. */
  async begin() {
    for (const service of SERVICES) {
      const { process, config } = this.spawn(service, undefined, false);
      await process.next('begun');
      await process.tell('listen');
      await process.tell('consume');
      this.#working.set(service, { process, config });
    }
    for (const { process } of this.#working.values()) {
      await process.tell('publish', { rate: this.#rate });
    }
  }

  /** Another process takes the place of the one that works for a service. */
  async move(service, { process: after, config }) {
    const { process: before, config: left } = this.#working.get(service);
    await after.next('begun');
    await after.tell('listen');
    // Both are in the group for a while. Who goes back to the old bus starts behind the one that has left: nothing on that bus takes up
    // what is handed back, but a start.
    const joinsBeside = config !== undefined;
    if (joinsBeside) await after.tell('consume');
    await this.#cut([before, after], [left, config]);
    await before.tell('hush');
    await after.tell('publish', { rate: this.#rate });
    this.#working.set(service, { process: after, config });
    this.#reports.push({ service, ...(await before.tell('leave')) });
    if (!joinsBeside) await after.tell('consume');
    this.#moves += 1;
  }

  /** A process for a service, which does nothing yet. One that waits counts no live events before the marker. */
  spawn(service, config, waits) {
    this.#starts += 1;
    const name = `${service}-${this.#starts}`;
    const process = new ServiceProcess({ name, service, config, redis: this.#url, waits });
    return { process, config };
  }

  /**
   * The marker, up to which one process counts live events and from which on the other does. No live event is under way then: of its
   * copies in two formats, one might be before the marker and one behind it.
   */
  async #cut(both, configs) {
    const all = [...this.#working.values()].map(({ process }) => process);
    await Promise.all(all.map((one) => one.tell('hold')));
    const seen = Promise.all(both.map((one) => one.next('cut')));
    await this.#publishMarker(
      both.map(({ name }) => name),
      configs.every(hearsOld),
    );
    await seen;
    await Promise.all(all.map((one) => one.tell('resume')));
  }

  /** In the format that both read. */
  async #publishMarker(between, inOldFormat) {
    if (inOldFormat) {
      const text = JSON.stringify(campaign.makeEvent(CUT, { between }));
      await this.#redis.publish('system:alerts', text);
      return;
    }
    const bus = new EventBusClient({ redis: this.#url, logLevel: 'error', ...MOVED });
    await bus.publish(CUT, { between });
    await bus.disconnect();
  }

  async end() {
    const all = [...this.#working.values()].map(({ process }) => process);
    await Promise.all(all.map((one) => one.tell('hush')));
    await this.#untilQuiet(all);
    for (const [service, { process }] of this.#working) {
      this.#reports.push({ service, ...(await process.tell('leave')) });
    }
    const gather = (key) => this.#reports.flatMap((report) => report[key]);
    const [live, stored, failed] = ['published', 'stored', 'failed'].map(gather);
    const services = SERVICES.map((service) => {
      const own = this.#reports.filter((report) => report.service === service);
      const heard = (kind) => own.flatMap((report) => report.heard[kind]);
      return {
        service,
        live: account(live, heard('live')),
        group: account([...live, ...stored], heard('group')),
      };
    });
    const published = live.length + stored.length;
    return { moves: this.#moves, published, live: live.length, failed: failed.length, services };
  }

  /** Until the groups have nothing left to do, and no live event comes any more. */
  async #untilQuiet(all) {
    const deadline = performance.now() + QUIET_MS;
    for (let before = ''; performance.now() < deadline; await pause(250)) {
      const counts = JSON.stringify(await Promise.all(all.map((one) => one.tell('counts'))));
      const groups = (await this.#redis.xinfo('GROUPS', STREAM)).map(flat);
      const { 'last-generated-id': last } = flat(await this.#redis.xinfo('STREAM', STREAM));
      const done = groups.every(
        ({ pending, ...group }) => pending === 0 && group['last-delivered-id'] === last,
      );
      if (done && counts === before) return;
      before = counts;
    }
  }
}

function flat(list) {
  const pairs = [];
  for (let at = 0; at < list.length; at += 2) pairs.push([list[at], list[at + 1]]);
  return Object.fromEntries(pairs);
}

/** What of all was not heard, and what more than once or though nobody had published it. */
function account(all, heard) {
  const got = new Set(heard);
  const lost = all.filter((id) => !got.has(id));
  const known = new Set(all);
  const strange = heard.filter((id) => !known.has(id)).length;
  return { heard: got.size, lost: lost.length, doubled: heard.length - got.size, strange };
}
