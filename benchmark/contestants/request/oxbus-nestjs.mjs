import nestjs from '../../../nestjs.js';
import { nestRequestsOf } from './nestjs-build.mjs';

/** Oxbus as a transport of Nest. */
export const { createResponder, createRequester } = nestRequestsOf(nestjs);
