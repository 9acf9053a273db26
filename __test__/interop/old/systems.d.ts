import type { Redis } from 'ioredis';
import type { ConsumerConfig } from './campaign';

export interface OldEvent {
  id: string;
  type: string;
  data: any;
}

export interface OldConsumer {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Claims what is idle for long enough, and handles it. Answers how many entries it claimed. */
  takeUp(): Promise<number>;
}

export interface OldSystem {
  wire: 'campaign' | 'eventsource';
  stream: string;
  letters: string;
  type: string;
  /** The type of events that no handler takes. */
  broken: string;
  store(redis: Redis, stream: string, type: string, data: object): Promise<string>;
  consumer(
    redis: Redis,
    config: ConsumerConfig,
    handler: (event: OldEvent, messageId: string) => unknown,
  ): OldConsumer;
}

export declare const systems: Record<'campaign' | 'eventsource', OldSystem>;
