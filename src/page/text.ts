/** How figures, times and strangers' texts are shown. */

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;
const KIB = 1024;
const SECOND_MS = 1000;
const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3600;
const DAY_SECONDS = 86_400;

const whole = new Intl.NumberFormat('en');
const short = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export function count(value: number): string {
  return whole.format(value);
}

/** From here on a fraction says nothing. */
const WHOLE_RATE_VALUES = 1_000;

export function rate(value: number): string {
  if (value >= WHOLE_RATE_VALUES) return whole.format(Math.round(value));
  return value > 0 && value < 0.1 ? '< 0.1' : short.format(value);
}

export function bytes(value: number): string {
  let unit = 0;
  while (value >= KIB && unit < UNITS.length - 1) {
    value /= KIB;
    unit++;
  }
  return `${short.format(value)} ${UNITS[unit]}`;
}

export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** How long ago something was. */
export function age(time: string, now = Date.now()): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / SECOND_MS));
  if (seconds < MINUTE_SECONDS) return `${seconds} s`;
  if (seconds < HOUR_SECONDS) return `${Math.floor(seconds / MINUTE_SECONDS)} min`;
  if (seconds < DAY_SECONDS) return `${Math.floor(seconds / HOUR_SECONDS)} h`;
  return plural(Math.floor(seconds / DAY_SECONDS), 'day');
}

/** The time of the day, of this machine's zone. */
export function clock(time: string): string {
  return `${timeOfDay(Date.parse(time))}.${String(new Date(time).getMilliseconds()).padStart(3, '0')}`;
}

/** The same without milliseconds. @param time Milliseconds since 1970. */
export function timeOfDay(time: number): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/**
 * Characters that act unseen: control characters but a line's end and a tab, marks that turn the direction of text around, lone halves of characters. Others that show as nothing make two names
 * look like one. Joiners and the selectors of pictures change the picture, and stay.
 */
const UNSEEN = /(?![\n\t])\p{Cc}|(?!\u200C|\u200D|\uFE0E|\uFE0F)\p{Default_Ignorable_Code_Point}|[\u2028\u2029\uFFF9-\uFFFB]|\p{Cs}/gu;
/** Pictures of the first 32 control characters begin here. */
const PICTURES_CODE = 0x2400;
const SPACE_CODE = 0x20;

/** Strangers' text with nothing in it that acts unseen: a control character is shown as its picture, other unseen characters as their number. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, (character) => {
    const code = character.codePointAt(0)!;
    return code < SPACE_CODE ? String.fromCharCode(PICTURES_CODE + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, '0')}⟩`;
  });
}

/** What data is: a text, JSON, or JSON that is nested too deeply to be kept as text. */
export type DataForm = 'text' | 'JSON' | 'deep';

/** The data of a message as text. */
export function dataText(data: unknown): { readonly text: string; readonly form: DataForm } {
  if (typeof data === 'string') return { text: data, form: 'text' };
  const text = jsonText(data);
  return text === undefined ? { text: '(JSON that is nested too deeply to be shown here)', form: 'deep' } : { text, form: 'JSON' };
}

/** JSON as text; undefined where it is nested too deeply to be written. */
export function jsonText(value: unknown, indent?: number): string | undefined {
  try {
    return JSON.stringify(value, undefined, indent);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** For a POSIX shell. */
export function shellQuoted(text: string): string {
  return /^[\w.:/@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
