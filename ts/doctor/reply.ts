/** Replies of a server, in RESP2, the version that every server speaks. */

export class ReplyError extends Error {}

export type Reply = string | number | null | ReplyError | Reply[];

/** What was read, and where the next reply begins. */
interface Read {
  reply: Reply;
  next: number;
}

/**
 * Reads the reply that begins at `from`; undefined while bytes of it are missing. Throws a RangeError for what is no reply.
 * `latin1` keeps each byte as a character, for payloads that may be no text.
 */
export function readReply(
  bytes: Buffer,
  from: number,
  encoding: 'utf8' | 'latin1',
): Read | undefined {
  const end = bytes.indexOf('\r\n', from);
  if (end < 0) return undefined;
  const head = bytes.toString(encoding, from + 1, end);
  const next = end + 2;
  switch (bytes[from]) {
    case 0x2b: // +
      return { reply: head, next };
    case 0x2d: // -
      return { reply: new ReplyError(head), next };
    case 0x3a: // :
      return { reply: Number(head), next };
    case 0x24: // $
      return readText(bytes, next, Number(head), encoding);
    case 0x2a: // *
      return readItems(bytes, next, Number(head), encoding);
    default:
      throw new RangeError('the server answers with something else than RESP');
  }
}

function readText(
  bytes: Buffer,
  from: number,
  length: number,
  encoding: 'utf8' | 'latin1',
): Read | undefined {
  if (length < 0) return { reply: null, next: from };
  const end = from + length;
  if (bytes.length < end + 2) return undefined;
  return { reply: bytes.toString(encoding, from, end), next: end + 2 };
}

function readItems(
  bytes: Buffer,
  from: number,
  count: number,
  encoding: 'utf8' | 'latin1',
): Read | undefined {
  if (count < 0) return { reply: null, next: from };
  const items: Reply[] = [];
  let next = from;
  for (let at = 0; at < count; at += 1) {
    const read = readReply(bytes, next, encoding);
    if (read === undefined) return undefined;
    items.push(read.reply);
    next = read.next;
  }
  return { reply: items, next };
}

export function encodeCommand(words: readonly string[]): string {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  return text;
}

/** A reply of names and values, one after the other. What is no text is left out. */
export function pairsOf(reply: Reply): Map<string, Reply> {
  const pairs = new Map<string, Reply>();
  if (!Array.isArray(reply)) return pairs;
  for (let at = 0; at + 1 < reply.length; at += 2) {
    const [name, value] = [reply[at], reply[at + 1]];
    if (typeof name === 'string' && value !== undefined) pairs.set(name, value);
  }
  return pairs;
}

/** The lines `name:value` of an answer to `INFO`. */
export function infoOf(reply: Reply): Map<string, string> {
  const lines = typeof reply === 'string' ? reply.split('\r\n') : [];
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const at = line.indexOf(':');
      return at > 0 && !line.startsWith('#') ? [[line.slice(0, at), line.slice(at + 1)]] : [];
    }),
  );
}
