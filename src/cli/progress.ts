/** The work under way, in the order of the log. */
interface Task {
  cursor: string;
  isDone: boolean;
}

/** Up to which place all is done, while messages are handled side by side. */
export class Progress {
  readonly #tasks: Task[] = [];
  #reached: string | undefined;

  /** How many messages are there from the oldest that is not done. */
  get ahead(): number {
    return this.#tasks.length;
  }

  /** Everything up to here is done; undefined before anything is. */
  get reached(): string | undefined {
    return this.#reached;
  }

  /** @returns Says that it is done. */
  begin(cursor: string): () => void {
    const task: Task = { cursor, isDone: false };
    this.#tasks.push(task);
    return () => {
      task.isDone = true;
      while (this.#tasks[0]?.isDone === true) this.#reached = this.#tasks.shift()!.cursor;
    };
  }

  /** Up to this position the log has no message for us, beyond the messages that were begun. */
  moved(cursor: string): void {
    const last = this.#tasks.at(-1);
    // The last task is done: a new place can replace its own, so quiet streams add no entries.
    if (last?.isDone === true) last.cursor = cursor;
    else this.begin(cursor)();
  }
}
