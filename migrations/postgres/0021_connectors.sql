-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."connector_origins" (
	"first" bigint PRIMARY KEY NOT NULL,
	"last" bigint NOT NULL,
	"origin" text COLLATE "C" NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."connector_owners" (
	"owner" text COLLATE "C" PRIMARY KEY NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "tidings"."connector_positions" (
	"connector" text COLLATE "C" NOT NULL,
	"part" text COLLATE "C" NOT NULL,
	"identity" text COLLATE "C" NOT NULL,
	"position" bigint NOT NULL,
	CONSTRAINT "connector_positions_connector_part_pk" PRIMARY KEY("connector","part")
);
--> statement-breakpoint
CREATE TABLE "tidings"."connectors" (
	"name" text COLLATE "C" PRIMARY KEY NOT NULL,
	"owner" text COLLATE "C" NOT NULL,
	"fence" bigint NOT NULL,
	"cursor" text COLLATE "C" NOT NULL,
	"status" text NOT NULL
);

--> statement-breakpoint
-- An append that is a step of a source: its positions move in the same transaction as its messages, or nothing is stored. Appends without a step do not come here.
-- The connector's row is locked first. A new owner, who makes its fence larger, waits for this, and reads positions that are final.
CREATE FUNCTION tidings.append_step(
  step_connector text, step_fence bigint, step_origin text, parts text[], from_identities text[], from_positions bigint[], to_identities text[], to_positions bigint[],
  messages integer, firsts integer[], scopes text[], keys text[], fingerprints bytea, windows bigint[], repeated boolean,
  topics text[], events text[], json boolean[], ttls bigint[], ends integer[], data bytea, overhead integer, jump bigint,
  random text, kept integer, begin_now boolean, seen_epoch text, seen_seq bigint, known text, understood integer
) RETURNS TABLE (failure text, reason text, before bigint, stored_time bigint, stored_epoch text, kinds integer[], answer_epochs text[], answer_firsts bigint[], times bigint[],
  head bigint, oldest bigint, now bigint, epoch text, epochs json, standby boolean) LANGUAGE plpgsql ROWS 1 AS $$
#variable_conflict use_column
DECLARE
  first_seq bigint;
  is_next boolean;
BEGIN
  PERFORM FROM tidings.connectors c WHERE c.name = step_connector AND c.fence = step_fence FOR UPDATE;
  is_next := FOUND;
  IF is_next THEN
    is_next := NOT EXISTS (
      SELECT FROM unnest(parts, from_identities, from_positions) AS m (part, identity, position)
      LEFT JOIN tidings.connector_positions p ON p.connector = step_connector AND p.part = m.part
      WHERE p.identity IS DISTINCT FROM m.identity OR p.position IS DISTINCT FROM m.position);
  END IF;
  IF NOT is_next THEN
    failure := 'outdated';
    SELECT s.* INTO STRICT head, oldest, now, epoch, epochs, standby FROM tidings.state(known, understood) s;
    RETURN NEXT;
    RETURN;
  END IF;

  SELECT a.* INTO STRICT failure, reason, before, stored_time, stored_epoch, kinds, answer_epochs, answer_firsts, times, head, oldest, now, epoch, epochs, standby FROM tidings.try_append(
    messages, firsts, scopes, keys, fingerprints, windows, repeated, topics, events, json, ttls, ends, data, overhead, jump, random, kept, begin_now, seen_epoch, seen_seq, known, understood) a;
  IF failure IS NULL THEN
    INSERT INTO tidings.connector_positions (connector, part, identity, position)
      SELECT step_connector, m.part, m.identity, m.position FROM unnest(parts, to_identities, to_positions) AS m (part, identity, position)
      ON CONFLICT (connector, part) DO UPDATE SET identity = excluded.identity, position = excluded.position;
    IF messages > 0 THEN
      first_seq := before + 1;
      UPDATE tidings.connector_origins o SET last = first_seq + messages - 1
        WHERE o.first = (SELECT max(n.first) FROM tidings.connector_origins n) AND o.last = first_seq - 1 AND o.origin = step_origin;
      IF NOT FOUND THEN INSERT INTO tidings.connector_origins (first, last, origin) VALUES (first_seq, first_seq + messages - 1, step_origin); END IF;
      DELETE FROM tidings.connector_origins o WHERE o.first < (SELECT max(n.first) FROM tidings.connector_origins n WHERE n.first <= oldest);
    END IF;
  END IF;
  RETURN NEXT;
END $$;
