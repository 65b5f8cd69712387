import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeApiKey } from '../../src/access/credentials/api-key.ts';
import type { MadeSecret } from '../../src/access/credentials/secret-text.ts';
import type { Http } from './http.ts';
import { bearer } from './keys-command.ts';
import { tempFolder, type Scope } from './temp.ts';

/** An administrator, and one who may read everything: both are declared, so that they are there before the first key. */
export const ROOT = makeApiKey();
export const WATCHER = makeApiKey();

/** A file for `ACCESS_FILE`, which declares them. @param publish What the watcher may publish to. */
export function accessFile(t: Scope, publish: readonly string[]): string {
  const path = join(tempFolder(t), 'access.json');
  const entry = ({ id, digest }: MadeSecret, more: object): object => ({ id, sha256: digest.toString('hex'), ...more });
  writeFileSync(path, JSON.stringify({ keys: [entry(ROOT, { name: 'root', admin: true }), entry(WATCHER, { name: 'watcher', publish, subscribe: ['>'] })] }));
  return path;
}

/** A key that the administrator has made over HTTP. */
export interface StoredKey {
  readonly id: string;
  readonly key: string;
}

export async function makeKey(http: Http, request: object): Promise<StoredKey> {
  const { status, body } = await http.send('POST', '/keys', { ...bearer(ROOT.text), 'content-type': 'application/json' }, JSON.stringify(request));
  if (status !== 201) throw new Error(`${status} ${body}`);
  return JSON.parse(body) as StoredKey;
}

/** All that a request could have changed, and should not have: the log, the keys, the revocations, how many streams were opened, how many sessions were made and ended, and how many tickets were made. */
export async function accessState(http: Http): Promise<string> {
  const read = async (path: string, key: string): Promise<string> => {
    const { status, body } = await http.get(path, bearer(key));
    if (status !== 200) throw new Error(`${path}: ${status} ${body}`);
    return body;
  };
  const { cursor } = JSON.parse(await read('/messages?topic=%3E&last=1', WATCHER.text)) as { cursor: string };
  // When a key was last used is written down some time after its use.
  const keys = (JSON.parse(await read('/keys?limit=500', ROOT.text)) as { keys: { lastUsed?: string }[] }).keys.map((key) => ({ ...key, lastUsed: undefined }));
  const revocations = await read('/revocations?limit=500', ROOT.text);
  const metrics = await read('/metrics', ROOT.text);
  const opened = /^tidings_streams_opened_total (\d+)$/m.exec(metrics)?.[1];
  const sessions = [...metrics.matchAll(/^tidings_(?:sessions|tickets)_\w+_total (\d+)$/gm)].map(([line]) => line);
  return JSON.stringify({ cursor, keys, revocations, opened, sessions });
}
