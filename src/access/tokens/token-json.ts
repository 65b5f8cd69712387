/** The deepest nesting of JSON in a token or a key set. Deeper values would exhaust the stack of `JSON.stringify`. */
const NESTING_MAX_LEVELS = 16;

const STRING = /"(?:[^"\\]|\\.)*"/g;

/**
 * Why JSON is refused although `JSON.parse` accepts it. This program reads the last value of a duplicate name; the issuer may have meant the first (RFC 7519, section 4).
 */
export function jsonProblem(json: string): string | undefined {
  const structure = json.replace(STRING, '');
  let levels = 0;
  for (const character of structure) {
    if (character === '{' || character === '[') levels++;
    else if (character === '}' || character === ']') levels--;
    if (levels > NESTING_MAX_LEVELS) return `it is nested deeper than ${NESTING_MAX_LEVELS} levels`;
  }
  // Outside strings, each member has one colon. An object that was parsed has each name once.
  return countColons(structure) === countColons(JSON.stringify(JSON.parse(json)).replace(STRING, '')) ? undefined : 'an object in it has a name twice';
}

function countColons(structure: string): number {
  return structure.split(':').length - 1;
}
