'use strict';

// A plain re-export: `import { EventBusClient } from 'oxbus'` finds the names through it.
module.exports = require('./dist/index.js');
