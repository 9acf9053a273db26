/** The routes and the options of `attachSocketIO`, read once, with their defaults. */

import type { AttachOptions, SocketIORooms, SocketIORoute } from '../../socket.io';
import { invalidAt } from '../errors';
import { readOptions } from '../input/options';
import { GIB, readEventName, readFunction, readInteger, readOnError, readPart } from './read';
import { Template } from './template';

const OPTIONS = 'ERR_BUS_INVALID_OPTIONS';

export interface Route {
  readonly on: string | readonly string[];
  /** Undefined: all sockets. */
  readonly to: Template | undefined;
  readonly emit: string;
  readonly volatile: boolean;
}

export interface RoomSettings {
  readonly authorize: SocketIORooms['authorize'];
  readonly join: string;
  readonly leave: string;
  readonly maxRooms: number;
}

export interface AttachSettings {
  readonly group: string | undefined;
  readonly rooms: RoomSettings | undefined;
  readonly gap: string | undefined;
  readonly maxBufferBytes: number;
  readonly onError: (error: unknown) => void;
}

const ROUTE: readonly (keyof SocketIORoute)[] = ['on', 'to', 'emit', 'volatile'];
const ROOMS: readonly (keyof SocketIORooms)[] = ['authorize', 'join', 'leave', 'maxRooms'];
const KEYS: readonly (keyof AttachOptions)[] = [
  'group',
  'rooms',
  'gap',
  'maxBufferBytes',
  'onError',
];

/** Throws `INVALID_OPTIONS` with the path of what is wrong. */
export function readRoutes(routes: unknown): readonly Route[] {
  if (!Array.isArray(routes)) throw invalidAt(OPTIONS, 'routes', 'must be an array');
  return routes.map((route: unknown, index) => {
    const path = `routes[${index}]`;
    const { on, to, emit, volatile = false } = readPart(route, path, ROUTE);
    if (typeof on !== 'string' && !Array.isArray(on)) {
      throw invalidAt(OPTIONS, `${path}.on`, 'must be a pattern, or an array of them');
    }
    if (typeof to !== 'string' || to === '') {
      throw invalidAt(OPTIONS, `${path}.to`, "must be 'all' or the template of a room");
    }
    if (typeof volatile !== 'boolean') {
      throw invalidAt(OPTIONS, `${path}.volatile`, 'must be true or false');
    }
    return {
      on: typeof on === 'string' ? on : [...on],
      to: to === 'all' ? undefined : new Template(to, `${path}.to`),
      emit: readEventName(emit, `${path}.emit`),
      volatile,
    };
  });
}

/** Throws `INVALID_OPTIONS` with the path of what is wrong. */
export function readAttachOptions(options: unknown): AttachSettings {
  const { group, rooms, gap, maxBufferBytes, onError } = readOptions(options, KEYS);
  if (group !== undefined && (typeof group !== 'string' || group === '')) {
    throw invalidAt(OPTIONS, 'group', 'must be the name of a consumer group');
  }
  return {
    group,
    rooms: rooms === undefined ? undefined : readRooms(rooms),
    gap: gap === undefined ? undefined : readEventName(gap, 'gap'),
    maxBufferBytes: readInteger(maxBufferBytes, 'maxBufferBytes', 1024, GIB, 8 << 20),
    onError: readOnError(onError),
  };
}

function readRooms(value: unknown): RoomSettings {
  const given = readPart(value, 'rooms', ROOMS);
  const { authorize, join = 'join', leave = 'leave', maxRooms } = given;
  return {
    authorize: readFunction(authorize, 'rooms.authorize') as SocketIORooms['authorize'],
    join: readEventName(join, 'rooms.join'),
    leave: readEventName(leave, 'rooms.leave'),
    maxRooms: readInteger(maxRooms, 'rooms.maxRooms', 1, 100_000, 100),
  };
}
