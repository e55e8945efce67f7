-- Included by tests: a database whose journal can be read. The extension, a cache that is never there, so that
-- what is owed to it stays in the journal, and waiting(), which tells what has come since it was last asked.
\pset format unaligned
\pset footer off
SET client_min_messages = error;
CREATE EXTENSION cache_invalidate;
RESET client_min_messages;
CREATE SCHEMA journal;

-- Waits, one minute at most, until the condition holds.
CREATE FUNCTION journal.wait_until(condition text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  holds boolean := false;
BEGIN
  LOOP
    EXECUTE 'SELECT ' || condition INTO holds;
    EXIT WHEN holds;
    IF clock_timestamp() > now() + interval '1 minute' THEN
      RAISE EXCEPTION 'waited in vain until %', condition;
    END IF;
  END LOOP;
END $$;

-- What src/core/batch.hpp describes: a varint, a counted string, and the items of one row of the journal.
CREATE FUNCTION journal.read_number(batch bytea, INOUT place integer, OUT number bigint) LANGUAGE plpgsql AS $$
DECLARE
  digit integer;
  shift integer := 0;
BEGIN
  number := 0;
  LOOP
    digit := get_byte(batch, place);
    place := place + 1;
    number := number | ((digit & 127)::bigint << shift);
    EXIT WHEN digit < 128;
    shift := shift + 7;
  END LOOP;
END $$;

CREATE FUNCTION journal.text_of(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN convert_from(bytes, 'UTF8');
END $$;

CREATE FUNCTION journal.read_text(batch bytea, INOUT place integer, OUT value text) LANGUAGE plpgsql AS $$
DECLARE
  size integer;
BEGIN
  SELECT n.place, n.number INTO place, size FROM journal.read_number(batch, place) n;
  value := journal.text_of(substring(batch FROM place + 1 FOR size));
  place := place + size;
END $$;

-- What src/core/payload_program.hpp describes: the values of a message of a custom format, "?" for one that is not known.
CREATE FUNCTION journal.read_values(batch bytea, INOUT place integer, OUT value text) LANGUAGE plpgsql AS $$
DECLARE
  size integer;
  behind integer;
  list text[] := '{}';
BEGIN
  SELECT n.place, n.place + n.number INTO place, behind FROM journal.read_number(batch, place) n;
  WHILE place < behind LOOP
    SELECT n.place, n.number INTO place, size FROM journal.read_number(batch, place) n;
    list := list || CASE size WHEN 0 THEN '?' ELSE convert_from(substring(batch FROM place + 1 FOR size - 1), 'UTF8') END;
    place := place + greatest(size - 1, 0);
  END LOOP;
  value := array_to_string(list, ', ');
END $$;

CREATE FUNCTION journal.items(batch bytea) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
  operations constant text[] := '{INSERT,UPDATE,DELETE,TEST,TRUNCATE,RESET}';
  scopes text[] := '{}';
  shapes text[] := '{}';
  custom boolean[] := '{}';
  place integer := 1;
  kind integer;
  owner integer;
  flags integer;
  count integer;
  number bigint;
  has_servers boolean;
  has_fields boolean;
  ends_key boolean;
  behind_key integer;
  in_parts constant boolean := get_byte(batch, 0) = 3;
  names text[];
  one text;
  two text;
  three text;
  four text;
BEGIN
  SELECT n.place INTO place FROM journal.read_number(batch, place) n;  -- the transaction's id
  place := place + 8;                                                  -- and time
  WHILE place < length(batch) LOOP
    kind := get_byte(batch, place) >> 4;
    owner := get_byte(batch, place) & 15;
    place := place + 1;
    IF owner = 15 THEN
      SELECT n.place, n.number INTO place, owner FROM journal.read_number(batch, place) n;
    END IF;
    CASE kind
      WHEN 1 THEN
        names := '{}';
        SELECT n.place, n.number INTO place, count FROM journal.read_number(batch, place) n;
        FOR i IN 1 .. count LOOP
          SELECT n.place, n.number INTO place, number FROM journal.read_number(batch, place) n;
          names := names || coalesce((SELECT srvname::text FROM pg_foreign_server WHERE oid = number::oid), 'dropped');
        END LOOP;
        SELECT n.place + n.number INTO place FROM journal.read_number(batch, place) n;  -- the glob
        scopes := scopes || array_to_string(ARRAY(SELECT n FROM unnest(names) n ORDER BY n COLLATE "C"), ',');
      WHEN 2 THEN
        flags := get_byte(batch, place) & 127;
        has_servers := get_byte(batch, place) < 128;  -- others than the last scope
        place := place + 1;
        one := NULL;
        IF flags & 1 = 1 THEN
          SELECT t.place, t.value INTO place, one FROM journal.read_text(batch, place) t;
        END IF;
        SELECT t.place, t.value INTO place, two FROM journal.read_text(batch, place) t;
        IF flags >> 1 = 2 THEN
          SELECT n.place + n.number INTO place FROM journal.read_number(batch, place) n;  -- the program
        END IF;
        IF has_servers THEN
          SELECT n.place, n.number INTO place, count FROM journal.read_number(batch, place) n;
          FOR i IN 1 .. count LOOP
            SELECT n.place INTO place FROM journal.read_number(batch, place) n;  -- a server
          END LOOP;
        END IF;
        IF in_parts THEN
          SELECT n.place INTO place FROM journal.read_number(batch, place) n;  -- the writer's own number of the shape
        END IF;
        custom := custom || (flags >> 1 = 2);
        shapes := shapes || format('%s %s%s', (ARRAY['record', 'resource', 'custom'])[(flags >> 1) + 1], two,
                                   ' on channel "' || one || '"');
      WHEN 3, 7 THEN
        SELECT t.place, t.value INTO place, one FROM journal.read_text(batch, place) t;
        IF kind = 3 THEN
          behind_key := place;
        END IF;
        RETURN NEXT format('%s %s -> %s', CASE kind WHEN 3 THEN 'key' ELSE 'pattern' END, one, scopes[owner + 1]);
      WHEN 4 THEN
        one := operations[(get_byte(batch, place) & 31) + 1];  -- 128: the id is not exact
        has_fields := get_byte(batch, place) & 64 = 64;
        ends_key := get_byte(batch, place) & 32 = 32;
        place := place + 1;
        IF ends_key THEN
          SELECT n.place, n.number INTO place, count FROM journal.read_number(batch, place) n;
          two := journal.text_of(substring(batch FROM behind_key - count + 1 FOR count));
        ELSE
          SELECT t.place, t.value INTO place, two FROM journal.read_text(batch, place) t;
        END IF;
        three := '';
        IF NOT has_fields THEN
          NULL;
        ELSIF custom[owner + 1] THEN
          SELECT v.place, v.value INTO place, three FROM journal.read_values(batch, place) v;
        ELSE
          SELECT t.place, t.value INTO place, three FROM journal.read_text(batch, place) t;
        END IF;
        RETURN NEXT format('%s %s "%s" {%s}', shapes[owner + 1], one, two, three);
      WHEN 5 THEN
        SELECT t.place, t.value INTO place, one FROM journal.read_text(batch, place) t;
        SELECT t.place, t.value INTO place, two FROM journal.read_text(batch, place) t;
        SELECT t.place, t.value INTO place, three FROM journal.read_text(batch, place) t;
        SELECT t.place, t.value INTO place, four FROM journal.read_text(batch, place) t;
        RETURN NEXT format('error %s %s: %s (%s)', one, two, three, four);
      ELSE
        RAISE EXCEPTION 'unexpected item of kind % in the journal', kind;
    END CASE;
  END LOOP;
END $$;

-- The items that came since the last call, with the transaction and the row of the journal they are in, both
-- counted from 1.
CREATE TABLE journal.seen (segment oid, place tid);
CREATE FUNCTION journal.waiting() RETURNS TABLE (tx bigint, "row" bigint, item text) LANGUAGE sql AS $$
  WITH present AS (
    SELECT tableoid AS segment, ctid AS place, batch FROM cache_invalidation_journal_0
    UNION ALL
    SELECT tableoid, ctid, batch FROM cache_invalidation_journal_1),
  fresh AS (
    SELECT p.*, n.number AS xid
      FROM present p, journal.read_number(p.batch, 1) n
     WHERE get_byte(p.batch, 0) IN (1, 3)
       AND NOT EXISTS (SELECT FROM journal.seen s WHERE s.segment = p.segment AND s.place = p.place)),
  mark AS (INSERT INTO journal.seen SELECT segment, place FROM fresh)
  SELECT dense_rank() OVER (ORDER BY f.xid), dense_rank() OVER (PARTITION BY f.xid ORDER BY f.segment, f.place), i.item
    FROM fresh f, journal.items(f.batch) WITH ORDINALITY AS i (item, number)
   ORDER BY f.xid, f.segment, f.place, i.number
$$;

CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///nonexistent/cache.sock');
CREATE FUNCTION journal.is_preloaded() RETURNS boolean LANGUAGE sql AS
  $$ SELECT pg_catalog.current_setting('shared_preload_libraries') ~ 'cache_invalidate' $$;
-- Nothing in the journal goes away before the oldest key has been delivered.
CREATE TABLE journal.anchor (id integer PRIMARY KEY);
CREATE TRIGGER anchor AFTER INSERT ON journal.anchor FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=anchor', 'channel=', 'server=cache');
DO $$ BEGIN
  PERFORM journal.wait_until('NOT journal.is_preloaded() OR EXISTS (SELECT FROM cache_invalidation_targets WHERE server = ''cache'')');
END $$;
INSERT INTO journal.anchor VALUES (1);
DO $$ BEGIN
  PERFORM journal.wait_until('NOT journal.is_preloaded() OR (SELECT keys_pending FROM cache_invalidation_targets) = 1');
  PERFORM FROM journal.waiting();
END $$;
