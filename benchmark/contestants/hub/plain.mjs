import { once } from 'node:events';
import { io as connect } from 'socket.io-client';

/** Socket.IO between services, as users write it: the server passes on what a service publishes, and answers it. */
export async function serve(io) {
  io.on('connection', (socket) => {
    socket.on('subscribe', (type, done) => {
      socket.join(type);
      done();
    });
    socket.on('publish', (event, done) => {
      io.to(event.type).emit('event', event);
      done();
    });
  });
}

export async function openService(url) {
  const socket = connect(url, { transports: ['websocket'], forceNew: true });
  await once(socket, 'connect');
  return {
    async subscribe(type, handler) {
      socket.on('event', handler);
      await socket.emitWithAck('subscribe', type);
    },
    publish: (type, data) => socket.emitWithAck('publish', { type, data }),
  };
}
