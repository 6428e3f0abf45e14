# The protocol between a client and holdfastd.
#
# Transport: a Unix stream socket. Each message travels in Cap'n Proto's standard stream framing
# (https://capnproto.org/encoding.html#serialization-over-a-stream): a little-endian uint32 with the number of
# segments minus one, a uint32 with each segment's size in 8-byte words, padding to 8 bytes, the segments. No packing.
#
# A session:
#   1. The client sends `hello`. The supervisor answers `hello`, or `protocolError` and closes.
#   2. The client sends any number of `call`, `cancel`, `listWorkers` and `stats`, without waiting for answers.
#   3. The supervisor sends exactly one `answer` for each call, in any order; before it, the call's `chunk`s, if the
#      client takes a stream.
#   4. Either side closes the socket. Calls of a client that left are cancelled.
#
# A client that is permitted to may load modules: after `registerLoader` the supervisor sends it a `sourceWanted` for
# each module that the supervisor does not find itself, and the client answers each with one `source`.
#
# A client that makes many calls to one module may get a direct line with `openLine`: a socket that leads straight to
# the module's worker. On a line the client sends only `call` and `cancel`, and receives only `answer` and
# `lineClosing`. A client that breaks a rule there loses the line; the worker is not affected.
#
# A client that breaks a rule stated here gets one `protocolError` and is disconnected; other clients are not
# affected. Field and union numbers are never reused. An unknown union member is a protocol error, which is why both
# sides exchange their protocol versions first.

@0xbdd9f7a4c1e35b02;

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("holdfast::wire");

const protocolVersion :UInt16 = 2;
# Raised when a message changes in a way that an older peer would misread.

struct ClientMessage {
  # What a client sends.
  union {
    hello @0 :ClientHello;
    call @1 :Call;
    cancel @2 :UInt64;
    # The id of a call that the client no longer wants. The call's answer is `cancelled`, or the answer that was
    # already on its way. An id that is not open is ignored: its answer may have crossed this message.
    listWorkers @3 :UInt64;
    # Asks for the worker processes; the number is echoed in `WorkerList.id`.
    stats @4 :UInt64;
    # Asks for statistics; the number is echoed in `Stats.id`.
    registerLoader @5 :RegisterLoader;
    # Registers the client as a loader of modules until the session's end. Sent again, it sets another timeout.
    source @6 :Source;
    # The reply to a `sourceWanted`.
    grant @7 :Grant;
    # Lets the supervisor send more of a stream.
    subscribeLogs @8 :SubscribeLogs;
    # Asks for the lines that modules log.
    endLogs @9 :UInt64;
    # The id of a subscription to end. Its lines may still be on their way. An id without a subscription is ignored.
    openLine @10 :OpenLine;
    # Asks for a direct line to a worker. A `cancel` with its id gives the line up.
    lineCallOverdue @11 :LineCallOverdue;
    # The timeout of a call on a direct line has passed without an answer.
  }
}

struct ServerMessage {
  # What the supervisor sends.
  union {
    hello @0 :ServerHello;
    answer @1 :Answer;
    workers @2 :WorkerList;
    protocolError @3 :Text;
    # The rule that the client broke, or another reason why the supervisor disconnects it. That may be no fault of the
    # client, such as when its connection slot or its memory is needed for other clients. The last message before the
    # supervisor closes the connection.
    stats @4 :Stats;
    loaderRegistered @5 :LoaderRegistered;
    # Once for each `registerLoader`.
    sourceWanted @6 :SourceWanted;
    # Only after `loaderRegistered.ok`.
    chunk @7 :Chunk;
    # Only for calls with a `streamWindowBytes`, and only before their answer.
    logRecord @8 :LogRecord;
    # Only for subscriptions, and for calls with `logs`, always before the call's answer.
    logsSubscribed @9 :LogsSubscribed;
    # Once for each `subscribeLogs`, after the backlog that it asks for.
    lineOpened @10 :LineOpened;
    # Once for each `openLine`.
    lineEnded @11 :LineEnded;
    # Once for each line that was opened. No further call of the line is begun, and everything that its worker sent
    # can be read at once.
    lineClosing @12 :LineClosing;
    # On a direct line only, at most once.
  }
}

struct ClientHello {
  # The first message of every session, sent once.
  protocolVersion @0 :UInt16;
  clientName @1 :Text;
  # For the supervisor's log: the program's name and version. At most 64 bytes.
}

