// Data whose objects differ in their keys, which a reader that learns the shapes of objects must not suffer from.

import { randomFillSync } from 'node:crypto';

/** Fields of which each event has a selection of its own. */
const OPTIONAL = {
  status: 'shipped',
  currency: 'EUR',
  coupon: 'WELCOME-10',
  giftWrap: true,
  referrer: 'newsletter',
  notes: 'Please ring twice.',
  weight: 1.25,
  address: { street: 'Long Street 1', city: 'Springfield', country: 'XX' },
  carrier: 'parcel-service',
  priority: 2,
  items: [{ sku: 'A-1001', quantity: 2, price: 39.95 }],
};
const NAMES = Object.keys(OPTIONAL);

/**
 * So many different shapes of a top-level object, up to 2,048: orders of which each has other optional fields, as many
 * publishers leave out what does not apply. 270 bytes each on average.
 */
export function optionalFields(count) {
  return Array.from({ length: count }, (_, selection) => {
    const given = NAMES.filter((_, bit) => (selection >> bit) & 1);
    return {
      orderId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c07398f',
      customerId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c0739aa',
      total: 129.9,
      ...Object.fromEntries(given.map((name) => [name, OPTIONAL[name]])),
    };
  });
}

/** What a place for a key begins with; two digits follow. */
const PLACE = '~fresh';
const LENGTH = PLACE.length + 2;
const place = (n) => PLACE + String(n).padStart(2, '0');

/** 300 bytes whose sixteen keys, on four levels, are all places that `freshKeys` fills. */
export const newKeys = {
  [place(0)]: '0192f0c1-7a4e-7cc3-98c4-dc0c0c07398f',
  [place(1)]: 'shipped',
  [place(2)]: 129.9,
  [place(3)]: {
    [place(4)]: 'Long Street 1',
    [place(5)]: 'Springfield',
    [place(6)]: { [place(7)]: true, [place(8)]: 7 },
  },
  [place(9)]: [
    { [place(10)]: 'A-1001', [place(11)]: 2 },
    { [place(12)]: 'B-2002', [place(13)]: { [place(14)]: 1 } },
  ],
  [place(15)]: null,
};

/** 32 letters, so that a random byte chooses one without division. */
const LETTERS = Buffer.from('abcdefghijklmnopqrstuvwxyzABCDEF');

/**
 * Makes copies of a text of events (ASCII) in which every place for a key is taken by eight random letters. They are 40
 * random bits, so that a key hardly ever comes twice.
 *
 * @param {Buffer} text
 * @returns {() => Buffer}
 */
export function freshKeys(text) {
  const places = [];
  for (let at = text.indexOf(PLACE); at >= 0; at = text.indexOf(PLACE, at + LENGTH)) {
    places.push(at);
  }
  const random = Buffer.alloc(places.length * LENGTH);
  return () => {
    randomFillSync(random);
    const copy = Buffer.from(text);
    let next = 0;
    for (const at of places) {
      for (let letter = 0; letter < LENGTH; letter += 1) {
        copy[at + letter] = LETTERS[random[next] & 31];
        next += 1;
      }
    }
    return copy;
  };
}
