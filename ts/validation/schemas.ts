/** Standard Schema validators per event type. */

import type { StandardSchemaResult, StandardSchemaV1 } from '../../index';
import { busError, describe, type EventBusError, invalidAt } from '../errors';
import type { HandlerInput, RawEvent } from '../native/native';
import { RawJson } from '../raw-json';

export type Schemas = ReadonlyMap<string, StandardSchemaV1>;

/** The validators of a configuration, by type. */
export function readSchemas(value: unknown): Schemas | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'object' || value === null) {
    throw invalidAt('ERR_BUS_INVALID_CONFIG', 'schemas', 'must be an object');
  }
  const schemas = new Map<string, StandardSchemaV1>();
  for (const [type, schema] of Object.entries(value)) {
    if (typeof schema?.['~standard']?.validate !== 'function') {
      throw invalidAt('ERR_BUS_INVALID_CONFIG', `schemas.${type}`, 'is not a Standard Schema');
    }
    schemas.set(type, schema);
  }
  return schemas.size > 0 ? schemas : undefined;
}

/** The output of a schema for `data`, or a promise of it. Throws, or rejects with, `INVALID_DATA`. */
export function validateWith(schema: StandardSchemaV1, data: unknown): unknown {
  const value = RawJson.is(data) ? parsed(data) : data;
  let result: ReturnType<StandardSchemaV1['~standard']['validate']>;
  try {
    result = schema['~standard'].validate(value);
  } catch (cause) {
    throw invalidData(`the schema failed: ${describe(cause)}`, cause);
  }
  if (typeof (result as { then?: unknown }).then === 'function') {
    return Promise.resolve(result).then(output, (cause: unknown) => {
      throw invalidData(`the schema failed: ${describe(cause)}`, cause);
    });
  }
  return output(result as StandardSchemaResult<unknown>);
}

function parsed(data: RawJson): unknown {
  try {
    return data.parse();
  } catch (cause) {
    throw invalidData(`data is not JSON: ${describe(cause)}`, cause);
  }
}

/** A received event does not match its schema. That is final, whatever `retryIf` says. */
export class SchemaMismatch {
  readonly error: unknown;
  readonly #brand = true;

  /** Unlike `instanceof`, this never runs code of the value: a handler may also throw a revoked proxy. */
  static is(value: unknown): value is SchemaMismatch {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * Gives received events the outputs of their schemas as data, at once or, where a promise is returned, later. Throws, or
 * rejects with, a `SchemaMismatch`.
 */
export function validateReceived(schemas: Schemas, event: HandlerInput): Promise<void> | undefined {
  if (!Array.isArray(event)) return validateOne(schemas, event);
  const later: Promise<void>[] = [];
  for (const one of event) {
    try {
      const validated = validateOne(schemas, one);
      if (validated !== undefined) {
        later.push(validated.catch((mismatch) => rethrowFor(one, mismatch)));
      }
    } catch (mismatch) {
      for (const validated of later) validated.catch(() => {});
      rethrowFor(one, mismatch as SchemaMismatch);
    }
  }
  return later.length === 0 ? undefined : Promise.all(later).then(() => {});
}

function validateOne(schemas: Schemas, event: RawEvent): Promise<void> | undefined {
  const schema = schemas.get(event.type);
  if (schema === undefined) return undefined;
  let data: unknown;
  try {
    data = validateWith(schema, event.data);
  } catch (error) {
    throw new SchemaMismatch(error);
  }
  // Who asked for text gets the text that has passed.
  const isRaw = RawJson.is(event.data);
  if (data instanceof Promise) {
    return data.then(
      (value) => {
        if (!isRaw) event.data = value;
      },
      (error) => {
        throw new SchemaMismatch(error);
      },
    );
  }
  if (!isRaw) event.data = data;
  return undefined;
}

/** Adds to the error of an event in a batch which event it is. */
function rethrowFor(event: RawEvent, { error }: SchemaMismatch): never {
  const { path } = error as EventBusError;
  const message = `event ${event.id}: ${describe(error)}`;
  throw new SchemaMismatch(busError('ERR_BUS_INVALID_DATA', message, { cause: error, path }));
}

function output(result: StandardSchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value;
  const first = result.issues[0];
  const path = first?.path?.map((step) => String(typeof step === 'object' ? step.key : step));
  const at = ['data', ...(path ?? [])].join('.');
  throw invalidData(`${at}: ${first?.message ?? 'does not fit its schema'}`, result.issues, at);
}

function invalidData(message: string, cause: unknown, path = 'data'): EventBusError {
  return busError('ERR_BUS_INVALID_DATA', message, { cause, path });
}
