import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { tempFolder } from '../support/temp.ts';
import { typed } from '../support/tidings-command.ts';

/** `tidings completion`, in the shells themselves, those that are installed. */

/** A line that is typed, up to Tab, and what is offered. */
const TYPED: readonly (readonly [line: string, offered: readonly string[]])[] = [
  ['tidings pu', ['publish']],
  ['tidings streams ', ['list', 'close']],
  ['tidings streams close --re', ['--retry']],
  ['tidings publish a --type ', ['text', 'json']],
  ['tidings publish --key streams --ev', ['--event']],
  ['tidings completion f', ['fish']],
  ['tidings access re', ['read']],
  ['tidings --ver', ['--version']],
];

function isInstalled(shell: string): boolean {
  try {
    execFileSync(shell, ['-c', 'exit 0'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

/** How a shell is asked for what it offers for the line in `$LINE`, with the script in the file `script`. */
const ASKED: Readonly<Record<string, string>> = {
  bash: 'source ./script; COMP_WORDS=($LINE); [[ $LINE == *" " ]] && COMP_WORDS+=(""); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _tidings; printf "%s\\n" "${COMPREPLY[@]}"',
  // The completion system itself needs a terminal; its functions stand in for it.
  zsh: 'compdef() { :; }; _describe() { shift $(($# - 1)); print -l -- ${${(P)1}%%:*}; }; compadd() { shift; print -l -- "$@"; }; _files() { :; }; source ./script; words=(${(s: :)LINE}); [[ $LINE == *" " ]] && words+=(""); CURRENT=${#words}; _tidings | grep -- "^${words[CURRENT]}"',
  fish: 'source ./script; complete -C $LINE | string replace -r "\\t.*" ""; true',
};

for (const [name, script] of Object.entries(ASKED)) {
  void t.test(`${name} completes commands, options and values`, { skip: isInstalled(name) ? false : `${name} is not installed` }, async (t) => {
    const folder = tempFolder(t);
    const { code, output } = await typed(t, `tidings completion ${name}`);
    t.equal(code, 0);
    writeFileSync(join(folder, 'script'), output);
    for (const [line, offered] of TYPED) {
      const said = execFileSync(name, ['-c', script], { cwd: folder, encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: folder, LINE: line } });
      t.same(said.split('\n').filter((word) => word !== '').toSorted(), [...offered].toSorted(), line);
    }
  });
}
