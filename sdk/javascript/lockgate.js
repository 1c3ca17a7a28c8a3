// Writes data connectors for Lockgate in JavaScript.
//
// A connector is one module: an object with a specification and a few functions, which `exportSource` or
// `exportDestination` puts behind Lockgate's contract. componentize-js makes a component of it.
//
//   import * as output from 'lockgate:connector/output@0.1.0';
//   import { exportSource, Failure } from './lockgate.js';
//
//   export const source = exportSource({
//     spec: {
//       name: 'source-counter',
//       version: '0.1.0',
//       properties: { limit: { type: 'integer', description: 'The last number.' } },
//       required: ['limit'],
//     },
//     check(config) {},
//     discover(config) {
//       const jsonSchema = { type: 'object', properties: { number: { type: 'integer' } } };
//       return [{ name: 'numbers', jsonSchema, incremental: true }];
//     },
//     read(config, catalog, state, output) {
//       catalog.streams.forEach((configured, index) => {
//         const { name } = configured.descriptor;
//         if (name !== 'numbers') throw Failure.config(`there is no stream \`${name}\``);
//         const start = state.stream(configured.descriptor)?.last ?? 0;
//         const stream = output.stream(index);
//         for (let number = start + 1; number <= config.limit; number++) stream.write({ number });
//         stream.checkpoint({ last: Math.max(start, config.limit) });
//         stream.complete();
//       });
//     },
//   }, output);
//
// A connector throws a `Failure` to say who can mend what went wrong; any other error is a fault of the
// connector, and its stack becomes the failure's detail. What the host throws is left to pass.

import { log } from 'lockgate:connector/logging@0.1.0';

/// Bytes of rows in one batch: beyond it a call gets no cheaper.
export const BATCH_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/// Why an operation did not succeed. `message` is one sentence for the operator, `detail` what a developer
/// needs; neither may hold a secret. `retryAfter` is in seconds.
export class Failure extends Error {
  constructor(kind, message, { detail, stream, retryAfter } = {}) {
    super(message);
    Object.assign(this, { kind, detail, stream, retryAfter });
  }

  /// The operator must change the configuration, the catalog or a grant.
  static config(message, more) {
    return new Failure('config', message, more);
  }

  /// The other system was busy or away.
  static transient(message, more) {
    return new Failure('transient', message, more);
  }

  /// A fault of the connector.
  static system(message, more) {
    return new Failure('system', message, more);
  }
}

/// What helps to understand a run. No message may hold a secret.
export const debug = (message) => log('debug', String(message));
/// What an operator may like to know.
export const info = (message) => log('info', String(message));
/// What an operator should know though the run goes on.
export const warn = (message) => log('warn', String(message));

/// `name`, or `namespace.name`: for messages, not a key.
export function fullName({ name, namespace }) {
  return namespace === undefined ? name : `${namespace}.${name}`;
}

/// A JSON object as text.
function objectText(value, what) {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw Failure.system(`${what} is not an object`);
  }
  try {
    return JSON.stringify(value);
  } catch (error) {
    throw Failure.system(`${what} cannot be written as JSON`, { detail: String(error) });
  }
}

function specification(spec) {
  const needs = spec.needs ?? [];
  return {
    name: spec.name,
    version: spec.version,
    documentationUrl: spec.documentationUrl,
    configSchema: JSON.stringify({
      $schema: 'http://json-schema.org/draft-07/schema#',
      type: 'object',
      properties: spec.properties,
      required: spec.required ?? [],
      additionalProperties: false,
    }),
    destinationSyncModes: spec.modes ?? [],
    formats: ['json-lines'],
    needs: needs.map(([capability, pattern, reason]) => ({ capability, pattern, reason })),
    extra: '{}',
  };
}

/// Whether a value is of a JSON Schema's type.
function isOf(value, kind) {
  if (kind === 'null') return value === null;
  if (kind === 'integer') return Number.isInteger(value);
  if (kind === 'array') return Array.isArray(value);
  if (kind === 'object') return typeof value === 'object' && value !== null && !Array.isArray(value);
  return typeof value === kind;
}

/// The configuration with its defaults. No value is in what is said of it: it may be a secret.
function configuration(spec, text) {
  const config = JSON.parse(text);
  if (typeof config !== 'object' || config === null || Array.isArray(config)) {
    throw Failure.config('the configuration is not an object');
  }
  for (const name of spec.required ?? []) {
    if (!Object.hasOwn(config, name)) {
      throw Failure.config(`the configuration: \`${name}\` is missing`);
    }
  }
  for (const [name, value] of Object.entries(config)) {
    if (!Object.hasOwn(spec.properties, name)) {
      throw Failure.config(`the configuration: there is no \`${name}\``);
    }
    const kinds = [spec.properties[name].type ?? []].flat();
    if (kinds.length > 0 && !kinds.some((kind) => isOf(value, kind))) {
      throw Failure.config(`the configuration: \`${name}\` is not of type ${kinds.join(' or ')}`);
    }
  }
  const defaults = {};
  for (const [name, property] of Object.entries(spec.properties)) {
    if ('default' in property) defaults[name] = property.default;
  }
  return { ...defaults, ...config };
}

