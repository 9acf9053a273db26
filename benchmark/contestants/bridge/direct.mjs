import { roomTexts } from '../../support/room-events.mjs';

/** `io.emit` called directly, with events that are objects already: no bus, no Redis. Its readers say how many they have got. */
export async function attach(_url, io, _to, { rooms, window }) {
  const events = roomTexts(rooms).map((text) => JSON.parse(text));
  let sent = 0;
  let received = 0;
  const fill = () => {
    while (sent - received < window) {
      io.emit('shipped', events[sent % events.length]);
      sent += 1;
    }
  };
  io.on('connection', (socket) => {
    socket.on('progress', (count) => {
      received = count;
      // A turn for the sockets after each answer.
      setImmediate(fill);
    });
  });
}
