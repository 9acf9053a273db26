import { githubWebhooks } from '../../examples/quickstart/payloads.mjs';
import { medium, small } from './orders.mjs';
import { newKeys, optionalFields } from './rare-shapes.mjs';

/** @type {Record<string, () => unknown[]>} */
const byName = {
  small: () => [small],
  medium: () => [medium],
  github: () => githubWebhooks().map(({ data }) => data),
  shapes2000: () => optionalFields(2000),
  // Its keys are places for those that each event gets when it is made (events.mjs).
  adversarial: () => [newKeys],
};

/**
 * Data that a task publishes in turn.
 * @param {'small' | 'medium' | 'github' | 'shapes2000' | 'adversarial'} name
 * @returns {unknown[]}
 */
export function payloads(name) {
  const make = byName[name];
  if (make === undefined) throw new Error(`there is no payload '${name}'`);
  return make();
}
