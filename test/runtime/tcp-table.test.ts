import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { endianness, networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { readRows, type SendQueue } from '../../src/runtime/sockets/tcp-rows.ts';
import { ProcTcpTable } from '../../src/runtime/sockets/tcp-table.ts';
import { tempFolder } from '../support/temp.ts';
import { until } from '../support/until.ts';

/** Recorded from Linux 6.18, on a machine that reads the low byte first. The server is at port 8080; its clients: 127.0.0.1 reads nothing, ::1 is idle, 10.99.0.2 and fd00::2 have vanished. */
const TITLE_4 = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode                                                     ';
const TITLE_6 = '  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode';
const CLIENT_4 = '   0: 0100007F:9886 0100007F:1F90 01 00000000:0001F400 00:00000000 00000000     0        0 337552 1 000000008b81ddd7 20 8 0 10 -1                    ';
const LISTENS = '   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 338092 1 000000002e2fd8d0 100 0 0 10 0';
const READS_NOTHING = '   1: 0000000000000000FFFF00000100007F:1F90 0000000000000000FFFF00000100007F:9886 01 0039DC00:00000000 04:00000029 00000000     0        0 337553 2 0000000022ace57c 20 0 0 15 -1';
const CLIENT_6 = '   2: 00000000000000000000000001000000:D6E0 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000     0        0 338114 1 0000000012fab137 20 4 30 10 -1';
const IDLE = '   3: 00000000000000000000000001000000:1F90 00000000000000000000000001000000:D6E0 01 00000000:00000000 00:00000000 00000000     0        0 338115 1 00000000fb03450f 20 0 0 11 -1';
const VANISHED_MAPPED = '   4: 0000000000000000FFFF00000100630A:1F90 0000000000000000FFFF00000200630A:D87A 01 00000002:00000000 01:0000004F 00000003     0        0 337550 2 00000000ab3bd0f3 163 0 0 1 -1';
const VANISHED_6 = '   5: 000000FD000000000000000001000000:1F90 000000FD000000000000000002000000:D28A 01 00000002:00000000 01:0000004F 00000003     0        0 338116 2 000000006f068838 163 0 0 1 -1';
/** As such lines are written where a machine has many connections, users and bytes. */
const VANISHED_4 = '123456: 0100630A:1F90 0200630A:D87A 01 FFFFFFFE:00000000 01:1000004FA 0000000A 1000123456        0 337550 2 00000000ab3bd0f3 163 0 0 1 -1             ';
const VANISHED_FULL = '  17: 0100630A:1F90 0200630A:D87B 01 00010000:00000000 04:00001000 00000000  1000        6 337550 2 00000000ab3bd0f3 163 0 0 1 -1                  ';

const TABLE_6 = [TITLE_6, LISTENS, READS_NOTHING, CLIENT_6, IDLE, VANISHED_MAPPED, VANISHED_6];
const MAPPED = { localAddress: '::ffff:10.99.0.1', remoteAddress: '::ffff:10.99.0.2', remotePort: 0xd87a, bytes: 2, unanswered: 3 };
const LONG = { localAddress: 'fd00::1', remoteAddress: 'fd00::2', remotePort: 0xd28a, bytes: 2, unanswered: 3 };
const PAUSED = { localAddress: '::ffff:127.0.0.1', remoteAddress: '::ffff:127.0.0.1', remotePort: 0x9886, bytes: 0x39dc00, unanswered: 0 };

const AT_REST = { localAddress: '::1', remoteAddress: '::1', remotePort: 0xd6e0, bytes: 0, unanswered: 0 };

const skip = endianness() === 'LE' ? false : 'the lines were recorded on a machine that reads the low byte first';

t.test('of recorded tables, it keeps peers that do not answer on the named ports', { skip }, async (t) => {
  const read = (lines: readonly string[], ...ports: number[]): { rows: SendQueue[]; count: number } => {
    const rows: SendQueue[] = [];
    const count = readRows(Buffer.from(lines.map((line) => `${line}\n`).join('')), { localPort: 8080, remotePorts: new Set(ports) }, rows);
    return { rows, count };
  };
  t.same(read([TITLE_4, CLIENT_4]), { rows: [], count: 0 }, 'the client\'s own end, and no server');
  t.same(read([TITLE_6, LISTENS]), { rows: [], count: 0 });
  t.same(read(TABLE_6), { rows: [MAPPED, LONG], count: 4 });
  t.same(read(TABLE_6, 0x9886, 0xd6e0), { rows: [PAUSED, AT_REST, MAPPED, LONG], count: 4 }, 'also one that has taken everything');
  t.same(read([TITLE_4, VANISHED_4, VANISHED_FULL]).rows, [
    { localAddress: '10.99.0.1', remoteAddress: '10.99.0.2', remotePort: 0xd87a, bytes: 0xfffffffe, unanswered: 10 },
    { localAddress: '10.99.0.1', remoteAddress: '10.99.0.2', remotePort: 0xd87b, bytes: 0x10000, unanswered: 6 },
  ]);
  t.same(read(['', 'x', ':', '   0: ', '   0: 0100630A:1F90', VANISHED_6.slice(0, 90)]).rows, [], 'what is no line of a table');
});

/** Seen to fail where a file is read at once. */
t.test('a long table is read in many turns of the event loop, and no line is lost where two reads meet', { skip }, async (t) => {
  const folder = tempFolder(t);
  const lines = [TITLE_6, ...Array.from({ length: 20_000 }, (_, index) => (index % 100 === 0 ? VANISHED_6 : index % 100 === 50 ? READS_NOTHING : IDLE)), VANISHED_MAPPED];
  const text = lines.join('\n');
  const files = ['tcp', 'tcp6'].map((name) => join(folder, name));
  writeFileSync(files[1]!, text);
  const table = new ProcTcpTable(files);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns++;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  /** Those in which lines were read. */
  const used = new Set<number>();
  const remotePorts = new (class extends Set<number> {
    override has(): boolean {
      used.add(turns);
      return false;
    }
  })();
  const rows = await table.read({ localPort: 8080, remotePorts });
  isOver = true;
  t.same(rows, [...Array.from({ length: 200 }, () => LONG), MAPPED]);
  t.ok(used.size > text.length / (32 * 1024), `${used.size} turns for ${text.length} bytes`);
  t.equal(await table.read({ localPort: 8081, remotePorts: new Set() }), undefined, 'it tells nothing of a port without connections');
  t.equal(await new ProcTcpTable([join(folder, 'none')]).read({ localPort: 8080, remotePorts: new Set() }), undefined, 'nor does a system without such a table');
  await t.rejects(new ProcTcpTable([folder]).read({ localPort: 8080, remotePorts: new Set() }), { code: 'EISDIR' });
});

const hasIpv6 = Object.values(networkInterfaces()).flat().some((one) => one?.address === '::1');

function noTable(host: string): string | false {
  if (process.platform !== 'linux') return 'only Linux has the table';
  return host.includes(':') && !hasIpv6 ? 'this machine has no IPv6' : false;
}

for (const [host, client] of [['127.0.0.1', '127.0.0.1'], ['::', '127.0.0.1'], ['::1', '::1']] as const) {
  t.test(`the kernel's own table has a client of ${host} that reads nothing, under the addresses that the socket names`, { skip: noTable(host) }, async (t) => {
    const server = createServer().listen(0, host);
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const paused = connect(port, client);
    const [socket] = await once(server, 'connection') as [Socket];
    t.teardown(() => {
      paused.destroy();
      socket.destroy();
      server.close();
    });
    const filter = { localPort: port, remotePorts: new Set([socket.remotePort!]) };
    const table = new ProcTcpTable();
    t.match(await table.read(filter), [{ bytes: 0, unanswered: 0 }], 'an idle one has nothing to take');
    paused.pause();
    while (!socket.writableNeedDrain) socket.write(Buffer.alloc(1024 * 1024));
    let row: SendQueue | undefined;
    await until('its queue is in the table, and it has answered', async () => {
      row = (await table.read(filter))?.[0];
      return row !== undefined && row.bytes > 0 && row.unanswered === 0;
    });
    t.match(row, { localAddress: socket.localAddress, remoteAddress: socket.remoteAddress, remotePort: socket.remotePort });
  });
}
