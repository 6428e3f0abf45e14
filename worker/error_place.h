// What an ErrorEvent says of an error besides the error itself: [message, file, line, column], as V8 knows them. Runs
// no code of the module's. Unknown is '' and 0, and so is a place in the runtime's own code.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// `message` may be empty.
v8::Local<v8::Array> place_of(v8::Isolate* isolate, v8::Local<v8::Message> message);

// Of an error, where it was made. Of any other value, or where that is unknown, where the module's code is now.
v8::Local<v8::Array> place_of_reported(v8::Isolate* isolate, v8::Local<v8::Value> value);

// Of an error, where it was made; of any other value nothing is known but what it is.
v8::Local<v8::Array> place_of_caught(v8::Isolate* isolate, v8::Local<v8::Value> value);

}  // namespace holdfast::worker
