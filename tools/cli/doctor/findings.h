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

struct Examination {
  ProcessView worker;
  ProcessView supervisor;
  ProcessView self;  // the one who looks: what an unlocked process of this host is like
  std::optional<ScriptView> script;
  bool strict = false;               // --profile strict
  bool speculation_is_free = false;  // --speculation free
};

std::vector<Finding> examine(const Examination& examination);

const char* to_string(LayerState state);

}  // namespace holdfast::cli
