import type { Random } from './fleet-random.ts';

/** What a program said on one connection: what it sent at once, then what it sent after it heard more, and so on. */
export type Script = readonly Buffer[];

/** Lengths and numbers at which programs go wrong, as text and as 32 bits. */
const NUMBERS = ['-1', '-2', '0', '1', '3', '65536', '30000000', '2147483647', '2147483648', '4294967295', '4294967296', '99999999999999999999', '1e9', '', 'x'];
const WORDS = [0, 1, 3, 4, 5, 6, 0x7fff, 0x8000, 0xffff, 0x1000000, 0x7fffffff, 0x80000000, 0xfffffffb, 0xffffffff];

/** The most changes in one mutant, and the most that one of them inserts or repeats. */
const CHANGES = 3;
const LONGEST = 40;

/** A script with a few changes, all after some piece, so that often the beginning goes well. `phrases` are what an attacker of this protocol would say. */
export function mutant(script: Script, random: Random, phrases: readonly Buffer[]): Script {
  const pieces = [...script];
  const from = random.below(pieces.length);
  for (let changes = 1 + random.below(CHANGES); changes > 0; changes--) {
    const index = from + random.below(pieces.length - from);
    const other = from + random.below(pieces.length - from);
    const one = pieces[index]!;
    if (random.below(10) > 0) pieces[index] = changed(one, random, phrases);
    else [pieces[index], pieces[other]] = [pieces[other]!, one];
  }
  return pieces;
}

function changed(bytes: Buffer, random: Random, phrases: readonly Buffer[]): Buffer {
  const at = random.below(bytes.length + 1);
  const some = bytes.subarray(at, at + 1 + random.below(LONGEST));
  const with_ = (insert: Buffer, left = at): Buffer => Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(left)]);
  switch (random.below(9)) {
    case 0: return with_(Buffer.of((bytes[at] ?? 0) ^ (1 << random.below(8))), at + 1);
    case 1: return with_(Buffer.of(random.below(256)), at + 1);
    case 2: return with_(Buffer.alloc(0), at + some.length);
    case 3: return bytes.subarray(0, at);
    case 4: return with_(Buffer.concat(Array.from({ length: 1 + random.below(LONGEST) }, () => some)));
    case 5: return with_(Buffer.from(Array.from({ length: 1 + random.below(LONGEST) }, () => random.below(256))));
    case 6: return with_(random.one(phrases));
    case 7: return renumbered(bytes, random);
    default: {
      const copy = Buffer.from(bytes);
      if (copy.length >= 4) copy.writeUInt32BE(random.one(WORDS), random.below(copy.length - 3));
      return copy;
    }
  }
}

/** One of the numbers that stand in it as text is another. */
function renumbered(bytes: Buffer, random: Random): Buffer {
  const text = bytes.toString('latin1');
  const numbers = [...text.matchAll(/\d+/g)];
  if (numbers.length === 0) return bytes;
  const { index, 0: number } = random.one(numbers);
  return Buffer.from(text.slice(0, index) + random.one(NUMBERS) + text.slice(index + number.length), 'latin1');
}
