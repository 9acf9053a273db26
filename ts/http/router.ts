/** Which route a request is for, and what every answer has in common. */

import type { EventBusClient } from '../../index';
import type { Internals } from '../client/internals';
import { Access } from './access';
import type { Answer } from './answer';
import { preflight, share } from './cors';
import { Counters } from './counters';
import { HistoryRoute } from './history-route';
import type { Incoming } from './incoming';
import type { HttpSettings } from './options';
import { Problem, problemAnswer, problemOf } from './problem';
import { PublishRoute } from './publish-route';
import { HealthRoute, MetricsRoute } from './status-routes';
import { StreamRoute } from './stream-route';

interface Route {
  readonly method: 'GET' | 'POST';
  answer(incoming: Incoming): Promise<Answer>;
}

/** The paths below `basePath`. */
export const PATHS = ['/health', '/history', '/publish', '/metrics', '/stream'] as const;

type Path = (typeof PATHS)[number];

export class Router {
  readonly counters = new Counters();
  readonly #settings: HttpSettings;
  readonly #routes: Record<Path, Route>;
  readonly #stream: StreamRoute;

  constructor(bus: EventBusClient, internals: Internals, settings: HttpSettings) {
    this.#settings = settings;
    const { counters } = this;
    const access = new Access(settings, counters);
    const { stream, onError, maxHistory } = settings;
    this.#stream = new StreamRoute(bus, internals, stream, access, counters, onError);
    const get = (route: Omit<Route, 'method'>): Route => ({
      method: 'GET',
      answer: (incoming) => route.answer(incoming),
    });
    const publish = new PublishRoute(bus, settings, access, counters);
    this.#routes = {
      '/health': get(new HealthRoute(bus, access)),
      '/history': get(new HistoryRoute(internals, access, maxHistory)),
      '/publish': { method: 'POST', answer: (incoming) => publish.answer(incoming) },
      '/metrics': get(new MetricsRoute(bus, access, counters)),
      '/stream': get(this.#stream),
    };
  }

  /** Whether a path is one of ours. */
  knows(path: string): boolean {
    return this.#routeOf(path) !== undefined;
  }

  /** Never rejects. */
  async answer(incoming: Incoming): Promise<Answer> {
    let answer: Answer;
    try {
      answer = await this.#answer(incoming);
    } catch (error) {
      const problem = problemOf(error);
      if (problem.status === 500 && problem !== error) this.#report(error);
      answer = problemAnswer(problem);
      answer.close = closes(problem);
    }
    answer.headers['x-content-type-options'] = 'nosniff';
    share(this.#settings.cors, incoming, answer);
    return answer;
  }

  close(): Promise<void> {
    return this.#stream.close();
  }

  async #answer(incoming: Incoming): Promise<Answer> {
    const route = this.#routeOf(incoming.path);
    if (route === undefined) throw new Problem(404);
    this.counters.requests += 1;
    const method = route.method === 'GET' ? 'GET, HEAD' : route.method;
    const early = preflight(this.#settings.cors, incoming, method);
    if (early !== undefined) return early;
    const isHead = route.method === 'GET' && incoming.method === 'HEAD';
    // A stream has no end, so its head alone would cost what the whole does.
    if (incoming.method !== route.method && !(isHead && route !== this.#routes['/stream'])) {
      throw new Problem(405, {}, { allow: method });
    }
    return await route.answer(incoming);
  }

  #routeOf(path: string): Route | undefined {
    const { basePath } = this.#settings;
    if (!path.startsWith(basePath)) return undefined;
    const below = path.slice(basePath.length);
    return Object.hasOwn(this.#routes, below) ? this.#routes[below as Path] : undefined;
  }

  /** What the user does with an error of ours must not become another answer. */
  #report(error: unknown): void {
    try {
      this.#settings.onError(error);
    } catch (thrown) {
      process.emitWarning(thrown instanceof Error ? thrown : String(thrown));
    }
  }
}

/** After these nobody reads the rest of the body. */
function closes({ status }: Problem): boolean {
  return status === 413 || status === 408;
}
