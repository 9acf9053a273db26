const live = process.stdout.isTTY === true;
let last = 0;

/**
 * Redraws the live line, at most ten times a second; nothing when the output is not a terminal.
 * @param {number} published
 * @param {Record<string, number>} handled
 */
export function progressLine(published, handled) {
  const now = Date.now();
  if (!live || now - last < 100) return;
  last = now;
  const counts = Object.entries(handled).map(([name, count]) => `${name} ${count}`);
  process.stdout.write(`\r\x1b[2Kpublished ${published}  →  ${counts.join('  ')}`);
}

/** Removes the live line. */
progressLine.end = () => {
  if (live && last > 0) process.stdout.write('\r\x1b[2K');
};

/** @param {string[][]} rows */
function table(rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) =>
          column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

const count = (value) => value.toLocaleString('en-US');
const ms = (value) => `${value.toFixed(2)} ms`;

/** Prints the closing table; false when a service did not get every event that is its own. */
export function printReport({ result, redis, services }) {
  progressLine.end();
  const { published, seconds, rounds } = result;
  const where = redis
    ? 'five processes, through Redis'
    : 'one process, through a memory broker (set REDIS_URL to use Redis)';
  console.log(`GitHub webhooks in ${where}\n`);
  console.log(
    `published ${count(published)} events in ${seconds.toFixed(1)} s, ${count(Math.round(published / seconds))} events/s (${rounds} rounds of ${count(published / rounds)} payloads)\n`,
  );
  console.log(
    table([
      ['service', 'pattern', 'received', 'events/s', 'dropped', 'latency p50', 'p99'],
      ...services.map((service) => [
        service.name,
        service.pattern,
        count(service.handled),
        count(Math.round(service.handled / seconds)),
        count(service.dropped),
        ms(service.p50),
        ms(service.p99),
      ]),
    ]),
  );
  const incomplete = services.filter(({ handled, expected }) => handled !== expected);
  for (const { name, handled, expected } of incomplete) {
    console.log(`\n${name} received ${count(handled)} of ${count(expected)} events`);
  }
  if (incomplete.length === 0) console.log('\nEvery service received every event of its pattern.');
  return incomplete.length === 0;
}

/** Prints what became of the stored events; false when a group has not handled every event of its own. */
export function printStored({ stored, replayed, groups }) {
  console.log(
    `\nThen stored in a stream, ${count(stored)} events, before any group had subscribed\n`,
  );
  console.log(
    table([
      ['group', 'pattern', 'handled', 'dead letters'],
      ...groups.map(({ name, pattern, handled, letters }) => [
        name,
        pattern,
        count(handled),
        count(letters.length),
      ]),
    ]),
  );
  const letters = groups.flatMap((group) => group.letters);
  if (letters.length > 0) {
    const [{ group, event, attempts, error }] = letters;
    console.log(`\n${group} gave up ${event?.type} after ${attempts} attempts, as the first:`);
    console.log(`${error.name}: ${error.message}`);
    console.log(`After the fix ${count(replayed)} dead letters were replayed.`);
  }
  const incomplete = groups.filter(({ handled, expected }) => handled < expected);
  for (const { name, handled, expected } of incomplete) {
    console.log(`\n${name} handled ${count(handled)} of ${count(expected)} events`);
  }
  if (incomplete.length === 0) console.log('\nEvery group handled every event of its pattern.');
  return incomplete.length === 0;
}
