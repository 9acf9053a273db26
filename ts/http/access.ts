/** Who may do what: `authorize` of the user, and the origins of browsers. */

import type { HttpAction } from '../../http';
import type { PublishOptions } from '../../index';
import { isPlainObject } from '../input/json';
import type { Counters } from './counters';
import type { Incoming } from './incoming';
import type { CorsSettings, HttpSettings } from './options';
import { Problem } from './problem';

/** What the action was allowed with. */
export interface Permission {
  readonly options: PublishOptions | undefined;
}

const ALLOWED: Permission = { options: undefined };
/** A `challenge` becomes a header. */
const FIELD_VALUE = /^[\x20-\x7e]+$/;

export class Access {
  readonly #settings: HttpSettings;
  readonly #counters: Counters;

  constructor(settings: HttpSettings, counters: Counters) {
    this.#settings = settings;
    this.#counters = counters;
  }

  /** Throws a problem unless the action is allowed. What `authorize` throws is thrown on. */
  async demand(incoming: Incoming, action: HttpAction): Promise<Permission> {
    const permission = await this.ask(incoming, action);
    if (!(permission instanceof Problem)) return permission;
    this.#counters.denied += 1;
    throw permission;
  }

  /** The same, without a throw: the problem is what a denied request gets. */
  async ask(incoming: Incoming, action: HttpAction): Promise<Permission | Problem> {
    const { authorize } = this.#settings;
    if (authorize === undefined) return new Problem(403);
    const answer: unknown = await authorize(incoming.publicRequest(), action);
    if (answer === true) return ALLOWED;
    if (answer === false || answer === undefined || answer === null) return new Problem(403);
    if (isPlainObject(answer)) {
      const { options, refuse, challenge, ...others } = answer;
      const known = Object.keys(others).length === 0;
      const given = options === undefined || isPlainObject(options);
      if (
        known &&
        'options' in answer &&
        refuse === undefined &&
        challenge === undefined &&
        given
      ) {
        return { options };
      }
      if (known && options === undefined && (refuse === 401 || refuse === 403)) {
        return refusal(refuse, challenge);
      }
    }
    throw new TypeError('authorize must answer true, false, { options } or { refuse }');
  }

  /** Refuses what a page of another site has a browser send: such a request may carry cookies that nobody meant. */
  refuseForeign(incoming: Incoming): void {
    const origin = incoming.header('origin');
    if (origin === undefined || isOwn(origin, incoming.header('host'))) return;
    if (isAllowed(this.#settings.cors, origin)) return;
    this.#counters.denied += 1;
    throw new Problem(403, { detail: 'requests of this origin are not taken' });
  }
}

/** Whether the pages of an origin may read answers. */
export function isAllowed(cors: CorsSettings | undefined, origin: string): boolean {
  return cors !== undefined && (cors.origins === '*' || cors.origins.has(origin));
}

function refusal(status: 401 | 403, challenge: unknown): Problem {
  if (challenge === undefined) return new Problem(status);
  if (typeof challenge !== 'string' || !FIELD_VALUE.test(challenge)) {
    throw new TypeError('challenge must be a text of printable ASCII');
  }
  return new Problem(status, {}, { 'www-authenticate': challenge });
}

/** By the host alone: behind a proxy that ends TLS nobody knows the scheme. */
function isOwn(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && host !== undefined && new URL(origin).host === host.toLowerCase();
}