struct ServerHello {
  protocolVersion @0 :UInt16;
  serverVersion @1 :Text;
  maxFrameBytes @2 :UInt64;
  # A frame whose header announces more than this ends the session.
  maxPayloadBytes @3 :UInt64;
  # A call is answered `payloadTooLarge` if its payload or its result is larger than this.
  maxCallsInFlight @4 :UInt32;
  # With this many open calls, the supervisor pauses reading from the client until some are answered. While the
  # supervisor waits for a `source` from this client it must read on; it then answers further calls `overloaded`.
  maxSourceBytes @5 :UInt64;
  # A `source` with more code than this counts as `failed`.
}

enum Encoding {
  # How a payload's bytes are to be read. The supervisor never looks inside.
  json @0;
  # One JSON text (RFC 8259) in UTF-8. An empty payload stands for `null`.
  bytes @1;
  # Raw bytes: the function gets a Uint8Array, and returns an ArrayBuffer or a view of one.
  structured @2;
  # The format of V8's ValueSerializer (HTML Standard, 2.7, StructuredSerialize), its header first. It can express
  # Map, Set, Date, BigInt, typed arrays, Error and cycles. In Node.js: v8.Serializer and v8.Deserializer.
  # (v8.serialize() writes typed arrays in a format of its own, which is refused.)
}

enum ResultEncoding {
  # The encoding in which the client wants the result.
  auto @0;
  # An ArrayBuffer or a view of one as `bytes`; anything else as `structured` if the payload was `structured`, else as
  # `json`.
  json @1;
  bytes @2;
  structured @3;
}

enum ArgumentStyle {
  # How the payload becomes the function's arguments.
  single @0;
  # f(payload, context)
  positional @1;
  # The payload is an array, as `json` or `structured`: f(...payload, context)
}

struct Call {
  id @0 :UInt64;
  # Chosen by the client; must differ from every call of this session that is still open.
  module @1 :Text;
  version @2 :Text;
  # Module and version together name a module. Each is 1 to 64 characters of A-Z a-z 0-9 . _ - + and does not begin
  # with a dot.
  function @3 :Text;
  # The name of an export, at most 256 bytes. Empty: "default", which is the default export, or module.exports if that
  # is a function.
  payload @4 :Data;
  encoding @5 :Encoding;
  arguments @6 :ArgumentStyle;
  timeoutNanos @7 :UInt64;
  # The time from the supervisor's receipt of the call to its answer, waiting included. 0: the supervisor's default. A
  # longer time than the supervisor allows is cut to the longest allowed.
  idempotent @8 :Bool;
  # The caller declares that running the call twice does no harm. If the call's worker dies through no fault of the
  # call, the call is run again on another worker before its deadline, at most as often as the operator allows
  # (max_retries), unless part of its stream was already sent.
  resultEncoding @9 :ResultEncoding;
  # For the result and for each chunk.
  streamWindowBytes @10 :UInt32;
  # How much of a stream the client takes before it grants more; 0: it takes no stream, and a call whose function
  # returns an async iterable is answered `notSerializable`. Chunks are sent while the total cost of the chunks sent
  # is less than this window plus all grants, so the last chunk may go beyond. A chunk costs the bytes of its payload
  # plus 128. More than 1 MiB is cut to 1 MiB.
  logs @11 :Bool;
  # Whatever the module logs in this call before its answer is sent to the client as `logRecord`. If the client may
  # not read logs, the call is answered `permissionDenied`.
}

struct Grant {
  # The client has processed chunks of an open call, and will take as much again.
  call @0 :UInt64;
  # An id that is not open is ignored: its answer may have crossed this message.
  bytes @1 :UInt64;
  # The cost of those chunks (Call.streamWindowBytes). A value beyond what was sent and not yet granted is cut to
  # that.
}

struct Chunk {
  # One value of the async iterable that a function returned. The call's answer ends the stream: it is the value that
  # an async generator returned, or the error with which it failed.
  call @0 :UInt64;
  payload @1 :Data;
  encoding @2 :Encoding;
}

struct Answer {
  id @0 :UInt64;
  union {
    result :group {
      payload @1 :Data;
      encoding @2 :Encoding;
    }
    error @3 :Error;
  }
  usage @4 :Usage;
  # Set for results and errors alike.
}

