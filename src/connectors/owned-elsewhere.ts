/** Another instance owns the connector, so the runner of this instance ends. */
export class OwnedElsewhere extends Error {
  override name = 'OwnedElsewhere';
}
