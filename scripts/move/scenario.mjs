// What moves, and on which way.

/** The services, each of which is a group of the stream. */
export const SERVICES = ['main-api', 'lifecycle-service', 'analytics-service'];
export const STREAM = 'campaign-events';

/** A type that is stored only, and one that is published live too. */
export const STORED = 'campaign.created';
export const LIVE = 'campaign.status.changed';
/** The marker behind which another process of a service counts live events. */
export const CUT = 'system.alert';

/** The format that the fleet moves to: its channels have a prefix of their own. */
const PREFIX = 'ox:';
const NEW = { format: 'oxbus', channelPrefix: PREFIX };
const READ = ['campaign', NEW];

const readsBoth = (label, write) => ({ label, config: { wire: { read: READ, write } } });
const OLD = { label: 'the old bus', config: undefined };

/** What a client is given that has the new format alone. */
export const MOVED = { wire: 'oxbus', channelPrefix: PREFIX };

/** Whether a service with that configuration hears the old format; none is that of the old bus itself. */
export const hearsOld = (config) =>
  config === undefined || config.wire === 'campaign' || config.wire.read === READ;

/**
 * The way there: read both and write both, move the last, stop writing the old, stop reading it. Each step is gone by one service after
 * the other.
 */
const THERE = [
  readsBoth('read both, write both', ['campaign', NEW]),
  readsBoth('read both, write the new', [NEW]),
  { label: 'the new alone', config: MOVED },
];
/** And the way back, to the old bus. */
const BACK = [THERE[1], THERE[0], OLD];

/** Where all services change their import and keep the format. */
const SAME = [{ label: 'Oxbus, in the old format', config: { wire: 'campaign' } }, OLD];

export const WAYS = { wires: [...THERE, ...BACK], import: SAME };
