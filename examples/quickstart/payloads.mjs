import { createRequire } from 'node:module';

/**
 * @typedef {object} Webhook
 * @property {string} type  `github.<event>` or `github.<event>.<action>`
 * @property {Record<string, unknown>} data  the payload as GitHub sends it
 */

/**
 * The webhook payloads that GitHub publishes as examples: 329 of 58 kinds, 10 KB each on average.
 * @returns {Webhook[]}
 */
export function githubWebhooks() {
  /** @type {{ name: string, examples: Record<string, unknown>[] }[]} */
  const kinds = createRequire(import.meta.url)('@octokit/webhooks-examples');
  return kinds.flatMap(({ name, examples }) =>
    examples.map((data) => ({
      type: typeof data.action === 'string' ? `github.${name}.${data.action}` : `github.${name}`,
      data,
    })),
  );
}
