# The protocols inside Holdfast: supervisor <-> zygote, and supervisor <-> worker. Neither is for other programs, and
# both sides always come from the same build, so there is no version here.
#
# Framing is the same as in protocol.capnp. A worker is hostile: the supervisor checks every field of WorkerMessage
# and kills the worker that breaks a rule.

@0xb6fc33ce0f2ea9d1;

using Cxx = import "/capnp/c++.capnp";
using Protocol = import "protocol.capnp";
$Cxx.namespace("holdfast::wire");

# --- supervisor <-> zygote: a SOCK_SEQPACKET pair, one frame in a packet, descriptors attached with SCM_RIGHTS -------

struct ZygoteRequest {
  fork @0 :UInt64;
  # Fork a worker; the number is the supervisor's id for it.
}

struct ZygoteReply {
  union {
    ready @0 :Void;
    # V8 is up, the namespaces are entered. Sent once, before anything else.
    forked @1 :UInt64;
    # The worker's id. Attached, in this order: its pidfd, the supervisor's end of its socket, its shared page
    # (a memfd, sealed against resizing; see ipc/shared_page.h), and with --direct-line the other end of its line.
    forkFailed @2 :ForkFailed;
    exited @3 :Exited;
    # Sent once for every forked worker.
    failed @4 :Text;
    # The zygote cannot start, and why. Its last message.
  }
}

struct ForkFailed {
  worker @0 :UInt64;
  reason @1 :Text;
}

struct Exited {
  worker @0 :UInt64;
  waitStatus @1 :Int32;
  # As wait(2) gives it.
  cpuNanos @2 :UInt64;
  # The CPU time of its whole life, as the kernel counted it (getrusage(2)).
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
    # Only to a worker that was made with a line.
    closeLine @5 :Void;
    # The line takes no further calls. Those that it took are answered, and then the line's own call.
  }
}

struct OpenWorkerLine {
  # A call of the supervisor's, which lasts for as long as the worker serves its direct line: its answer says that it
  # does not any more, and is `protocolError` if the client broke a rule there. `cancel` ends the line at once, with the
  # calls on it. A worker serves one line in its life; to another such call the answer comes at once.
  call @0 :UInt64;
  # Its number, by the rules of `WorkerCall.id`.
  defaultTimeoutNanos @1 :UInt64;
  longestTimeoutNanos @2 :UInt64;
  # As in `LineOpened`.
  maxCalls @3 :UInt32;
  # While the worker has so many calls open, those of the supervisor included, it reads none from the line.
  busyPollNanos @4 :UInt64;
  # For how long the worker looks for the line's next call before it sleeps, where that pays; 0: it sleeps at once.
}

struct Cancel {
  # The call's answer is no longer wanted. The worker answers it all the same: at once if it has not begun it, which it
  # then does not, or if the function has not asked for its signal; else when the function settles after the signal was
  # aborted, or after a grace time of 1 s (kCancelGrace).
  call @0 :UInt64;
  reason @1 :CancelReason;
}

enum CancelReason {
  cancelled @0;
  # Its client asked for that, or left.
  deadlineExceeded @1;
}

struct Load {
  module @0 :Text;
  version @1 :Text;
  fileName @2 :Text;
  # What stacks show.
  source @3 :Data;
  # UTF-8.
  memoryBytes @4 :UInt64;
  # The module's limit for its JavaScript heap and its array buffers together.
  maxPayloadBytes @5 :UInt64;
  clockResolutionNanos @6 :UInt64;
  # The steps of every clock that the module can read; more than 0.
  allowCodeFromStrings @7 :Bool;
  # Whether eval, new Function and the like make code.
  tag @8 :UInt64;
  # Random, this worker's own. With a call's id it makes the requestId that functions and the log show.
  lenientResults @9 :Bool;
  # Whether what JSON would lose or change in a result is let pass.
  environment @10 :List(Variable);
  # What the operator set for the module: context.env and process.env.
}

struct Variable {
  name @0 :Text;
  value @1 :Text;
}

struct WorkerCall {
  id @0 :UInt64;
  # The call's number on this worker: 1, 2, 3, … It says nothing of the calls of others.
  function @1 :Text;
  payload @2 :Data;
  encoding @3 :Protocol.Encoding;
  arguments @4 :Protocol.ArgumentStyle;
  deadlineNanos @5 :UInt64;
  # By CLOCK_MONOTONIC; 0: none. A worker that comes to the call later answers `deadlineExceeded` and does not run it.
  resultEncoding @6 :Protocol.ResultEncoding;
  streamWindowBytes @7 :UInt32;
}

struct WorkerMessage {
  union {
    loaded @0 :Void;
    # Once, in answer to `load`, before any answer to a call.
    loadFailed @1 :Protocol.Error;
    # Instead of `loaded`. The worker's last message.
    answer @2 :Protocol.Answer;
    log @3 :LogLine;
    stopped @4 :Stopped;
    # The worker's last message.
    ready @5 :Void;
    # At most once, before `loaded`: the worker has done in advance what it could, and waits for its module. One that
    # finds its module waiting already does not say so.
    chunk @6 :Protocol.Chunk;
    # Only while the call's window is not used up.
    ran @8 :UInt64;
    # The worker was at work on this call for `runMicros`, a millisecond (kLongRun) at least. The call goes on, or is
    # answered and had left something to do.
  }
  runMicros @7 :UInt32;
  # Of an answer: for how long the worker was at work on the call since it last said so, in microseconds, or the most that
  # fits.
}

struct LogLine {
  level @0 :Protocol.LogLevel;
  text @1 :Text;
  call @2 :UInt64;
  # 0: none is known.
  dropped @3 :UInt64;
  # So many lines before this one were not sent: more was unsent than the worker holds for the log. Without a text, it
  # stands for them alone.
}

struct Stopped {
  # Why the worker ends itself.
  reason @0 :StopReason;
  call @1 :UInt64;
  # Which call was on the CPU; 0: none.
  stack @2 :Text;
  detail @3 :Text;
}

enum StopReason {
  softStop @0;
  # The supervisor's signal (SIGXCPU); `stack` says where the code was.
  outOfMemory @1;
  fatal @2;
  # V8 gave up, or the worker could not go on; `detail` says why.
}
