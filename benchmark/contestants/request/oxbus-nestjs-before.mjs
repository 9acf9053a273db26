import { requireBefore } from '../../support/before.mjs';
import { nestRequestsOf } from './nestjs-build.mjs';

/** Another build of Oxbus as a transport of Nest. */
export const { createResponder, createRequester } = nestRequestsOf(requireBefore('nestjs.js'));
