// What native code can do and JavaScript cannot, as functions that every module of the attacker's worker finds.
#pragma once

#include <v8.h>

namespace holdfast::test {

// Adds to the context's global object:
//
//   systemCall(number, ...six words)  its result, or the negative errno; a call that is refused ends the process
//   tryCall(number, ...six words)     the same, but survives: 'refused:' and the number that the kernel told of
//   oldSystemCall(number, ...five)    by `int 0x80`, as 32-bit programs do
//   sysenter(number, stack)           by the other way of 32-bit programs
//   asWord(word)                      the address of an ArrayBuffer
//   readWord(address), writeWord(address, value)   8 bytes
//   touch(address, size)              writes to each page
//   replaceWords(old, value)          in the program's own data, the signal handlers' included; how often
//   scribble(value)                   over all of that data, and spins
//   jump(address, word)               calls it
//   forgeReturn(mask, flags, selectors, address, fpstate)   rt_sigreturn(2) with a frame made up: which signals are
//                                     blocked, EFLAGS, CS and SS, where to go on (0: spin), floating point state
//   blockSignals(mask)                the same, and comes back
//   fault(kind)                       what a processor refuses
//   spin(address?)                    for ever, in code that V8 cannot interrupt; writes a rising number meanwhile
//   overflowStack()                   pushes until there is no more
//   sharedPage(), ownCode(), engineCode(), ownStack(), restartableSequences()   addresses
//
// Those that know registers, instructions or the frame of a signal are there for x86-64 only.
//
// A word is a number, a BigInt, or an ArrayBuffer, which stands for its address.
void add_native_attacks(v8::Isolate* isolate, v8::Local<v8::Context> context);

}  // namespace holdfast::test
