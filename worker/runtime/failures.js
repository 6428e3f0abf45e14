// Reports uncaught failures to listeners on the global object (HTML Standard, 8.1.4.6 and 8.1.4.7).
//
// It needs no other file. It must be evaluated before events.js and global_events.js, which take runtime.globalEvents.
'use strict';

// global_events.js sets these functions. The first two take (promise, reason), the third (error, place). The first
// and the third return whether a listener called preventDefault().
runtime.globalEvents = {
  __proto__: null, unhandledRejection: undefined, rejectionHandled: undefined, error: undefined,
};
const { globalEvents } = runtime;

// Numbered as Uncaught in module_host.h.
const UNHANDLED_REJECTION = 0, REJECTION_HANDLED = 1;

// Returns whether the module handled the failure itself. `subject` is the promise, or the place of an error. Never
// throws.
runtime.tellUncaught = (what, value, subject) => {
  try {
    if (what === UNHANDLED_REJECTION) return globalEvents.unhandledRejection?.(subject, value) === true;
    if (what === REJECTION_HANDLED) return globalEvents.rejectionHandled?.(subject, value) === true;
    return globalEvents.error?.(value, subject) === true;
  } catch {
    return false;
  }
};
