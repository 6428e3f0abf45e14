// The web platform's classes that come from published packages. esbuild bundles them into one script, which is
// evaluated after the files in the folder above, in the same way: `host` and `runtime` are in scope. shims/ has what
// the packages expect around them: names that no module can change, and the little of Node.js that undici uses.
import './url.js';
import './streams.js';
import './blob.js';
import './fetch.js';
import './console.js';
import './bounded_inspection.js';
