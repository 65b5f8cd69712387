/** Moves surrogates behind all other UTF-16 units: they encode characters that UTF-8 sorts last. */
function rank(unit: number): number {
  if (unit >= 0xe000) return unit - 0x800;
  return unit >= 0xd800 ? unit + 0x2000 : unit;
}

/** Compares texts by their bytes in UTF-8, as Redis and the stores do. */
export function byBytes(one: string, other: string): number {
  const length = Math.min(one.length, other.length);
  for (let at = 0; at < length; at++) {
    const [a, b] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (a !== b) return rank(a) - rank(b);
  }
  return one.length - other.length;
}

/** The first `limit` items whose name comes after `after`, sorted by name. Makes one pass, because sorting all items would block the event loop. */
export function firstAfter<Item>(items: Iterable<Item>, nameOf: (item: Item) => string, after: string, limit: number): Item[] {
  const found: Item[] = [];
  for (const item of items) {
    const name = nameOf(item);
    if (after !== '' && byBytes(name, after) <= 0) continue;
    if (found.length === limit && byBytes(name, nameOf(found.at(-1)!)) >= 0) continue;
    let [low, high] = [0, found.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (byBytes(nameOf(found[middle]!), name) < 0) low = middle + 1;
      else high = middle;
    }
    found.splice(low, 0, item);
    if (found.length > limit) found.pop();
  }
  return found;
}
