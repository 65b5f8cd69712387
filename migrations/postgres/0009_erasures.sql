-- compatible: 0003_compatible_functions
CREATE TABLE "tidings"."erasures" (
	"version" bigint PRIMARY KEY NOT NULL,
	"seq" bigint NOT NULL,
	"prefix" boolean NOT NULL,
	"wiped" boolean NOT NULL,
	"topic" text COLLATE "C" NOT NULL,
	"server" text NOT NULL
);
--> statement-breakpoint
-- Erases the message `last`, where `asked_topic` is NULL; otherwise messages of the topic after `after`, up to `last`, oldest first. Nothing, where the epoch of `last` is not `last_epoch`, or
-- the log is below the level `needed`. Takes retention's lock, so that bytes are counted once and versions are in the order of the commits; never the head's.
-- `lost`: how far the version leaps where another server gave the one before. No published event name begins with `$`.
CREATE FUNCTION tidings.erase(asked_topic text, after bigint, last bigint, last_epoch text, needed integer, most integer, most_bytes bigint, budget integer, kept integer, lost integer, understood integer)
RETURNS TABLE (log_level integer, is_there boolean, erased integer, scanned bigint, more boolean, standby boolean) LANGUAGE plpgsql ROWS 1
SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
  row_ record;
  erased_topic text := asked_topic;
  seqs bigint[] := '{}';
  freed bigint := 0;
  looked integer := 0;
  new_version bigint;
BEGIN
  is_there := false;
  more := false;
  scanned := last;
  SELECT h.level, pg_is_in_recovery() INTO STRICT log_level, standby FROM tidings.head h;
  IF log_level > understood THEN PERFORM tidings.refuse_level(log_level, understood); END IF;
  IF log_level >= needed THEN
    PERFORM FROM tidings.retention FOR UPDATE;
    is_there := EXISTS (SELECT FROM tidings.head h WHERE last <= h.seq) AND last_epoch = (SELECT e.epoch FROM tidings.epochs e WHERE e.first <= last ORDER BY e.id DESC LIMIT 1);
  END IF;
  IF is_there AND asked_topic IS NULL THEN
    SELECT m.topic, m.event, octet_length(m.data) AS bytes INTO row_ FROM tidings.messages m WHERE m.seq = last;
    is_there := FOUND;
    IF is_there AND row_.event IS DISTINCT FROM '$erased' THEN
      seqs := ARRAY[last];
      freed := row_.bytes;
      erased_topic := row_.topic;
    END IF;
  ELSIF is_there THEN
    FOR row_ IN SELECT m.seq + 0 AS n, m.event, octet_length(m.data) AS bytes FROM tidings.messages m
      WHERE m.topic = asked_topic AND m.seq + 0 > after AND m.seq + 0 <= last ORDER BY m.seq + 0
    LOOP
      IF cardinality(seqs) >= most OR freed >= most_bytes OR looked >= budget THEN
        more := true;
        EXIT;
      END IF;
      looked := looked + 1;
      scanned := row_.n;
      CONTINUE WHEN row_.event = '$erased';
      seqs := seqs || row_.n;
      freed := freed + row_.bytes;
    END LOOP;
    IF NOT more THEN scanned := last; END IF;
  END IF;

  erased := cardinality(seqs);
  IF erased > 0 THEN
    UPDATE tidings.messages m SET event = '$erased', json = false, data = '' WHERE m.seq = ANY (seqs);
    UPDATE tidings.retention r SET bytes = r.bytes + freed;
    INSERT INTO tidings.erasures (version, seq, prefix, wiped, topic, server)
      SELECT coalesce(n.version + CASE WHEN n.server = s.server THEN 1 ELSE lost END, 1), seqs[cardinality(seqs)], asked_topic IS NOT NULL, false, erased_topic, s.server
      FROM (SELECT tidings.session_server() AS server) AS s LEFT JOIN (SELECT e.version, e.server FROM tidings.erasures e ORDER BY e.version DESC LIMIT 1) AS n ON true
      RETURNING version INTO new_version;
    DELETE FROM tidings.erasures e WHERE e.version <= new_version - kept;
  END IF;
  RETURN NEXT;
END $$;
