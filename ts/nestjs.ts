/** `oxbus/nestjs`: the bus in an application of NestJS. */

import type * as Microservice from './nestjs/microservice';

export {
  EventContext,
  EventData,
  InjectBus,
  OnEvent,
  WholeEvent,
} from './nestjs/decorators';
export { OxbusHealthIndicator } from './nestjs/health';
export { typeOfPattern } from './nestjs/microservice/patterns';
export { OxbusModule } from './nestjs/module';
export { getBusToken } from './nestjs/tokens';

// Loaded with their first use, as `@nestjs/microservices` is not there in every application. Declared, so that programs in modules
// find their names.
export let OxbusClient: typeof Microservice.OxbusClient;
export let OxbusContext: typeof Microservice.OxbusContext;
export let OxbusExceptionFilter: typeof Microservice.OxbusExceptionFilter;
export let OxbusRecord: typeof Microservice.OxbusRecord;
export let OxbusServer: typeof Microservice.OxbusServer;

for (const name of [
  'OxbusClient',
  'OxbusContext',
  'OxbusExceptionFilter',
  'OxbusRecord',
  'OxbusServer',
] as const) {
  Object.defineProperty(exports, name, {
    enumerable: true,
    configurable: true,
    get: () => (require('./nestjs/microservice') as typeof Microservice)[name],
  });
}
