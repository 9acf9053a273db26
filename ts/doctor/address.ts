/** Where the servers of a configuration are. The engine has checked it, so nothing of it is refused here. */

import type { ConnectionOptions } from 'node:tls';
import type { EventBusConfig, RedisConfig, SentinelConfig, TlsConfig } from '../../index';
import type { Login, Place } from './link';

/** Servers, and how to log in to them. */
export interface Address {
  readonly login: Login;
  /** Of one server, or the nodes of a Cluster that are named. Empty with `sentinel`. */
  readonly places: readonly Place[];
  readonly isCluster: boolean;
  /** What a node of a Cluster tells of itself, to where it is reached. */
  readonly addressMap: ReadonlyMap<string, string>;
  readonly sentinel?: { name: string; places: readonly Place[]; login: Login } | undefined;
}

const [PORT, SENTINEL_PORT] = [6379, 26_379];

/** The address of a configuration, or of the environment; undefined where neither has one. */
export function addressOf(config: EventBusConfig, env: NodeJS.ProcessEnv): Address | undefined {
  const given: RedisConfig | undefined =
    typeof config.redis === 'string' ? { url: config.redis } : (config.redis ?? fromEnv(env));
  if (given === undefined) return undefined;
  const { url, parts } = readUrl(given.url);
  const login: Login = {
    username: given.username ?? parts.username,
    password: given.password ?? parts.password,
    database: given.database ?? parts.database,
    tls: tlsOf(given.tls ?? parts.tls),
  };
  const { sentinel, cluster } = given;
  const addressMap = new Map(
    Object.entries(cluster?.addressMap ?? {}).map(([told, to]) => [
      told,
      typeof to === 'string' ? to : `${to.host}:${to.port ?? PORT}`,
    ]),
  );
  const common = { login, isCluster: cluster !== undefined, addressMap };
  if (sentinel !== undefined) return { ...common, places: [], sentinel: sentinelOf(sentinel) };
  if (cluster !== undefined) {
    return { ...common, places: cluster.nodes.map((node) => placeOf(node, PORT)) };
  }
  if (url !== undefined && 'path' in url) return { ...common, places: [url] };
  const host = bare(given.host ?? url?.host ?? '127.0.0.1');
  return { ...common, places: [{ host, port: given.port ?? url?.port ?? PORT }] };
}

function fromEnv(env: NodeJS.ProcessEnv): RedisConfig | undefined {
  const port = /(\d+)$/.exec(env.REDIS_PORT ?? '')?.[1];
  if (env.REDIS_URL) return { url: env.REDIS_URL };
  if (!env.REDIS_HOST) return undefined;
  return {
    host: env.REDIS_HOST,
    ...(port !== undefined && { port: Number(port) }),
    ...(env.REDIS_USERNAME && { username: env.REDIS_USERNAME }),
    ...(env.REDIS_PASSWORD && { password: env.REDIS_PASSWORD }),
    ...(env.REDIS_DB && { database: Number(env.REDIS_DB) }),
    ...(/^(1|true|yes|on)$/i.test(env.REDIS_TLS ?? '') && { tls: true }),
  };
}

interface UrlParts {
  username?: string;
  password?: string;
  database?: number;
  tls?: boolean;
}

function readUrl(text: string | undefined): {
  url?: Place | undefined;
  parts: UrlParts;
} {
  if (text === undefined) return { parts: {} };
  const url = new URL(text);
  const query = url.searchParams;
  const path = url.protocol === 'unix:' ? '' : url.pathname.slice(1);
  const database = path !== '' ? path : query.get('db');
  const username = decodeURIComponent(url.username) || query.get('user');
  const password = decodeURIComponent(url.password) || query.get('pass');
  const parts: UrlParts = {
    ...(username && { username }),
    ...(password && { password }),
    ...(database && { database: Number(database) }),
    ...(/^(rediss|valkeys):$/.test(url.protocol) && { tls: true }),
  };
  if (url.protocol === 'unix:') return { url: { path: decodeURIComponent(url.pathname) }, parts };
  const host = bare(url.hostname || '127.0.0.1');
  return { url: { host, port: url.port === '' ? PORT : Number(url.port) }, parts };
}

/** An IPv6 address is given with or without brackets, and connected to without. */
const bare = (host: string) => host.replace(/^\[(.*)\]$/, '$1');

export function placeOf(
  node: string | { host: string; port?: number | undefined },
  port: number,
): Place {
  if (typeof node !== 'string') return { host: bare(node.host), port: node.port ?? port };
  const [, host = node, own] = /^(.*?)(?::(\d+))?$/.exec(node) ?? [];
  // Two colons and no brackets: an IPv6 address without a port.
  if (/^[^[]*:[^[]*:/.test(node)) return { host: node, port };
  return { host: bare(host), port: own === undefined ? port : Number(own) };
}

function sentinelOf(sentinel: SentinelConfig): NonNullable<Address['sentinel']> {
  const { name, nodes, username, password, tls } = sentinel;
  const login = { username, password, tls: tlsOf(tls) };
  return { name, login, places: nodes.map((node) => placeOf(node, SENTINEL_PORT)) };
}

function tlsOf(tls: boolean | TlsConfig | undefined): ConnectionOptions | undefined {
  if (tls === undefined || tls === false) return undefined;
  if (tls === true) return {};
  const pem = (value: TlsConfig['ca']) =>
    [value ?? []].flat().map((one) => (typeof one === 'string' ? one : Buffer.from(one)));
  const { ca, cert, key, ...rest } = tls;
  return {
    ...(rest as ConnectionOptions),
    ...(ca !== undefined && { ca: pem(ca) }),
    ...(cert !== undefined && { cert: pem(cert) }),
    ...(key !== undefined && { key: pem(key) }),
  };
}
