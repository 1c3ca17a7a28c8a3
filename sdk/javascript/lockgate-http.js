// Requests over HTTP, sent by the host, and trying again. Part of `lockgate.js`, for worlds that import
// `wasi:http` and `wasi:clocks/monotonic-clock`.
//
//   const page = getJson('https://api.example/items', { token: config.token, what: 'reading items' });
//
// The host resolves the name, dials, speaks TLS, and lets through what the operator granted with
// `--allow-net HOST:PORT`. Redirects are not followed. What is tried again: 408, 425, 429, 5xx, connections
// that fail and answers that break off, after waits that grow, with jitter, and no sooner than
// `Retry-After` says.

import { subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.12';
import { handle } from 'wasi:http/outgoing-handler@0.2.12';
import {
  Fields,
  OutgoingBody,
  OutgoingRequest,
  RequestOptions,
  httpErrorCode,
} from 'wasi:http/types@0.2.12';
import { Failure, warn } from './lockgate.js';

/// The most that is read of an answer.
export const MAX_BODY_BYTES = 32 << 20;
/// How much of the answer to a request that failed is kept for the failure's detail.
export const EXCERPT_BYTES = 500;
/// Milliseconds to connect, to the first byte of the answer, between two, and to the end of the answer.
export const TIMES = { connect: 10_000, firstByte: 60_000, silence: 30_000, whole: 900_000 };
/// Attempts in all; milliseconds of the first wait, which doubles; the longest; from the first attempt to
/// the last.
export const RETRY = { attempts: 8, firstWait: 500, longestWait: 60_000, deadline: 600_000 };
/// More than so many milliseconds of `Retry-After` are taken for so many.
export const LONGEST_RETRY_AFTER = 7 * 24 * 3600 * 1000;
/// Bytes that one write hands to the host.
const WRITE_BYTES = 4096;
const READ_BYTES = 65_536n;

// What the host says and an operator can mend; the rest is worth another attempt, or a fault.
const CONFIG = {
  'HTTP-request-denied':
    'it is not granted: pass --allow-net PLACE (in sync: --source-allow-net or --destination-allow-net)',
  'destination-IP-prohibited':
    'its name leads to a private address or to one of this machine: grant that very name or address ' +
    'with --allow-net (PLACE)',
  'TLS-certificate-error':
    "the server's certificate is not trusted: an authority of your own is trusted with --tls-root FILE",
  'TLS-protocol-error': 'TLS failed',
  'TLS-alert-received': 'TLS failed',
  'connection-limit-reached': 'a limit of the host was reached: --limit connections=…',
  'HTTP-response-body-size': 'a limit of the host was reached: --limit http-body-bytes=…',
  'HTTP-response-header-section-size':
    'a limit of the host was reached: --limit http-header-bytes=…',
};
const TRANSIENT = {
  'DNS-error': 'its name cannot be resolved: is it spelt right?',
  'destination-not-found': 'its name cannot be resolved: is it spelt right?',
  'DNS-timeout': 'connecting took too long',
  'connection-timeout': 'connecting took too long',
  'connection-read-timeout': 'waiting for the answer took too long',
  'connection-write-timeout': 'sending the request took too long',
  'HTTP-response-timeout': 'waiting for the answer took too long',
  'connection-refused': 'the connection was refused: is the port right, and the server running?',
  'connection-terminated': 'the connection failed',
  'destination-unavailable': 'the connection failed',
  'destination-IP-unroutable': 'the connection failed',
  'HTTP-response-incomplete': 'the answer broke off',
};
const HINTS = {
  401: ' (unauthorized): is the token or password in the configuration right?',
  403: ' (forbidden): what is configured may not read or write this',
  404: ' (not found): is the URL in the configuration right?',
  429: ' (too many requests)',
};

/// Whether a request with this answer is sent again.
export function isRetried(status) {
  return [408, 425, 429].includes(status) || (status >= 500 && status <= 599);
}

/// Milliseconds that a `Retry-After` asks for, which is a number of seconds or a date; else undefined.
export function retryAfter(value, now) {
  const text = value.trim();
  const wait = /^[0-9]+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(wait, 0), LONGEST_RETRY_AFTER);
}