struct Usage {
  # What a call used. All 0 if the call never reached a worker.
  queueNanos @0 :UInt64;
  # Time from the call's receipt until it was given to a worker, without `loadNanos`.
  loadNanos @1 :UInt64;
  # Time that the call waited for its module to be loaded.
  runNanos @2 :UInt64;
  # Time from when the call was given to a worker with its module loaded until it was answered.
  cpuNanos @3 :UInt64;
  # CPU time of the worker while it had this call, as the kernel counted it, divided evenly among the calls that the
  # worker had at the same time.
  peakMemoryBytes @4 :UInt64;
  # The most anonymous resident memory that the supervisor saw in the worker's process while it had the call. The
  # supervisor samples it now and then, so it may miss a short peak.
  bytesIn @5 :UInt64;
  # Size of the payload.
  bytesOut @6 :UInt64;
  # Size of the result or of the error's texts, plus the chunks before it.
  attempts @7 :UInt32;
  # The number of workers to which the call was given.
  cold @8 :Bool;
  # A worker had to load the module for this call.
}

enum ErrorCode {
  protocolError @0;
  # The peer broke this protocol.
  notFound @1;
  # No such module, version or function.
  loadFailed @2;
  # The module's code could not be compiled, or its top level threw, did not end, or killed its worker.
  exception @3;
  # The function threw, or its promise was rejected. `message` has the error's name and message, `stack` its stack.
  deadlineExceeded @4;
  # The call's time ran out, in the queue or in the function.
  cpuExceeded @5;
  # One uninterrupted stretch of JavaScript ran too long; `stack` says where.
  outOfMemory @6;
  # The module used up its memory limit.
  sandboxViolation @7;
  # The worker attempted a forbidden system call; `detail` names it.
  workerCrashed @8;
  # The worker process died. `detail` names the signal, or the other call because of which the worker was stopped.
  overloaded @9;
  # A queue is full; try again after `retryAfterMillis`.
  cancelled @10;
  # At the client's request.
  payloadTooLarge @11;
  notSerializable @12;
  # The result cannot be expressed in the encoding; `detail` has the path of the value.
  permissionDenied @13;
  unavailable @14;
  # The supervisor is shutting down, or cannot start workers.
}

enum Executed {
  # Whether the function ran, so that a caller knows whether repeating the call could do something twice.
  no @0;
  # The function was never started.
  maybe @1;
  # The function was started, and as far as the supervisor knows did not finish.
  yes @2;
  # The function finished: the error is its own answer.
}

struct Error {
  code @0 :ErrorCode;
  message @1 :Text;
  # For a person: what happened, and what to do.
  stack @2 :Text;
  # The JavaScript stack, one frame a line, as V8 prints it. Empty if there is none.
  retryable @3 :Bool;
  # The same call may succeed later, or elsewhere.
  executed @4 :Executed;
  detail @5 :Text;
  # For a program: the comments of ErrorCode say what it holds for each code. May be empty.
  retryAfterMillis @6 :UInt32;
  # With `overloaded` and `unavailable`; 0: unknown.
  properties @7 :Text;
  # With `exception` and `loadFailed`: properties that the module set on the error that it threw, such as a `code` or
  # a `status`, as the JSON text of one object, in UTF-8 and without escaped lone surrogates. At most 4096 bytes and
  # 32 properties; properties that do not fit are left out. The module chose them, so trust them no more than
  # `message`. The supervisor, and on a direct line the client library, checks that they are JSON of that form. Empty:
  # there are none.
}

struct WorkerList {
  id @0 :UInt64;
  workers @1 :List(WorkerInfo);
  # At most 65536.
}

enum WorkerState {
  starting @0;
  # Requested, but not forked yet or not prepared yet.
  standby @1;
  # Forked, locked down and prepared, without a module.
  loading @2;
  # Its module's top level has not finished.
  idle @3;
  busy @4;
  # It has calls in flight.
  draining @5;
  # It finishes its calls, gets no further ones, and is then removed.
}

struct WorkerInfo {
  pid @0 :Int32;
  # The worker's pid in the supervisor's pid namespace; 0 until it is forked.
  module @1 :Text;
  version @2 :Text;
  # Both empty for a worker without a module.
  state @3 :WorkerState;
  callsInFlight @4 :UInt32;
  callsDone @5 :UInt64;
  # Calls answered since the worker started.
  memoryBytes @6 :UInt64;
  # Private memory where the kernel lets the supervisor see it (smaps_rollup); otherwise anonymous resident memory,
  # which includes pages shared with the zygote (proc_pid_status(5), RssAnon). Measuring makes the kernel walk the
  # process's pages, so a listing measures workers for 3 ms only, those with the oldest measurement first. For the
  # others it reports the last measurement plus the change in anonymous memory since. For a worker that was never
  # measured, the last measurement is that of a worker without a module.
  ageNanos @7 :UInt64;
  # Since it was forked.
  cpuNanos @8 :UInt64;
  # CPU time that it has used since it was forked.
  line @9 :Bool;
  # A client has a direct line to the worker. The line counts as one of `callsInFlight`; `callsDone` includes the
  # line's calls as the worker reports them.
}

