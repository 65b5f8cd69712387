import type { TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { Problem, type ProblemCode } from '../../model/problem.ts';

/** Parts of a request whose problems have a code of their own. */
const CODES: Readonly<Record<string, ProblemCode>> = {
  topic: 'invalid-topic',
  event: 'invalid-event',
  data: 'invalid-data',
  ttl: 'invalid-ttl',
  lastEventId: 'invalid-cursor',
  after: 'invalid-cursor',
  since: 'invalid-cursor',
};

/**
 * A check of values that came from outside. It answers with what is wrong, as a problem that names the member, or with
 * nothing.
 * @param schema An object's.
 * @param otherwise The code where the member has none of its own.
 */
export function checker(schema: TSchema, otherwise: ProblemCode): (value: unknown) => Problem | undefined {
  const validator = Compile(schema);
  return (value) => {
    if (validator.Check(value)) return undefined;
    const errors = validator.Errors(value);
    // A member that is unknown is reported twice; this report has its name in full.
    const error = errors.find(({ keyword }) => keyword === 'additionalProperties') ?? errors[0];
    if (error?.keyword === 'additionalProperties') {
      const field = String(error.params.additionalProperties[0]);
      return new Problem(otherwise, `${field} is not known here.`, { field });
    }
    if (error?.keyword === 'required') {
      const field = String(error.params.requiredProperties[0]);
      return new Problem(CODES[field] ?? otherwise, `${field} is missing.`, { field });
    }
    const field = error?.instancePath.split('/')[1];
    const why = error?.keyword === 'enum' ? `must be one of ${error.params.allowedValues.join(', ')}` : error?.message ?? 'is not valid';
    return field === undefined ? new Problem(otherwise, `It ${why}.`) : new Problem(CODES[field] ?? otherwise, `${field} ${why}.`, { field });
  };
}
