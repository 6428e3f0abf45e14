// The modules of Node.js that only undici's network code uses, which nobody calls.
module.exports = {};
