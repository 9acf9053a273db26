/**
 * The packages of Nest, as this package requires them: those of the service, which has installed them. Nest 12 is written in
 * modules that Node.js can also require, from 20.19 and 22.12 on.
 */

import type * as Common from '@nestjs/common' with { 'resolution-mode': 'import' };
import type * as Core from '@nestjs/core' with { 'resolution-mode': 'import' };

export const common = require('@nestjs/common') as typeof Common;
export const core = require('@nestjs/core') as typeof Core;

export type { Common, Core };
