/** Publishing through a client: the schema of the type, the JSON of the data, the hooks for tracing, and the publisher. */

import type { PublishOptions, PublishResult } from '../../index';
import { type EventBusError, notSent, rejectNotSent } from '../errors';
import { handledEvent } from '../handle/current-event';
import type {
  Instrumentation,
  InstrumentedCalls,
  PublishCall,
  TraceContext,
} from '../instrumentation';
import type { Recipients, Settings } from '../native/native';
import { Batch, type PublishWatcher, resultOf } from '../publish/batch';
import { textOfData } from '../publish/data-text';
import type { LossyValues } from '../publish/lossy-values';
import {
  type OwnOptions,
  ownOptions,
  ownOptionsJson,
  type ParsedPublishOptions,
  parsePublishOptions,
  tracedOptions,
} from '../publish/publish-options';
import type { Publisher } from '../publish/publisher';
import { TracedEvent, tracedPublish } from '../publish/traced-publish';
import type { RawJson } from '../raw-json';
import { type Schemas, validateWith } from '../validation/schemas';

/** Data as it crosses to the engine. */
export type DataText = string | RawJson;

/** What publishing needs of its client. */
export interface PublishingParts {
  readonly settings: Settings;
  readonly publisher: Publisher;
  readonly lossy: LossyValues;
  readonly schemas: Schemas | undefined;
  readonly instrumented: InstrumentedCalls;
  /** Begins to connect, if nothing has yet. */
  start(): void;
  refuseIfClosing(): void;
  refuseIfClosed(): void;
}

export class Publishing {
  readonly #parts: PublishingParts;
  readonly #schemas: Schemas | undefined;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.#schemas = parts.schemas;
  }

  publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to?: Recipients,
  ): Batch | Promise<PublishResult> {
    const hooks = this.#parts.instrumented.current;
    try {
      if (hooks === undefined) return this.#publish(type, data, options, to);
      return this.#publishWithin(hooks, { type, data, options, to });
    } catch (error) {
      throw notSent(error);
    }
  }

  #publishWithin(hooks: Instrumentation, call: PublishCall): Batch | Promise<PublishResult> {
    const { instrumented } = this.#parts;
    const { type, data, options, to } = call;
    const open = hooks.publish(call);
    try {
      const added = this.#publish(type, data, options, to, open.trace);
      if (!(added instanceof Batch)) return tracedPublish(instrumented, open, added);
      // The one promise that all events of a batch have is enough.
      added.watch(new TracedEvent(instrumented, open), false);
      return added;
    } catch (error) {
      notSent(error);
      instrumented.publishFailed(open, error);
      throw error;
    }
  }

  /** Checks a type and data and writes the data as it is now: at once, unless its schema takes time. */
  prepare(type: string, data: unknown): DataText | Promise<DataText> {
    this.#parts.refuseIfClosing();
    this.#parts.publisher.checkType(type);
    const schema = this.#schemas?.get(type);
    if (schema === undefined) return this.write(type, data);
    const output = validateWith(schema, data);
    const write = (value: unknown) => this.write(type, value);
    return output instanceof Promise ? output.then(write) : write(output);
  }

  /** The data of a reply to a request of this type as it crosses. Throws `INVALID_DATA`. */
  write(type: string, data: unknown): DataText {
    return textOfData(data, type, this.#parts.lossy);
  }

  /** Publishes prepared data to a user, also while the client closes. Throws `CLOSED` once it has. */
  send(type: string, data: DataText, options: OwnOptions): Promise<PublishResult> {
    const hooks = this.#parts.instrumented.current;
    return hooks === undefined
      ? resultOf(this.#own(type, data, options))
      : this.#traced(hooks, type, data, options);
  }

  /** The same for a caller who does not wait: `watcher` is told of the outcome. */
  post(type: string, data: DataText, options: OwnOptions, watcher: PublishWatcher): void {
    const { publisher, settings, instrumented } = this.#parts;
    const hooks = instrumented.current;
    this.#begin();
    if (hooks === undefined) {
      const { isQuiet } = options;
      const json = ownOptionsJson(options, settings.inherit, undefined, isQuiet);
      if (isQuiet && !publisher.isKept) publisher.addQuiet(type, data, json, watcher);
      else publisher.addWatched(type, data, ownOptions(json, options), watcher, isQuiet);
    } else {
      const published = (result: PublishResult) => watcher.published(result);
      const failed = (error: EventBusError) => watcher.failed(error);
      this.#traced(hooks, type, data, options).then(published, failed);
    }
  }

  #own(type: string, data: DataText, options: OwnOptions, trace?: TraceContext) {
    this.#begin();
    const { publisher, settings } = this.#parts;
    // Someone waits for the result.
    const json = ownOptionsJson(options, settings.inherit, trace, false);
    return publisher.add(type, data, ownOptions(json, options));
  }

  #begin(): void {
    this.#parts.refuseIfClosed();
    this.#parts.start();
  }

  #traced(
    hooks: Instrumentation,
    type: string,
    data: DataText,
    options: OwnOptions,
  ): Promise<PublishResult> {
    this.#parts.refuseIfClosed();
    const { instrumented } = this.#parts;
    const to = { user: options.to.user };
    const open = hooks.publish({ type, data, options: undefined, to });
    return tracedPublish(instrumented, open, resultOf(this.#own(type, data, options, open.trace)));
  }

  #publish(
    type: string,
    data: unknown,
    options: PublishOptions | undefined,
    to: Recipients | undefined,
    trace?: TraceContext,
  ): Batch | Promise<PublishResult> {
    // While the client closes, handlers that it waits for may still publish.
    if (handledEvent() === undefined) this.#parts.refuseIfClosing();
    else this.#parts.refuseIfClosed();
    const { inherit } = this.#parts.settings;
    let parsed: ParsedPublishOptions | undefined;
    // What the bus itself has to say of an event is read and checked by nobody.
    let own: string | undefined;
    if (options !== undefined || to !== undefined || trace?.baggage !== undefined) {
      parsed = parsePublishOptions(options, to, inherit, trace);
    } else if (trace !== undefined) own = tracedOptions(inherit, trace);
    if (this.#schemas !== undefined) {
      const schema = this.#schemas.get(type);
      if (schema !== undefined) {
        const output = validateWith(schema, data);
        if (!(output instanceof Promise)) return this.#add(type, output, parsed, own);
        const checked = output.then((value) => {
          this.#parts.refuseIfClosed();
          return resultOf(this.#add(type, value, parsed, own));
        });
        return checked.catch(rejectNotSent);
      }
    }
    return this.#add(type, data, parsed, own);
  }

  #add(
    type: string,
    data: unknown,
    options: ParsedPublishOptions | undefined,
    own: string | undefined,
  ): Batch | Promise<PublishResult> {
    const text = this.write(type, data);
    this.#parts.start();
    return this.#parts.publisher.add(type, text, options, own);
  }
}
