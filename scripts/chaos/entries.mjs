const PAGE = 1000;

/** A reply of names and values as an object. */
export const flat = (list) =>
  Object.fromEntries(list.flatMap((name, at) => (at % 2 === 0 ? [[name, list[at + 1]]] : [])));

/** All entries that a stream holds. */
export async function readStream(redis, name) {
  const entries = [];
  for (let start = '-'; ; start = `(${entries.at(-1).messageId}`) {
    const page = await redis.xrange(name, start, '+', 'COUNT', PAGE);
    for (const [messageId, fields] of page) entries.push({ messageId, ...flat(fields) });
    if (page.length < PAGE) return entries;
  }
}
