/** Headers that let pages of other origins read, only where the user has asked for them. */

import { isAllowed } from './access';
import type { Answer } from './answer';
import type { Incoming } from './incoming';
import type { CorsSettings } from './options';
import { Problem } from './problem';

/** The answer to a preflight; undefined where the request is none, or where nobody has asked for CORS. */
export function preflight(
  cors: CorsSettings | undefined,
  incoming: Incoming,
  method: string,
): Answer | undefined {
  if (cors === undefined || incoming.method !== 'OPTIONS') return undefined;
  const origin = incoming.header('origin');
  if (origin === undefined || !isAllowed(cors, origin)) throw new Problem(403);
  const headers = {
    'access-control-allow-methods': method,
    'access-control-allow-headers': 'authorization, content-type, last-event-id',
    'access-control-max-age': '600',
  };
  return { status: 204, headers, body: '' };
}

/** Adds to an answer what a page of an allowed origin needs to read it. */
export function share(cors: CorsSettings | undefined, incoming: Incoming, answer: Answer): void {
  if (cors === undefined) return;
  const { headers } = answer;
  if (cors.origins !== '*') headers.vary = 'Origin';
  const origin = incoming.header('origin');
  if (origin === undefined || !isAllowed(cors, origin)) return;
  headers['access-control-allow-origin'] = cors.origins === '*' ? '*' : origin;
  if (cors.credentials) headers['access-control-allow-credentials'] = 'true';
}
