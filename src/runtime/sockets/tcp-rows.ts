import { SocketAddress } from 'node:net';
import { endianness } from 'node:os';

/** A connection's send queue in the kernel, and how the other end answers. */
export interface SendQueue {
  /** Both ends, as `net.Socket` names them. */
  readonly localAddress: string;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Bytes that the other end has not acknowledged. */
  readonly bytes: number;
  /** Retransmissions, or probes of a closed window, in a row without an answer. An answer sets the count to 0. */
  readonly unanswered: number;
}

/** The rows of the table to keep. */
export interface RowFilter {
  /** The port that the process listens on. */
  readonly localPort: number;
  /** The filter keeps the rows of these ports, and unanswered rows of other ports. */
  readonly remotePorts: ReadonlySet<number>;
}

const IPV4_CHARACTERS = 8;
const PORT_CHARACTERS = 4;
const WORD_CHARACTERS = 8;
const NEWLINE = 0x0a;
const COLON = 0x3a;
const SPACE = 0x20;
/** The state of a socket that listens (include/net/tcp_states.h). */
const LISTEN = 0x0a;
/** A connection's timer waits for an acknowledgement, or for an open window (Documentation/networking/proc_net_tcp.rst). */
const RETRANSMIT_TIMER_CODE = 1;
const PROBE_TIMER_CODE = 4;

/**
 * Reads lines of `/proc/net/tcp` or `/proc/net/tcp6`.
 *
 *     sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 *      7: 0100007F:1F90 0100007F:9DB2 01 0000002A:00000000 01:0000002D 00000003     0        0 12345 …
 *
 * Most lines are of other ports, or idle. The function looks at their bytes only, so that none of them costs a string.
 *
 * @returns How many lines were of connections of this port.
 */
export function readRows(lines: Buffer, { localPort, remotePorts }: RowFilter, kept: SendQueue[]): number {
  let count = 0;
  for (let begin = 0; begin < lines.length;) {
    const newline = lines.indexOf(NEWLINE, begin);
    const end = newline === -1 ? lines.length : newline;
    const local = lines.indexOf(COLON, begin) + 2;
    const line = { begin, end };
    begin = end + 1;
    // The line of titles has no colon.
    if (local < 2 || local > line.end) continue;
    const digits = lines.indexOf(COLON, local) - local;
    const remote = local + digits + PORT_CHARACTERS + 2;
    const state = remote + digits + PORT_CHARACTERS + 2;
    if (hex(lines, local + digits + 1, PORT_CHARACTERS) !== localPort || hex(lines, state, 2) === LISTEN) continue;
    count++;
    const bytes = hex(lines, state + 3, WORD_CHARACTERS);
    const remotePort = hex(lines, remote + digits + 1, PORT_CHARACTERS);
    const unanswered = bytes === 0 ? 0 : unansweredOf(lines, state + 3 + 2 * WORD_CHARACTERS + 2, line.end);
    if (unanswered === 0 && !remotePorts.has(remotePort)) continue;
    kept.push({ localAddress: addressOf(lines, local, digits), remoteAddress: addressOf(lines, remote, digits), remotePort, bytes, unanswered });
  }
  return count;
}

/** From the timer's kind on: `01:0000002D 00000003     0        0`. */
function unansweredOf(lines: Buffer, at: number, end: number): number {
  const timer = hex(lines, at, 2);
  if (timer !== RETRANSMIT_TIMER_CODE && timer !== PROBE_TIMER_CODE) return 0;
  // These numbers may be wider than their columns.
  const [, sentAgain, , probes] = lines.toString('latin1', at, end).split(/ +/, 4);
  return timer === RETRANSMIT_TIMER_CODE ? Number.parseInt(sentAgain ?? '0', 16) : Number.parseInt(probes ?? '0', 10);
}

/** The kernel prints an address by words of 32 bits, each as this machine reads it from memory. */
function addressOf(lines: Buffer, at: number, digits: number): string {
  const bytes = Buffer.from(lines.toString('latin1', at, at + digits), 'hex');
  if (endianness() === 'LE') bytes.swap32();
  if (digits === IPV4_CHARACTERS) return bytes.join('.');
  const groups = Array.from({ length: bytes.length / 2 }, (_, index) => bytes.readUInt16BE(2 * index).toString(16));
  return new SocketAddress({ address: groups.join(':'), family: 'ipv6' }).address;
}

/** A number in hexadecimal digits; 0 where there are others, such as a space. */
function hex(bytes: Buffer, at: number, digits: number): number {
  let number = 0;
  for (let index = at; index < at + digits; index++) {
    const byte = bytes[index] ?? SPACE;
    const digit = byte >= 0x41 ? byte - 0x37 : byte - 0x30;
    if (digit < 0 || digit > 15) return 0;
    number = 16 * number + digit;
  }
  return number;
}
