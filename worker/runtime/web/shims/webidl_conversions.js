// The conversions of the package webidl-conversions that whatwg-url uses. The newest edition of the package does not
// load on a V8 without resizable buffers. These also lack its loops over each character.
module.exports = {
  any: (value) => value,
  USVString(value, { context = 'Value' } = {}) {
    if (typeof value === 'symbol') {
      throw new TypeError(`${context} is a symbol, which cannot be converted to a string.`);
    }
    return `${value}`.toWellFormed();
  },
};
