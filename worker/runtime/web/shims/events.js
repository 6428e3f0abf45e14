// node:events: no signal has a greatest number of listeners here.
module.exports = { getMaxListeners: () => 0, setMaxListeners() {}, defaultMaxListeners: 0, EventEmitter: class {} };
