import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { styleText } from 'node:util';
import { connect, type Message, type Status } from 'tidings/client';

/** Deploys in the terminal. Its place is kept in a file: started again, it goes on where it was. */

const PLACE_FILE = '.deploys-place';

const COLOURS: Readonly<Record<string, 'blue' | 'green' | 'red'>> = { started: 'blue', succeeded: 'green', failed: 'red' };
const OUTCOME_WIDTH_CHARACTERS = 10;
const TARGET_WIDTH_CHARACTERS = 12;

const tidings = connect(process.env['TIDINGS_URL'] ?? 'http://127.0.0.1:8080', {
  store: {
    getItem: () => {
      try {
        return readFileSync(PLACE_FILE, 'utf8');
      } catch {
        // It is not there yet: the feed begins anew.
        return null;
      }
    },
    setItem: (_key, place) => writeFileSync(PLACE_FILE, place),
    removeItem: () => rmSync(PLACE_FILE, { force: true }),
  },
});

/** Control characters would reach the terminal: it comes from others. */
const printable = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value) ?? '').replaceAll(/\p{C}/gu, '?');

function print({ topic, event, time, data }: Message): void {
  const { version, by } = (typeof data === 'object' && data !== null ? data : { version: data }) as { readonly version?: unknown; readonly by?: unknown };
  const what = event === 'message' ? '' : event;
  process.stdout.write([
    styleText('dim', new Date(time).toLocaleTimeString('en-GB')), styleText(COLOURS[what] ?? 'reset', printable(what).padEnd(OUTCOME_WIDTH_CHARACTERS)),
    printable(topic.slice('deploys.'.length)).padEnd(TARGET_WIDTH_CHARACTERS), styleText('bold', printable(version)), ...(by === undefined ? [] : [styleText('dim', `by ${printable(by)}`)]),
  ].join('  ') + '\n');
}

const note = (text: string): boolean => process.stderr.write(`${styleText('dim', text, { stream: process.stderr })}\n`);

const NOTES: Partial<Record<Status, string>> = { live: 'Waiting for deploys.', offline: 'The service cannot be reached; trying again.', denied: 'The service refuses.' };
tidings.on('status', (status) => {
  const text = NOTES[status];
  if (text !== undefined) note(text);
});
tidings.on('error', (error) => note(error.message));
const deploys = tidings.subscribe('deploys.*', { last: 20 });
deploys.on('any', print);
deploys.on('gap', ({ reason }) => note(`Deploys may be missing here: ${reason}.`));

process.once('SIGINT', () => tidings.close());
process.once('SIGTERM', () => tidings.close());
