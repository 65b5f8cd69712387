/** The peers as the scenarios and targets name them; each is the `name` of a peer in their list. */

/** What all this is about: its faults end a run with exit code 1. */
export const SUBJECT = 'Tidings';
