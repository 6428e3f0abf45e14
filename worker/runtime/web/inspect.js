// Node's util.inspect and util.format.
import { OriginalWeakMap, getOwnPropertyDescriptors } from './inspect_before.js';
import util from 'node-inspect-extracted';

Object.getOwnPropertyDescriptors = getOwnPropertyDescriptors;
globalThis.WeakMap = OriginalWeakMap;

export const { format, getStringWidth, inspect } = util;
