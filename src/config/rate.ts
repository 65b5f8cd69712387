import { WrongValue, type Setting } from './setting-kinds.ts';

/** A rate limit: tokens over time, and a burst. */
export interface Rate {
  /** The tokens that come back in `milliseconds`. */
  readonly tokens: number;
  readonly milliseconds: number;
  /** The most tokens that a sender may use at once. */
  readonly burst: number;
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const RATE = /^([1-9][0-9]{0,6}) ?\/ ?([smhd])(?: burst ([1-9][0-9]{0,6}))?$/;

/** A rate: `100/s`, `30/m burst 100`. undefined for `off`, and for an unset variable without a default. */
export function rate(facts: { readonly default: string; readonly unit: string; readonly meaning: string }): Setting<Rate | undefined> {
  return {
    type: 'rate', secret: false, ...facts,
    allowed: 'off, or a rate such as 100/s, 30/m or 1000/d, with "burst 500" after it if more may come at once',
    read: (text) => {
      if (text === '' || text === 'off') return undefined;
      const [, tokens, unit, burst = tokens] = RATE.exec(text) ?? [];
      if (tokens === undefined) throw new WrongValue();
      return { tokens: Number(tokens), milliseconds: UNIT_MS[unit as keyof typeof UNIT_MS], burst: Number(burst) };
    },
  };
}
