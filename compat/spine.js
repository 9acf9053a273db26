'use strict';

module.exports = require('../dist/compat/spine.js');
