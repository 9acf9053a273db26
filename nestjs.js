'use strict';

module.exports = require('./dist/nestjs.js');
