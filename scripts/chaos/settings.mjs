// Who works in a setting, and what goes wrong there.

import { withBefore } from './build.mjs';
import {
  deploy,
  disturbConsumer,
  disturbServer,
  disturbSet,
  growService,
  restartConsumer,
  someBuild,
} from './faults.mjs';
import { createRandom } from './random.mjs';
import { kinds, settings } from './scenario.mjs';

const publishersOf = (setting, program) =>
  settings[setting].publishers.map((params, index) =>
    program('./publisher.mjs', `publisher-${setting}-${index + 1}`, params),
  );

/** Processes and the server are killed and frozen. */
export function rough({ server, program, random, seconds, restarts }) {
  const members = ['billing', 'billing', 'mail'].map((group, index) =>
    program('./consumer.mjs', `consumer-${index + 1}`, { group, known: kinds }),
  );
  const foreign = program('./foreign.mjs', 'foreign', { group: 'mail' });
  const late = program('./consumer.mjs', 'late', { group: 'audit', known: kinds });
  const publishers = publishersOf('rough', program);
  const builds = createRandom(random.seed());

  return {
    publishers,
    consumers: [...members, foreign, late],
    async begin() {
      const first = [...members, ...publishers];
      for (const worker of first) worker.start(someBuild(builds));
      foreign.start();
      // Where consumers are only restarted, all is over too soon for a service that comes late.
      if (restarts > 0) late.start();
      await Promise.all([...first, foreign].map((worker) => worker.ready()));
    },
    async disturb() {
      const generators = [...members, foreign].map(() => createRandom(random.seed()));
      const [ofServer, ofLate] = [random.seed(), random.seed()].map(createRandom);
      let serverKills = 0;
      if (restarts > 0) {
        await Promise.all(
          members.map((worker, index) => restartConsumer(worker, generators[index], restarts)),
        );
      } else {
        const end = Date.now() + seconds * 1000;
        const isOver = () => Date.now() > end;
        [serverKills] = await Promise.all([
          disturbServer(server, ofServer, isOver),
          growService(late, ofLate, isOver, seconds),
          ...[...members, foreign].map((worker, index) =>
            disturbConsumer(worker, generators[index], isOver),
          ),
        ]);
      }
      if (withBefore) await upgrade(members);
      return { serverKills };
    },
  };
}

/** Masters are replaced, and processes are killed and frozen meanwhile. */
export function failover({ server, program, random, seconds }) {
  const members = ['billing', 'billing', 'mail'].map((group, index) =>
    program('./consumer.mjs', `consumer-${index + 1}`, { group, known: kinds }),
  );
  const late = program('./consumer.mjs', 'late', { group: 'audit', known: kinds });
  const publishers = publishersOf('failover', program);
  const first = [...members, ...publishers];

  return {
    publishers,
    consumers: [...members, late],
    async begin() {
      for (const worker of first) worker.start();
      await Promise.all(first.map((worker) => worker.ready()));
    },
    async disturb() {
      const generators = members.map(() => createRandom(random.seed()));
      const [ofServers, ofLate] = [random.seed(), random.seed()].map(createRandom);
      const end = Date.now() + seconds * 1000;
      const isOver = () => Date.now() > end;
      const [faults] = await Promise.all([
        disturbSet(server, ofServers, isOver),
        growService(late, ofLate, isOver, seconds),
        ...members.map((worker, index) => disturbConsumer(worker, generators[index], isOver)),
      ]);
      return faults;
    },
  };
}

/** What this build keeps for later and the build before does not know of is done by a member of this build. */
async function upgrade(members) {
  for (const worker of members) {
    await worker.stop();
    worker.start({ build: 'this' });
  }
}

/** Nothing is killed or frozen; consumers are deployed again and again. */
export function calm({ program, random, seconds }) {
  const members = (group) =>
    [1, 2].map((number) =>
      program('./consumer.mjs', `${group}-${number}`, { group, known: kinds }),
    );
  const [slow, delayed] = [members('slow'), members('deploy')];
  const publishers = publishersOf('calm', program);
  const workers = [...slow, ...delayed, ...publishers];

  return {
    publishers,
    consumers: [...slow, ...delayed],
    async begin() {
      for (const worker of workers) worker.start();
      await Promise.all(workers.map((worker) => worker.ready()));
    },
    async disturb() {
      const end = Date.now() + seconds * 1000;
      const isOver = () => Date.now() > end;
      const generators = [random.seed(), random.seed()].map(createRandom);
      await Promise.all([
        deploy(slow, generators[0], isOver),
        deploy(delayed, generators[1], isOver),
      ]);
      return {};
    },
  };
}
