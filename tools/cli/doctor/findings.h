// Judges each layer of the sandbox from views of the processes. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/cli/doctor/process_view.h"

namespace holdfast::cli {

enum class LayerState {
  active,
  missing,      // it should be there
  off,          // switched off by the operator's settings
  unavailable,  // this kernel or processor does not offer it; Holdfast works without it
  unknown,      // the kernel does not show it to this process
};

struct Finding {
  std::string layer;   // the name that --allow-missing takes; "v8" for the engine
  std::string aspect;  // the part of the layer
  LayerState state = LayerState::active;
  std::string seen;    // what the kernel shows
  std::string advice;  // what to change on this host; empty: nothing
};

// What JavaScript in the worker found.
struct ScriptView {
  bool makes_code_from_strings = true;
  bool shares_memory = true;
  bool has_web_assembly = true;
};

// A layer that holdfastd could not set up here, so that it does not start unless that layer may be missing.
struct RefusedLayer {
  std::string layer;
  std::string message;  // holdfastd's own: "CALL: ERROR; ADVICE"
};

struct Examination {
  std::vector<RefusedLayer> refused;
  ProcessView worker;
  ProcessView supervisor;
  ProcessView self;  // this process, as an example of an unlocked process on this host
  std::optional<ScriptView> script;
  bool strict = false;               // --profile strict
  bool speculation_is_free = false;  // --speculation free
};

std::vector<Finding> examine(const Examination& examination);

struct Verdict {
  bool starts = false;   // holdfastd starts here with these settings
  bool is_good = false;  // and no layer is missing except those that may be
  std::string text;      // one line
  std::string advice;    // what to change; empty: nothing
};

// `allowed` are the layers that may be missing.
Verdict verdict_on(const std::vector<Finding>& findings, const Examination& examination,
                   const std::vector<std::string>& allowed);

const char* to_string(LayerState state);

}  // namespace holdfast::cli
