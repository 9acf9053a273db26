/** Standard Schema validators per event type. */

import type { StandardSchemaResult, StandardSchemaV1 } from '../../index';
import { busError, describe, type EventBusError, invalidAt } from '../errors';
import type { Handled, RawEvent } from '../native/native';

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

/** The output for `data`, at once or as a promise; what does not fit is thrown: `INVALID_DATA`. */
export function conform(schema: StandardSchemaV1, data: unknown): unknown {
  let result: ReturnType<StandardSchemaV1['~standard']['validate']>;
  try {
    result = schema['~standard'].validate(data);
  } catch (cause) {
    throw misfit(`the schema failed: ${describe(cause)}`, cause);
  }
  if (typeof (result as { then?: unknown }).then === 'function') {
    return Promise.resolve(result).then(output, (cause: unknown) => {
      throw misfit(`the schema failed: ${describe(cause)}`, cause);
    });
  }
  return output(result as StandardSchemaResult<unknown>);
}

/** A received event that does not fit its schema: final, whatever `retryIf` says. */
export class Misfit {
  readonly error: unknown;
  readonly #brand = true;

  /** Unlike `instanceof`, never runs code of the value: a revoked proxy can be thrown too. */
  static is(value: unknown): value is Misfit {
    return typeof value === 'object' && value !== null && #brand in value;
  }

  constructor(error: unknown) {
    this.error = error;
  }
}

/** Gives received events the output of their schemas, at once or later. Throws a `Misfit`. */
export function receive(schemas: Schemas, event: Handled): Promise<void> | undefined {
  if (!Array.isArray(event)) return receiveOne(schemas, event);
  const later: Promise<void>[] = [];
  for (const one of event) {
    try {
      const fitting = receiveOne(schemas, one);
      if (fitting !== undefined) later.push(fitting.catch((misfit) => rejectOf(one, misfit)));
    } catch (misfit) {
      for (const fitting of later) fitting.catch(() => {});
      rejectOf(one, misfit as Misfit);
    }
  }
  return later.length === 0 ? undefined : Promise.all(later).then(() => {});
}

function receiveOne(schemas: Schemas, event: RawEvent): Promise<void> | undefined {
  const schema = schemas.get(event.type);
  if (schema === undefined) return undefined;
  let data: unknown;
  try {
    data = conform(schema, event.data);
  } catch (error) {
    throw new Misfit(error);
  }
  if (data instanceof Promise) {
    return data.then(
      (value) => {
        event.data = value;
      },
      (error) => {
        throw new Misfit(error);
      },
    );
  }
  event.data = data;
  return undefined;
}

/** Of a batch, the error tells which event it is. */
function rejectOf(event: RawEvent, { error }: Misfit): never {
  const { path } = error as EventBusError;
  const message = `event ${event.id}: ${describe(error)}`;
  throw new Misfit(busError('ERR_BUS_INVALID_DATA', message, { cause: error, path }));
}

function output(result: StandardSchemaResult<unknown>): unknown {
  if (result.issues === undefined) return result.value;
  const first = result.issues[0];
  const path = first?.path?.map((step) => String(typeof step === 'object' ? step.key : step));
  const at = ['data', ...(path ?? [])].join('.');
  throw misfit(`${at}: ${first?.message ?? 'does not fit its schema'}`, result.issues, at);
}

function misfit(message: string, cause: unknown, path = 'data'): EventBusError {
  return busError('ERR_BUS_INVALID_DATA', message, { cause, path });
}
