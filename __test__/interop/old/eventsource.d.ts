import type { Redis } from 'ioredis';
import type { ConsumerConfig } from './campaign';

export interface DomainEvent extends Record<string, any> {
  event_id: string;
  event_type: string;
  aggregate_id: string;
}

export declare function makeDomainEvent(type: string, data: object, id?: string): DomainEvent;
export declare function storeDomainEvent(
  redis: Redis,
  stream: string,
  event: DomainEvent,
): Promise<string>;

export declare class EventsourceConsumer {
  constructor(
    redis: Redis,
    config: Omit<ConsumerConfig, 'batchSize'> & { types: readonly string[]; maxRetries?: number },
    handler: (event: DomainEvent, messageId: string) => unknown,
  );
  start(): Promise<void>;
  stop(): Promise<void>;
  takeUp(): Promise<number>;
}
