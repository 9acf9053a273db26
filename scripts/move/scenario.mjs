// What moves, and on which way.

/** The services, each of which is a group of the stream. */
export const SERVICES = ['main-api', 'lifecycle-service', 'analytics-service'];
export const STREAM = 'campaign-events';

/** A type that is stored only, and one that is published live too. */
export const STORED = 'campaign.created';
export const LIVE = 'campaign.status.changed';
/** The marker behind which another process of a service counts live events. */
export const CUT = 'system.alert';

/** The format that the fleet moves to, beside the old one on channels of its own. */
const BOTH = ['campaign', 'oxbus'];
const step = (label, wire) => ({ label, wire });

/**
 * The way there: read both and write both, move the last, stop writing the old, stop reading it. Each step is gone by one service after
 * the other.
 */
const THERE = [
  step('read both, write both', { read: BOTH, write: BOTH }),
  step('read both, write the new', { read: BOTH, write: ['oxbus'] }),
  step('the new alone', 'oxbus'),
];
/** And the way back, to the old bus. */
const BACK = [THERE[1], THERE[0], step('the old bus', undefined)];

/** Where all services change their import and keep the format. */
const SAME = [step('the import, in the old format', 'campaign'), step('the old bus', undefined)];

export const WAYS = { wires: [...THERE, ...BACK], import: SAME };
