/** A setting reads the text of an environment variable into a value, or refuses it with a line for the operator. The functions below make the kinds of settings. */
export interface Setting<Value> {
  /** Its type in docs/settings.md: `number`, `size`, `text`, `URL`, `list`, `choice`. */
  readonly type: string;
  readonly unit: string;
  /** The default, for a variable that is unset or empty; an empty text for no default. */
  readonly default: string;
  readonly meaning: string;
  /** The allowed values in words. They end the line about a wrong value. */
  readonly allowed: string;
  /** Whether the value may hold a password: then no line repeats it. */
  readonly secret: boolean;
  /** Called with the text, or with the default if the text is empty. Throws `WrongValue`. */
  readonly read: (text: string) => Value;
}

/** The advice about a URL that does not parse: its password may hold a special character. */
export const PERCENT_ENCODING_HINT = 'special characters of user and password must be percent-encoded: @ is %40, / is %2F, : is %3A, # is %23, ? is %3F, % is %25';

/** A setting refuses a text. Without a message, the operator's line names only the allowed values. */
export class WrongValue extends Error {
  override name = 'WrongValue';
}

interface Facts {
  readonly default: string;
  readonly meaning: string;
}

interface Bounds extends Facts {
  readonly min: number;
  readonly max: number;
}

export function wholeNumber(facts: Bounds & { readonly unit?: string }): Setting<number> {
  return {
    type: 'number', unit: facts.unit ?? '', default: facts.default, meaning: facts.meaning, secret: false,
    allowed: `a whole number from ${facts.min} to ${facts.max}`,
    read: (text) => within(facts, /^[0-9]{1,15}$/.test(text) ? Number(text) : NaN),
  };
}

/** A whole number, or `off` for no limit, which becomes 0. */
export function limit(facts: Facts & { readonly unit: string; readonly max: number }): Setting<number> {
  const number = wholeNumber({ ...facts, min: 0 });
  return { ...number, allowed: `off, or ${number.allowed}`, read: (text) => text === 'off' ? 0 : number.read(text) };
}

/** The bytes of each suffix of a size, in lower case. */
const SIZE_SUFFIX_BYTES = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 } as const;

/** A number of bytes: `65536`, `64KiB`, `64MiB`, `1GiB`. */
export function size(facts: Bounds): Setting<number> {
  return {
    type: 'size', unit: 'bytes', default: facts.default, meaning: facts.meaning, secret: false,
    allowed: `from ${facts.min} to ${facts.max} bytes, also written as 64KiB, 64MiB or 1GiB`,
    read: (text) => {
      const match = /^([0-9]{1,15}) ?(b|kib|mib|gib|)$/i.exec(text);
      return within(facts, match === null ? NaN : Number(match[1]) * SIZE_SUFFIX_BYTES[match[2]!.toLowerCase() as keyof typeof SIZE_SUFFIX_BYTES]);
    },
  };
}

function within({ min, max }: Bounds, value: number): number {
  if (!(value >= min && value <= max)) throw new WrongValue();
  return value;
}

export function choice<const Choice extends string>(facts: Facts & { readonly choices: readonly Choice[] }): Setting<Choice> {
  return {
    type: 'choice', unit: '', default: facts.default, secret: false,
    meaning: `${facts.meaning} Choices: ${facts.choices.map((one) => (one === '' ? 'unset' : `\`${one}\``)).join(', ')}.`,
    allowed: facts.choices.map((one) => (one === '' ? 'unset' : one)).join(' or '),
    read: (text) => {
      const found = facts.choices.find((one) => one === text);
      if (found === undefined) throw new WrongValue();
      return found;
    },
  };
}

/** A setting without a default. */
export function optional<Value>(setting: Setting<Value>): Setting<Value | undefined> {
  return { ...setting, read: (text) => text === '' ? undefined : setting.read(text) };
}

/** A setting with its own function that reads the text. */
export function text<Value>(facts: Facts & {
  readonly type: string;
  readonly allowed: string;
  readonly secret?: boolean;
  readonly read: (text: string) => Value;
}): Setting<Value> {
  return { secret: false, unit: '', ...facts };
}
