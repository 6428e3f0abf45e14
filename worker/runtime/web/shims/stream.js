// node:stream: what undici asks of streams, in the words of the package that they are made of; and a base class for what
// it has for the network.
module.exports = {
  isDisturbed: (stream) => stream._disturbed === true,
  isErrored: (stream) => stream._state === 'errored',
  errorOf: (stream) => stream._storedError,
  Transform: class {},
};