function discovered(stream) {
  return {
    descriptor: { name: stream.name, namespace: stream.namespace },
    jsonSchema: JSON.stringify(stream.jsonSchema),
    syncModes: stream.incremental ? ['full-refresh', 'incremental'] : ['full-refresh'],
    sourceDefinedCursor: stream.cursor !== undefined,
    defaultCursorField: stream.cursor ?? [],
    sourceDefinedPrimaryKey: stream.primaryKey ?? [],
    resumable: stream.resumable ?? false,
    extra: '{}',
  };
}

/// What earlier syncs stored.
class SavedState {
  constructor(states) {
    this.streams = states.flatMap(({ tag, val }) => (tag === 'stream' ? [val] : val.streams));
    this.global = states.find(({ tag }) => tag === 'global')?.val;
  }

  /// A stream's state, an object. Undefined: start again.
  stream({ name, namespace }) {
    const found = this.streams.find(
      ({ descriptor }) => descriptor.name === name && descriptor.namespace === namespace,
    );
    return found?.state === undefined ? undefined : JSON.parse(found.state);
  }

  /// The shared part of a global state. Undefined: start again.
  shared() {
    return this.global?.shared === undefined ? undefined : JSON.parse(this.global.shared);
  }
}

/// What a source writes to. Each stream must be ended by `complete` or `incomplete`.
class Output {
  constructor(catalog, port) {
    this.streams = catalog.streams.map((s, index) => new StreamOutput(index, s.descriptor, port));
  }

  /// The stream at `index` of the catalog; the first time, the host is told that it started.
  stream(index) {
    const stream = this.streams[index];
    if (stream.status === undefined) stream.report('started');
    return stream;
  }

  /// Every stream has an end.
  check() {
    const open = this.streams.find((stream) => !stream.ended());
    if (open !== undefined) {
      const name = fullName(open.descriptor);
      const message = `the source returned without saying how the stream \`${name}\` ended`;
      throw Failure.system(message, { stream: open.descriptor });
    }
  }

  /// Says of what has begun and not ended that it will not.
  abandon() {
    for (const stream of this.streams) {
      if (stream.status === undefined || stream.ended()) continue;
      try {
        stream.report('incomplete');
      } catch {
        // Only the failure that stopped the source matters now.
      }
    }
  }
}

/// One stream of an `Output`. Rows are kept until a batch is full.
class StreamOutput {
  constructor(index, descriptor, port) {
    Object.assign(this, { index, descriptor, port, status: undefined, count: 0, length: 0 });
  }

  /// Writes one row, an object.
  write(row) {
    if (this.status !== 'running') {
      this.open();
      this.report('running');
    }
    const line = encoder.encode(`${objectText(row, 'a row')}\n`);
    if (this.length + line.length > BATCH_BYTES) this.flush();
    if (line.length > BATCH_BYTES) {
      this.emit(line, 1);
      return;
    }
    // A stream that has no rows yet, or none any more, needs no room.
    this.batch ??= new Uint8Array(BATCH_BYTES);
    this.batch.set(line, this.length);
    this.length += line.length;
    this.count += 1;
  }

  /// Sends the rows kept of this stream. A source that waits long between rows calls it first.
  flush() {
    if (this.count === 0) return;
    const { count, length } = this;
    this.count = this.length = 0;
    this.emit(this.batch.subarray(0, length), count);
  }

  /// Says that a later read may go on from `state`, an object: it covers every row of this stream written
  /// so far.
  checkpoint(state) {
    this.flush();
    const val = { descriptor: this.descriptor, state: objectText(state, 'a state') };
    return this.port.checkpoint({ tag: 'stream', val });
  }

  /// Guesses the stream's size for the progress display.
  estimate(rows, bytes) {
    const big = (number) => (number === undefined ? undefined : BigInt(number));
    this.port.estimate(this.index, big(rows), big(bytes));
  }

  /// Every row of the stream was written. Only a checkpoint may follow.
  complete() {
    this.close('complete');
  }

  /// The stream failed and its rows are not all there, but the source goes on with others.
  incomplete() {
    this.close('incomplete');
  }

  close(status) {
    this.open();
    this.flush();
    this.batch = undefined;
    this.report(status);
  }

  ended() {
    return this.status === 'complete' || this.status === 'incomplete';
  }

  open() {
    if (this.ended()) {
      const name = fullName(this.descriptor);
      throw Failure.system(`the source went on with the stream \`${name}\` after its end`);
    }
  }

  emit(data, count) {
    const emittedAt = new BigInt64Array(0);
    this.port.emit({ stream: this.index, count, data, emittedAt, meta: [] });
  }

