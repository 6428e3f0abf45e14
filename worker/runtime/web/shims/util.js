// node:util
const types = require('./util_types.js');

// Shows any value, for messages of errors.
function inspect(value) { return runtime.show(value); }
inspect.custom = Symbol.for('nodejs.util.inspect.custom');

module.exports = { types, inspect, formatWithOptions: (options, value) => runtime.inspect(value, options) };
