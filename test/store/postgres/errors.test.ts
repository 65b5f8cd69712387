import pg from 'pg';
import t from 'tap';
import { isAnswer, toStoreError } from '../../../src/store/postgres/connection/errors.ts';
import type { StoreErrorKind } from '../../../src/store/store.ts';

/** Every class of https://www.postgresql.org/docs/current/errcodes-appendix.html, and the codes that are not like their class. */
const CODES: readonly (readonly [StoreErrorKind, string])[] = [
  ['unavailable', '0A000 20000 21000 25000 25001 25006 25P02 26000 28000 28P01 2F000 2F003 34000 38000 39000 3D000 3F000 40000 40001 40002 40P01'],
  ['unavailable', '42501 42601 42883 42P01 44000 53000 53100 53200 53300 53400 55000 55006 55P02 55P03 57014 72000 P0000 P0001 P0003 P0004'],
  // 23505: the head and the messages disagree.
  ['unavailable', '23505'],
  ['refused', '22000 22003 22021 22P02 22P05 23000 23502 23514 54000 54001'],
  ['outcome-unknown', '08000 08001 08003 08004 08006 08007 08P01'],
  ['outcome-unknown', '40003'],
  ['outcome-unknown', '57000 57P01 57P02 57P03 57P04 57P05'],
  ['outcome-unknown', '58000 58030 58P01 58P02 XX000 XX001 XX002'],
  ['outcome-unknown', '00000 01000 02000 03000 F0000 F0001 HV000 ZZ999'],
];

function databaseError(severity: string | undefined, code: string | undefined): pg.DatabaseError {
  return Object.assign(new pg.DatabaseError('something', 9, 'error'), { severity, code });
}

t.test('only codes that prove it say that nothing was stored', async (t) => {
  for (const [kind, codes] of CODES) for (const code of codes.split(' ')) t.equal(toStoreError(databaseError('ERROR', code), 'outcome-unknown').kind, kind, code);
});

t.test('an error that ended the connection proves nothing, with any code or none', async (t) => {
  for (const severity of ['FATAL', 'PANIC', undefined]) {
    for (const code of ['22003', '40001', '53100', '57014']) t.equal(toStoreError(databaseError(severity, code), 'outcome-unknown').kind, 'outcome-unknown', `${severity} ${code}`);
  }
  for (const code of [undefined, '', '2', '22', '22\0\0\0', '220000', 'const', '__proto__']) t.equal(toStoreError(databaseError('ERROR', code), 'outcome-unknown').kind, 'outcome-unknown', String(code));
  t.equal(toStoreError(new Error('reset'), 'outcome-unknown').kind, 'outcome-unknown');
  t.equal(toStoreError(databaseError('FATAL', '57P03'), 'unavailable').kind, 'unavailable', 'before anything was sent nothing was stored');
});

t.test('after an error of a connection that a pooler reports, the connection is not used again', async (t) => {
  for (const code of ['08P01', '08006', '57P01']) t.equal(isAnswer(databaseError('ERROR', code)), false, code);
  for (const code of ['40001', '57014', 'XX000', '58030']) t.equal(isAnswer(databaseError('ERROR', code)), true, code);
});
