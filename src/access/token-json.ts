/** The deepest nesting of a token's JSON. Stops one that would exhaust the stack of those who walk through it. */
const NESTING_MAX_LEVELS = 16;

const STRING = /"(?:[^"\\]|\\.)*"/g;

/**
 * Why JSON that `JSON.parse` accepts is refused nevertheless. A name that an object has twice means one thing here and may mean another to the program that
 * checked the same text before it was signed (RFC 8725, 2.4 and 3.10).
 */
export function jsonProblem(json: string): string | undefined {
  const structure = json.replace(STRING, '');
  let levels = 0;
  for (const character of structure) {
    if (character === '{' || character === '[') levels++;
    else if (character === '}' || character === ']') levels--;
    if (levels > NESTING_MAX_LEVELS) return `it is nested deeper than ${NESTING_MAX_LEVELS} levels`;
  }
  // Outside strings, each member has one colon. What was parsed has each name once.
  return countColons(structure) === countColons(JSON.stringify(JSON.parse(json)).replace(STRING, '')) ? undefined : 'an object in it has a name twice';
}

function countColons(structure: string): number {
  return structure.split(':').length - 1;
}
