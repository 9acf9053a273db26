'use strict';

module.exports = require('../dist/compat/photo.js');
