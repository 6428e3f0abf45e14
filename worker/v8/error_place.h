// What an ErrorEvent says about an error besides the error itself: the array [message, file, line, column], as V8
// knows them. Runs none of the module's code. An unknown place, or one in the runtime's own code, is '' and 0.
#pragma once

#include <v8.h>

namespace holdfast::worker {

// Describes a message of V8's. `message` may be empty: the text is "Uncaught" then, and the place unknown.
v8::Local<v8::Array> place_of(v8::Isolate* isolate, v8::Local<v8::Message> message);

// Describes a value passed to reportError(). The place of an error is where it was created. For any other value, or
// if that place is unknown, it is where the module's code is now.
v8::Local<v8::Array> place_of_reported(v8::Isolate* isolate, v8::Local<v8::Value> value);

// Describes a value that was caught. The place of an error is where it was created; for any other value it is
// unknown.
v8::Local<v8::Array> place_of_caught(v8::Isolate* isolate, v8::Local<v8::Value> value);

}  // namespace holdfast::worker
