// The web platform's classes that are made of published packages, bundled into one script by esbuild and evaluated after
// the files beside this folder, in the same way: `host` and `runtime` are in reach.
import './url.js';
import './streams.js';
import './console.js';
