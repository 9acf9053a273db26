'use strict';

module.exports = require('../dist/compat/eventsource.js');
