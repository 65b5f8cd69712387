import assert from 'node:assert/strict';
import { it } from 'node:test';
import { hottest } from '../profile.ts';

const frame = (functionName: string, url: string, lineNumber: number) => ({ functionName, url, lineNumber });

it('a profile is told by function, without what came before the server was ready, and without idling', () => {
  const told = hottest({
    nodes: [
      { id: 1, callFrame: frame('start', 'file:///a/main.ts', 0) }, { id: 2, callFrame: frame('write', 'file:///a/reader.ts', 9) },
      { id: 3, callFrame: frame('(idle)', '', -1) }, { id: 4, callFrame: frame('', 'file:///a/reader.ts', 19) }, { id: 5, callFrame: frame('write', 'file:///a/reader.ts', 9) },
    ],
    startTime: 1_000_000,
    samples: [1, 1, 2, 3, 4, 5],
    timeDeltas: [500_000, 499_999, 600_000, 2_000_000, 1_000_000, 2_400_000],
  }, 2_000_000);
  assert.deepEqual(told.split('\n'), ['  4.0 s busy of 6.0 s; of these', '   75.0 %  write reader.ts:10', '   25.0 %  (anonymous) reader.ts:20']);
});
