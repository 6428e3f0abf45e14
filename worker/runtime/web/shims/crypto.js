// node:crypto. The random part of the boundary between the parts of a form. Drawn only when a form is written: a
// value that the zygote drew would be the same in each worker.
const { crypto } = globalThis;
const { getRandomValues } = crypto;

const pairOfWords = 2;
const twoToThe32 = 2 ** 32;

module.exports = {
  randomInt(most) {
    const words = Reflect.apply(getRandomValues, crypto, [new Uint32Array(pairOfWords)]);
    return (words[0] * twoToThe32 + words[1]) % most;
  },
};
