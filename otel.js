'use strict';

module.exports = require('./dist/otel.js');
