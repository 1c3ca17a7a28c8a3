// Appends the rows of each stream to a file of JSON lines: the example of a destination in JavaScript.
//
// A checkpoint is committed once the rows before it are on the disk, and a row that a crash cut is removed
// before others follow it. A refresh that drops older rows goes to a hidden file, which takes the name when
// the stream is complete.

import * as input from 'lockgate:connector/input@0.1.0';
import { Failure, exportDestination, fullName, warn } from './lockgate.js';
import { Directory } from './lockgate-files.js';

/// How much of a file's end is looked at in one go.
const CHUNK = 64 * 1024;
const PLAIN = /^[A-Za-z0-9_-]{1,100}$/;

export const destination = exportDestination(
  {
    spec: {
      name: 'destination-append-javascript',
      version: '0.1.0',
      properties: {
        path: {
          title: 'Path',
          description:
            'The granted directory the files are written to, as an absolute path in the sandbox.',
          type: 'string',
          pattern: '^/',
          examples: ['/out'],
        },
      },
      required: ['path'],
      needs: [['directory-write', '${path}', 'writes one file a stream']],
      modes: ['append'],
    },

    check({ path }) {
      const directory = Directory.open(path);
      directory.file('.lockgate-check');
      directory.remove('.lockgate-check');
    },

    write({ path }, catalog, input) {
      const names = catalog.streams.map(fileName);
      const directory = Directory.open(path);
      const partials = names.map((name, at) => partial(name, catalog.streams[at]));
      const files = names.map((name, at) => {
        const truncate = partials[at] !== undefined && catalog.streams[at].syncMode !== 'incremental';
        return directory.file(partials[at] ?? name, { truncate });
      });
      const ends = files.map(cutUnfinished);
      // The names of new files are made durable once, before any row.
      directory.sync();
      for (const event of input) {
        if (event.type === 'rows') {
          files[event.stream].writeAt(event.data, ends[event.stream]);
          ends[event.stream] += event.data.length;
        } else if (event.type === 'checkpoint') {
          for (const file of files) file.syncData();
          input.commit(event);
        } else if (event.type === 'stream-end' && event.complete) {
          const at = event.stream;
          if (partials[at] === undefined) continue;
          // Who reads the directory sees the old rows or the new ones, never a part.
          files[at].syncData();
          directory.rename(partials[at], names[at]);
          directory.sync();
        }
      }
    },
  },
  input,
);

/// The file that takes the place of a stream's once that is complete: an operator refreshes the stream, and
/// what earlier generations left is to go. Else undefined.
function partial(name, { generationId, minimumGenerationId }) {
  return minimumGenerationId === 0n ? undefined : `.${name}.partial-${generationId}`;
}

/// Removes what stands behind the last whole row, and says where that ends: a crash cut it, so it was never
/// committed and comes again.
function cutUnfinished(file) {
  const size = file.size();
  let end = size;
  while (end > 0) {
    const start = Math.max(0, end - CHUNK);
    const part = file.readAt(end - start, start);
    if (part.length < end - start) {
      // Nothing is cut by what was not seen.
      const why = 'became shorter while it was read: does something else write to it?';
      throw Failure.system(`${file.path} ${why}`);
    }
    const place = part.lastIndexOf(0x0a);
    end = start + place + 1;
    if (place >= 0) break;
  }
  if (end < size) {
    warn(`removing ${size - end} bytes of a row that was cut: ${file.path}`);
    file.setSize(end);
  }
  return end;
}

/// `STREAM.jsonl`, or `NAMESPACE.STREAM.jsonl`. What could be another name for another file is refused and
/// not escaped: it is an example.
function fileName({ descriptor, destinationSyncMode }) {
  const name = fullName(descriptor);
  const refuse = (why) => {
    throw Failure.config(`the stream \`${name}\` ${why}`, { stream: descriptor });
  };
  if (destinationSyncMode !== 'append') {
    refuse('is to be written in a mode that changes rows, and this destination appends');
  }
  const { namespace } = descriptor;
  if (!PLAIN.test(descriptor.name) || (namespace !== undefined && !PLAIN.test(namespace))) {
    refuse('has a name that is not of letters, digits, _ and -, 100 at most');
  }
  return `${name}.jsonl`;
}