  report(status) {
    this.port.status(this.index, status);
    this.status = status;
  }
}

/// What a destination reads from: iterating gives events by their `type`:
///
///   { type: 'rows', stream, count, data }   JSON lines, each ended by a line feed, as a Uint8Array
///   { type: 'checkpoint', id }              can be committed, once; covers all earlier ones
///   { type: 'stream-end', stream, complete }
///   { type: 'flush' }                       nothing more for now: commit the last checkpoint
class Input {
  constructor(catalog, port) {
    this.port = port;
    this.counts = catalog.streams.map(() => ({ rows: 0, bytes: 0, rejected: 0, rejectedBytes: 0 }));
    this.ended = false;
  }

  *[Symbol.iterator]() {
    let event;
    while ((event = this.port.next()) !== undefined) {
      const { tag, val } = event;
      if (tag === 'rows') {
        this.counts[val.stream].rows += val.count;
        this.counts[val.stream].bytes += val.data.length;
        yield { type: 'rows', stream: val.stream, count: val.count, data: val.data };
      } else if (tag === 'checkpoint') {
        this.last = { type: 'checkpoint', id: val, counts: this.counts.map((c) => ({ ...c })) };
        yield this.last;
      } else if (tag === 'stream-end') {
        yield { type: 'stream-end', stream: val.stream, complete: val.outcome === 'complete' };
      } else {
        yield { type: 'flush' };
      }
    }
    this.ended = true;
  }

  /// Says that rows of the batch at hand were refused. `bytes` counts their line feeds as well.
  reject(stream, rows, bytes) {
    this.counts[stream].rejected += rows;
    this.counts[stream].rejectedBytes += bytes;
  }

  /// Says that everything before the checkpoint is durable, but for the rows rejected.
  commit(checkpoint) {
    const totals = [];
    checkpoint.counts.forEach(({ rows, bytes, rejected, rejectedBytes }, stream) => {
      if (rows === 0) return;
      const written = BigInt(rows - rejected);
      const size = BigInt(bytes - rejectedBytes);
      totals.push({ stream, written, rejected: BigInt(rejected), bytes: size });
    });
    this.port.committed(checkpoint.id, totals);
    this.committed = checkpoint.id;
  }

  /// Success means that the last checkpoint is durable.
  finish() {
    if (!this.ended) {
      throw Failure.system('the destination returned before the end of its input');
    }
    if (this.last !== undefined && this.committed !== this.last.id) this.commit(this.last);
  }
}

/// Each row of a batch, parsed. A number beyond 2^53 loses digits, as always in JavaScript.
export function* parseRows(data) {
  for (const line of decoder.decode(data).split('\n')) {
    if (line !== '') yield JSON.parse(line);
  }
}

/// Runs a connector's function; what it throws becomes the contract's failure.
function guarded(work) {
  try {
    return work();
  } catch (error) {
    if (error instanceof Failure) {
      const { kind, message, detail, stream, retryAfter } = error;
      const wait = retryAfter === undefined ? undefined : BigInt(Math.floor(retryAfter * 1000));
      throw { kind, message, detail, stream, retryAfterMs: wait };
    }
    // The host's failure is returned as it is.
    const payload = error?.payload ?? error;
    if (typeof payload?.kind === 'string') throw payload;
    // The error's own text may hold anything, so it is a developer's.
    const detail = `${error}\n${error?.stack ?? ''}`;
    throw { kind: 'system', message: `the connector failed: ${error?.name ?? 'error'}`, detail };
  }
}

/// Makes a connector that reads the component's: `export const source = exportSource(mine, output)`, with
/// `output` from `lockgate:connector/output@0.1.0`. Each call comes to a fresh instance.
export function exportSource(connector, port) {
  const { spec } = connector;
  return {
    spec: () => specification(spec),
    check: (config) => guarded(() => void connector.check(configuration(spec, config))),
    discover: (config) =>
      guarded(() => connector.discover(configuration(spec, config)).map(discovered)),
    read(config, catalog, states) {
      const output = new Output(catalog, port);
      try {
        guarded(() => {
          connector.read(configuration(spec, config), catalog, new SavedState(states), output);
          output.check();
        });
      } catch (failure) {
        output.abandon();
        throw failure;
      }
    },
  };
}

/// Makes a connector that writes the component's: `export const destination = exportDestination(mine,
/// input)`, with `input` from `lockgate:connector/input@0.1.0`. Each call comes to a fresh instance.
export function exportDestination(connector, port) {
  const { spec } = connector;
  return {
    spec: () => specification(spec),
    check: (config) => guarded(() => void connector.check(configuration(spec, config))),
    write: (config, catalog) =>
      guarded(() => {
        const input = new Input(catalog, port);
        connector.write(configuration(spec, config), catalog, input);
        input.finish();
      }),
  };
}
