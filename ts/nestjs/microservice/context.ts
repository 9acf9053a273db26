/** What handlers and callers of `OxbusServer` and `OxbusClient` get and give. */

import type { BusEvent, HandlerContext, PublishOptions } from '../../../index';
import { common } from '../packages';
import { microservices, type Rxjs, rxjs } from './packages';
import { PACKET } from './protocol';

export class OxbusContext extends microservices.BaseRpcContext<[BusEvent, HandlerContext]> {
  getEvent(): BusEvent {
    return this.getArgByIndex(0);
  }

  getHandlerContext(): HandlerContext {
    return this.getArgByIndex(1);
  }

  getMetadata(): Record<string, string> | undefined {
    const said: unknown = this.getEvent().metadata[PACKET];
    return typeof said === 'object' && said !== null ? (said as Record<string, string>) : undefined;
  }
}

export class OxbusRecord<T = unknown> {
  readonly data: T;
  readonly options: PublishOptions;

  constructor(data: T, options: PublishOptions = {}) {
    this.data = data;
    this.options = options;
  }
}

export class OxbusExceptionFilter {
  catch(exception: unknown): Rxjs.Observable<never> {
    return rxjs.throwError(() => exception);
  }
}

// Without a class it catches everything.
common.Catch()(OxbusExceptionFilter);
