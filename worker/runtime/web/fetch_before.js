// What undici's classes make enumerable can be configured, too: it gives Request.prototype a property that is none of the
// standard's, which fetch.js could not delete otherwise.
import util from 'undici/lib/core/util.js';

util.kEnumerableProperty.configurable = true;
