/** What a source file imports, read from its text. */
export interface Import {
  readonly target: string;
  /** Gone when it runs: `import type`. */
  readonly typeOnly: boolean;
  /** The names between braces, where there are only such: `import { a, b as c } from …` imports a and b. */
  readonly names: readonly string[] | undefined;
}

// Comments and template literals may contain words that look like imports; what stands in ordinary strings may not, because
// every form below is tied to its keyword.
const NOISE = /\/\*[^]*?\*\/|(?<=^|\s)\/\/[^\n]*|`(?:\\[^]|[^\\`])*`/g;
const FORMS = [
  /(?:^|[;}\n])\s*(?:import|export)\b(?<type>\s+type\s+[{*\w])?(?<clause>[^;'"()]*?)\bfrom\s*(['"])(?<target>[^'"\n]+)\3/g,
  /(?:^|[;}\n])\s*import\s*(['"])(?<target>[^'"\n]+)\1/g,
  /\b(?:import|require|load|createRequire\([^)]*\))\s*\(\s*(['"])(?<target>[^'"\n]+)\1/g,
];
const BRACES = /^\s*\{(?<names>[^}]*)\}\s*$/;

export function importsOf(source: string): Import[] {
  const code = source.replace(NOISE, ' ');
  return FORMS.flatMap((form) => [...code.matchAll(form)].map(({ groups }) => ({
    target: groups!['target']!, typeOnly: groups!['type'] !== undefined, names: namesOf(groups!['clause']),
  })));
}

function namesOf(clause: string | undefined): readonly string[] | undefined {
  const names = BRACES.exec(clause ?? '')?.groups!['names'];
  return names?.split(',').map((name) => name.trim()).filter((name) => name !== '' && !name.startsWith('type ')).map((name) => name.split(/\s/)[0]!);
}