/// Milliseconds to wait after an attempt, the first being 1; undefined: give up.
export function decide(attempt, elapsed, after, chance) {
  if (attempt >= RETRY.attempts) return undefined;
  const grown = Math.min(RETRY.firstWait * 2 ** (attempt - 1), RETRY.longestWait);
  const wait = Math.max(grown / 2 + (grown / 2) * chance, after ?? 0);
  return elapsed + wait > RETRY.deadline ? undefined : wait;
}

/// Waits so many milliseconds.
export function sleep(milliseconds) {
  const ready = subscribeDuration(BigInt(Math.ceil(milliseconds * 1e6)));
  ready.block();
  ready[Symbol.dispose]();
}

/// Does `operation`, again where it throws a transient `Failure`. `what` names it in the log.
export function retry(what, operation) {
  const start = Date.now();
  for (let attempt = 1; ; attempt++) {
    try {
      return operation();
    } catch (error) {
      if (!(error instanceof Failure) || error.kind !== 'transient') throw error;
      const after = error.retryAfter === undefined ? undefined : error.retryAfter * 1000;
      const wait = decide(attempt, Date.now() - start, after, Math.random());
      if (wait === undefined) {
        warn(`${what}: giving up after ${attempt} attempts`);
        throw error;
      }
      const seconds = (wait / 1000).toFixed(1);
      warn(
        `${what}: ${error.message}; trying again in ${seconds} s ` +
          `(attempt ${attempt} of ${RETRY.attempts})`,
      );
      sleep(wait);
    }
  }
}

/// GETs a JSON value, trying again.
export function getJson(url, { token, what = 'reading' } = {}) {
  return retry(what, () => {
    const headers = { accept: 'application/json' };
    if (token != null) headers.authorization = `Bearer ${token}`;
    const response = success(request('GET', url, { headers }), 'GET', url, token);
    try {
      return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(response.body));
    } catch {
      throw Failure.system(`${nameOf('GET', url)}: the answer is not JSON`);
    }
  });
}

/// The answer, if its status is 2xx; else a `Failure` of the kind that fits.
export function success(response, method, url, secret) {
  const { status } = response;
  if (status >= 200 && status <= 299) return response;
  let text = new TextDecoder().decode(response.body.subarray(0, EXCERPT_BYTES));
  if (secret) text = text.replaceAll(secret, '[hidden]');
  // The engine knows no \p{Cc}.
  text = text.replace(/[\x00-\x1f\x7f-\x9f]/g, ' ').trim();
  const detail = text === '' ? undefined : `the answer begins: ${text}`;
  const message = `${nameOf(method, url)}: the answer was ${status}${HINTS[status] ?? ''}`;
  if (isRetried(status)) {
    const after = response.header('retry-after');
    const wait = after === undefined ? undefined : retryAfter(after, Date.now());
    throw Failure.transient(message, { detail, retryAfter: wait && wait / 1000 });
  }
  const mendable = [401, 402, 403, 404, 407, 410, 451].includes(status);
  const kind = mendable || (status >= 300 && status <= 399) ? 'config' : 'system';
  throw new Failure(kind, message, { detail });
}

/// Sends one request and reads its whole answer, whatever its status: `status`, `headers`, `header(name)`
/// and `body`.
export function request(method, url, { headers = {}, body = new Uint8Array() } = {}) {
  const parts = place(url);
  const name = nameOf(method, url);
  const port = parts.port === '' ? { 'https:': '443', 'http:': '80' }[parts.protocol] : parts.port;
  const failed = (error) => failureOf(error?.payload ?? error, name, `${parts.hostname}:${port}`);
  const start = Date.now();
  let future;
  try {
    const [outgoing, outgoingBody] = prepare(method, parts, headers, body);
    future = handle(outgoing, options());
    send(outgoingBody, body);
  } catch (error) {
    throw error instanceof Failure ? error : failed(error);
  }
  const ready = future.subscribe();
  ready.block();
  ready[Symbol.dispose]();
  const answer = future.get();
  future[Symbol.dispose]();
  if (answer?.tag !== 'ok') throw Failure.system(`${name}: the host gave no answer`);
  if (answer.val.tag !== 'ok') throw failed(answer.val.val);
  return receive(answer.val.val, name, failed, start);
}

