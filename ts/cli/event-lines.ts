/** Events as lines: for people, or as JSON. */

import { usage } from './failure';
import type { Given } from './given';
import type { Session } from './session';
import { shown } from './table';
import type { Terminal } from './terminal';

/** An event, with its data as JSON text. */
export interface ShownEvent {
  readonly id: string;
  readonly type: string;
  readonly data: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  /** Where it is stored, if it was read from there. */
  readonly stream?: string | undefined;
  readonly messageId?: string | undefined;
}

export const FORMATS = ['text', 'json', 'data', 'type'] as const;
export type FormatName = (typeof FORMATS)[number];

/** The format that flags ask for. */
export function formatOf(given: string | undefined, terminal: Terminal): FormatName {
  if (given === undefined) return terminal.json ? 'json' : 'text';
  const found = FORMATS.find((name) => name === given);
  if (found === undefined) throw usage(`--format: must be one of ${FORMATS.join(', ')}`);
  return found;
}

/** Makes lines of events. */
export class EventLines {
  readonly #terminal: Terminal;
  readonly #format: FormatName;
  readonly #isFull: boolean;

  constructor(terminal: Terminal, format: FormatName, isFull: boolean) {
    this.#terminal = terminal;
    this.#format = format;
    this.#isFull = isFull;
  }

  get isJson(): boolean {
    return this.#format === 'json';
  }

  add(event: ShownEvent): void {
    this.#terminal.line(this.#lineOf(event));
  }

  #lineOf(event: ShownEvent): string {
    switch (this.#format) {
      case 'json':
        return jsonOf(event);
      case 'data':
        return event.data;
      case 'type':
        return event.type;
      case 'text':
        return this.#textOf(event);
    }
  }

  /** An event that is JSON already: as JSON it is not read. */
  addText(text: string, stream: string, messageId: string): void {
    if (this.#format === 'json') {
      const place = `,"stream":${JSON.stringify(stream)},"messageId":"${messageId}"}`;
      this.#terminal.line(text.slice(0, -1) + place);
      return;
    }
    const { id, type, data, metadata } = JSON.parse(text) as ShownEvent & { data: unknown };
    this.add({ id, type, metadata, data: JSON.stringify(data) ?? 'null', stream, messageId });
  }

  #textOf({ type, data, metadata, stream, messageId }: ShownEvent): string {
    const terminal = this.#terminal;
    const time = clock(String(metadata.timestamp ?? ''));
    const tail = [
      ...(stream === undefined ? [] : [`${stream} ${messageId}`]),
      ...(metadata.source === undefined ? [] : [`from ${String(metadata.source)}`]),
    ].join(' ');
    const room = terminal.width - time.length - type.length - tail.length - 6;
    const body = this.#isFull ? data : fold(data, Math.max(20, room));
    return [
      terminal.paint(time, 'dim'),
      terminal.paint(shown(type), 'cyan'),
      shown(body),
      terminal.paint(shown(tail), 'dim'),
    ].join('  ');
  }
}

/** The lines that the flags of a command ask for. */
export function linesOf({ terminal }: Session, { flags }: Given): EventLines {
  return new EventLines(terminal, formatOf(flags.text('format'), terminal), flags.has('full'));
}

function jsonOf({ id, type, data, metadata, stream, messageId }: ShownEvent): string {
  const place =
    stream === undefined ? '' : `,"stream":${JSON.stringify(stream)},"messageId":"${messageId}"`;
  return `{"id":${JSON.stringify(id)},"type":${JSON.stringify(type)},"data":${data},"metadata":${JSON.stringify(metadata)}${place}}`;
}

/** The time of day of a timestamp, in UTC. */
function clock(timestamp: string): string {
  return /T(\d\d:\d\d:\d\d(?:\.\d{1,3})?)/.exec(timestamp)?.[1] ?? timestamp;
}

/** A payload that is too long for a line, with how much of it is not shown. */
export function fold(text: string, room: number): string {
  if (text.length <= room) return text;
  const rest = ` … ${text.length} characters`;
  return `${text.slice(0, Math.max(0, room - rest.length))}${rest}`;
}

/** `data.status=paid` as a condition: a path and a value, which is JSON if it can be read as such. */
export function filterOf(given: readonly string[]): Record<string, unknown[]> | undefined {
  if (given.length === 0) return undefined;
  const filter: Record<string, unknown[]> = {};
  for (const text of given) {
    const at = text.indexOf('=');
    if (at < 1)
      throw usage(`--filter: must be path=value, such as data.status=paid, not '${text}'`);
    const [path, value] = [text.slice(0, at), text.slice(at + 1)];
    filter[path] = [...(filter[path] ?? []), readValue(value)];
  }
  return filter;
}

function readValue(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** Whether an event passes a filter, as the engine would say of a live one. */
export function passes(event: unknown, filter: Record<string, unknown[]> | undefined): boolean {
  return Object.entries(filter ?? {}).every(([path, values]) => {
    let value = event;
    for (const name of path.split('.')) {
      value = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
    }
    const text = JSON.stringify(value);
    return value !== undefined && values.some((one) => JSON.stringify(one) === text);
  });
}
