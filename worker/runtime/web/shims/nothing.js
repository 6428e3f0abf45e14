// Stands for the modules of Node.js that only undici's network code uses, which is never called.
module.exports = {};
