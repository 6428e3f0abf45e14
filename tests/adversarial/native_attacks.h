// Functions of native code, which can do what JavaScript cannot; every module of the attacker's worker has them.
#pragma once

#include <v8.h>

namespace holdfast::test {

// Adds to the context's global object:
//
//   systemCall(number, ...six words)  makes the call and returns its result or the negative errno; a call that is
//                                     refused ends the process
//   tryCall(number, ...six words)     like systemCall, but a refused call does not end the process and returns
//                                     'refused:' and the number that the kernel reported
//   oldSystemCall(number, ...five)    calls by `int 0x80`, as 32-bit programs do
//   sysenter(number, stack)           calls by sysenter, the other way of 32-bit programs
//   asWord(word)                      returns the address of an ArrayBuffer
//   readWord(address), writeWord(address, value)   read and write 8 bytes
//   touch(address, size)              writes to each page
//   replaceWords(old, value)          replaces words in the program's own data, including the signal handlers'
//                                     data; returns how many
//   scribble(value)                   overwrites all of that data, then spins
//   jump(address, word)               calls the function at the address
//   forgeReturn(mask, flags, selectors, address, fpstate)   rt_sigreturn(2) with a forged frame: blocked signals,
//                                     EFLAGS, CS and SS, where to continue (0: spin), floating point state
//   blockSignals(mask)                blocks signals by a forged rt_sigreturn(2), and returns
//   fault(kind)                       executes what the processor refuses
//   spin(address?)                    runs for ever in code that V8 cannot interrupt; writes a rising number to the
//                                     address
//   overflowStack()                   pushes until the stack ends
//   sharedPage(), ownCode(), engineCode(), ownStack(), restartableSequences()   return addresses
//
// Functions that depend on registers, instructions or the frame of a signal exist on x86-64 only.
//
// A word is a number, a BigInt, or an ArrayBuffer, which stands for its address.
void add_native_attacks(v8::Isolate* isolate, v8::Local<v8::Context> context);

}  // namespace holdfast::test
