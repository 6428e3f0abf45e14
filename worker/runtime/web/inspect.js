// Node's util.inspect and util.format.
import { getOwnPropertyDescriptors } from './inspect_before.js';
import util from 'node-inspect-extracted';

Object.getOwnPropertyDescriptors = getOwnPropertyDescriptors;

export const { format, getStringWidth, inspect } = util;
