/** Who may do what at a hub: `authorize` of the user. */

import type { PublishOptions } from '../../index';
import type { HubAction, HubClient, HubStats } from '../../socket.io';
import { busError } from '../errors';
import { isPlainObject } from '../input/json';
import type { HubSettings } from './hub-options';

/** What an action was allowed with. */
export interface Permission {
  /** In ms since 1970. */
  readonly expires?: number;
  readonly options?: PublishOptions;
}

const ALLOWED: Permission = {};

export class HubAccess {
  readonly #settings: HubSettings;
  readonly #stats: HubStats;

  constructor(settings: HubSettings, stats: HubStats) {
    this.#settings = settings;
    this.#stats = stats;
  }

  /** Rejects with `AUTH_FAILED` for `connect`, else with `PERMISSION_DENIED`, unless the action is allowed. */
  async demand(client: HubClient, action: HubAction): Promise<Permission> {
    let answer: unknown;
    try {
      answer = await this.#settings.authorize?.(client, action);
    } catch (error) {
      this.#settings.onError(error);
    }
    const permission = permissionOf(answer, action);
    if (permission !== undefined) return permission;
    this.#stats.denied += 1;
    const isConnect = action.name === 'connect';
    const code = isConnect ? 'ERR_BUS_AUTH_FAILED' : 'ERR_BUS_PERMISSION_DENIED';
    const message = `the hub does not allow '${action.name}'`;
    throw busError(code, message, { outcome: 'not_sent' });
  }
}

/** Undefined where it is none: only what is known allows. */
function permissionOf(answer: unknown, action: HubAction): Permission | undefined {
  if (answer === true) return ALLOWED;
  if (!isPlainObject(answer)) return undefined;
  const keys = Object.keys(answer);
  if (keys.length !== 1) return undefined;
  if (action.name === 'connect' && keys[0] === 'expires') {
    const expires = Number(answer.expires);
    return Number.isFinite(expires) && expires > Date.now() ? { expires } : undefined;
  }
  if (action.name === 'publish' && keys[0] === 'options' && isPlainObject(answer.options)) {
    return { options: answer.options };
  }
  return undefined;
}
