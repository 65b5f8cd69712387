import { Transform, type TransformCallback } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';
import { parse } from 'yaml';

/**
 * What `npm test` prints: a line for each file that is over, and at the end what failed, within a page. `npm test -- --reporter=tap` prints everything instead, and tap
 * keeps everything in any case (`RESULTS`).
 */

/** Where tap keeps all that a test file said. */
const RESULTS = '.tap/test-results';

/** What a page holds: failures beyond it are only counted. */
const PAGE_LINES = 60;
/** Lines of one failure's difference. The whole of it stands in the file below `RESULTS`. */
const DIFFERENCE_LINES = 8;
/** Titles are data in some tests, and may be long. */
const LINE_MAX_CHARACTERS = 200;

/** What tap says below a failed assertion, as far as it is shown. */
interface Diagnosis {
  readonly diff?: string;
  readonly at?: { readonly fileName?: string; readonly lineNumber?: number };
  readonly exitCode?: number | null;
  readonly signal?: string | null;
  readonly failure?: string;
}

interface Failure {
  readonly file: string;
  /** The titles of the tests around the assertion, and its own. */
  readonly titles: readonly string[];
  readonly diagnosis: Diagnosis;
}

/** A test under way: its title, and what of it has failed so far. */
interface Level {
  readonly title: string;
  failed: boolean;
}

const INDENT = 4;

