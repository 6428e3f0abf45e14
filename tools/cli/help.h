// What `holdfast --help` and `holdfast COMMAND --help` say besides the flags.
#pragma once

namespace holdfast::cli {

inline constexpr const char* kExitCodes = R"(Exit codes:
  0    the call gave a result, or the command succeeded
  1    the function or its module failed by its own fault: exception, load_failed, not_found,
       not_serializable, payload_too_large
  2    the command line, its JSON or a file that it names cannot be used; nothing was called
  3    no supervisor, or the call was refused or stopped: deadline_exceeded, cpu_exceeded,
       out_of_memory, sandbox_violation, worker_crashed, overloaded, cancelled, permission_denied,
       unavailable, protocol_error
  130  cancelled by Ctrl-C (128 plus the signal's number: 129 SIGHUP, 143 SIGTERM))";

inline constexpr const char* kExamples = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run sum.js addAll --args '[1,2,3]' --timeout 500ms
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast ps

`holdfast help COMMAND` explains a command.)";

inline constexpr const char* kRunHelp = R"(Examples:
  holdfast run sum.js add '{"a":1,"b":2}'
  holdfast run report.js render - < data.json > report.json
  holdfast run untrusted.js main --memory 64MB --stretch 50ms --timeout 2s --json)";

inline constexpr const char* kInvokeHelp = R"(Examples:
  holdfast invoke calculator@v1.0.0 add '{"a":1,"b":2}'
  holdfast invoke calculator@v1.0.0 addAll --args '[1,2,3]'
  holdfast invoke thumbnail@2 scale - --encoding bytes --timeout 5s < image.png > small.png
The values of a stream are printed as they come, each JSON value on a line.)";

inline constexpr const char* kPsHelp = R"(Columns, and keys with --json:
  pid              the worker's process id in the supervisor's pid namespace
  module, version  the module that the worker has; "-" (JSON: "") for a standby
  state            starting, standby, loading, idle, busy, or draining (ends after its calls)
  calls            calls answered since the worker started
  calls_in_flight  calls that the worker has now
  line             whether a client has the worker's direct line (holdfastd --direct-line); calls on
                   it are counted as the worker reports them
  cpu              CPU time used (JSON: in seconds)
  memory           private memory (JSON: in bytes)
  age              time since the worker was forked (JSON: in seconds))";

inline constexpr const char* kStatsHelp = R"(Examples:
  holdfast stats
  holdfast stats calculator
  holdfast stats calculator@v1.0.0 --json

Modules that were called since holdfastd was started, most CPU time first. Columns:
  INSTANCES   workers that have the module now
  CALLS       calls accepted
  ERRORS      accepted calls that were answered with an error; --json counts each error
  REFUSED     calls not accepted: overloaded
  RETRIES     how often a call was given to another worker because its worker had died
  COLD        how often a worker was given the module
  QUEUED, IN_FLIGHT  calls that wait for a worker now, and calls that workers have now
  CPU         CPU time of all calls
  QUEUE, RUN  average time that a call waited, and that it ran
  MEMORY      the most memory that the supervisor saw in one of its workers
  IN / OUT    bytes of payloads, and of results and errors
  HELD_OFF    time until a module whose workers keep dying is tried again, and why they died
The last line describes the supervisor itself.)";

inline constexpr const char* kLogsHelp = R"(Examples:
  holdfast logs
  holdfast logs -f calculator
  holdfast logs -n 20 calculator@v1.0.0 --json

A line has a time, a level, module and version, the call's id (context.requestId) and the text;
further lines of a text are indented. Keys with --json:
  time, level, module, version, requestId, message
  dropped          only in notes: the number of lines that are missing here
holdfastd keeps the last 1000 lines of all modules together. The operator decides which users may
read them; other users get permission_denied, exit code 3.)";

inline constexpr const char* kLoadHelp = R"(Examples:
  holdfast load functions/
  holdfast load functions/ --verbose

Supplies modules that are called and that holdfastd does not find itself: reads MODULE-VERSION.js in
DIR whenever holdfastd asks for it. Runs until it is interrupted, and then exits with 0. The
operator decides which users may load modules; other users get permission_denied, exit code 3.)";

inline constexpr const char* kBenchHelp = R"(Examples:
  holdfast bench
  holdfast bench --suite all --figures figures.json --plots plots/
  holdfast bench --socket /run/holdfast/holdfast.sock --target calculator@v1.0.0

Suites; without --suite, the first three:
  hot        calls of a loaded and warm module, one at a time
  cold       the first call of a module: with a standby, without one, and with an eviction
  rates      calls per second with 1 to 256 calls in flight; latency at fixed rates of arrival
  clients    calls per second of 1, 8 and 64 connections, with 1 and 4 calls in flight on each
  payloads   latency and throughput of echoed payloads of 16 B to 16 MB, as JSON and as bytes
  modules    the first call by the size of the module's code, 1 kB to 5 MB
  workers    hot calls while 1 to 1000 workers are alive, and the memory of these workers
  cold-rate  first calls per second, each of a new module that evicts another
  stuck      time from a stuck call's limit to its error, and to the module's next result
  line       hot calls over a direct line, compared with relayed calls
  memory     memory of workers, zygote and supervisor, for each client and for each module
Each latency is shown with its floor, measured alternately with it: the same bytes moved by plain
reads and writes through three processes and between two, a bare fork, and a fork with V8
(--fork-call). To compare machines, compare ratios to the floor, not microseconds.)";

inline constexpr const char* kDoctorHelp = R"(Examples:
  holdfast doctor
  holdfast doctor --profile strict --json

Starts a worker as holdfastd would with these settings, and checks in /proc what the kernel shows of
the worker and of its supervisor. States:
  active       in place
  missing      not in place: holdfastd does not start unless --allow-missing names the layer
  off          switched off by the settings
  unavailable  this kernel or processor does not offer it; Holdfast works without it
  unknown      the kernel does not show it to this user; holdfastd does not start if it is missing
The last line, "verdict: ...", says whether holdfastd starts here. With --json it is the last
element of the array, with the layer "verdict" and the additional keys verdict, starts and exit_code.
Exit code: 0 if holdfastd starts and no layer is missing except those of --allow-missing, 1 if
another layer is missing, 3 if no worker can be started.)";

}  // namespace holdfast::cli
