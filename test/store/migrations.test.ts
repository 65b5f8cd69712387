import t from 'tap';
import { missingMigrations } from '../../src/store/migrations.ts';

/** When the migrations were written that programs must know which run beside this one: 0001_compatible on SQLite, 0003_compatible_functions on PostgreSQL. */
const NEEDED = { sqlite: 1_795_922_510_149, postgres: 1_795_922_513_628 };

t.test('the newest schema needs no newer program than before', async (t) => {
  for (const kind of ['sqlite', 'postgres'] as const) {
    t.equal(Math.max(...missingMigrations(kind, []).map(({ compatible }) => compatible)), NEEDED[kind], kind);
  }
});
