/** The configuration that a client of the bus would have, as far as a look at the server tells. */

import type { EventBusConfig, WireName } from '../../index';
import type { Seen } from './sampling';
import type { Registries, StreamSeen } from './streams-seen';

/** Proposes it. The address is left out, as it belongs into the environment, but for the nodes of a Cluster. */
export function proposeConfig(
  given: EventBusConfig,
  streams: readonly StreamSeen[],
  types: ReadonlyMap<string, readonly string[]>,
  registries: Registries,
  { seen, lanes }: { seen: readonly Seen[]; lanes: number },
): EventBusConfig {
  const cluster = typeof given.redis === 'object' ? given.redis.cluster : undefined;
  const wire = wireOf(seen);
  const found = streams.map(({ name, groups }) => {
    const events = registries.streams.get(name) ?? prefixesOf(types.get(name) ?? []);
    return {
      name,
      events: events.length === 1 ? (events[0] as string) : [...events],
      ...(groups.length > 0 && { consumerGroups: groups.map((group) => group.name) }),
    };
  });
  return {
    ...(cluster !== undefined && {
      redis: {
        cluster: {
          nodes: cluster.nodes,
          ...(lanes > 0 && ({ pubsub: 'sharded', lanes } as const)),
        },
      },
    }),
    ...(given.channelPrefix !== undefined && { channelPrefix: given.channelPrefix }),
    ...(wire !== undefined && wire !== 'oxbus' && { wire }),
    // A stream of which nobody knows what it stores is left out: it would be a guess.
    ...(found.length > 0 && { streams: found.filter(({ events }) => events.length > 0) }),
  };
}

/** The wire that reads most of what was seen. */
function wireOf(seen: readonly Seen[]): WireName | undefined {
  const counts = new Map<WireName, number>();
  for (const { format, count } of seen) {
    if (format.wire !== null) counts.set(format.wire, (counts.get(format.wire) ?? 0) + count);
  }
  const [most] = [...counts].sort(([, a], [, b]) => b - a);
  return most?.[0];
}

/** Patterns for types: `order.*` for `order.paid`, and the type itself where it has no point. */
function prefixesOf(types: readonly string[]): string[] {
  const escaped = (text: string) => text.replace(/[\\*?[\]]/g, '\\$&');
  const patterns = types.map((type) => {
    const end = type.indexOf('.');
    return end > 0 ? `${escaped(type.slice(0, end))}.*` : escaped(type);
  });
  return [...new Set(patterns)].sort();
}

/** The configuration as the code of a client. */
export function configCode(config: EventBusConfig): string {
  const lines = config.redis === undefined ? ['redis: process.env.REDIS_URL,'] : [];
  for (const [name, value] of Object.entries(config)) {
    if (name === 'streams') {
      lines.push('streams: [');
      for (const stream of config.streams ?? []) lines.push(`  ${literal(stream)},`);
      lines.push('],');
    } else lines.push(`${name}: ${literal(value)},`);
  }
  return [
    "import { EventBusClient } from 'oxbus';",
    '',
    'export const bus = new EventBusClient({',
    ...lines.map((line) => `  ${line}`),
    '});',
  ].join('\n');
}

function literal(value: unknown): string {
  if (typeof value === 'string') {
    return `'${JSON.stringify(value).slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
  }
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([name, one]) => `${name}: ${literal(one)}`);
    return `{ ${members.join(', ')} }`;
  }
  return String(value);
}
