// A process that counts what arrives on the benchmark's channel and does nothing else, so that a
// published event counts only when somebody got it. Raw socket: it reads lengths and skips the rest.

import { connect } from 'node:net';
import { CHANNEL } from './channel.mjs';

const head = Buffer.from(`*3\r\n$7\r\nmessage\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n$`);
const CR = 13;

/** Counts messages in a stream of bytes cut anywhere. */
function createCounter() {
  let count = 0;
  let skip = 0;
  let carry = Buffer.alloc(0);
  return {
    count: () => count,
    push(bytes) {
      const chunk = carry.length > 0 ? Buffer.concat([carry, bytes]) : bytes;
      let at = 0;
      for (;;) {
        if (at + skip > chunk.length) {
          skip -= chunk.length - at;
          carry = Buffer.alloc(0);
          return;
        }
        at += skip;
        skip = 0;
        const end = chunk.indexOf(CR, at + head.length);
        if (end < 0 || end + 2 > chunk.length) {
          carry = chunk.subarray(at);
          return;
        }
        let length = 0;
        for (let index = at + head.length; index < end; index += 1) {
          length = length * 10 + chunk[index] - 48;
        }
        count += 1;
        at = end + 2;
        skip = length + 2;
      }
    },
  };
}

const counter = createCounter();
const socket = connect(Number(process.argv[2]), '127.0.0.1');
socket.write(`SUBSCRIBE ${CHANNEL}\r\n`);
const confirmation = `*3\r\n$9\r\nsubscribe\r\n$${CHANNEL.length}\r\n${CHANNEL}\r\n:1\r\n`;
let confirmed = false;
socket.on('data', (bytes) => {
  if (confirmed) return counter.push(bytes);
  confirmed = true;
  process.send({ kind: 'listening' });
  if (bytes.length > confirmation.length) counter.push(bytes.subarray(confirmation.length));
});
process.on('message', () => process.send({ kind: 'count', count: counter.count() }));
process.on('disconnect', () => process.exit());
