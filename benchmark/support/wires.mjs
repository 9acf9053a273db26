/** A format that a user describes, with the places that its peers need, and a place for all other metadata. */
const fields = {
  write: { kind: 'type', uid: 'id', payload: 'data', ts: 'timestampMs', more: 'metadata' },
};

/** The wires that are compared with that of Oxbus, by the names of their contestants. */
export const wires = { 'oxbus-platform': 'platform', 'oxbus-mapping': { fields } };

/** An event of Oxbus as a peer of these contestants writes it. */
export const written = {
  'oxbus-platform': ({ id, type, data, metadata }) => {
    const { timestamp, correlationId, source, ...meta } = metadata;
    return { type, timestamp, correlationId, metadata: data, id, source, meta };
  },
  'oxbus-mapping': ({ id, type, data, metadata }) => {
    const { timestamp, ...more } = metadata;
    return { kind: type, uid: id, payload: data, ts: Date.parse(timestamp), more };
  },
};
