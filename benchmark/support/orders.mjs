// Business events: what a service tells others of an order.

/** 300 bytes as JSON, about 500 with the envelope. */
export const small = {
  orderId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c07398f',
  customerId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c0739aa',
  status: 'shipped',
  total: 129.9,
  currency: 'EUR',
  items: [
    { sku: 'A-1001', quantity: 2, price: 39.95 },
    { sku: 'B-2002', quantity: 1, price: 50 },
  ],
  address: { street: 'Long Street 1', city: 'Springfield', country: 'XX' },
};

const ITEMS = [
  'Desk lamp, brass',
  'Notebook A5, dotted',
  'Fountain pen, fine nib',
  'Ink, 50 ml, royal blue',
  'Bookends, walnut, pair',
  'Wall clock, silent',
  'Café au lait bowl, 0.5 l',
  'Tea towel, linen',
  'Cutting board, oak',
  'Bread knife, 24 cm',
  'Pepper mill, 18 cm',
  'Enamel jug, 1.5 l',
  'Storage jar, 0.75 l',
  'Candle, beeswax',
  'Doormat, coir',
];

/** 2.8 KB as JSON, 3 KB with the envelope: an order of fifteen items with nested addresses, its payment, totals and notes. */
export const medium = {
  orderId: '0192f0c1-7a4e-7cc3-98c4-dc0c0c07398f',
  number: 'ORD-2026-0048213',
  status: 'shipped',
  placedAt: '2026-11-21T09:14:07.312Z',
  channel: 'web',
  currency: 'EUR',
  customer: {
    id: '0192f0c1-7a4e-7cc3-98c4-dc0c0c0739aa',
    name: 'Zoë Müller',
    email: 'zoe.mueller@example.com',
    phone: null,
    addresses: {
      billing: {
        lines: ['Long Street 1', '2nd floor'],
        postalCode: '12345',
        city: 'Springfield',
        country: 'XX',
      },
      shipping: {
        lines: ['Harbour Road 42'],
        postalCode: '54321',
        city: 'Shelbyville',
        country: 'XX',
        location: { latitude: 53.54327, longitude: 9.96682 },
      },
    },
  },
  items: ITEMS.map((name, at) => ({
    line: at + 1,
    sku: `${String.fromCharCode(65 + at)}-${1001 + at * 37}`,
    name,
    quantity: 1 + (at % 3),
    price: (at * 725 + 495) / 100,
    taxRate: at % 4 === 0 ? 0.07 : 0.19,
    discounted: at % 5 === 0,
  })),
  payment: { method: 'card', authorized: true, reference: 'pi_3QK8x2LkdIwHu7ix0c5mT9vB' },
  totals: { net: 1206.72, tax: 214.31, shipping: 4.9, discount: 25.5, gross: 1400.43 },
  notes: [
    {
      author: 'customer',
      at: '2026-11-21T09:13:51.004Z',
      text: 'Please ring twice; the bell of the "front" house is broken.\nThank you!',
    },
    {
      author: 'warehouse',
      at: '2026-11-21T13:40:26.880Z',
      text: 'Packed in two parcels, because line 9 is too long for a box of size M.',
    },
  ],
  parcels: ['00340434161094042557', '00340434161094042564'],
};
