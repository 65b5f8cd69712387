import { Child } from './child.ts';
import { need } from './programs.ts';
import type { Scope } from './temp.ts';

/** What a shell shows when it waits for a command. */
const PROMPT = 'ready> ';

/** Runs a command in a terminal of its own, and types a text once there is a prompt. Node has no terminals, and `script` has other options on each system. */
const PROGRAM = `
import os, pty, sys
text, command = sys.argv[1].encode(), sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.environ['PS1'] = '${PROMPT}'
    os.execvp(command[0], command)
said = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    os.write(1, piece)
    said += piece
    if text and b'${PROMPT}' in said:
        os.write(terminal, text)
        text = b''
`;

/** How a terminal hands over what is pasted to a shell that has asked for it: as one piece, of which nothing runs before the next Enter. */
export const PASTE_START = '\u001b[200~';
export const PASTE_END = '\u001b[201~';

/** A shell as somebody sits before it, without their settings; the text is typed at its first prompt. Its output has what the terminal shows, typed lines too. */
export function typeInto(t: Scope, shell: readonly string[], text: string): Child {
  return new Child(t, need('python3'), ['-c', PROGRAM, text, ...shell], { env: { PATH: process.env['PATH'], TERM: 'xterm' } });
}
