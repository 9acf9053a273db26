/** Standard Schema validators per event type. */

import type { StandardSchemaResult, StandardSchemaV1 } from '../index';
import { busError, describe, type EventBusError, invalidAt } from './errors';

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
