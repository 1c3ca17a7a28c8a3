// Files in the directories the operator granted. Part of `lockgate.js`, for worlds that import
// `wasi:filesystem`.

import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';
import { Failure } from './lockgate.js';

/// A write hands so many bytes to the host at most, so that one huge row does not make it copy it whole.
const WRITE_BYTES = 1024 * 1024;

/// A directory that is open.
export class Directory {
  /// Opens a directory by its absolute path in the sandbox, through the granted directory that is nearest
  /// to it.
  static open(path) {
    if (!path.startsWith('/') || path.split('/').includes('..')) {
      throw Failure.config(`not an absolute path in the sandbox: ${path}`);
    }
    let nearest;
    for (const [directory, granted] of getDirectories()) {
      const rest = below(path, granted);
      if (rest !== undefined && (nearest === undefined || rest.length < nearest.rest.length)) {
        nearest = { directory, rest };
      }
    }
    if (nearest === undefined) {
      throw Failure.config(
        `cannot open the directory ${path}: it is in no granted directory: pass --allow-dir ` +
          `HOST_DIR::${path} (in sync: --source-allow-dir or --destination-allow-dir)`,
      );
    }
    const { directory, rest } = nearest;
    if (rest === '') return new Directory(directory, path);
    const flags = { read: true, mutateDirectory: true };
    const opened = attempt('open the directory', path, () =>
      directory.openAt({ symlinkFollow: true }, rest, { directory: true }, flags),
    );
    return new Directory(opened, path);
  }

  constructor(descriptor, path) {
    Object.assign(this, { descriptor, path: path.replace(/\/+$/, '') });
  }

  /// Opens a file to write to; creates it when it is not there, and empties it where that is asked for.
  file(name, { truncate = false } = {}) {
    const path = `${this.path}/${name}`;
    const [how, flags] = [{ create: true, truncate }, { read: true, write: true }];
    const opened = attempt('open', path, () =>
      this.descriptor.openAt({ symlinkFollow: true }, name, how, flags),
    );
    return new File(opened, path);
  }

  /// Gives a file a new name, replacing what has it. Atomic.
  rename(from, to) {
    const move = () => this.descriptor.renameAt(from, this.descriptor, to);
    attempt('rename', `${this.path}/${from}`, move);
  }

  /// Removes a file.
  remove(name) {
    attempt('remove', `${this.path}/${name}`, () => this.descriptor.unlinkFileAt(name));
  }

  /// Makes the names in it durable: those of new files.
  sync() {
    attempt('sync the directory', this.path, () => this.descriptor.sync());
  }
}

/// A file that is open. Places in it are bytes from its start.
class File {
  constructor(descriptor, path) {
    Object.assign(this, { descriptor, path });
  }

  /// Its size in bytes.
  size() {
    return Number(attempt('read the size of', this.path, () => this.descriptor.stat()).size);
  }

  /// Cuts it, or fills it with zeros, to a size in bytes.
  setSize(size) {
    attempt('set the size of', this.path, () => this.descriptor.setSize(BigInt(size)));
  }

  /// Reads `length` bytes, or fewer at the end of the file.
  readAt(length, offset) {
    const bytes = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const [most, at] = [BigInt(length - done), BigInt(offset + done)];
      const [part] = attempt('read', this.path, () => this.descriptor.read(most, at));
      if (part.length === 0) break;
      bytes.set(part, done);
      done += part.length;
    }
    return bytes.subarray(0, done);
  }

  /// Writes all of `bytes`. They are durable after `syncData`.
  writeAt(bytes, offset) {
    let done = 0;
    while (done < bytes.length) {
      const part = bytes.subarray(done, done + WRITE_BYTES);
      const at = BigInt(offset + done);
      const count = attempt('write', this.path, () => this.descriptor.write(part, at));
      if (count === 0n) throw Failure.system(`cannot write ${this.path}: no space is left`);
      done += Number(count);
    }
  }

  /// Makes what was written durable, but not the name: see `Directory.sync`.
  syncData() {
    attempt('sync', this.path, () => this.descriptor.syncData());
  }
}

/// What an operator can mend.
const MENDABLE = ['access', 'not-permitted', 'read-only', 'no-entry', 'not-directory'];

function attempt(action, path, work) {
  try {
    return work();
  } catch (error) {
    const code = error?.payload ?? error;
    const message = `cannot ${action} ${path}: ${code}`;
    throw MENDABLE.includes(code)
      ? Failure.config(`${message}: grant it with --allow-dir HOST_DIR::${path} and :rw to write`)
      : Failure.system(message);
  }
}

/// The part of `path` below the directory `granted`, if it is there.
function below(path, granted) {
  const prefix = granted.replace(/\/+$/, '');
  if (!path.startsWith(prefix)) return undefined;
  const rest = path.slice(prefix.length);
  return rest === '' || rest.startsWith('/') ? rest.replace(/^\/+|\/+$/g, '') : undefined;
}
