/**
 * The order of one topic's messages in a run. Where they were published one after the other, over one connection, their numbers are it. Where
 * they were published over several connections at once, any order is right, as long as all streams get the same: the first stream
 * to get a message fixes the message's place.
 */
export class AgreedOrder {
  /** From a message's number to its place; -1 where nobody has got it. */
  #places = new Int32Array(64).fill(-1);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  placeOf(seq: number): number {
    if (seq >= this.#places.length) {
      const places = new Int32Array(Math.max(seq + 1, 2 * this.#places.length)).fill(-1);
      places.set(this.#places);
      this.#places = places;
    }
    const place = this.#places[seq]!;
    return place === -1 ? this.#append(seq) : place;
  }

  /** undefined where nobody has got it. */
  knownPlaceOf(seq: number): number | undefined {
    const place = this.#places[seq];
    return place === -1 ? undefined : place;
  }

  #append(seq: number): number {
    this.#places[seq] = this.#length;
    return this.#length++;
  }
}
