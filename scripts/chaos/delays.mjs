// Whether restarts have kept the delays and the attempts of delayed events.

/** Clocks are read in whole milliseconds, here and on the server. */
const TOLERANCE_MS = 5;

/** No call of an event begins before the delay is over that the call before asked for, and each call is the next attempt. */
export function verifyDelays({ delayed, handled }, report) {
  const calls = new Map();
  for (const call of [...delayed, ...handled].filter(({ type }) => type.endsWith('.delayed'))) {
    const key = `${call.group} ${call.id}`;
    calls.set(key, [...(calls.get(key) ?? []), call]);
  }
  const early = [];
  const miscounted = [];
  for (const all of calls.values()) {
    all.sort((a, b) => a.started - b.started);
    all.forEach((call, index) => {
      if (call.attempt !== index + 1) miscounted.push(call);
      const before = all[index - 1];
      if (before && call.started < before.at + before.delay - TOLERANCE_MS) {
        early.push({ ...call, missing: before.at + before.delay - call.started });
      }
    });
  }
  report('calls came before their delay was over', early);
  report('calls were not the next attempt', miscounted);
}
