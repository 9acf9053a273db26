/** A generator whose whole sequence follows from its seed (mulberry32). */
export function createRandom(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low, high) => low + next() * (high - low);
  return {
    next,
    between,
    chance: (share) => next() < share,
    pick: (list) => list[Math.floor(next() * list.length)],
    shuffled(list) {
      const rest = [...list];
      return list.map(() => rest.splice(Math.floor(next() * rest.length), 1)[0]);
    },
    /** A seed for another generator. */
    seed: () => Math.floor(next() * 2 ** 32),
  };
}
