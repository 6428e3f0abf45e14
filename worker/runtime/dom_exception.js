// DOMException (Web IDL, 2.8.1 and 3.14.3).
//
// Evaluated after web_idl.js (slots, publishing globals).
'use strict';

const { makeSlot, publish } = runtime.webIdl;
const { captureStackTrace } = Error;
const { setPrototypeOf } = Object;

const ExceptionSlot = makeSlot();

// The names that have a code, each at the index of its code.
const names = [
  '', 'IndexSizeError', '', 'HierarchyRequestError', 'WrongDocumentError', 'InvalidCharacterError', '',
  'NoModificationAllowedError', 'NotFoundError', 'NotSupportedError', 'InUseAttributeError', 'InvalidStateError',
  'SyntaxError', 'InvalidModificationError', 'NamespaceError', 'InvalidAccessError', '', 'TypeMismatchError',
  'SecurityError', 'NetworkError', 'AbortError', 'URLMismatchError', 'QuotaExceededError', 'TimeoutError',
  'InvalidNodeTypeError', 'DataCloneError',
];
const codes = { __proto__: null };
for (let code = 0; code < names.length; code++) if (names[code] !== '') codes[names[code]] = code;

class DOMException {
  constructor(message = '', name = 'Error') {
    new ExceptionSlot(this, { __proto__: null, message: `${message}`, name: `${name}` });
    captureStackTrace(this, DOMException);
  }
  get name() { return ExceptionSlot.of(this).name; }
  get message() { return ExceptionSlot.of(this).message; }
  get code() { return codes[ExceptionSlot.of(this).name] ?? 0; }
}
setPrototypeOf(DOMException.prototype, Error.prototype);

publish(DOMException, [
  'INDEX_SIZE', 'DOMSTRING_SIZE', 'HIERARCHY_REQUEST', 'WRONG_DOCUMENT', 'INVALID_CHARACTER', 'NO_DATA_ALLOWED',
  'NO_MODIFICATION_ALLOWED', 'NOT_FOUND', 'NOT_SUPPORTED', 'INUSE_ATTRIBUTE', 'INVALID_STATE', 'SYNTAX',
  'INVALID_MODIFICATION', 'NAMESPACE', 'INVALID_ACCESS', 'VALIDATION', 'TYPE_MISMATCH', 'SECURITY', 'NETWORK', 'ABORT',
  'URL_MISMATCH', 'QUOTA_EXCEEDED', 'TIMEOUT', 'INVALID_NODE_TYPE', 'DATA_CLONE',
].map((name, index) => [`${name}_ERR`, index + 1]));

runtime.DOMException = DOMException;
runtime.isDOMException = ExceptionSlot.has;
