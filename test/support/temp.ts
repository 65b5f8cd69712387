import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the support needs of a tap test: a place for what has to be done when the test is over. */
export interface Scope {
  teardown(handler: () => unknown): unknown;
}

/** An empty folder that is removed, with everything in it, when the test is over. */
export function tempFolder(t: Scope): string {
  const path = mkdtempSync(join(tmpdir(), 'tidings-test-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
