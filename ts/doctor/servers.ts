/** The servers of a bus, as somebody sees them who only looks: one, the master of a sentinel, or the nodes of a Cluster. */

import type { Address } from './address';
import { placeOf } from './address';
import { Link, type LinkOptions, type Place, placeName } from './link';
import { type Reply, ReplyError } from './reply';

/** A node of a Cluster that serves no such slot names the one that does. */
const MOVED = /^(?:MOVED|ASK) \d+ (\S*):(\d+)$/;
const MAX_MASTERS = 64;
const REDIRECTS = 3;

export class Servers {
  readonly #address: Address;
  readonly #options: LinkOptions;
  readonly #links = new Map<string, Promise<Link>>();
  #home: Link;

  /** Connects to one of them. Rejects with what the last one said. */
  static async open(address: Address, options: LinkOptions = {}): Promise<Servers> {
    const places =
      address.sentinel === undefined ? address.places : [await masterOf(address.sentinel, options)];
    let last: unknown = new Error('no server is named');
    for (const place of places) {
      try {
        return new Servers(address, options, await Link.open(place, address.login, options));
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  private constructor(address: Address, options: LinkOptions, home: Link) {
    this.#address = address;
    this.#options = options;
    this.#home = home;
    this.#links.set(placeName(home.place), Promise.resolve(home));
  }

  get home(): Link {
    return this.#home;
  }

  get isCluster(): boolean {
    return this.#address.isCluster;
  }

  /** The same servers by connections of their own, for subscriptions. */
  async others(options: LinkOptions): Promise<Servers> {
    const both = { ...this.#options, ...options };
    const home = await Link.open(this.#home.place, this.#address.login, both);
    return new Servers(this.#address, both, home);
  }

  /** Asks about a key, wherever it is. Rejects with a `ReplyError` where the server refuses. */
  async command(...words: string[]): Promise<Reply> {
    let link = this.#home;
    for (let at = 0; ; at += 1) {
      try {
        return await link.command(...words);
      } catch (error) {
        const moved = error instanceof ReplyError ? MOVED.exec(error.message) : null;
        if (moved === null || at === REDIRECTS) throw error;
        const [, host = '', port = ''] = moved;
        link = await this.#linkTo(host, port);
      }
    }
  }

  /** As `command`, with what a server refuses as undefined. */
  async ask(...words: string[]): Promise<Reply | undefined> {
    try {
      return await this.command(...words);
    } catch (error) {
      if (error instanceof ReplyError) return undefined;
      throw error;
    }
  }

  /** A connection to each master: of a Cluster all, else the one server. Those that cannot be reached are left out. */
  async masters(): Promise<Link[]> {
    const slots = this.#address.isCluster ? await this.#home.ask('CLUSTER', 'SLOTS') : undefined;
    if (!Array.isArray(slots)) return [this.#home];
    const names = new Map<string, [string, string]>();
    for (const range of slots) {
      const node = Array.isArray(range) ? range[2] : undefined;
      if (!Array.isArray(node)) continue;
      const [host, port] = [String(node[0] ?? ''), String(node[1])];
      names.set(`${host}:${port}`, [host, port]);
    }
    const opened = [...names.values()]
      .slice(0, MAX_MASTERS)
      .map(([host, port]) => this.#linkTo(host, port));
    const settled = await Promise.allSettled(opened);
    return settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  }

  close(): void {
    for (const link of this.#links.values()) link.then((open) => open.close()).catch(() => {});
  }

  #linkTo(host: string, port: string): Promise<Link> {
    const { addressMap, login } = this.#address;
    const mapped = addressMap.get(`${host}:${port}`) ?? addressMap.get(host);
    const own = 'host' in this.#home.place ? this.#home.place.host : '127.0.0.1';
    const place: Place =
      mapped === undefined
        ? { host: host === '' ? own : host, port: Number(port) }
        : placeOf(mapped, Number(port));
    const name = placeName(place);
    const known = this.#links.get(name);
    if (known !== undefined) return known;
    const opened = Link.open(place, login, this.#options);
    this.#links.set(name, opened);
    return opened;
  }
}

async function masterOf(
  sentinel: NonNullable<Address['sentinel']>,
  options: LinkOptions,
): Promise<Place> {
  let last: unknown = new Error('no sentinel is named');
  for (const place of sentinel.places) {
    try {
      const link = await Link.open(place, sentinel.login, options);
      try {
        const reply = await link.command('SENTINEL', 'get-master-addr-by-name', sentinel.name);
        if (Array.isArray(reply)) return { host: String(reply[0]), port: Number(reply[1]) };
        last = new Error(`${placeName(place)} knows no master '${sentinel.name}'`);
      } finally {
        link.close();
      }
    } catch (error) {
      last = error;
    }
  }
  throw last;
}
