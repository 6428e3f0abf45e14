// node:events. Signals have no maximum number of listeners here.
module.exports = { getMaxListeners: () => 0, setMaxListeners() {}, defaultMaxListeners: 0, EventEmitter: class {} };
