/** Longer texts are cut. Stops long headers from taking much memory for each stream. */
const TEXT_MAX_CHARACTERS = 80;

/** The most different texts in memory. Stops clients with ever new names from filling the memory. */
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
    // Streams keep their own references to the texts. New streams soon fill the map again.
    if (this.#texts.size >= SHARED_MAX_ENTRIES) this.#texts.clear();
    const own = ownText(cut);
    this.#texts.set(own, own);
    return own;
  }
}

/** Copies a text into memory of its own: a substring of a request's head would keep the whole head in memory. */
export function ownText(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1');
}
