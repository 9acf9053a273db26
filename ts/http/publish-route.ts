/** `POST /publish`. */

import type { EventBusClient, PublishOptions, RawJson } from '../../index';
import { EventBusError } from '../errors';
import { rawJson } from '../raw-json';
import type { Access } from './access';
import { type Answer, jsonAnswer } from './answer';
import type { Counters } from './counters';
import type { Body, Incoming } from './incoming';
import { membersOf } from './members';
import type { HttpSettings } from './options';
import { Problem, problemOf } from './problem';

const decoder = new TextDecoder('utf-8', { fatal: true });
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

/** What a body asks for. The data is as the client has written it. */
interface Asked {
  type: string;
  data: RawJson;
  options: unknown;
}

export class PublishRoute {
  readonly #bus: EventBusClient;
  readonly #settings: HttpSettings;
  readonly #access: Access;
  readonly #counters: Counters;

  constructor(bus: EventBusClient, settings: HttpSettings, access: Access, counters: Counters) {
    this.#bus = bus;
    this.#settings = settings;
    this.#access = access;
    this.#counters = counters;
  }

  async answer(incoming: Incoming): Promise<Answer> {
    this.#access.refuseForeign(incoming);
    if (!JSON_TYPE.test(incoming.header('content-type') ?? '')) {
      throw new Problem(415, { detail: 'the body must be application/json' });
    }
    const encoding = incoming.header('content-encoding') ?? 'identity';
    if (encoding !== 'identity') throw new Problem(415, { detail: 'the body must not be encoded' });
    const { type, data, options } = readAsked(await this.#read(incoming));
    const permission = await this.#access.demand(incoming, { name: 'publish', type, options });
    const result = await this.#publish(type, data, permission.options);
    return jsonAnswer(200, JSON.stringify(result));
  }

  async #read(incoming: Incoming): Promise<Body> {
    const { maxBodyBytes, bodyTimeout, maxBodies } = this.#settings;
    if (this.#counters.bodiesOpen >= maxBodies) {
      this.#counters.refused += 1;
      throw new Problem(503, {}, { 'retry-after': '1' });
    }
    this.#counters.bodiesOpen += 1;
    try {
      return await incoming.readBody(maxBodyBytes, bodyTimeout);
    } catch (error) {
      this.#counters.bodiesAborted += 1;
      throw error;
    } finally {
      this.#counters.bodiesOpen -= 1;
    }
  }

  async #publish(type: string, data: RawJson, options: PublishOptions | undefined) {
    try {
      return await this.#bus.publish(type, data, options);
    } catch (error) {
      const problem = problemOf(error);
      // Such as wrong options: they are those of `authorize`.
      if (problem.status === 500 && error instanceof EventBusError) this.#settings.onError(error);
      throw problem;
    }
  }
}

/** Throws a problem where the body is not what a publish needs. */
function readAsked(body: Body): Asked {
  try {
    return 'parsed' in body ? ofParsed(body.parsed) : ofText(decoder.decode(body.bytes));
  } catch (error) {
    if (error instanceof Problem) throw error;
    const detail = error instanceof SyntaxError ? error.message : 'the body is not UTF-8';
    throw new Problem(400, { detail });
  }
}

function ofText(text: string): Asked {
  const members = membersOf(text);
  const type = members.get('type');
  const options = members.get('options');
  return {
    type: checkedType(type === undefined ? undefined : JSON.parse(type)),
    data: rawJson(dataOf(members, 'null')),
    options: options === undefined ? undefined : JSON.parse(options),
  };
}

/** Of a body that a parser before the handler has read. */
function ofParsed(body: unknown): Asked {
  if (typeof body !== 'object' || body === null) throw new SyntaxError('expected an object');
  const members = new Map<string, unknown>(Object.entries(body));
  const data = dataOf(members, null);
  return {
    type: checkedType(members.get('type')),
    data: rawJson(JSON.stringify(data)),
    options: members.get('options'),
  };
}

/** The data; `none` where there is none. Refuses what a publish does not have, so that nothing is left out in silence. */
function dataOf<T>(members: Map<string, T>, none: T): T {
  for (const name of members.keys()) {
    if (!['type', 'payload', 'data', 'options'].includes(name)) {
      throw new Problem(400, { detail: `the body has an unknown member ${JSON.stringify(name)}` });
    }
  }
  if (members.has('payload') && members.has('data')) {
    throw new Problem(400, { detail: 'the body has a payload and data: give one of them' });
  }
  return members.get('payload') ?? members.get('data') ?? none;
}

function checkedType(type: unknown): string {
  if (typeof type === 'string') return type;
  throw new Problem(400, { detail: 'the body needs a type, which is a text' });
}
