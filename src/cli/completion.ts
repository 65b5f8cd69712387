import { Argument, type Command } from 'commander';

/** `tidings completion`: completion scripts for shells, generated from the commands. A script has all names in it, so pressing Tab starts no program. */

const SHELLS = { bash, zsh, fish } as const;

/** The words that may follow one command. */
interface Completed {
  /** The command: `streams close`, or an empty text for `tidings` itself. */
  readonly path: string;
  readonly commands: readonly Word[];
  readonly options: readonly Word[];
}

interface Word {
  readonly name: string;
  readonly description: string;
  /** Whether the option takes a value. */
  readonly takesValue?: boolean;
  /** The values to choose from; empty if any value is possible, such as a file. */
  readonly values?: readonly string[];
}

export function addCompletionCommand(program: Command): void {
  program.command('completion').description('Prints a script with which a shell completes commands and options.')
    .addArgument(new Argument('<shell>', 'the shell').choices(Object.keys(SHELLS)))
    .addHelpText('after', `
Examples:
  $ tidings completion bash > ~/.local/share/bash-completion/completions/tidings
  $ tidings completion zsh > ~/.zfunc/_tidings
  $ tidings completion fish > ~/.config/fish/completions/tidings.fish
`)
    .action((shell: keyof typeof SHELLS) => {
      process.stdout.write(SHELLS[shell](read(program)));
    });
}

function read(command: Command, path: readonly string[] = []): readonly Completed[] {
  const commands = command.commands.map((one): Word => ({ name: one.name(), description: one.description() }));
  const values = command.registeredArguments.flatMap((argument) => argument.argChoices ?? []).map((name): Word => ({ name, description: '' }));
  const options = command.options.flatMap((option): Word[] => (option.long === undefined || option.long === null ? [] : [{ name: option.long, description: option.description, takesValue: option.required || option.optional, values: option.argChoices ?? [] }]));
  return [
    { path: path.join(' '), commands: [...commands, ...values], options: [...options, { name: '--help', description: 'prints the options of the command' }] },
    ...command.commands.flatMap((one) => read(one, [...path, one.name()])),
  ];
}

/** Quotes for bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function names(words: readonly Word[]): string {
  return words.map(({ name }) => name).join(' ');
}

/** Shell code that sets `place` to the command that is being typed. */
function findPlace(commands: readonly Completed[], { first, end, words }: { readonly first: number; readonly end: string; readonly words: string }): string {
  return `  local place='' i
  for ((i = ${first}; i < ${end}; i++)); do
    case "\${place:+$place }\${${words}[i]}" in
      ${commands.filter(({ path }) => path !== '').map(({ path }) => quoted(path)).join('|')}) place="\${place:+$place }\${${words}[i]}" ;;
    esac
  done
`;
}

/** Shell code for a cursor after an option with a value. `known` completes a value from a list; `free` is for options without a list. */
function afterOption(commands: readonly Completed[], known: (values: readonly string[]) => string, free: string): string {
  const all = commands.flatMap(({ path, options }) => options.filter(({ takesValue }) => takesValue === true).map(({ name, values = [] }) => ({ at: quoted(`${path} ${name}`), values })));
  const lines = all.filter(({ values }) => values.length > 0).map(({ at, values }) => `    ${at}) ${known(values)}; return ;;\n`);
  return `  case "$place $before" in\n${lines.join('')}    ${all.filter(({ values }) => values.length === 0).map(({ at }) => at).join('|')}) ${free}; return ;;\n  esac\n`;
}

function bash(commands: readonly Completed[]): string {
  return `# What completes tidings in bash.
_tidings() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" commands='' options=''
${findPlace(commands, { first: 1, end: 'COMP_CWORD', words: 'COMP_WORDS' })}${afterOption(commands, (values) => `COMPREPLY=($(compgen -W ${quoted(values.join(' '))} -- "$word"))`, 'COMPREPLY=()')}  case "$place" in
${commands.map((one) => `    ${quoted(one.path)}) commands=${quoted(names(one.commands))} options=${quoted(names(one.options))} ;;\n`).join('')}  esac
  if [[ $word == -* ]]; then COMPREPLY=($(compgen -W "$options" -- "$word"))
  else COMPREPLY=($(compgen -W "$commands" -- "$word"))
  fi
}
complete -o default -F _tidings tidings
`;
}

function zsh(commands: readonly Completed[]): string {
  const described = (words: readonly Word[]): string => words.map(({ name, description }) => quoted(description === '' ? name : `${name}:${description.replaceAll(':', '\\:')}`)).join(' ');
  return `#compdef tidings
# What completes tidings in zsh.
_tidings() {
  local before="\${words[CURRENT-1]}"
  local -a commands options
${findPlace(commands, { first: 2, end: 'CURRENT', words: 'words' })}${afterOption(commands, (values) => `compadd -- ${values.map(quoted).join(' ')}`, '_files')}  case "$place" in
${commands.map((one) => `    ${quoted(one.path)}) commands=(${described(one.commands)}); options=(${described(one.options)}) ;;\n`).join('')}  esac
  if [[ "\${words[CURRENT]}" == -* ]]; then _describe -o option options
  elif (( \${#commands} )); then _describe command commands
  else _files
  fi
}
if [[ "\${funcstack[1]}" == _tidings ]]; then _tidings "$@"; else compdef _tidings tidings; fi
`;
}

function fish(commands: readonly Completed[]): string {
  const quote = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap(({ path, commands: below, options }) => {
    const at = `complete -c tidings -n ${quote(`__tidings_at ${quote(path)}`)}`;
    return [
      ...below.map(({ name, description }) => `${at} -f -a ${name} -d ${quote(description)}\n`),
      ...options.map(({ name, description, takesValue = false, values = [] }) => `${at} -l ${name.slice(2)}${!takesValue ? '' : values.length === 0 ? ' -r' : ` -x -a ${quote(values.join(' '))}`} -d ${quote(description)}\n`),
    ];
  });
  return `# What completes tidings in fish.
function __tidings_at
  set -l place
  for word in (commandline -opc)[2..-1]
    set -l next (string join ' ' -- $place $word)
    if contains -- "$next" ${commands.filter(({ path }) => path !== '').map(({ path }) => quote(path)).join(' ')}
      set place $next
    end
  end
  test "$place" = "$argv[1]"
end
${lines.join('')}`;
}
