// NestJS: a provider that handles events, in a group. A service in TypeScript writes `@OnEvent(…)`; without
// a compiler a decorator is a function that is called with what it stands before.

import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { getBusToken, OnEvent, OxbusModule } from 'oxbus/nestjs';
import { connection } from './connection.mjs';

/** Puts a decorator before a method. */
function decorate(type, method, decorator) {
  decorator(type.prototype, method, Object.getOwnPropertyDescriptor(type.prototype, method));
}

let finish;
const billed = new Promise((resolve) => {
  finish = resolve;
});

class Billing {
  bill({ data }, ctx) {
    console.log('billed', data.orderId, 'in the group', ctx.group);
    finish();
  }
}
decorate(Billing, 'bill', OnEvent('order.placed', { group: 'billing' }));

class AppModule {}
Module({
  imports: [
    OxbusModule.forRoot({
      serviceName: 'billing',
      logLevel: 'warn',
      ...connection,
      streams: [{ name: `oxbus-example-nestjs:${process.pid}`, events: 'order.*' }],
    }),
  ],
  providers: [Billing],
})(AppModule);

const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const bus = app.get(getBusToken());
await bus.publish('order.placed', { orderId: '4711' });
await billed;
await app.close(); // handlers end, and the client disconnects
console.log('state:', bus.state);
console.log('ok');
