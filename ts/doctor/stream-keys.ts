/** The keys of streams, where a format of the configuration names them (docs/wires.md, `keys`). */

import type { EventBusConfig, WireMapping } from '../../index';

/** Stands for the name of a stream in a template that was read. No key of a configuration has it. */
const NAME = '\0';

/** Returns the key of a stream by its name in the configuration. What looks like a key already is one. */
export function streamKeysOf(config: EventBusConfig): (name: string) => string {
  const template = mappingsOf(config.wire).find(({ keys }) => keys !== undefined)?.keys?.stream;
  if (template === undefined) return (name) => name;
  const [before = '', after = ''] = template
    .replace(/\{\{|\}\}|\{prefix\}|\{stream\}/g, (part) => {
      if (part === '{stream}') return NAME;
      return part === '{prefix}' ? (config.channelPrefix ?? '') : (part[0] as string);
    })
    .split(NAME);
  const isKey = (name: string) =>
    name.length > before.length + after.length && name.startsWith(before) && name.endsWith(after);
  return (name) => (isKey(name) ? name : before + name + after);
}

/** The formats that are described as data, those that are written first. */
function mappingsOf(wire: EventBusConfig['wire']): WireMapping[] {
  if (wire === undefined || typeof wire === 'string') return [];
  if ('fields' in wire) return [wire];
  const formats = [...wire.write, ...wire.read].map((one) =>
    typeof one === 'object' && 'format' in one ? one.format : one,
  );
  return formats.filter((format) => typeof format === 'object');
}
