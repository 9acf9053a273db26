'use strict';

module.exports = require('../dist/compat/campaign.js');
