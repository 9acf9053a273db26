/** The packages that only microservices need; they are loaded with the first use of a class that needs them. */

import type * as Microservices from '@nestjs/microservices' with { 'resolution-mode': 'import' };
import type * as Rxjs from 'rxjs';

export const microservices = require('@nestjs/microservices') as typeof Microservices;
export const rxjs = require('rxjs') as typeof Rxjs;

export type { Microservices, Rxjs };
