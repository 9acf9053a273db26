// One consumer process of several: tells the parent of every run of a handler, which then counts it,
// holds it until the end, or blocks the event loop.

function block(ms) {
  const until = Date.now() + ms;
  while (Date.now() < until);
}

export async function run({ loadStreams, params, parent }) {
  const { url, stream, group, concurrency, lease, act, ms } = params;
  const { createConsumer } = await loadStreams();
  const consumer = createConsumer(url, { stream, groups: [group], concurrency, lease });
  let release;
  const released = new Promise((resolve) => {
    release = resolve;
  });
  const acts = { count: () => {}, hold: () => released, block: () => block(ms) };

  await consumer.start(async ({ id }) => {
    // The message has to be out before anything blocks or ends this process.
    await new Promise((sent) => process.send({ kind: 'run', id, at: Date.now() }, sent));
    await acts[act]();
    parent.send({ kind: 'ran', id, at: Date.now() });
  });
  parent.send({ kind: 'ready' });
  await parent.next('stop');
  parent.send({ kind: 'stopping', at: Date.now() });
  const closed = consumer.close();
  release();
  await closed;
  return {};
}
