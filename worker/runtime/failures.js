// What nobody caught, for those who listen on the global object (HTML Standard, 8.1.4.6 and 8.1.4.7). Evaluated after
// modules.js, in the same way and under the same rule.
'use strict';

// global_events.js puts functions there: (promise, reason) of the first two, (error, place) of the third. The first and
// the third return whether a listener said preventDefault().
runtime.globalEvents = {
  __proto__: null, unhandledRejection: undefined, rejectionHandled: undefined, error: undefined,
};
const { globalEvents } = runtime;

// Numbers of Uncaught in module_host.h.
const UNHANDLED_REJECTION = 0, REJECTION_HANDLED = 1;

// Whether the module wants nothing else done about it. `subject` is the promise, or the place of an error. Never throws.
runtime.tellUncaught = (what, value, subject) => {
  try {
    if (what === UNHANDLED_REJECTION) return globalEvents.unhandledRejection?.(subject, value) === true;
    if (what === REJECTION_HANDLED) return globalEvents.rejectionHandled?.(subject, value) === true;
    return globalEvents.error?.(value, subject) === true;
  } catch {
    return false;
  }
};
