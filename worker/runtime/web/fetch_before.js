// Makes the properties that undici's classes make enumerable configurable, too. undici gives Request.prototype a
// property that the standard does not have, which fetch.js could not delete otherwise.
import util from 'undici/lib/core/util.js';

util.kEnumerableProperty.configurable = true;
