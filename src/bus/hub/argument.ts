/** Something malformed came over the hub's socket. A malformed question fails; after anything else the connection ends. */
export class MalformedCall extends Error {
  override name = 'MalformedCall';

  constructor(what: string) {
    super(`a malformed question came over the hub's socket (${what})`);
  }
}

/** The argument of a question, read field by field: any program of the same user may connect. */
export class Argument {
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown) {
    if (typeof value !== 'object' || value === null) throw new MalformedCall('no object');
    this.#fields = value as Readonly<Record<string, unknown>>;
  }

  text(name: string, maxCharacters: number): string {
    return text(this.#fields[name], name, maxCharacters);
  }

  /** Where it may be absent. */
  optionalText(name: string, maxCharacters: number): string | undefined {
    return this.#fields[name] === undefined ? undefined : this.text(name, maxCharacters);
  }

  texts(name: string, maxEntries: number, maxCharacters: number): string[] {
    return this.#list(name, maxEntries).map((value) => text(value, name, maxCharacters));
  }

  /** Any number but NaN and the infinite ones. */
  number(name: string): number {
    const value = this.#fields[name];
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new MalformedCall(name);
    return value;
  }

  optionalNumber(name: string): number | undefined {
    return this.#fields[name] === undefined ? undefined : this.number(name);
  }

  /** A whole number that is not negative. */
  count(name: string): number {
    const value = this.number(name);
    if (!Number.isSafeInteger(value) || value < 0) throw new MalformedCall(name);
    return value;
  }

  flag(name: string): boolean {
    const value = this.#fields[name];
    if (typeof value !== 'boolean') throw new MalformedCall(name);
    return value;
  }

  has(name: string): boolean {
    return this.#fields[name] !== undefined;
  }

  inner(name: string): Argument {
    return new Argument(this.#fields[name]);
  }

  list<Item>(name: string, maxEntries: number, read: (item: Argument) => Item): Item[] {
    return this.#list(name, maxEntries).map((value) => read(new Argument(value)));
  }

  #list(name: string, maxEntries: number): readonly unknown[] {
    const value = this.#fields[name];
    if (!Array.isArray(value) || value.length > maxEntries) throw new MalformedCall(name);
    return value;
  }
}

function text(value: unknown, name: string, maxCharacters: number): string {
  if (typeof value !== 'string' || value.length > maxCharacters) throw new MalformedCall(name);
  return value;
}
