import t from 'tap';
import { DotenvError, parseDotenv } from '../../src/config/dotenv.ts';

function parse(text: string | Buffer): Readonly<Record<string, string>> {
  return parseDotenv(typeof text === 'string' ? Buffer.from(text) : text);
}

const TWO = { PORT: '9000', HOST: '::1' };

t.test('every line counts, from every editor', (t) => {
  const big = Buffer.from('\ufeffPORT=9000\nHOST=::1\n', 'utf16le').swap16();
  for (const [editor, text] of Object.entries({
    'vi': 'PORT=9000\nHOST=::1\n',
    'no last newline': 'PORT=9000\nHOST=::1',
    'Windows': 'PORT=9000\r\nHOST=::1\r\n',
    'Notepad, with a byte order mark': '\ufeffPORT=9000\r\nHOST=::1',
    'an old Mac': 'PORT=9000\rHOST=::1\r',
    'two files with byte order marks, one after the other': '\ufeffPORT=9000\n\ufeffHOST=::1\n',
    'PowerShell, in UTF-16': Buffer.from('\ufeffPORT=9000\r\nHOST=::1\r\n', 'utf16le'),
    'UTF-16 the other way round': big,
    'blanks, tabs and empty lines': '\n  PORT = 9000  \n\n\t\n\tHOST\t=\t::1\t\n\n',
    'no-break spaces': '\u00a0PORT=9000\u00a0\nHOST=\u00a0::1\n',
    'a shell': 'export PORT=9000\nexport\tHOST=::1\n',
    'quotes': 'PORT="9000"\nHOST=\'::1\'  # this host\n',
    'comments': '# PORT=1\nPORT=9000 # HOST=2\n  # the end\nHOST=::1',
  })) t.same(parse(text), TWO, editor);
  t.end();
});

t.test('a value ends with its line', (t) => {
  t.same(parse('REDIS_URL=\nPORT=   \nHOST= # none\nAUTH=off'), { REDIS_URL: '', PORT: '', HOST: '', AUTH: 'off' });
  t.end();
});

t.test('a # within a value is no comment', (t) => {
  t.same(parse('REDIS_URL=redis://:p#ss@h\nX="a # b" # c\nY=#z'), { REDIS_URL: 'redis://:p#ss@h', X: 'a # b', Y: '#z' });
  t.end();
});

t.test('what another program keeps in quotes over several lines is passed over', (t) => {
  t.same(parse('KEY="-----BEGIN\nPORT=1\n-----END"\nPORT=9000\n'), { KEY: '-----BEGIN\nPORT=1\n-----END', PORT: '9000' });
  t.end();
});

t.test('a line that is not understood is named, and not repeated', (t) => {
  for (const [text, line] of [
    ['PORT: 9000', 1], ['PORT=1\n\n# c\nhunter2\nHOST=x', 4], ['PORT', 1], ['=9000', 1], ['A B=1', 1], ['set PORT=1', 1], ['PORT=1\r\nhunter2', 2], ['1PORT=1', 1],
    ['A=1\nB="hunter2', 2], ['A="hunter2"more', 1], ['A="x"y\nB="z"', 1], ['A=\'hunter2\nB=1', 1],
  ] as const) {
    const refused = t.throws(() => parse(text), DotenvError, text) as DotenvError;
    t.match(refused.message, new RegExp(`^line ${line}\\b`), text);
    t.notMatch(refused.message, /hunter2|9000/);
  }
  t.end();
});

t.test('a file that is no text is refused', (t) => {
  for (const bytes of [Buffer.from('PORT=9000\n', 'utf16le'), Buffer.of(0x41, 0x3d, 0xe4, 0x0a)]) t.throws(() => parse(bytes), { name: 'DotenvError', message: /UTF-8/ });
  t.end();
});
