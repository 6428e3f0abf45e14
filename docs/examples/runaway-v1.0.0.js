'use strict';

// Loops for ever, three functions deep. Holdfast stops it, says where it was, and serves the next call from a fresh
// process.
function step(state) {
  while (true) {
    state.steps++;
  }
}

function explore(state) {
  return step(state);
}

exports.search = async () => explore({ steps: 0 });

exports.ping = async () => 'pong';
