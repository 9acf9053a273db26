/** `oxbus/http`: a bus over HTTP, in any server. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import type {
  FastifyScope,
  HttpHandler,
  HttpHandlerOptions,
  NodeRequest,
  NodeResponse,
} from '../http';
import type { EventBusClient } from '../index';
import { stackFromCaller } from './caller-stacks';
import { internalsOf } from './client/internals';
import { invalidAt } from './errors';
import { answerFetch, fromFetch } from './http/fetch-server';
import { answerNode, fromNode } from './http/node-server';
import { type HttpSettings, readSettings } from './http/options';
import { PATHS, Router } from './http/router';

/** What the plugin does with Fastify. */
interface FastifyParts {
  addContentTypeParser(type: string, parser: (...args: unknown[]) => void): void;
  route(options: {
    method: string[];
    url: string;
    handler(request: { raw: IncomingMessage }, reply: FastifyReply): void;
  }): void;
}

interface FastifyReply {
  raw: ServerResponse;
  hijack(): void;
}

export function createHttpHandler<Events, Received>(
  bus: EventBusClient<Events, Received>,
  options?: HttpHandlerOptions,
): HttpHandler {
  try {
    const internals = internalsOf(bus);
    if (internals === undefined) {
      throw invalidAt('ERR_BUS_INVALID_OPTIONS', 'bus', 'must be an EventBusClient');
    }
    const settings = readSettings(options);
    return handlerOf(new Router(bus as unknown as EventBusClient, internals, settings), settings);
  } catch (error) {
    throw stackFromCaller(error, createHttpHandler);
  }
}

function handlerOf(router: Router, settings: HttpSettings): HttpHandler {
  const { basePath } = settings;
  const serve = async (req: IncomingMessage, res: ServerResponse, prefix: string) => {
    const answer = await router.answer(fromNode(req, prefix));
    await answerNode(answer, req, res);
  };
  return {
    async fetch(request) {
      const answer = await router.answer(fromFetch(request));
      return answerFetch(answer, request, settings.stream.maxBufferBytes);
    },
    node: (req, res) => serve(messageOf(req), responseOf(res), ''),
    express(req, res, next) {
      if (!router.knows(fromNode(messageOf(req), '').path)) return next();
      serve(messageOf(req), responseOf(res), '').catch(next);
    },
    fastify(scope, _options, done) {
      const { prefix } = scope;
      // The handler reads bodies itself, within its bounds; what holds here ends with this scope.
      scope.removeAllContentTypeParsers();
      const parts = scope as FastifyScope & FastifyParts;
      parts.addContentTypeParser('*', (_request, _payload, parsed) => {
        (parsed as (error: null) => void)(null);
      });
      for (const path of PATHS) {
        parts.route({
          method: ['GET', 'POST', 'OPTIONS'],
          url: basePath + path,
          handler: ({ raw }, reply) => {
            reply.hijack();
            void serve(raw, reply.raw, prefix);
          },
        });
      }
      done();
    },
    stats: () => ({ ...router.counters }),
    close: () => router.close(),
  };
}

/** The contract names only what every server has; each gives the real one. */
function messageOf(req: NodeRequest): IncomingMessage {
  return req as IncomingMessage;
}

function responseOf(res: NodeResponse): ServerResponse {
  return res as unknown as ServerResponse;
}
