// No bus at all: the JSON that every bus has to make or read, in the same loop. Receiving is driven
// by tasks/receive.mjs, which hands this contestant the text of an event.

export function createBus() {
  return {
    async connect() {},
    async publish(_type, data) {
      JSON.stringify(data);
    },
    async subscribe() {},
    async close() {},
  };
}
