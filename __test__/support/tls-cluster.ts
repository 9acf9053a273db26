/** A Cluster whose nodes speak TLS to clients and to each other, where the server is built with TLS; else TLS is in front of them. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import type { ClusterConfig } from '../..';
import { Certificate } from './certificates';
import { ClusterSet, nodePort } from './cluster-set';

export const authority = new Certificate({ name: 'authority', authority: true, hosts: [] });
/** It has a name, while the nodes announce IP addresses. */
const leaf = new Certificate({ name: 'node', issuer: authority, hosts: ['localhost'] });

/** Whether the server has been built with TLS: one that has misses the certificate, any other one the TLS, and both end. */
export function isBuiltWithTls(): boolean {
  const { stdout } = spawnSync('redis-server', ['--port', '0', '--tls-port', '1'], {
    encoding: 'utf8',
    timeout: 10_000,
  });
  return stdout.includes('No tls-cert-file configured');
}

export class TlsCluster {
  readonly set: ClusterSet;
  /** How a client with TLS reaches the nodes. */
  readonly config: ClusterConfig;
  readonly #folder: string;
  readonly #fronts: TlsFront[];

  private constructor(
    set: ClusterSet,
    config: ClusterConfig,
    folder: string,
    fronts: TlsFront[] = [],
  ) {
    this.set = set;
    this.config = config;
    this.#folder = folder;
    this.#fronts = fronts;
  }

  static async start(): Promise<TlsCluster> {
    const folder = mkdtempSync(join(tmpdir(), 'oxbus-tls-'));
    if (isBuiltWithTls()) {
      const ports = await Promise.all(Array.from({ length: 3 }, nodePort));
      const files = { 'ca-cert': authority.cert, cert: leaf.cert, key: leaf.key };
      const certificates = Object.entries(files).flatMap(([name, pem]) => {
        writeFileSync(join(folder, name), pem);
        return [`--tls-${name}-file`, join(folder, name)];
      });
      const set = await ClusterSet.start({
        args: (at) => [
          ...['--tls-port', String(ports[at]), '--tls-auth-clients', 'no'],
          ...['--tls-cluster', 'yes', ...certificates],
        ],
        met: (at) => ports[at] as number,
      });
      return new TlsCluster(set, { nodes: [`localhost:${ports[0]}`] }, folder);
    }
    const set = await ClusterSet.start();
    const fronts = await Promise.all(set.nodes.map(({ port }) => TlsFront.start(port)));
    const addressMap = Object.fromEntries(
      set.addresses.map((address, at) => [address, `127.0.0.1:${fronts[at]?.port}`]),
    );
    const nodes = [`localhost:${fronts[0]?.port}`];
    return new TlsCluster(set, { nodes, addressMap }, folder, fronts);
  }

  async stop(): Promise<void> {
    await Promise.all(this.#fronts.map((front) => front.stop()));
    await this.set.stop();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** TLS in front of a server, with the TLS of Node. */
class TlsFront {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(to: number) {
    const keep = (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#sockets.delete(socket));
    };
    this.#server = createServer({ cert: leaf.cert, key: leaf.key }, (client) => {
      const back = connect(to, '127.0.0.1');
      for (const socket of [client, back]) keep(socket);
      client.pipe(back).pipe(client);
      client.on('close', () => back.destroy());
      back.on('close', () => client.destroy());
    });
    this.#server.on('connection', keep);
    this.#server.on('tlsClientError', () => {});
  }

  static async start(to: number): Promise<TlsFront> {
    const front = new TlsFront(to);
    await new Promise<void>((listening) => front.#server.listen(0, '127.0.0.1', listening));
    return front;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((closed) => this.#server.close(closed));
  }
}
