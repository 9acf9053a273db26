/** Events and notices as server-sent events. Each is a few lines that nothing within them can break. */

import type { BusEvent, RawJson } from '../../index';

/** What ends a line of a stream of server-sent events, and what such an id must not hold. */
const BREAKS = /[\r\n]/g;
const UNFIT = /[\0\r\n]/;

/** An event whose data nobody has parsed. */
export function eventText(event: BusEvent<RawJson>, named: boolean): string {
  const { id, type, data, metadata } = event;
  const json = `{"id":${JSON.stringify(id)},"type":${JSON.stringify(type)},"data":${data.text},"metadata":${JSON.stringify(metadata)}}`;
  return storedText(id, type, json, named);
}

/** An event that is JSON already. */
export function storedText(id: string, type: string, json: string, named: boolean): string {
  return `${field('id', id)}${named ? field('event', type) : ''}data: ${oneLine(json)}\n\n`;
}

/** Tells a client that it may have missed events. */
export function gapText(facts: Record<string, unknown>): string {
  return `event: gap\ndata: ${JSON.stringify(facts)}\n\n`;
}

/** Left out where the value would end the line: ids and types of other programs may be anything. */
function field(name: string, value: string): string {
  return UNFIT.test(value) ? '' : `${name}: ${value}\n`;
}

/** Between its tokens JSON may have line breaks, and within strings it has none. */
function oneLine(json: string): string {
  return json.includes('\n') || json.includes('\r') ? json.replace(BREAKS, ' ') : json;
}
