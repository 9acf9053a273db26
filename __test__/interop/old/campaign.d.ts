import type { Redis } from 'ioredis';

export interface CampaignEvent {
  metadata: {
    eventId: string;
    eventType: string;
    timestamp: string | Date;
    source: string;
    correlationId?: string;
    causationId?: string;
  };
  data: any;
}

export declare function fieldsOf(list: readonly string[]): Record<string, string>;
export declare function makeEvent(
  eventType: string,
  data: unknown,
  eventId?: string,
): CampaignEvent;

export declare class CampaignPublisher {
  constructor(redis: Redis);
  store(stream: string, event: CampaignEvent): Promise<string>;
  storeAndPublish(stream: string, event: CampaignEvent): Promise<string>;
}

export interface ConsumerConfig {
  stream: string;
  group: string;
  consumer: string;
  batchSize?: number;
  blockTime?: number;
  minIdle?: number;
}

export declare class CampaignConsumer {
  constructor(
    redis: Redis,
    config: ConsumerConfig,
    handler: (event: CampaignEvent, messageId: string) => unknown,
  );
  start(): Promise<void>;
  stop(): Promise<void>;
  takeUp(): Promise<number>;
}

export declare class CampaignListener {
  constructor(redis: Redis);
  start(handler: (event: CampaignEvent) => void): Promise<void>;
  stop(): Promise<void>;
}
