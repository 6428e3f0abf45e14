// node:stream. What undici asks about streams, answered by the package that they come from; and a base class for
// undici's network code.
module.exports = {
  isDisturbed: (stream) => stream._disturbed === true,
  isErrored: (stream) => stream._state === 'errored',
  errorOf: (stream) => stream._storedError,
  Transform: class {},
};
