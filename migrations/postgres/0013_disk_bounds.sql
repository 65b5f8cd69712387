-- compatible: 0003_compatible_functions
CREATE SEQUENCE "tidings"."key_places" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1;--> statement-breakpoint
-- The default in a statement of its own, so that the rows that are there are not rewritten. Inserts of older programs take it, too.
ALTER TABLE "tidings"."keys" ADD COLUMN "place" bigint;--> statement-breakpoint
ALTER TABLE "tidings"."keys" ALTER COLUMN "place" SET DEFAULT nextval('tidings.key_places');
--> statement-breakpoint
-- The second half of a step of retention: forgets the keys that expire next while there are more than `max_keys`; 0 is no bound. `tidings.trim`, which comes first in the same transaction, has deleted
-- those that have expired. How many there are is told by the places of the newest and of the next to expire. Where IDEMPOTENCY_SECONDS was made shorter, they are too few until the last key from before it has expired.
-- `deleted_bytes`: the bytes of all messages ever deleted, with those of this step.
-- Under retention's lock, never the head's (invariant 9); while another instance has it, there is nothing to do here.
CREATE FUNCTION tidings.trim_keys(max_keys bigint, most integer) RETURNS TABLE (young_keys integer, held_keys bigint, more_keys boolean, deleted_bytes bigint) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  newest bigint := (SELECT last_value FROM tidings.key_places);
  due integer;
BEGIN
  young_keys := 0;
  more_keys := false;
  held_keys := coalesce((SELECT newest - coalesce(k.place, 0) + 1 FROM tidings.keys k ORDER BY k.expires, k.place LIMIT 1), 0);
  IF max_keys > 0 AND held_keys > max_keys THEN
    PERFORM FROM tidings.retention ORDER BY oldest DESC LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF FOUND THEN
      -- Counted before any is locked: none is locked in vain.
      SELECT count(*) INTO due FROM (SELECT k.place FROM tidings.keys k ORDER BY k.expires, k.place LIMIT most + 1) AS o WHERE newest - coalesce(o.place, 0) + 1 > max_keys;
      -- Those that an append just uses again are passed over: waiting for them, with others deleted already, could be a deadlock.
      WITH few AS (SELECT k.scope, k.key FROM tidings.keys k ORDER BY k.expires, k.place LIMIT least(due, most) FOR UPDATE SKIP LOCKED),
        deleted AS (DELETE FROM tidings.keys k USING few WHERE k.scope = few.scope AND k.key = few.key RETURNING 1)
      SELECT count(*) INTO young_keys FROM deleted;
      more_keys := due > most;
      held_keys := coalesce((SELECT newest - coalesce(k.place, 0) + 1 FROM tidings.keys k ORDER BY k.expires, k.place LIMIT 1), 0);
    END IF;
  END IF;
  SELECT r.bytes INTO deleted_bytes FROM tidings.retention r ORDER BY r.oldest DESC LIMIT 1;
  RETURN NEXT;
END $$;
--> statement-breakpoint
-- Forgets epochs that never had a message, wherever they stand, beyond the newest ones to keep: they begin where the next one does. Instances that crash again and again begin such epochs.
-- `tidings.begin_epoch` forgets only those before the oldest message. The caller has just begun an epoch, and so holds the head's lock.
CREATE FUNCTION tidings.forget_empty_epochs(kept integer) RETURNS void LANGUAGE sql AS $$
  DELETE FROM tidings.epochs e USING (SELECT o.id, lead(o.first) OVER (ORDER BY o.id) AS until FROM tidings.epochs o) AS n
    WHERE n.id = e.id AND n.until = e.first AND e.id <= (SELECT max(m.id) FROM tidings.epochs m) - kept
$$;
