-- compatible: 0003_compatible_functions
-- What `tidings.find` and `tidings.find_back` need not look at. `beginnings` are those of patterns that begin with several names, up to the dot before the first wildcard. The topics below
-- them that match the regular expression join `topics`, where the topics are at most `most` with these. Otherwise the first segment joins `segments`; also if fewer than `probe` messages
-- between two numbers have it, or a quarter of so many match: a scan for each topic takes the time to plan it. The settings keep to the indexes: each topic is one step in that of topics.
CREATE FUNCTION tidings.narrow(low bigint, high bigint, topics text[], segments text[], beginnings text[], pattern text, probe integer, most integer)
RETURNS TABLE (all_topics text[], all_segments text[], examined integer) LANGUAGE plpgsql STABLE ROWS 1
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET jit = off SET max_parallel_workers_per_gather = 0 AS $$
#variable_conflict use_column
DECLARE
  room integer := most - cardinality(topics);
  family text;
  beginning text;
  upto text;
  one text;
  listed text[];
  probed integer;
  matched integer;
BEGIN
  all_topics := topics;
  all_segments := segments;
  examined := 0;
  FOR family IN SELECT DISTINCT split_part(b, '.', 1) FROM unnest(beginnings) AS b LOOP
    listed := NULL;
    IF room > 0 THEN
      SELECT count(*), count(*) FILTER (WHERE near.topic ~ pattern) INTO probed, matched FROM (SELECT m.topic FROM tidings.messages m WHERE strpos(m.topic, '.') > 0 AND split_part(m.topic, '.', 1) = family AND m.seq + 0 > low AND m.seq + 0 < high
        ORDER BY m.seq + 0 LIMIT probe) AS near;
      examined := examined + probed;
      IF probed = probe AND matched * 4 < probed THEN
        listed := '{}';
        FOREACH beginning IN ARRAY beginnings LOOP
          CONTINUE WHEN split_part(beginning, '.', 1) <> family;
          one := beginning;
          -- Every topic that goes on from there: the slash is the next character after the dot.
          upto := left(beginning, -1) || '/';
          LOOP
            SELECT m.topic INTO one FROM tidings.messages m WHERE m.topic > one AND m.topic < upto ORDER BY m.topic, m.seq + 0 LIMIT 1;
            EXIT WHEN one IS NULL OR room < 0;
            examined := examined + 1;
            room := room - 1;
            IF one ~ pattern THEN listed := listed || one; END IF;
          END LOOP;
        END LOOP;
      END IF;
    END IF;
    IF listed IS NULL OR room < 0 THEN all_segments := all_segments || family;
    ELSE all_topics := all_topics || listed;
    END IF;
  END LOOP;
  RETURN NEXT;
END $$;
