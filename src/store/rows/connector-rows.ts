import { CONNECTOR_NAME_MAX_BYTES, CONNECTOR_STATUS_MAX_BYTES, MAX_CONNECTORS, SOURCE_MAX_PARTS, type ConnectorNote, type ConnectorOwner, type SourcePosition, type SourceStep } from '../contracts/connector-store.ts';
import { checkWhole } from './key-rows.ts';
import { StoreError, type AppendRequest } from '../store.ts';

/** Checks of the arguments about connectors. */

export function checkOwner({ names }: ConnectorOwner): void {
  checkConnectors(names);
}

export function checkConnectors(names: readonly string[]): void {
  checkWhole('the number of connectors', names.length, 0, MAX_CONNECTORS);
  for (const name of names) checkName(name);
}

export function checkConnectorNote({ fence, status }: ConnectorNote): void {
  checkWhole('a fence', fence, 0, Number.MAX_SAFE_INTEGER);
  if (Buffer.byteLength(status) > CONNECTOR_STATUS_MAX_BYTES) throw new StoreError('refused', `the status of a connector is longer than ${CONNECTOR_STATUS_MAX_BYTES} bytes`);
}

/** Finds the step of an append, and checks it. A step has an append of its own: if it is outdated, the whole transaction stores nothing. */
export function stepOf(requests: readonly AppendRequest[]): SourceStep | undefined {
  const step = requests.find((request) => request.step !== undefined)?.step;
  if (step === undefined) return undefined;
  if (requests.length > 1 || requests[0]!.key !== undefined) throw new StoreError('refused', 'a step of a source is the only request of its call, and has no idempotency key');
  checkWhole('a fence', step.fence, 0, Number.MAX_SAFE_INTEGER);
  checkWhole('the number of parts', step.moves.length, 0, SOURCE_MAX_PARTS);
  checkName(step.connector);
  checkName(step.origin);
  for (const { part, from, to } of step.moves) {
    checkName(part);
    checkPosition(to);
    if (from !== undefined) checkPosition(from);
  }
  return step;
}

function checkPosition({ identity, position }: SourcePosition): void {
  checkName(identity);
  checkWhole('a position', position, 0, Number.MAX_SAFE_INTEGER);
}

function checkName(name: string): void {
  if (Buffer.byteLength(name) > CONNECTOR_NAME_MAX_BYTES) throw new StoreError('refused', `a name of a connector is longer than ${CONNECTOR_NAME_MAX_BYTES} bytes`);
}
