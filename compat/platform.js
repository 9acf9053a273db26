'use strict';

module.exports = require('../dist/compat/platform.js');