/// A URL, against another where one is given; undefined if it is none.
export function parseUrl(text, base) {
  try {
    return new URL(text, base);
  } catch {
    return undefined;
  }
}

function place(url) {
  const parts = parseUrl(url);
  if (!['http:', 'https:'].includes(parts?.protocol) || parts.username || parts.password) {
    throw Failure.config('a URL is not http:// or https:// with a host, or has a user in it');
  }
  return parts;
}

function prepare(method, parts, headers, body) {
  const encoder = new TextEncoder();
  const fields = new Fields();
  for (const [key, value] of Object.entries(headers)) {
    try {
      fields.append(key.toLowerCase(), encoder.encode(value));
    } catch {
      throw Failure.config(`the header \`${key}\` cannot be sent`);
    }
  }
  if (body.length > 0 || !['GET', 'DELETE'].includes(method)) {
    fields.append('content-length', encoder.encode(String(body.length)));
  }
  const outgoing = new OutgoingRequest(fields);
  outgoing.setMethod({ tag: method.toLowerCase() });
  outgoing.setScheme({ tag: parts.protocol === 'https:' ? 'HTTPS' : 'HTTP' });
  outgoing.setAuthority(parts.host);
  outgoing.setPathWithQuery(`${parts.pathname}${parts.search}`);
  return [outgoing, outgoing.body()];
}

function options() {
  const options = new RequestOptions();
  options.setConnectTimeout(BigInt(TIMES.connect) * 1_000_000n);
  options.setFirstByteTimeout(BigInt(TIMES.firstByte) * 1_000_000n);
  options.setBetweenBytesTimeout(BigInt(TIMES.silence) * 1_000_000n);
  return options;
}

/// What goes wrong on the way is said by the answer.
function send(outgoing, body) {
  try {
    if (body.length > 0) {
      const stream = outgoing.write();
      for (let start = 0; start < body.length; start += WRITE_BYTES) {
        stream.blockingWriteAndFlush(body.subarray(start, start + WRITE_BYTES));
      }
      stream[Symbol.dispose]();
    }
    OutgoingBody.finish(outgoing, undefined);
  } catch {
    // See above.
  }
}

function receive(response, name, failed, start) {
  const status = response.status();
  const fields = response.headers();
  const decoder = new TextDecoder();
  const headers = fields.entries().map(([key, value]) => [key.toLowerCase(), decoder.decode(value)]);
  fields[Symbol.dispose]();
  const incoming = response.consume();
  const stream = incoming.stream();
  try {
    const body = readAll(stream, name, failed, start);
    const header = (key) => headers.find(([known]) => known === key.toLowerCase())?.[1];
    return { status, headers, header, body };
  } finally {
    // A stream goes before its body, and that before its answer.
    for (const resource of [stream, incoming, response]) resource[Symbol.dispose]();
  }
}

function readAll(stream, name, failed, start) {
  const chunks = [];
  let size = 0;
  for (;;) {
    if (Date.now() - start > TIMES.whole) {
      throw Failure.transient(`${name}: reading the answer took too long`);
    }
    let chunk;
    try {
      chunk = stream.blockingRead(READ_BYTES);
    } catch (error) {
      const { tag, val } = error?.payload ?? error;
      if (tag === 'closed') break;
      throw failed(httpErrorCode(val));
    }
    chunks.push(chunk);
    size += chunk.length;
    if (size > MAX_BODY_BYTES) {
      throw Failure.system(`${name}: the answer is larger than ${MAX_BODY_BYTES} bytes`);
    }
  }
  const body = new Uint8Array(size);
  let end = 0;
  for (const chunk of chunks) {
    body.set(chunk, end);
    end += chunk.length;
  }
  return body;
}

function failureOf(code, name, place) {
  const { tag } = code ?? {};
  if (tag in CONFIG) return Failure.config(`${name}: ${CONFIG[tag].replace('PLACE', place)}`);
  if (tag === undefined || tag in TRANSIENT) {
    return Failure.transient(`${name}: ${TRANSIENT[tag] ?? 'the connection failed'}`);
  }
  return Failure.system(`${name}: the host refused it (${tag})`);
}

/// The request without its query, which may hold a secret.
function nameOf(method, url) {
  return `${method} ${String(url).split(/[?#]/)[0]}`;
}
