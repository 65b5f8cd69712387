/** Longer ones are cut. Stops one header from taking much memory for each stream. */
const TEXT_MAX_CHARACTERS = 80;

/** Different texts that are remembered at once. Stops clients that each call themselves something else from filling the memory. */
const SHARED_MAX_ENTRIES = 1_000;

/** Keeps one copy of each text that often repeats, such as the name of a browser. */
export class SharedTexts {
  readonly #texts = new Map<string, string>();

  /** Cuts a text short, and returns one shared copy for all equal texts. */
  shared(text: string | undefined): string | undefined {
    if (text === undefined) return undefined;
    const cut = text.length > TEXT_MAX_CHARACTERS ? text.slice(0, TEXT_MAX_CHARACTERS) : text;
    const known = this.#texts.get(cut);
    if (known !== undefined) return known;
    // Their users keep the texts in use, and soon share them again.
    if (this.#texts.size >= SHARED_MAX_ENTRIES) this.#texts.clear();
    const own = ownText(cut);
    this.#texts.set(own, own);
    return own;
  }
}

/** A text of its own: one that was cut out of another, such as the head of a request, would keep that in memory. */
export function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
