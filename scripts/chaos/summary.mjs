function tally(records, key, amount = () => 1) {
  const counts = {};
  for (const record of records) {
    const name = key(record);
    counts[name] = (counts[name] ?? 0) + amount(record);
  }
  return counts;
}

/** What is worth knowing of a run when nothing is wrong. */
export function summarise({ published, refused, handled, notice, error, warning }, deadLetters) {
  const distinct = new Set(handled.map(({ group, id }) => `${group} ${id}`));
  return {
    published: published.length,
    refused: tally(refused, ({ outcome }) => outcome),
    handled: handled.length,
    duplicates: handled.length - distinct.size,
    deadLetters: tally(deadLetters, (deadLetter) => deadLetter['dlq-reason']),
    notices: tally(
      notice,
      (record) => record.notice,
      ({ count }) => count,
    ),
    errors: tally(error, ({ code }) => code),
    warnings: tally(warning, ({ code }) => code),
  };
}
