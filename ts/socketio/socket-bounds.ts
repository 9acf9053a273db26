/** What may wait for each socket of a namespace, also for one that never reads. */

import { boundBacklog } from './backlog';
import { cutOff, type Namespace, type Socket } from './server';

export class SocketBounds {
  readonly #namespace: Namespace;
  readonly #maxBytes: number;
  readonly #dropped: () => void;
  /** The sockets that are looked at, and how that ends. */
  readonly #sockets = new Map<Socket, () => void>();

  /** `dropped` is told of each connection that is cut off. */
  constructor(namespace: Namespace, maxBytes: number, dropped: () => void) {
    this.#namespace = namespace;
    this.#maxBytes = maxBytes;
    this.#dropped = dropped;
    namespace.on('connection', this.#bound);
    for (const socket of namespace.sockets.values()) this.#bound(socket);
  }

  close(): void {
    this.#namespace.off('connection', this.#bound);
    for (const stop of [...this.#sockets.values()]) stop();
  }

  readonly #bound = (socket: Socket): void => {
    if (this.#sockets.has(socket)) return;
    const { conn } = socket;
    const end = boundBacklog(conn, this.#maxBytes, () => {
      this.#dropped();
      cutOff(conn);
    });
    const stop = () => {
      this.#sockets.delete(socket);
      socket.off('disconnect', stop);
      end();
    };
    this.#sockets.set(socket, stop);
    socket.on('disconnect', stop);
  };
}
