/** Whether two words differ in at most `most` letters: missing, added, different, or swapped with their neighbour. */
export function isWithin(most: number, one: string, other: string): boolean {
  return Math.abs(one.length - other.length) <= most && wrongLetters(one, other) <= most;
}

/** The optimal string alignment distance of two words. Its time grows with the product of their lengths. */
function wrongLetters(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    for (let column = 1; column <= other.length; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isSwapped = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      current.push(Math.min(last[column]! + 1, current[column - 1]! + 1, last[column - 1]! + (isSame ? 0 : 1), isSwapped ? beforeLast[column - 2]! + 1 : Infinity));
    }
    beforeLast = last;
    last = current;
  }
  return last[other.length]!;
}
