'use strict';

module.exports = require('./dist/socket.io.js');