/** tap pipes TAP 14 (https://testanything.org/tap-version-14-specification.html) into it, as `--reporter` says. */
export default class Reporter extends Transform {
  readonly #decoder = new StringDecoder('utf8');
  readonly #failures: Failure[] = [];
  /** The tests that are under way, the file first. */
  #levels: Level[] = [];
  #rest = '';
  /** A failed assertion whose diagnosis may follow, and the lines of it. */
  #failed: { readonly file: string; readonly titles: readonly string[]; readonly indent: number } | undefined;
  #diagnosis: string[] | undefined;
  #files = 0;
  #planned = '?';
  #counts = 'no test ran to its end';
  #ms = '0';

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = lines.pop()!;
    for (const line of lines) this.#take(line);
    done();
  }

  override _flush(done: TransformCallback): void {
    this.#take(this.#rest);
    this.#settle();
    this.push(this.#summary());
    done();
  }

  #take(line: string): void {
    const indent = line.length - line.trimStart().length;
    const text = line.slice(indent);
    if (this.#diagnosis !== undefined) {
      if (indent === this.#failed!.indent + 2 && text === '...') this.#settle();
      else this.#diagnosis.push(line.slice(this.#failed!.indent + 2));
      return;
    }
    if (this.#failed !== undefined) {
      if (indent === this.#failed.indent + 2 && text === '---') {
        this.#diagnosis = [];
        return;
      }
      this.#settle();
    }
    const depth = indent / INDENT;
    const subtest = /^# Subtest: (.*)$/.exec(text)?.[1];
    const [, not, title = ''] = /^(not )?ok \d+(?: - (.*))?$/.exec(text) ?? [];
    if (subtest !== undefined) this.#levels[depth] = { title: plain(subtest), failed: false };
    else if (/^(not )?ok \d/.test(text)) this.#point(depth, not !== undefined, title);
    else if (depth === 0) this.#top(text);
  }

  /** A test point: an assertion, or the end of a subtest. */
  #point(depth: number, failed: boolean, described: string): void {
    const [, title = '', directive, ms] = /^(.*?)(?: # (?:(SKIP|TODO)\b.*|time=([\d.]+)ms))?$/i.exec(described)!;
    const ended = this.#levels[depth];
    const isSubtest = ended !== undefined && ended.title === plain(title);
    this.#levels.length = Math.min(this.#levels.length, depth);
    if (depth === 0) this.push(`${failed ? 'FAILED' : 'ok    '} ${++this.#files}/${this.#planned} ${plain(title)}${ms === undefined ? '' : `  ${lasting(Number(ms))}`}\n`);
    if (!failed || directive !== undefined) return;
    // A test of which an assertion failed says nothing new.
    const isKnown = isSubtest && ended.failed;
    for (const level of this.#levels) level.failed = true;
    if (isKnown) return;
    const titles = [...this.#levels.map((level) => level.title), plain(title)];
    this.#failed = { file: titles[0]!, titles: titles.slice(1), indent: depth * INDENT };
  }

  #top(text: string): void {
    this.#planned = /^1\.\.(\d+)/.exec(text)?.[1] ?? this.#planned;
    this.#counts = /^# \{ (.*) \}$/.exec(text)?.[1] ?? this.#counts;
    this.#ms = /^# time=([\d.]+)ms$/.exec(text)?.[1] ?? this.#ms;
    if (text.startsWith('Bail out!')) this.push(`${text}\n`);
  }

  /** The diagnosis of the last failure has come to its end, or there is none. */
  #settle(): void {
    if (this.#failed === undefined) return;
    const { file, titles } = this.#failed;
    this.#failures.push({ file, titles, diagnosis: diagnosisOf(this.#diagnosis ?? []) });
    this.#failed = undefined;
    this.#diagnosis = undefined;
  }

  #summary(): string {
    const files = Map.groupBy(this.#failures, ({ file }) => file);
    const lines: string[] = [];
    let shown = 0;
    for (const [file, failures] of files) {
      const own = failures.map(described);
      const room = PAGE_LINES - lines.length;
      const fitting = own.filter((_, index) => own.slice(0, index + 1).flat().length <= room || (shown === 0 && index === 0));
      if (fitting.length === 0) continue;
      shown += fitting.length;
      lines.push('', file, ...fitting.flat(), `  alone: npx tap ${file}    all that it said: ${RESULTS}/${file}.tap`);
    }
    const more = this.#failures.length - shown;
    const failed = files.size === 0 ? [] : ['', `What failed, in ${files.size} of ${this.#files} files:`, ...lines, ...more === 0 ? [] : ['', `and ${more} more: npx tap replay shows all`]];
    return `${[...failed, '', `${this.#files} files in ${lasting(Number(this.#ms))}; ${this.#counts}`].join('\n')}\n`;
  }
}

/** A title as its test wrote it: TAP has a backslash before `#`. */
function plain(title: string): string {
  return title.replaceAll(/\\([#\\])/g, '$1');
}

function diagnosisOf(lines: readonly string[]): Diagnosis {
  try {
    return (parse(lines.join('\n')) ?? {}) as Diagnosis;
  } catch {
    // tap's YAML is not always valid. Where it said so is worth less than the rest of the report.
    return {};
  }
}

function described({ titles, diagnosis: { diff = '', at, exitCode, signal, failure } }: Failure): string[] {
  const where = at?.fileName === undefined ? '' : ` (${at.fileName}:${at.lineNumber})`;
  const ended = typeof signal === 'string' ? `ended by ${signal}` : typeof exitCode === 'number' ? `exit code ${exitCode}` : undefined;
  const what = titles.length === 0 ? `the file itself: ${failure ?? ended ?? 'no test in it'}` : titles.join(' > ');
  // The first lines name the two sides, and the place.
  const difference = diff.trimEnd().split('\n').filter((line) => line !== '' && !/^(---|\+\+\+|@@) /.test(line));
  return [
    `  ${cut(what)}${where}`,
    ...difference.slice(0, DIFFERENCE_LINES).map((line) => `      ${cut(line.replace(/^-/, 'expected ').replace(/^\+/, 'found    '))}`),
    ...difference.length > DIFFERENCE_LINES ? ['      …'] : [],
  ];
}

/** As a person says it: `3.2 s`, `17 min 5 s`. */
function lasting(ms: number): string {
  const seconds = ms / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`;
}

function cut(text: string): string {
  return text.length > LINE_MAX_CHARACTERS ? `${text.slice(0, LINE_MAX_CHARACTERS)}…` : text;
}
