// URL Standard and URL Pattern Standard: jsdom's reference implementation of the former, a polyfill of the latter.
import { URL, URLSearchParams } from 'whatwg-url';
import { URLPattern } from 'urlpattern-polyfill';
import { defineGlobals } from './globals.js';

defineGlobals({ URL, URLSearchParams });
// The polyfill leaves neither the class nor its members as Web IDL demands, and adds a member that is not in the
// standard.
delete globalThis.URLPattern;
delete URLPattern.compareComponent;
delete URLPattern.prototype[Symbol.toStringTag];
runtime.webIdl.publish(URLPattern);

export { URL, URLSearchParams };
