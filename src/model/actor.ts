/** The sender of a change, for its audit line. */
export interface Actor {
  readonly name: string;
  /** The address of the request; undefined on the command line. */
  readonly client?: string;
}
