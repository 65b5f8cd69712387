import t from 'tap';
import { Type as TypeBox } from 'typebox';
import { Type } from '../../../src/http/input/json-schema.ts';

/** Everything that can be made, with options and without. */
function made(of: typeof Type): unknown {
  const options = { description: 'What it is.' };
  const shared = of.String();
  return [
    of.String(), of.String({ format: 'date-time', ...options }), of.Integer({ minimum: 1, maximum: 9 }), of.Boolean(options), of.Null(), of.Unknown(), of.Unknown(options),
    ...['a', 1, true].map((value) => of.Literal(value)), of.Array(shared, { minItems: 1 }), of.Record(of.String(), of.Unknown()), of.Union([of.String(), of.Null()], options),
    of.Object({ must: shared, may: of.Optional(shared), also: of.Optional(of.Integer(options)) }, { additionalProperties: false }), of.Object({ may: of.Optional(shared) }),
  ];
}

t.test('it makes what TypeBox makes', async (t) => {
  t.same(JSON.parse(JSON.stringify(made(Type))), JSON.parse(JSON.stringify(made(TypeBox))));
});
