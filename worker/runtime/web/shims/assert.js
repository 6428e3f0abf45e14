// node:assert
module.exports = function assert(holds, message = 'an assertion of the web platform\'s own code failed') {
  if (!holds) throw new Error(message);
};
