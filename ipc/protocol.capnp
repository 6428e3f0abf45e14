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
# A client with the right to do so may load modules: after `registerLoader` the supervisor sends it `sourceWanted` for
# modules that it does not find itself, and the client answers each with one `source`.
#
# A client that makes many calls to one module may be given a socket that leads straight to its worker, a direct line:
# `openLine`. On it the client sends `call` and `cancel` and nothing else, and reads `answer` and `lineClosing` and
# nothing else. Who breaks a rule there loses the line, and its worker nothing.
#
# A client that breaks a rule stated here gets one `protocolError` and is disconnected; nobody else notices.
# Field and union numbers are never reused. An unknown union member is a protocol error, which is why both sides
# exchange the version first.

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
    # The id of a call that the client no longer wants. Its answer is `cancelled`, or whatever was already on its
    # way. An id that is not open is ignored: its answer may have crossed this message.
    listWorkers @3 :UInt64;
    # Asks for the worker processes; the number is echoed in `WorkerList.id`.
    stats @4 :UInt64;
    # Asks for statistics; the number is echoed in `Stats.id`.
    registerLoader @5 :RegisterLoader;
    # Offers to load modules, from now until the session's end. Sent again, it sets another timeout.
    source @6 :Source;
    # In answer to `sourceWanted`.
    grant @7 :Grant;
    # More of a stream may come.
    subscribeLogs @8 :SubscribeLogs;
    # Asks for what modules log.
    endLogs @9 :UInt64;
    # The id of a subscription that is no longer wanted. Lines of it may still be on their way. An id that is none is
    # ignored.
    openLine @10 :OpenLine;
    # Asks for a direct line to a worker. `cancel` with its id gives it up.
    lineCallOverdue @11 :LineCallOverdue;
    # The time of a call on a direct line is over, and no answer came.
  }
}