struct Stats {
  # The supervisor's statistics since it was started.
  id @0 :UInt64;
  modules @1 :List(ModuleStats);
  # Modules that were called at least once, in no particular order. At most 16384; if there are more, those that used
  # the most CPU time.
  totals @2 :StatsTotals;
}

struct ModuleStats {
  module @0 :Text;
  version @1 :Text;
  calls @2 :UInt64;
  # Accepted calls: each is answered once, with a result or an error, or is queued or in flight. Calls on a direct
  # line are counted once they are answered, as their worker reports them.
  results @3 :UInt64;
  errors @4 :List(ErrorCount);
  # One entry for each code with which accepted calls were answered.
  refused @5 :UInt64;
  # Calls that were not accepted: they were answered `overloaded` at once.
  retries @6 :UInt64;
  # How often a call was given to another worker because its worker had died.
  coldStarts @7 :UInt64;
  # How often a worker was given the module.
  evictions @8 :UInt64;
  # Workers of the module that were evicted to make room for a module that waited.
  drains @9 :UInt64;
  # Workers of the module that were drained: they finished their calls, got no further ones, and were removed.
  queued @10 :UInt32;
  # Calls that wait for a worker now.
  callsInFlight @11 :UInt32;
  # Calls that workers have now. A direct line counts as one call.
  instances @12 :UInt32;
  # Workers that have the module now.
  queueNanos @13 :UInt64;
  loadNanos @14 :UInt64;
  runNanos @15 :UInt64;
  cpuNanos @16 :UInt64;
  bytesIn @17 :UInt64;
  bytesOut @18 :UInt64;
  # Sums of the fields of `Usage` over the answered calls.
  peakMemoryBytes @19 :UInt64;
  # The largest value of any call.
  heldOffNanos @20 :UInt64;
  # Time until a module whose workers keep dying is tried again. Until then its calls wait or are refused. 0: the
  # module is not held off.
  heldOffReason @21 :Text;
  # Why the module's last worker died, for a person; at most 1024 bytes. Empty if the module is not held off.
}

struct ErrorCount {
  code @0 :ErrorCode;
  count @1 :UInt64;
}

struct StatsTotals {
  # Totals of the supervisor, now.
  version @0 :Text;
  # The version of holdfastd.
  uptimeNanos @1 :UInt64;
  clients @2 :UInt32;
  workers @3 :UInt32;
  # Workers that have a module; at most `maxWorkers`.
  maxWorkers @4 :UInt32;
  standbys @5 :UInt32;
  # Standbys that are ready; the supervisor keeps `standbyTarget` of them.
  standbyTarget @6 :UInt32;
  queued @7 :UInt32;
  # Queued calls of all modules.
  callsInFlight @8 :UInt32;
  waitingModules @9 :UInt32;
  # Modules with calls that wait for their first worker.
  modules @10 :UInt64;
  # Modules with statistics, listed or not.
  forks @11 :UInt64;
  # Workers forked since the start.
  memoryBytes @12 :UInt64;
  # Resident memory of the supervisor's own process.
}

struct RegisterLoader {
  id @0 :UInt64;
  # Echoed in `LoaderRegistered.id`.
  timeoutNanos @1 :UInt64;
  # The time from `sourceWanted` to `source`; a later `source` is ignored. 0: the supervisor's default. A longer time
  # than the supervisor allows is cut to the longest allowed.
}

struct LoaderRegistered {
  id @0 :UInt64;
  union {
    ok @1 :Void;
    error @2 :Error;
    # `permissionDenied`: this client may not load modules.
  }
}

struct SourceWanted {
  id @0 :UInt64;
  # Chosen by the supervisor; differs from every other that it sends in this session.
  module @1 :Text;
  version @2 :Text;
  # They follow the rules of `Call.module` and `Call.version`.
}

struct Source {
  id @0 :UInt64;
  # The id of the `sourceWanted`. Each is answered once. An id that is not open is ignored: its timeout may have
  # passed while this message was on its way.
  union {
    code :group {
      text @1 :Data;
      # One JavaScript file in UTF-8, at most `ServerHello.maxSourceBytes`.
      fileName @2 :Text;
      # The file name in stacks, cut to 255 bytes. Empty: MODULE-VERSION.js.
    }
    notFound @3 :Void;
    # There is no such module: calls of it are answered `notFound`.
    failed @4 :Text;
    # Why the loader cannot give the module, for a person: calls of it are answered `loadFailed`.
  }
}

