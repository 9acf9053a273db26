// Answers requests until the parent says stop, and tells what that has cost.

import { loadRequest } from '../support/contestants.mjs';
import { startMeter } from '../support/meter.mjs';

export async function run({ contestant, params, parent }) {
  const { createResponder } = await loadRequest(contestant);
  let handled = 0;
  const responder = await createResponder(params.url, params.type, (data) => {
    handled += 1;
    return data;
  });
  parent.send({ kind: 'ready' });
  await parent.next('measure');
  const meter = startMeter();
  const before = handled;
  await parent.next('measured');
  const { cpu, js } = meter.stop(handled - before);
  parent.send({ kind: 'spent', cpu, js });
  await parent.next('stop');
  await responder.close();
  return {};
}
