// The web platform's classes that are made of published packages, bundled into one script by esbuild and evaluated after
// the files beside this folder, in the same way: `host` and `runtime` are in reach. shims/ has what the packages expect
// of their surroundings: names that no module can change, and the little of Node.js that undici uses.
import './url.js';
import './streams.js';
import './blob.js';
import './fetch.js';
import './console.js';
import './bounded_inspection.js';