struct OpenLine {
  id @0 :UInt64;
  # Chosen by the client, like `Call.id`: it counts as an open call until `lineEnded` or a refusal.
  module @1 :Text;
  version @2 :Text;
}

struct LineOpened {
  id @0 :UInt64;
  union {
    ok :group {
      # The line's socket is attached to the first byte of this message (unix(7), SCM_RIGHTS). Calls on the line have
      # an empty `module` and `version`, and take no stream and no logs. The client chooses their ids, which must
      # differ from those of the line's other open calls.
      defaultTimeoutNanos @1 :UInt64;
      # The timeout of a call on the line whose `timeoutNanos` is 0. The timeout of every call on the line starts when
      # the worker has read the call.
      longestTimeoutNanos @2 :UInt64;
      # A longer timeout is cut to this.
    }
    error @3 :Error;
    # `permissionDenied`: this supervisor gives no lines. `unavailable`: the worker has no line to give any more. In
    # both cases calls go on through the supervisor.
  }
}

struct LineCallOverdue {
  # If the call is on the CPU, the supervisor stops its worker, as for any call. Otherwise it does nothing unless
  # `isLate`.
  line @0 :UInt64;
  # `OpenLine.id`; a line that is not open is ignored.
  call @1 :UInt64;
  # The call's place in the order of all calls sent on the line: 1, 2, 3, ...
  isLate @2 :Bool;
  # The client sent the worker the call's `cancel` 2 s ago, and the worker has not answered since. The client repeats
  # this after each further 2 s, for one such call. The supervisor kills a worker that does nothing in that time, or
  # nothing but use the CPU.
}

struct LineEnded {
  line @0 :UInt64;
  # `OpenLine.id`.
  started @1 :UInt64;
  # How many calls of the line had been begun, in the order in which they were sent; the others were not begun and
  # will not be. This is the worker's claim, so take it as a hint.
  guilty @2 :UInt64;
  # The place of the call that ended the worker; 0: none.
  guiltyError @3 :Error;
  # The answer of the guilty call. Valid if `guilty` is not 0.
  othersError @4 :Error;
  # The answer of the other calls that had been begun and not answered.
}

struct LineClosing {
  # A line takes no further calls.
  accepted @0 :UInt64;
  # How many of the line's calls the worker accepted and will answer, in the order in which they were sent. The others
  # were not begun and will not be: the client has to send them elsewhere.
}

enum LogLevel {
  # From the methods of console: `debug` from debug and trace; `info` from log, info and the like; `warning` from
  # warn; `error` from error and assert.
  debug @0;
  info @1;
  warning @2;
  error @3;
}

struct SubscribeLogs {
  id @0 :UInt64;
  # Chosen by the client; must differ from every subscription of this session that has not ended. A session has at
  # most 16 subscriptions at a time.
  module @1 :Text;
  version @2 :Text;
  # The module whose lines are sent. Empty: any; a version needs a module.
  backlog @3 :UInt32;
  # How many of the latest lines are sent at once. The supervisor keeps a few thousand lines of all modules together.
  follow @4 :Bool;
  # True: later lines are sent as they come, until `endLogs` or the session's end. False: `logsSubscribed` ends the
  # subscription.
}

struct LogsSubscribed {
  id @0 :UInt64;
  union {
    ok @1 :Void;
    error @2 :Error;
    # `permissionDenied`: this client may not read what modules log.
  }
}

struct LogRecord {
  # One line that a module logged, or a note that some are missing.
  union {
    subscription @0 :UInt64;
    # The subscription for which the line is sent; a line may be sent several times, for several subscriptions or
    # calls.
    call @1 :UInt64;
    # The client's open call for which the line is sent.
  }
  timeNanos @2 :UInt64;
  # Since 1970-01-01T00:00:00Z.
  level @3 :LogLevel;
  module @4 :Text;
  version @5 :Text;
  requestId @6 :Text;
  # `context.requestId` of the call in which the line was logged; empty: in no call.
  text @7 :Text;
  # The text as the module wrote it, in UTF-8; it may contain line breaks and control characters. At most 8 kB; a
  # longer text is cut and ends with an ellipsis.
  dropped @8 :UInt64;
  # 0 for a line. Otherwise this is a note that so many lines are missing here, and `text` says why.
}
