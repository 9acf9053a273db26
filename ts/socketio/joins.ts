/** Sockets that join rooms by themselves, where `authorize` allows it. */

import type { AttachStats } from '../../socket.io';
import { type Answer, acknowledge, refusal } from './answer';
import type { RoomSettings } from './attach-options';
import { RESERVED_ROOMS } from './protocol';
import type { Namespace, Socket } from './server';

const MAX_NAME = 512;

export class Joins {
  readonly #namespace: Namespace;
  readonly #settings: RoomSettings;
  readonly #stats: AttachStats;
  readonly #onError: (error: unknown) => void;
  /** The sockets that are listened to, with their joins under way. */
  readonly #sockets = new Map<Socket, { pending: number; stop: () => void }>();

  constructor(
    namespace: Namespace,
    settings: RoomSettings,
    stats: AttachStats,
    onError: (error: unknown) => void,
  ) {
    this.#namespace = namespace;
    this.#settings = settings;
    this.#stats = stats;
    this.#onError = onError;
    namespace.on('connection', this.#listen);
    for (const socket of namespace.sockets.values()) this.#listen(socket);
  }

  close(): void {
    this.#namespace.off('connection', this.#listen);
    for (const { stop } of [...this.#sockets.values()]) stop();
  }

  readonly #listen = (socket: Socket): void => {
    if (this.#sockets.has(socket)) return;
    const { join, leave } = this.#settings;
    const onJoin = (...args: unknown[]) => void this.#answer(args, this.#join(socket, args[0]));
    const onLeave = (...args: unknown[]) => void this.#answer(args, this.#leave(socket, args[0]));
    const stop = () => {
      this.#sockets.delete(socket);
      socket.off(join, onJoin);
      socket.off(leave, onLeave);
      socket.off('disconnect', stop);
    };
    this.#sockets.set(socket, { pending: 0, stop });
    socket.on(join, onJoin);
    socket.on(leave, onLeave);
    socket.on('disconnect', stop);
  };

  async #answer(args: unknown[], answer: Promise<Answer>): Promise<void> {
    acknowledge(args, await answer);
  }

  async #join(socket: Socket, room: unknown): Promise<Answer> {
    const state = this.#sockets.get(socket);
    const refused = state === undefined ? refusal('ERR_BUS_CLOSED', 'no joins') : refuse(room);
    if (state === undefined || refused !== undefined) return this.#denied(refused as Answer);
    if (socket.rooms.has(room as string)) return { ok: true };
    // Each socket is in a room of its own.
    if (socket.rooms.size - 1 + state.pending >= this.#settings.maxRooms) {
      return this.#denied(refusal('ERR_BUS_QUEUE_FULL', 'the socket is in too many rooms'));
    }
    state.pending += 1;
    try {
      const allowed = (await this.#settings.authorize(socket, room as string)) === true;
      // Who has left, or whose bridge has, is not let in any more.
      if (!socket.connected || !this.#sockets.has(socket)) {
        return refusal('ERR_BUS_CLOSED', 'the socket has left');
      }
      if (!allowed) {
        return this.#denied(refusal('ERR_BUS_PERMISSION_DENIED', 'the room may not be joined'));
      }
      await socket.join(room as string);
    } catch (error) {
      this.#onError(error);
      return this.#denied(refusal('ERR_BUS_PERMISSION_DENIED', 'the room may not be joined'));
    } finally {
      state.pending -= 1;
    }
    this.#stats.joins += 1;
    return { ok: true };
  }

  async #leave(socket: Socket, room: unknown): Promise<Answer> {
    const refused = refuse(room);
    if (refused !== undefined) return refused;
    // Its own room is not one that it has joined.
    if (room === socket.id || !socket.rooms.has(room as string)) return { ok: true };
    await socket.leave(room as string);
    this.#stats.leaves += 1;
    return { ok: true };
  }

  #denied(answer: Answer): Answer {
    this.#stats.joinsDenied += 1;
    return answer;
  }
}

function refuse(room: unknown): Answer | undefined {
  const isName = typeof room === 'string' && room !== '' && room.length <= MAX_NAME;
  if (isName && !room.startsWith(RESERVED_ROOMS)) return undefined;
  return refusal('ERR_BUS_INVALID_OPTIONS', 'room: must be the name of a room');
}
