/** What needs `@nestjs/microservices`. */

export { OxbusClient } from './microservice/client';
export { OxbusContext, OxbusExceptionFilter, OxbusRecord } from './microservice/context';
export { OxbusServer } from './microservice/server';
