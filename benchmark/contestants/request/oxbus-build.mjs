// This file imports no build, so that a process of one build has no other one in its memory.

/** Requests and replies of a build of Oxbus. */
export function requestsOf(Client) {
  const open = (redis) => new Client({ redis, logger: false });
  return {
    async createResponder(url, type, handler) {
      const bus = open(url);
      await bus.respond(type, ({ data }) => handler(data));
      return { close: () => bus.disconnect() };
    },
    async createRequester(url) {
      const bus = open(url);
      await bus.connect();
      return { request: (type, data) => bus.request(type, data), close: () => bus.disconnect() };
    },
  };
}
