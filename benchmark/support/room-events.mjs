// Texts of events for rooms, the same in each run: each room once, in a random order.

import { eventTexts } from './events.mjs';

export function roomTexts(rooms) {
  const [text] = eventTexts('small');
  const { data, ...event } = JSON.parse(text);
  let seed = 7;
  const random = () => {
    seed = (seed * 1103515245 + 12345) % 2 ** 31;
    return seed / 2 ** 31;
  };
  const order = Array.from({ length: rooms }, (_, room) => ({ room, at: random() }));
  order.sort((a, b) => a.at - b.at);
  return order.map(({ room }) => JSON.stringify({ ...event, data: { ...data, room } }));
}
