import { closeSync, openSync, readSync } from 'node:fs';
import { WrongValue } from './setting-kinds.ts';
import { textOf } from './text-bytes.ts';

/** The largest such file, far above the longest URL. Stops a wrong path, such as a log file's or a device's, from filling the memory. */
const SECRET_FILE_MAX_BYTES = 64 * 1024;

/** The variable that names a file with a setting's value, as in Docker's official images. The value then does not appear in the process's environment. */
export function fileVariable(name: string): string {
  return `${name}_FILE`;
}

/**
 * Reads the value of a setting from a file that holds nothing else: a secret of Docker, a credential of systemd.
 * @throws WrongValue Its text repeats neither the file's content nor the path: the path may be the secret itself, given by mistake.
 */
export function readSecretFile(path: string, name: string): string {
  const text = textOf(readBounded(path));
  if (text === undefined) throw new WrongValue('the file is not text; save it as UTF-8');
  const value = text.trim();
  // An empty value would mean the setting's default: a new, empty log.
  if (value === '') throw new WrongValue('the file is empty');
  if (value.startsWith(`${name}=`)) throw new WrongValue(`the file must hold the value alone, without ${name}= before it`);
  if (/[\r\n]/.test(value)) throw new WrongValue('the file must hold the value alone, in one line');
  return value;
}

function readBounded(path: string): Buffer {
  const bytes = Buffer.alloc(SECRET_FILE_MAX_BYTES + 1);
  let length = 0;
  try {
    const file = openSync(path, 'r');
    try {
      for (let more = 1; more > 0 && length < bytes.length; length += more) more = readSync(file, bytes, length, bytes.length - length, null);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    // Node's own message has the path.
    throw new WrongValue(`the file cannot be read (${(error as NodeJS.ErrnoException).code}); it must be the path of a file that holds the value`);
  }
  if (length > SECRET_FILE_MAX_BYTES) throw new WrongValue(`the file is larger than ${SECRET_FILE_MAX_BYTES} bytes`);
  return bytes.subarray(0, length);
}
