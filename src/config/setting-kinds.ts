/**
 * The kinds of values that a setting can have: how the text of an environment variable becomes one, and what is said
 * when it cannot. `config.ts` holds the settings themselves.
 */
export interface Setting<Value> {
  /** What the README calls it: `number`, `size`, `text`, `URL`, `list`, `choice`. */
  readonly type: string;
  readonly unit: string;
  /** What holds when the variable is unset or empty, as one would write it there; empty where nothing is. */
  readonly default: string;
  readonly meaning: string;
  /** What may stand there, in words: the end of the line that refuses anything else. */
  readonly allowed: string;
  /** Its value may hold a password: no line repeats it. */
  readonly secret: boolean;
  /** Called with the text or, where that is empty, with the default. Throws `WrongValue`. */
  readonly read: (text: string) => Value;
}

/** Why a text is no value of its setting. Without a reason of its own, the line says only what is allowed. */
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

const UNITS = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3 } as const;

/** A number of bytes: `65536`, `64KiB`, `64MiB`, `1GiB`. */
export function size(facts: Bounds): Setting<number> {
  return {
    type: 'size', unit: 'bytes', default: facts.default, meaning: facts.meaning, secret: false,
    allowed: `from ${facts.min} to ${facts.max} bytes, also written as 64KiB, 64MiB or 1GiB`,
    read: (text) => {
      const match = /^([0-9]{1,15}) ?(b|kib|mib|gib|)$/i.exec(text);
      return within(facts, match === null ? NaN : Number(match[1]) * UNITS[match[2]!.toLowerCase() as keyof typeof UNITS]);
    },
  };
}

function within({ min, max }: Bounds, value: number): number {
  if (!(value >= min && value <= max)) throw new WrongValue();
  return value;
}

export function choice<const Choice extends string>(facts: Facts & { readonly choices: readonly Choice[] }): Setting<Choice> {
  return {
    type: 'choice', unit: '', default: facts.default, meaning: facts.meaning, secret: false,
    allowed: facts.choices.map((one) => (one === '' ? 'unset' : one)).join(' or '),
    read: (text) => {
      const found = facts.choices.find((one) => one === text);
      if (found === undefined) throw new WrongValue();
      return found;
    },
  };
}

/** Any other text, read by a function of its own. */
export function text<Value>(facts: Facts & {
  readonly type: string;
  readonly allowed: string;
  readonly secret?: boolean;
  readonly read: (text: string) => Value;
}): Setting<Value> {
  return { secret: false, unit: '', ...facts };
}
