// The conversions of the package webidl-conversions that whatwg-url uses. The package's own newest edition does not load
// on a V8 that has no resizable buffers; these are without its loops over each character, too.
module.exports = {
  any: (value) => value,
  USVString(value, { context = 'Value' } = {}) {
    if (typeof value === 'symbol') {
      throw new TypeError(`${context} is a symbol, which cannot be converted to a string.`);
    }
    return `${value}`.toWellFormed();
  },
};
