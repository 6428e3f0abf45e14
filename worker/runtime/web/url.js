// URL Standard and URL Pattern Standard: jsdom's reference implementation of the one, a polyfill of the other.
import { URL, URLSearchParams } from 'whatwg-url';
import { URLPattern } from 'urlpattern-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals({ URL, URLSearchParams, URLPattern });

export { URL, URLSearchParams };
