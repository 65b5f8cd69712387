/** What a worker asks the hub. A connection stands for one log: the first call of each part names it. */
export interface HubCalls {
  /** Begins a connection. The answer is the hub's version: where that is another, nothing more is asked. */
  readonly hello: Call<{ readonly version: number }, { readonly version: number }>;
  readonly ping: Call<null, null>;

  /** From now on commits and notes of this log come, and those that are sent reach all others that joined it. */
  readonly 'bus.join': Call<{ readonly log: string }, null>;
  readonly 'bus.leave': Call<null, null>;
}

interface Call<Argument, Value> {
  readonly argument: Argument;
  readonly value: Value;
}

export type HubCall = keyof HubCalls;
