import { text } from 'node:stream/consumers';
import t from 'tap';
import Reporter from './support/reporter.ts';

/** The end of `npm test`. What goes in is what tap 21 wrote about files that fail in each way. */

const RECORDED = String.raw`TAP version 14
1..4
# Subtest: test/a.test.ts
    # Subtest: good things
        ok 1 - yes
        1..1
    ok 1 - good things # time=37.679ms
    
    # Subtest: a bad thing happens
        not ok 1 - one \# is two
          ---
          compare: ===
          at:
            fileName: test/a.test.ts
            lineNumber: 3
            columnNumber: 42
            typeName: Test
          source: >
            not ok 7 - a line of the test
            ---
          diff: |
            --- expected
            +++ actual
            @@ -1,1 +1,1 @@
            -2
            +1
          ...
        
        # Subtest: deeper
            not ok 1 - should be equivalent
              ---
              diff: |
                --- expected
                +++ actual
                @@ -1,3 +1,3 @@
                 Object {
                -  "a": 2,
                +  "a": 1,
                 }
              at:
                fileName: test/a.test.ts
                lineNumber: 4
                columnNumber: 97
              ...
            
            1..1
        not ok 2 - deeper # time=27.296ms
          ---
          at:
            fileName: test/a.test.ts
            lineNumber: 4
            columnNumber: 71
          ...
        
        1..2
    not ok 2 - a bad thing happens # time=287.919ms
      ---
      at:
        fileName: test/a.test.ts
        lineNumber: 3
        columnNumber: 3
      ...
    
    ok 3 - skipped # SKIP no zsh
    not ok 4 - not yet # TODO
    1..4
not ok 1 - test/a.test.ts # time=541.463ms
  ---
  exitCode: 1
  signal: null
  ...

# Subtest: test/b.test.ts
    ok 1 - fine # time=1ms
    1..1
ok 2 - test/b.test.ts # time=61423.202ms

# Subtest: test/c.test.ts
    1..0 # no tests found
not ok 3 - test/c.test.ts # time=6907.175ms
  ---
  exitCode: 1
  signal: null
  ...

# Subtest: test/d.test.ts
    1..0 # no tests found
not ok 4 - test/d.test.ts # time=7094.305ms
  ---
  exitCode: null
  signal: SIGKILL
  ...

# No coverage generated
# { total: 8, pass: 3, fail: 5, skip: 1 }
# time=1023505.5ms
`;

const REPORT = `FAILED 1/4 test/a.test.ts  0.5 s
ok     2/4 test/b.test.ts  1 min 1 s
FAILED 3/4 test/c.test.ts  6.9 s
FAILED 4/4 test/d.test.ts  7.1 s

What failed, in 3 of 4 files:

test/a.test.ts
  a bad thing happens > one # is two (test/a.test.ts:3)
      expected 2
      found    1
  a bad thing happens > deeper > should be equivalent (test/a.test.ts:4)
       Object {
      expected   "a": 2,
      found      "a": 1,
       }
  alone: npx tap test/a.test.ts    all that it said: .tap/test-results/test/a.test.ts.tap

test/c.test.ts
  the file itself: exit code 1
  alone: npx tap test/c.test.ts    all that it said: .tap/test-results/test/c.test.ts.tap

test/d.test.ts
  the file itself: ended by SIGKILL
  alone: npx tap test/d.test.ts    all that it said: .tap/test-results/test/d.test.ts.tap

4 files in 17 min 3 s; total: 8, pass: 3, fail: 5, skip: 1
`;

/** More lines than this are no page. */
const PAGE_LINES = 70;

async function report(tap: string, pieceCharacters = tap.length): Promise<string> {
  const reporter = new Reporter();
  for (let at = 0; at < tap.length; at += pieceCharacters) reporter.write(tap.slice(at, at + pieceCharacters));
  reporter.end();
  return text(reporter);
}

t.test('each failure has its file, its title, the expected value, and the command that runs it alone', async (t) => {
  t.equal(await report(RECORDED), REPORT);
  t.equal(await report(RECORDED, 7), REPORT, 'in pieces, too');
});

t.test('where nothing failed, the counts are all', async (t) => {
  t.equal(await report('TAP version 14\n1..1\n# Subtest: test/b.test.ts\n    ok 1 - fine\n    1..1\nok 1 - test/b.test.ts # time=10ms\n\n# { total: 1, pass: 1 }\n# time=20ms\n'),
    'ok     1/1 test/b.test.ts  0.0 s\n\n1 files in 0.0 s; total: 1, pass: 1\n');
});

t.test('however much fails, it is a page, and says how much more there is', async (t) => {
  const difference = Array.from({ length: 1_000 }, (_, line) => `          -${line}\n`).join('');
  const point = (number: number): string => `    not ok ${number} - ${'x'.repeat(10_000)}\n      ---\n      diff: |\n        --- expected\n${difference.replaceAll(/^ {2}/gm, '')}      ...\n`;
  const file = (number: number): string => `# Subtest: test/${number}.test.ts\n${[1, 2, 3].map(point).join('')}    1..3\nnot ok ${number} - test/${number}.test.ts # time=1ms\n`;
  const said = await report(`1..9\n${Array.from({ length: 9 }, (_, index) => file(index + 1)).join('')}# { total: 27, fail: 27 }\n`);
  const page = said.slice(said.indexOf('What failed'));
  const shown = page.match(/^ {2}x+…$/gm)!.length;
  t.ok(shown > 3, String(shown));
  t.ok(page.split('\n').length <= PAGE_LINES, String(page.split('\n').length));
  t.match(page, `\nand ${27 - shown} more: npx tap replay shows all\n`);
  t.ok(page.endsWith('total: 27, fail: 27\n'));
});

t.test('a run that ends in the middle of a diagnosis is still reported', async (t) => {
  t.match(await report(RECORDED.slice(0, RECORDED.indexOf('source: >'))), /FAILED|a bad thing happens > one # is two \(test\/a\.test\.ts:3\)[^]*no test ran to its end/);
});
