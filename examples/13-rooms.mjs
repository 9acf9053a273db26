// Rooms: events for those who are there, and the list of who is there.

import { EventBusClient } from '../index.js';
import { connection } from './connection.mjs';

const [ann, bob] = ['ann', 'bob'].map(
  () => new EventBusClient({ ...connection, serviceName: 'web' }),
);

const heard = [];
let finish;
const finished = new Promise((resolve) => {
  finish = resolve;
});
await bob.subscribe('chat.*', ({ type, data }, { channel }) => {
  heard.push(data.text);
  console.log(`bob hears ${type} on ${channel}: ${data.text}`);
  if (data.text === 'bye') finish();
});

await ann.joinRoom('lobby', { member: 'ann' });
await bob.joinRoom('lobby', { member: 'bob' });
console.log('in the lobby:', await ann.getRoomMembers('lobby'));

await ann.publishToRoom('kitchen', 'chat.said', { text: 'nobody is here' });
await ann.publishToRoom('lobby', 'chat.said', { text: 'hello' });
await ann.publishToRoom('lobby', 'chat.said', { text: 'a surprise for bob' }, { except: ['bob'] });
await ann.publishToRoom('lobby', 'chat.said', { text: 'bye' });
await finished;
if (heard.join() !== 'hello,bye') throw new Error(`bob has heard ${heard}`);

await ann.disconnect();
console.log('in the lobby:', await bob.getRoomMembers('lobby'));
await bob.disconnect();
console.log('ok');
