// navigator, performance and reportError (HTML Standard, 8.10 and 8.1.4.6; High Resolution Time).
//
// Evaluated after web_idl.js (slots, publishing globals); events.js (EventTarget, the superclass of Performance;
// reporting errors).
'use strict';

const { placeOf, timeOrigin, version } = host;
const {
  makeSlot, publish, checkGlobal, publishOperations, publishAttribute, publishReplaceable, needArguments,
} = runtime.webIdl;
const { EventTarget, makeTarget, report } = runtime.events;
const { create } = Object;
const { now } = Date;
const { max } = Math;
const TypeErrorConstructor = TypeError;

// --- navigator -----------------------------------------------------------------------------------------------------

const NavigatorSlot = makeSlot();

class Navigator {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  get userAgent() { return NavigatorSlot.of(this).userAgent; }
}
publish(Navigator);

const navigator = create(Navigator.prototype);
new NavigatorSlot(navigator, { __proto__: null, userAgent: `Holdfast/${version}` });
publishAttribute('navigator', () => navigator);

// --- performance ---------------------------------------------------------------------------------------------------

const PerformanceSlot = makeSlot();

// Uses the one clock that there is, in its steps. That clock may be set back, which the time since the module's start
// must not be.
let start, latest;
function sinceStart() {
  if (start !== timeOrigin()) {
    start = timeOrigin();
    latest = 0;
  }
  return latest = max(latest, now() - start);
}

class Performance extends EventTarget {
  constructor() { throw new TypeErrorConstructor('Illegal constructor'); }
  now() {
    PerformanceSlot.of(this);
    return sinceStart();
  }
  get timeOrigin() {
    PerformanceSlot.of(this);
    return timeOrigin();
  }
  toJSON() {
    PerformanceSlot.of(this);
    return { timeOrigin: timeOrigin() };
  }
}
publish(Performance);

const performance = create(Performance.prototype);
makeTarget(performance);
new PerformanceSlot(performance, undefined);
publishReplaceable('performance', () => performance);

// --- reportError ---------------------------------------------------------------------------------------------------

publishOperations({
  reportError(error) {
    checkGlobal(this);
    needArguments(arguments.length, 1, 'reportError');
    report(error, 'reported as uncaught', placeOf(error, true));
  },
});
