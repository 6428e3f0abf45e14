// What `holdfast --help` and `holdfast COMMAND --help` say besides the flags.
#pragma once

namespace holdfast::cli {

inline constexpr const char* kExitCodes = R"(Exit codes:
  0    a result; the command did what was asked
  1    the function or its module failed by its own doing: exception, load_failed, not_found,
       not_serializable, payload_too_large
  2    the command line, its JSON or a file that it names cannot be used; nothing was called
  3    no supervisor, or the call was refused or stopped: deadline_exceeded, cpu_exceeded,
       out_of_memory, sandbox_violation, worker_crashed, overloaded, cancelled, permission_denied,
       unavailable, protocol_error
  130  cancelled by Ctrl-C (128 and the signal's number: 129 SIGHUP, 143 SIGTERM))";

inline constexpr const char* kExamples = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run sum.js addAll --args '[1,2,3]' --timeout 500ms
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast ps

`holdfast help COMMAND` tells more of each.)";

inline constexpr const char* kRunHelp = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run report.js render - < data.json > report.json
  holdfast run untrusted.js main --memory 64MB --stretch 50ms --timeout 2s --json)";

inline constexpr const char* kInvokeHelp = R"(Examples:
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast invoke calculator@v1.0.0 addAll --args '[1,2,3]'
  holdfast invoke thumbnail@2 scale - --encoding bytes --timeout 5s < image.png > small.png
A function that streams has each value printed as it comes, JSON in lines.)";

inline constexpr const char* kPsHelp = R"(Columns, and keys with --json:
  pid              of the process, as the supervisor's host sees it
  module, version  what it hosts; "-" (JSON: "") for a standby
  state            starting, standby, loading, idle, busy or draining (it finishes the calls that it has)
  calls            answered since it started
  calls_in_flight  being worked on
  line             whether a client has its direct line (holdfastd --direct-line); calls on it are
                   counted as the worker tells them
  cpu              CPU time that it has used (JSON: seconds)
  memory           that it alone holds (JSON: bytes)
  age              since it was forked (JSON: seconds))";

inline constexpr const char* kStatsHelp = R"(Examples:
  holdfast stats
  holdfast stats calculator
  holdfast stats calculator@v1.0.0 --json

Columns, of each module that was called since holdfastd was started, most CPU time first:
  INSTANCES   workers that hold it now
  CALLS       accepted
  ERRORS      of them answered with an error; --json tells which
  REFUSED     not accepted: overloaded
  RETRIES     calls that were given to a further worker because one had died
  COLD        workers that were given the module
  QUEUED, IN_FLIGHT  calls that wait for a worker, or that one has, now
  CPU         time, of all its calls
  QUEUE, RUN  what its calls took on average, waiting and running
  MEMORY      the most that a worker of it was seen with
  IN / OUT    payloads, and results or errors
  HELD_OFF    for how long a module that keeps dying is not tried again, and why
The last line is of the supervisor itself.)";

inline constexpr const char* kLogsHelp = R"(Examples:
  holdfast logs
  holdfast logs -f calculator
  holdfast logs -n 20 calculator@v1.0.0 --json

A line has its time, level, module, version and the call's id (context.requestId), then the text;
further lines of a text are indented. Keys with --json:
  time, level, module, version, requestId, message
  dropped          only in notes: so many lines are missing here
holdfastd keeps the last 1000 lines of all modules together. Who may read them is the operator's to
say; to others it is permission_denied, and the exit code 3.)";

inline constexpr const char* kLoadHelp = R"(Examples:
  holdfast load functions/
  holdfast load functions/ --verbose

Serves each module that holdfastd does not find itself and that is called: MODULE-VERSION.js of DIR,
read when it is asked for. Runs until it is interrupted, and then exits with 0. Who may load modules
is the operator's to say; to others it is permission_denied, and the exit code 3.)";

inline constexpr const char* kBenchHelp = R"(Examples:
  holdfast bench
  holdfast bench --suite all --figures figures.json --plots plots/
  holdfast bench --socket /run/holdfast/holdfast.sock --target calculator@v1.0.0

Suites; without --suite, the first three:
  hot        a call of a module that is loaded and warm, one at a time
  cold       the first call of a module: with a standby ready, without, and where another has to go
  rates      calls per second with 1 to 256 in flight; latency at fixed rates of arrival
  clients    calls per second of 1, 8 and 64 connections, with 1 and 4 calls in flight on each
  payloads   16 B to 16 MB, echoed, as JSON and as bytes: latency and throughput
  modules    the first call by the size of the module's code, 1 kB to 5 MB
  workers    a hot call while 1 to 1000 workers are alive, and what memory these take
  cold-rate  first calls per second, each of another module that takes another's place
  stuck      from the end of a stuck call's time to its error, and to the next good answer
  line       a hot call over a direct line, beside one that is relayed
  memory     of workers, zygote and supervisor, of each client and each module
Beside each latency is its floor, measured in turns with it: the same bytes moved by plain reads and
writes through three processes, and between two; a bare fork, and one with V8 (--fork-call). Take the
ratio to the floor from one machine to another, not the microseconds.)";

inline constexpr const char* kDoctorHelp = R"(Examples:
  holdfast doctor
  holdfast doctor --profile strict --json

Starts a worker as holdfastd would with these settings, and reads from /proc what the kernel
shows of it, and of its supervisor. States:
  active       in place
  missing      not in place: holdfastd does not start without it, unless --allow-missing names its layer
  off          by setting
  unavailable  neither this kernel nor this processor offers it; Holdfast does without
  unknown      the kernel does not show it to this user; holdfastd does not start where it is missing
The last line, "verdict: ...", says whether holdfastd starts here; with --json it is the array's last
element, of the layer "verdict", with the further keys verdict, starts and exit_code.
Exit code: 0 if holdfastd starts and nothing is missing but what may be, 1 if something is missing,
3 if there is no worker to look at.)";

}  // namespace holdfast::cli
