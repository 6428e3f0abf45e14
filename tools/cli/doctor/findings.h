// What a worker's view says of each layer of the sandbox. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/cli/doctor/process_view.h"

namespace holdfast::cli {

enum class LayerState {
  active,
  missing,      // it ought to be there
  off,          // by the operator's setting
  unavailable,  // neither this kernel nor this processor offers it; Holdfast does without
  unknown,      // the kernel does not show it to whoever looks
};

struct Finding {
  std::string layer;   // by the name that --allow-missing takes; "v8" for the rest
  std::string aspect;  // of the layer
  LayerState state = LayerState::active;
  std::string seen;    // what the kernel shows
  std::string advice;  // what to change on this host; empty where nothing is to be changed
};

// What the worker's own JavaScript found.
struct ScriptView {
  bool makes_code_from_strings = true;
  bool shares_memory = true;
  bool has_web_assembly = true;
};

// A layer that holdfastd could not set up here, so that it does not start unless that one may be missing.
struct RefusedLayer {
  std::string layer;
  std::string message;  // holdfastd's own: "CALL: ERROR; ADVICE"
};

struct Examination {
  std::vector<RefusedLayer> refused;
  ProcessView worker;
  ProcessView supervisor;
  ProcessView self;  // the one who looks: what an unlocked process of this host is like
  std::optional<ScriptView> script;
  bool strict = false;               // --profile strict
  bool speculation_is_free = false;  // --speculation free
};

std::vector<Finding> examine(const Examination& examination);

struct Verdict {
  bool starts = false;   // holdfastd does here, with these settings
  bool is_good = false;  // and nothing is missing but what may be
  std::string text;      // one line
  std::string advice;    // what to change; empty where nothing is to be changed
};

// `allowed` are the layers that may be missing.
Verdict verdict_on(const std::vector<Finding>& findings, const Examination& examination,
                   const std::vector<std::string>& allowed);

const char* to_string(LayerState state);

}  // namespace holdfast::cli
