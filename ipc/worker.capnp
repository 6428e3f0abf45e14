# The protocols inside Holdfast: supervisor <-> zygote, and supervisor <-> worker. They are not for other programs.
# Both sides always come from the same build, so the protocols have no version.
#
# The framing is that of protocol.capnp. A worker is hostile: the supervisor checks every field of WorkerMessage and
# kills a worker that breaks a rule.

@0xb6fc33ce0f2ea9d1;

using Cxx = import "/capnp/c++.capnp";
using Protocol = import "protocol.capnp";
$Cxx.namespace("holdfast::wire");

# --- supervisor <-> zygote: a SOCK_SEQPACKET pair, one frame in a packet, descriptors attached with SCM_RIGHTS -------

struct ZygoteRequest {
  fork @0 :UInt64;
  # Asks for a worker to be forked; the number is the supervisor's id for the worker.
}

struct ZygoteReply {
  union {
    ready @0 :Void;
    # V8 is up and the namespaces are entered. Sent once, before any other message.
    forked @1 :UInt64;
    # The worker's id. Attached, in this order: the worker's pidfd, the supervisor's end of the worker's socket, its
    # shared page (a memfd, sealed against resizing; ipc/shared_page.h), and with --direct-line the client's end of
    # its line.
    forkFailed @2 :ForkFailed;
    exited @3 :Exited;
    # Sent once for every forked worker.
    failed @4 :Text;
    # Why the zygote cannot start. Its last message.
  }
}

struct ForkFailed {
  worker @0 :UInt64;
  reason @1 :Text;
}

struct Exited {
  worker @0 :UInt64;
  waitStatus @1 :Int32;
  # The status as wait(2) returns it.
  cpuNanos @2 :UInt64;
  # CPU time of the worker's whole life, as the kernel counted it (getrusage(2)).
}

# --- supervisor <-> worker: a SOCK_STREAM pair -------------------------------------------------------------------

struct WorkerRequest {
  union {
    load @0 :Load;
    # The first message, sent once.
    call @1 :WorkerCall;
    cancel @2 :Cancel;
    grant @3 :Protocol.Grant;
    openLine @4 :OpenWorkerLine;
    # Sent only to a worker that was forked with a line.
    closeLine @5 :Void;
    # The line takes no further calls. The worker answers the calls that it has accepted, and then the line's own call
    # (OpenWorkerLine.call).
  }
}

struct OpenWorkerLine {
  # A call by the supervisor that lasts for as long as the worker serves its direct line. Its answer says that the
  # worker no longer serves the line; the answer is `protocolError` if the client broke a rule there. `cancel` ends
  # the line at once, with the calls on it. A worker serves one line in its life; a second such call is answered at
  # once.
  call @0 :UInt64;
  # The call's number, which follows the rules of `WorkerCall.id`.
  defaultTimeoutNanos @1 :UInt64;
  longestTimeoutNanos @2 :UInt64;
  # The timeouts of `LineOpened`.
  maxCalls @3 :UInt32;
  # While the worker has this many calls open, those of the supervisor included, it pauses reading from the line.
  busyPollNanos @4 :UInt64;
  # For how long the worker busy-polls for the line's next call before it sleeps, where that pays; 0: it never
  # busy-polls.
}

struct Cancel {
  # The call's answer is no longer wanted, but the worker still answers it. It answers at once, and never begins the
  # call, if it has not begun it; it also answers at once if the function has not asked for its abort signal.
  # Otherwise it aborts the signal and answers when the function settles, or after a grace period of 1 s
  # (kCancelGrace).
  call @0 :UInt64;
  reason @1 :CancelReason;
}

enum CancelReason {
  cancelled @0;
  # The client cancelled the call, or left.
  deadlineExceeded @1;
}

struct Load {
  module @0 :Text;
  version @1 :Text;
  fileName @2 :Text;
  # The file name in stacks.
  source @3 :Data;
  # UTF-8.
  memoryBytes @4 :UInt64;
  # The module's limit for its JavaScript heap and its array buffers together.
  maxPayloadBytes @5 :UInt64;
  clockResolutionNanos @6 :UInt64;
  # The step of every clock that the module can read; more than 0.
  allowCodeFromStrings @7 :Bool;
  # Whether eval, new Function and the like may make code.
  tag @8 :UInt64;
  # Random, different for each worker. With a call's id it forms the requestId that functions and the log show.
  lenientResults @9 :Bool;
  # Whether a result may contain values that JSON would lose or change.
  environment @10 :List(Variable);
  # The variables that the operator set for the module: context.env and process.env.
}

struct Variable {
  name @0 :Text;
  value @1 :Text;
}

struct WorkerCall {
  id @0 :UInt64;
  # The call's number on this worker: its place among the worker's calls, 1, 2, 3, …, and above it a number for its
  # caller (ipc/shared_page.h). It reveals nothing about the calls of other workers.
  function @1 :Text;
  payload @2 :Data;
  encoding @3 :Protocol.Encoding;
  arguments @4 :Protocol.ArgumentStyle;
  deadlineNanos @5 :UInt64;
  # By CLOCK_MONOTONIC; 0: none. If the worker reaches the call later, it answers `deadlineExceeded` without running
  # it.
  resultEncoding @6 :Protocol.ResultEncoding;
  streamWindowBytes @7 :UInt32;
}

struct WorkerMessage {
  union {
    loaded @0 :Void;
    # Sent once, in reply to `load`, before any answer to a call.
    loadFailed @1 :Protocol.Error;
    # Sent instead of `loaded`. The worker's last message.
    answer @2 :Protocol.Answer;
    log @3 :LogLine;
    stopped @4 :Stopped;
    # The worker's last message.
    ready @5 :Void;
    # At most once, before `loaded`: the worker has prepared all that it can in advance, and waits for its module. A
    # worker whose module is already there does not send it.
    chunk @6 :Protocol.Chunk;
    # Sent only while the call's window is not used up.
    ran @8 :UInt64;
    # The worker has worked on this call for `runMicros` since its last report, at least a millisecond (kLongRun). The
    # call is still open, or is answered and had left work behind.
  }
  runMicros @7 :UInt32;
  # With `answer` and `ran`: how long the worker has worked on the call since its last report, in microseconds,
  # rounded up and cut to what fits.
}

struct LogLine {
  level @0 :Protocol.LogLevel;
  text @1 :Text;
  call @2 :UInt64;
  # The call in which the line was logged; 0: unknown.
  dropped @3 :UInt64;
  # How many lines before this one were not sent, because the worker's buffer for unsent log lines was full. Without a
  # text, the message stands only for the missing lines.
}

struct Stopped {
  # The worker's fatal report: why it ends itself.
  reason @0 :StopReason;
  call @1 :UInt64;
  # The call that was on the CPU; 0: none.
  stack @2 :Text;
  detail @3 :Text;
}

enum StopReason {
  softStop @0;
  # The supervisor's signal (SIGXCPU) arrived; `stack` says where the JavaScript was.
  outOfMemory @1;
  fatal @2;
  # V8 failed fatally, or the worker could not go on; `detail` says why.
}
