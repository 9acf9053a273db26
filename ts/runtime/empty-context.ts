/**
 * The asynchronous context that the bus calls the code of its users in: an empty one, whoever publishes, subscribes or
 * happens to load this module (`docs/design/contexts.md`).
 */

import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks';
import { native } from '../native/native';

/**
 * To those who follow resources (`async_hooks`) it is over as soon as it is made: it stands for nothing that is open, and
 * `jest --detectOpenHandles` names what is not over. The context in it stays.
 */
function newResource(): AsyncResource {
  const resource = new AsyncResource('Oxbus', { requireManualDestroy: true });
  resource.emitDestroy();
  return resource;
}

/** Nothing runs in it but what makes other resources: what is entered in a resource may stay there. */
const root = native.withoutContext(newResource);

/** Made anew at next to no cost: an object that inherits the ids of the root, and the root holds nothing else. */
const Child = function Child() {} as unknown as new () => AsyncResource;
Child.prototype = root;

/** Whether a storage that is entered in one resource is still entered in the next one. */
function leaks(next: () => AsyncResource): boolean {
  const probe = new AsyncLocalStorage<boolean>();
  try {
    next().runInAsyncScope(() => probe.enterWith(true));
    return next().runInAsyncScope(() => probe.getStore() === true);
  } catch {
    // The resources of Bun have no children.
    return true;
  } finally {
    probe.disable();
  }
}

/**
 * Where the context is a frame (Node 24, Bun), a resource restores it when it is left, and one serves all calls. Where
 * the context is kept in the resource (Node 20 and 22), each call needs its own.
 */
function sourceOfResources(): () => AsyncResource {
  const trial = native.withoutContext(newResource);
  if (!leaks(() => trial)) return () => root;
  if (!leaks(() => new Child())) return () => new Child();
  return () => root.runInAsyncScope(newResource);
}

/** A resource with an empty context, for one call. */
export const emptyContext: () => AsyncResource = sourceOfResources();
