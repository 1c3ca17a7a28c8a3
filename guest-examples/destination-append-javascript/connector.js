// Appends the rows of each stream to a file of JSON lines: the example of a destination in JavaScript.
//
// A checkpoint is committed once the rows before it are on the disk.

import * as input from 'lockgate:connector/input@0.1.0';
import { Failure, exportDestination, fullName } from './lockgate.js';
import { Directory } from './lockgate-files.js';

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
      const files = names.map((name) => directory.file(name));
      const ends = files.map((file) => file.size());
      // The names of new files are made durable once, before any row.
      directory.sync();
      for (const event of input) {
        if (event.type === 'rows') {
          files[event.stream].writeAt(event.data, ends[event.stream]);
          ends[event.stream] += event.data.length;
        } else if (event.type === 'checkpoint') {
          for (const file of files) file.syncData();
          input.commit(event);
        }
      }
    },
  },
  input,
);

/// `STREAM.jsonl`, or `NAMESPACE.STREAM.jsonl`. What could be another name for another file is refused and
/// not escaped: it is an example.
function fileName({ descriptor, destinationSyncMode, minimumGenerationId }) {
  const name = fullName(descriptor);
  const refuse = (why) => {
    throw Failure.config(`the stream \`${name}\` ${why}`, { stream: descriptor });
  };
  if (destinationSyncMode !== 'append' || minimumGenerationId !== 0n) {
    refuse('is to replace or change rows, and this destination only appends');
  }
  const { namespace } = descriptor;
  if (!PLAIN.test(descriptor.name) || (namespace !== undefined && !PLAIN.test(namespace))) {
    refuse('has a name that is not of letters, digits, _ and -, 100 at most');
  }
  return `${name}.jsonl`;
}
