import type { Redis } from 'ioredis';

export interface ShopEvent {
  id: string;
  type: string;
  payload: any;
}

export declare function store(
  redis: Redis,
  stream: string,
  type: string,
  payload: unknown,
  id?: string,
): Promise<string>;

export declare function bury(
  redis: Redis,
  stream: string,
  message: unknown,
  error: Error,
): Promise<void>;

export declare class ShopConsumer {
  constructor(
    redis: Redis,
    config: { stream: string; group: string; consumer: string; minIdle: number },
    handler: (event: ShopEvent, messageId: string) => unknown,
  );
  start(): Promise<void>;
  stop(): Promise<void>;
  takeUp(): Promise<void>;
}
