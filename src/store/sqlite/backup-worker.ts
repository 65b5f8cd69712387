import { parentPort, workerData } from 'node:worker_threads';
import { copyAndCheck, type BackupJob, type BackupReply } from './backup.ts';
import { toStoreError } from './files/errors.ts';

/** The thread of a backup. SQLite blocks this thread, so the main thread can still react to a signal. */

function backUpHere(job: BackupJob): BackupReply {
  try {
    return { held: copyAndCheck(job) };
  } catch (error) {
    const { kind, message } = toStoreError(error, 'unavailable');
    return { kind, failure: message };
  }
}

parentPort!.postMessage(backUpHere(workerData as BackupJob));
