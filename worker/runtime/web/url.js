// URL Standard and URL Pattern Standard: jsdom's reference implementation of the one, a polyfill of the other.
import { URL, URLSearchParams } from 'whatwg-url';
import { URLPattern } from 'urlpattern-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals({ URL, URLSearchParams });
// As the polyfill leaves them, neither it nor its members are what Web IDL asks for; one is none of the standard's.
delete globalThis.URLPattern;
delete URLPattern.compareComponent;
delete URLPattern.prototype[Symbol.toStringTag];
runtime.webIdl.publish(URLPattern);

export { URL, URLSearchParams };
