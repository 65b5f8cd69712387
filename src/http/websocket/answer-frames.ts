import { textFrame } from '../../delivery/frames/text-frame.ts';
import type { Problem } from '../../model/problem.ts';
import { problemBody, problemHeaders } from '../output/problem-response.ts';
import type { RequestName } from './client-frame.ts';

/** Answers to the frames of a client. */

/** `$answer`: the request was carried out. `json` is the body of the same answer by HTTP. */
export function answerFrame(request: RequestName | undefined, json: string, replayed: boolean): Buffer {
  return textFrame(Buffer.from(`{"event":"$answer",${named(request)}${replayed ? '"replayed":true,' : ''}"data":${json.trimEnd()}}`));
}

/** `$error`: the request was refused. */
export function errorFrame(request: RequestName | undefined, problem: Problem): Buffer {
  const { 'retry-after': seconds } = problemHeaders(problem);
  const retry = seconds === undefined ? '' : `"retryMs":${Number(seconds) * 1000},`;
  const { field } = problem;
  const body = JSON.parse(problemBody(problem).toString()) as object;
  return textFrame(Buffer.from(`{"event":"$error",${named(request)}${retry}"data":${JSON.stringify({ ...body, field: field === undefined ? undefined : MEMBERS[field] ?? field })}}`));
}

/** The member of a frame for each HTTP header that a problem names. */
const MEMBERS: Readonly<Record<string, string>> = { 'Idempotency-Key': 'idempotencyKey' };

function named(request: RequestName | undefined): string {
  return request === undefined ? '' : `"request":${JSON.stringify(request)},`;
}
