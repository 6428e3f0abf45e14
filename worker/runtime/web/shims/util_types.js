// node:util/types: tells what a value is by its internal slots, which no module can forge.
const { getOwnPropertyDescriptor, getPrototypeOf } = Object;
const { apply } = Reflect;
const { isView } = ArrayBuffer;
const byteLengthOfBuffer = getOwnPropertyDescriptor(ArrayBuffer.prototype, 'byteLength').get;
const tagOfTypedArray = getOwnPropertyDescriptor(getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;

function isArrayBuffer(value) {
  try {
    apply(byteLengthOfBuffer, value, []);
    return true;
  } catch {
    return false;
  }
}

const typedArrayName = (value) => apply(tagOfTypedArray, value, []);

module.exports = {
  isArrayBuffer,
  // No SharedArrayBuffer exists.
  isAnyArrayBuffer: isArrayBuffer,
  isSharedArrayBuffer: () => false,
  isTypedArray: (value) => typedArrayName(value) !== undefined,
  isUint8Array: (value) => typedArrayName(value) === 'Uint8Array',
  isDataView: (value) => isView(value) && typedArrayName(value) === undefined,
  isArrayBufferView: isView,
  // What undici does with a Proxy is what the standards say about every object; the other branches are short cuts.
  isProxy: () => true,
};
