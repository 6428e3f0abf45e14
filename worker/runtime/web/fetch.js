// Fetch Standard: Headers, Request, Response and FormData as Node.js has them. Of fetch(), what needs no network.
// Before request.js, which needs its conversions when it is evaluated.
import { Response, filterResponse, fromInnerResponse, makeResponse } from 'undici/lib/web/fetch/response.js';
import { Request, getRequestState } from 'undici/lib/web/fetch/request.js';
import { FormData } from 'undici/lib/web/fetch/formdata.js';
import { Headers } from 'undici/lib/web/fetch/headers.js';
import { safelyExtractBody } from 'undici/lib/web/fetch/body.js';
import { dataURLProcessor, serializeAMimeType } from 'undici/lib/web/fetch/data-url.js';
import { defineGlobals } from './globals.js';

const { needArguments } = runtime.webIdl;

// Fetch Standard, 4.3 (scheme fetch): a data: URL carries its own answer.
function answerOf(url) {
  const data = dataURLProcessor(url);
  if (data === 'failure') throw new TypeError('fetch failed: the data: URL cannot be read');
  return fromInnerResponse(filterResponse(makeResponse({
    statusText: 'OK',
    headersList: [['content-type', { name: 'Content-Type', value: serializeAMimeType(data.mimeType) }]],
    body: safelyExtractBody(data.body)[0],
    urlList: [url],
  }), 'basic'), 'immutable');
}

async function fetch(input, init = undefined) {
  needArguments(arguments.length, 1, 'fetch');
  const request = new Request(input, init);
  const { signal } = request;
  if (signal.aborted) throw signal.reason;
  const url = getRequestState(request).urlList[0];
  if (url.protocol === 'data:') return answerOf(url);
  throw new TypeError('fetch failed: this module was given no network');
}

defineGlobals({ FormData, Headers, Request, Response, fetch });