struct ServerMessage {
  # What the supervisor sends.
  union {
    hello @0 :ServerHello;
    answer @1 :Answer;
    workers @2 :WorkerList;
    protocolError @3 :Text;
    # The rule that the client broke, or why it is not served any longer, which need not be a mistake of its own: its
    # place or its memory is needed for others. The last message before the supervisor closes the connection.
    stats @4 :Stats;
    loaderRegistered @5 :LoaderRegistered;
    # Once for each `registerLoader`.
    sourceWanted @6 :SourceWanted;
    # Only after `loaderRegistered.ok`.
    chunk @7 :Chunk;
    # Only for calls with a `streamWindowBytes`, and only before their answer.
    logRecord @8 :LogRecord;
    # Only of subscriptions, and of calls that ask for it; of those always before their answer.
    logsSubscribed @9 :LogsSubscribed;
    # Once for each `subscribeLogs`, after the lines that it asks for of those that there were before.
    lineOpened @10 :LineOpened;
    # Once for each `openLine`.
    lineEnded @11 :LineEnded;
    # Once for each line that was opened: no further call of it is begun, and what it sent can be read at once.
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
  # A payload beyond this is answered with `payloadTooLarge`, in both directions.
  maxCallsInFlight @4 :UInt32;
  # Beyond this many open calls the supervisor stops reading from the client until some are answered. While it waits
  # for a `source` of this client it must read on: then calls beyond are answered `overloaded`.
  maxSourceBytes @5 :UInt64;
  # A module's code beyond this counts as `failed`.
}

enum Encoding {
  # How a payload's bytes are to be read. The supervisor never looks inside.
  json @0;
  # One JSON text (RFC 8259) in UTF-8. An empty payload stands for `null`.
  bytes @1;
  # As they are: the function gets a Uint8Array, and returns an ArrayBuffer or a view of one.
  structured @2;
  # What V8's ValueSerializer writes (HTML Standard, 2.7, StructuredSerialize), its header first: Map, Set, Date, BigInt,
  # typed arrays, Error, cycles. In Node.js: v8.Serializer and v8.Deserializer. (v8.serialize() writes typed arrays in a
  # way of its own, which is refused.)
}

enum ResultEncoding {
  # What a result is to be expressed in.
  auto @0;
  # An ArrayBuffer or a view of one as `bytes`; anything else as `structured` if the payload came so, else as `json`.
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
  # A module is named by both. Each is 1 to 64 characters of A-Z a-z 0-9 . _ - + and does not begin with a dot.
  function @3 :Text;
  # The name of an export, at most 256 bytes. Empty: "default", which is the default export, or the function that
  # module.exports is.
  payload @4 :Data;
  encoding @5 :Encoding;
  arguments @6 :ArgumentStyle;
  timeoutNanos @7 :UInt64;
  # From the supervisor's receipt of the call to its answer, waiting included. 0: the supervisor's default. More than
  # the supervisor allows is cut to that.
  idempotent @8 :Bool;
  # The caller says that running it twice does no harm: when its worker dies through no fault of the call, it is run
  # again elsewhere within its deadline, at most as often as the operator allows (max_retries), unless some of its
  # stream was sent already.
  resultEncoding @9 :ResultEncoding;
  # Of each chunk, too.
  streamWindowBytes @10 :UInt32;
  # The client takes a stream, and so much of it without having granted more: chunks are sent while what they cost is
  # less than this and what was granted together, so that the last of them may go beyond. A chunk costs the bytes of
  # its payload and 128 more. More than 1 MiB is cut to that. 0: a function that returns an async iterable is answered
  # `notSerializable`.
  logs @11 :Bool;
  # What the module logs in this call, until its answer, is sent to the client as `logRecord`. Who may not read logs
  # is answered `permissionDenied`.
}

struct Grant {
  # The client has taken chunks of an open call, and will take as much again.
  call @0 :UInt64;
  # An id that is not open is ignored: its answer may have crossed this message.
  bytes @1 :UInt64;
  # What they cost. More than was sent and not granted since counts as that.
}

struct Chunk {
  # One value of the async iterable that a function returned. The stream's end is the call's answer: what an async
  # generator returned, or why it failed.
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
  # Of results and errors alike.
}

struct Usage {
  # What a call took. All 0 where it never got to a worker.
  queueNanos @0 :UInt64;
  # From its receipt until it was given to a worker, without `loadNanos`.
  loadNanos @1 :UInt64;
  # Waiting for its module to be loaded.
  runNanos @2 :UInt64;
  # From when it was given to a worker whose module is loaded until it was answered.
  cpuNanos @3 :UInt64;
  # CPU time of the worker while it had this call, as the kernel counted it, shared evenly among the calls that it had
  # at the same time.
  peakMemoryBytes @4 :UInt64;
  # The most anonymous resident memory that the worker's process was seen with while it had the call. The supervisor
  # looks now and then, so that a short peak may be missed.
  bytesIn @5 :UInt64;
  # The payload.
  bytesOut @6 :UInt64;
  # The result or the error's texts, and the chunks before it.
  attempts @7 :UInt32;
  # To how many workers it was given.
  cold @8 :Bool;
  # A worker had to be given its module for it.
}

enum ErrorCode {
  protocolError @0;
  # The peer broke this protocol.
  notFound @1;
  # No such module, version or function.
  loadFailed @2;
  # The module's code could not be compiled, or its top level threw, never ended or died.
  exception @3;
  # The function threw, or its promise was rejected: `message` has name and message, `stack` the stack.
  deadlineExceeded @4;
  # The call's time ran out, in the queue or in the function.
  cpuExceeded @5;
  # One uninterrupted stretch of JavaScript ran too long; `stack` says where.
  outOfMemory @6;
  # The module used up its memory limit.
  sandboxViolation @7;
  # The worker attempted a forbidden system call; `detail` names it.
  workerCrashed @8;
  # The worker process died; `detail` names the signal or says which other call it was stopped for.
  overloaded @9;
  # A queue is full; try again after `retryAfterMillis`.
  cancelled @10;
  # At the client's wish.
  payloadTooLarge @11;
  notSerializable @12;
  # The result cannot be expressed in the encoding; `detail` has the path of the value.
  permissionDenied @13;
  unavailable @14;
  # The supervisor is shutting down, or cannot start workers.
}

enum Executed {
  # Whether the function ran, so that a caller knows whether a repeat could do something twice.
  no @0;
  # It was never started.
  maybe @1;
  # It was started, and did not come to its end as far as the supervisor knows.
  yes @2;
  # It came to its end: the error is the function's own answer.
}

struct Error {
  code @0 :ErrorCode;
  message @1 :Text;
  # For a person: what happened, and what can be done.
  stack @2 :Text;
  # The JavaScript stack, one frame a line, as V8 prints it. Empty where there is none.
  retryable @3 :Bool;
  # The same call may succeed later, or elsewhere.
  executed @4 :Executed;
  detail @5 :Text;
  # For a program: what is said of it at each code above. May be empty.
  retryAfterMillis @6 :UInt32;
  # With `overloaded` and `unavailable`; 0: unknown.
  properties @7 :Text;
  # With `exception` and `loadFailed`: what the module has put on the error that it threw, such as a `code` or a `status`,
  # as the JSON text of one object, in UTF-8 and without the escapes of half a character. At most 4096 bytes and 32
  # properties; those that do not fit are left out. It is the module's word, and no more to be trusted than `message`; the
  # supervisor, and on a direct line the client library, checks that it is JSON of that form. Empty: there are none.
}

struct WorkerList {
  id @0 :UInt64;
  workers @1 :List(WorkerInfo);
  # At most 65536.
}

enum WorkerState {
  starting @0;
  # Asked for, not forked yet, or not prepared yet.
  standby @1;
  # Forked, locked and prepared, without a module.
  loading @2;
  # Its module's top level has not finished yet.
  idle @3;
  busy @4;
  # Calls are in flight.
  draining @5;
  # It finishes the calls that it has, gets no further ones, and is then removed.
}

struct WorkerInfo {
  pid @0 :Int32;
  # As the supervisor's pid namespace shows it. 0 until it is forked.
  module @1 :Text;
  version @2 :Text;
  # Both empty for a worker without a module.
  state @3 :WorkerState;
  callsInFlight @4 :UInt32;
  callsDone @5 :UInt64;
  # Calls answered since the worker started.
  memoryBytes @6 :UInt64;
  # Private memory where the kernel lets the supervisor see it (smaps_rollup), else anonymous resident memory, which
  # counts pages shared with the zygote too (proc_pid_status(5), RssAnon). To look costs the kernel a walk through the
  # process's pages, so that a listing looks at some workers only, for 3 ms, those first that it has not looked at for
  # longest; of the others it tells what the last look found, and the anonymous memory that came or went since. The last
  # look at a worker that was never looked at is that at one without a module.
  ageNanos @7 :UInt64;
  # Since it was forked.
  cpuNanos @8 :UInt64;
  # CPU time that it has used since then.
  line @9 :Bool;
  # A client has a direct line to it, which counts as one of `callsInFlight`. `callsDone` has that line's calls by the
  # worker's word.
}

struct Stats {
  # What the supervisor has counted since it was started.
  id @0 :UInt64;
  modules @1 :List(ModuleStats);
  # Those that were called at least once, in no order; at most 16384, of more those that used most CPU time.
  totals @2 :StatsTotals;
}

struct ModuleStats {
  module @0 :Text;
  version @1 :Text;
  calls @2 :UInt64;
  # Accepted: each of them is answered once, by a result or an error, or is queued or in flight. Those on a direct line
  # are counted with their answers, as their worker tells them.
  results @3 :UInt64;
  errors @4 :List(ErrorCount);
  # One for each code with which accepted calls were answered.
  refused @5 :UInt64;
  # Not accepted: they were answered `overloaded` at once.
  retries @6 :UInt64;
  # Calls that were given to a further worker because one had died.
  coldStarts @7 :UInt64;
  # Workers that were given the module.
  evictions @8 :UInt64;
  # Workers of the module that were removed for one that waited.
  drains @9 :UInt64;
  # Workers of the module that were let finish their calls, without further ones, to be removed.
  queued @10 :UInt32;
  # Calls that wait for a worker now.
  callsInFlight @11 :UInt32;
  # Calls that workers have now. A direct line counts as one.
  instances @12 :UInt32;
  # Workers that hold the module now.
  queueNanos @13 :UInt64;
  loadNanos @14 :UInt64;
  runNanos @15 :UInt64;
  cpuNanos @16 :UInt64;
  bytesIn @17 :UInt64;
  bytesOut @18 :UInt64;
  # Sums of `Usage` over the calls that were answered.
  peakMemoryBytes @19 :UInt64;
  # The largest of any call.
  heldOffNanos @20 :UInt64;
  # Until a module whose workers keep dying is tried again; its calls wait or are refused meanwhile. 0: it is not held
  # off.
  heldOffReason @21 :Text;
  # What it died of last, for a person; at most 1024 bytes. Empty where it is not held off.
}

struct ErrorCount {
  code @0 :ErrorCode;
  count @1 :UInt64;
}

struct StatsTotals {
  # Of the supervisor as a whole, now.
  version @0 :Text;
  # Of holdfastd.
  uptimeNanos @1 :UInt64;
  clients @2 :UInt32;
  workers @3 :UInt32;
  # That hold a module; at most `maxWorkers`.
  maxWorkers @4 :UInt32;
  standbys @5 :UInt32;
  # Of them `standbyTarget` are wanted.
  standbyTarget @6 :UInt32;
  queued @7 :UInt32;
  # Calls of all modules.
  callsInFlight @8 :UInt32;
  waitingModules @9 :UInt32;
  # Modules with calls that wait for their first worker.
  modules @10 :UInt64;
  # Of which there are statistics, listed or not.
  forks @11 :UInt64;
  # Workers forked since the start.
  memoryBytes @12 :UInt64;
  # Of the supervisor's own process, resident.
}

struct RegisterLoader {
  id @0 :UInt64;
  # Echoed in `LoaderRegistered.id`.
  timeoutNanos @1 :UInt64;
  # From `sourceWanted` to `source`; what comes later is ignored. 0: the supervisor's default. More than the supervisor
  # allows is cut to that.
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
  # By the rules of `Call.module`.
}

struct Source {
  id @0 :UInt64;
  # That of `sourceWanted`. Each is answered once; an id that is not open is ignored: its time may have run out while
  # this message was on its way.
  union {
    code :group {
      text @1 :Data;
      # One JavaScript file in UTF-8, at most `ServerHello.maxSourceBytes`.
      fileName @2 :Text;
      # What stacks show, cut to 255 bytes. Empty: MODULE-VERSION.js.
    }
    notFound @3 :Void;
    # There is no such module: calls of it are answered `notFound`.
    failed @4 :Text;
    # Why it cannot be given, for a person: calls of it are answered `loadFailed`.
  }
}

struct OpenLine {
  id @0 :UInt64;
  # As `Call.id`: it counts as a call that is open, until `lineEnded` or a refusal.
  module @1 :Text;
  version @2 :Text;
}

struct LineOpened {
  id @0 :UInt64;
  union {
    ok :group {
      # The socket is attached to the first byte of this message (unix(7), SCM_RIGHTS). The calls on it have `module` and
      # `version` empty, take no stream and no logs; their ids are the client's own, and differ from those of the line's
      # other open calls.
      defaultTimeoutNanos @1 :UInt64;
      # What 0 as a call's `timeoutNanos` stands for there. Its time counts from when the worker has read it.
      longestTimeoutNanos @2 :UInt64;
      # What more is cut to.
    }
    error @3 :Error;
    # `permissionDenied`: this supervisor gives no lines. `unavailable`: that worker has no line to give any more; calls
    # go by the supervisor as ever.
  }
}

struct LineCallOverdue {
  # If the call is on the CPU its worker is stopped, as for any call. Else nothing is done, unless it is late.
  line @0 :UInt64;
  # `OpenLine.id`; one that is not open is ignored.
  call @1 :UInt64;
  # The call's place among all that were sent on the line: 1, 2, 3, ...
  isLate @2 :Bool;
  # The worker was sent its `cancel` 2 s ago, and has not answered it since. To be said again after each further 2 s, of
  # one such call: a worker that does nothing meanwhile, or nothing but use the CPU, is killed.
}

struct LineEnded {
  line @0 :UInt64;
  # `OpenLine.id`.
  started @1 :UInt64;
  # So many calls of the line had been begun; they are in their order. The others were not and are not. As far as the
  # worker said: a hint.
  guilty @2 :UInt64;
  # The place of the call that the worker ended of; 0: none.
  guiltyError @3 :Error;
  # What that one's answer is. Meaningful if there is one.
  othersError @4 :Error;
  # The same for those that had been begun and not answered.
}

struct LineClosing {
  # A line takes no further calls.
  accepted @0 :UInt64;
  # So many of its calls were taken on, and will be answered. The others have not been begun and will not be: they are the
  # client's to send elsewhere.
}

enum LogLevel {
  # Of console's methods: debug and trace; log, info and the like; warn; error and assert.
  debug @0;
  info @1;
  warning @2;
  error @3;
}

struct SubscribeLogs {
  id @0 :UInt64;
  # Chosen by the client; must differ from every subscription of this session that has not ended. At most 16 there are
  # at a time.
  module @1 :Text;
  version @2 :Text;
  # Whose lines; each may be empty for any, the version only with a module.
  backlog @3 :UInt32;
  # How many of the last lines are sent at once. The supervisor keeps some thousand of all modules together.
  follow @4 :Bool;
  # Further lines are sent as they come, until `endLogs` or the session's end. Else `logsSubscribed` ends it.
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
    # For which it is sent: a line may be sent several times.
    call @1 :UInt64;
    # The client's own, open call.
  }
  timeNanos @2 :UInt64;
  # Since 1970-01-01T00:00:00Z.
  level @3 :LogLevel;
  module @4 :Text;
  version @5 :Text;
  requestId @6 :Text;
  # `context.requestId` of the call in which it was logged; empty: in none.
  text @7 :Text;
  # As the module wrote it, in UTF-8: it may have line breaks and control characters. At most 8 kB; a longer one is cut
  # and ends with an ellipsis.
  dropped @8 :UInt64;
  # 0 for a line. Else this is a note: so many lines are missing here, and `text` says why.
}
