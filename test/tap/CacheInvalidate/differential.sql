-- The tables of the differential test, the side table that says what happened to them, and functions and procedures that the
-- random transactions call. The triggers of the extension are made by CacheInvalidate::Differential.

-- The reference: a row a change, in the order of the changes; it rolls back with them.
CREATE SCHEMA reference;
CREATE UNLOGGED TABLE reference.change (
  number bigint GENERATED ALWAYS AS IDENTITY,
  xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
  relation text NOT NULL,
  operation text NOT NULL,
  before jsonb,
  after jsonb
);
CREATE FUNCTION reference.note_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO reference.change (relation, operation, before, after)
  VALUES (TG_ARGV[0], TG_OP, CASE WHEN TG_OP IN ('UPDATE', 'DELETE') THEN to_jsonb(OLD) END,
          CASE WHEN TG_OP IN ('UPDATE', 'INSERT') THEN to_jsonb(NEW) END);
  RETURN NULL;
END $$;
-- One row as name, value, name, value...: its values' texts, between characters that stand in none of them.
CREATE FUNCTION reference.row_text(content jsonb) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT string_agg(key || E'\x1f' || coalesce(value, E'\x1e'), E'\x1f') FROM jsonb_each_text(content) $$;

CREATE SEQUENCE stamps;
CREATE TABLE item (id int PRIMARY KEY, project int, status text NOT NULL, title text, due date, price numeric, stamp bigint);
-- Its rows follow those of item, and lose what they have seen.
CREATE TABLE note (
  id int PRIMARY KEY,
  item int REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE,
  seen int REFERENCES item ON DELETE SET NULL ON UPDATE SET NULL,
  body text,
  stamp bigint
);
CREATE INDEX ON note (item);
CREATE INDEX ON note (seen);
CREATE TABLE tally (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, note int);

-- One partition has its columns in another order and has lost one, one has partitions itself.
CREATE TABLE event (id int, region int, kind text, stamp bigint, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);
CREATE TABLE event_2 PARTITION OF event FOR VALUES IN (2);
CREATE TABLE event_3 (lost int, stamp bigint, kind text, region int NOT NULL, id int NOT NULL);
ALTER TABLE event_3 DROP COLUMN lost;
ALTER TABLE event ATTACH PARTITION event_3 FOR VALUES IN (3);
CREATE TABLE event_4 PARTITION OF event FOR VALUES IN (4) PARTITION BY HASH (id);
CREATE TABLE event_4_even PARTITION OF event_4 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE event_4_odd PARTITION OF event_4 FOR VALUES WITH (MODULUS 2, REMAINDER 1);

-- Every new version of a row has a number of its own. What changes nothing stays so.
CREATE FUNCTION stamp_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' OR NEW IS DISTINCT FROM OLD THEN
    NEW.stamp := nextval('stamps');
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON item FOR EACH ROW EXECUTE FUNCTION stamp_row();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON note FOR EACH ROW EXECUTE FUNCTION stamp_row();
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION stamp_row();

-- A row that a trigger keeps from being changed at all.
CREATE FUNCTION suppress() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER suppress BEFORE INSERT OR UPDATE ON item FOR EACH ROW WHEN (NEW.title = 'suppressed') EXECUTE FUNCTION suppress();

-- The statement fails when some of its rows have been captured already: the name is the last in the order of firing.
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$;
CREATE TRIGGER z_refuse AFTER INSERT OR UPDATE ON item FOR EACH ROW WHEN (NEW.title = 'refused') EXECUTE FUNCTION refuse();

-- What is changed, or fails, only when the transaction commits.
CREATE FUNCTION count_late() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO tally (note) VALUES (NEW.id);
  IF NEW.body = 'too late' THEN
    RAISE 'refused';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER z_late AFTER INSERT OR UPDATE ON note DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (NEW.body IN ('late', 'too late')) EXECUTE FUNCTION count_late();

-- All the statements, under one EXCEPTION block. Only a bug of the server or of the extension passes it.
CREATE FUNCTION attempt(statements text[], fails boolean) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  statement text;
BEGIN
  FOREACH statement IN ARRAY statements LOOP
    EXECUTE statement;
  END LOOP;
  IF fails THEN
    RAISE 'taken back';
  END IF;
EXCEPTION
  WHEN internal_error OR data_corrupted OR index_corrupted THEN RAISE;
  WHEN OTHERS THEN NULL;
END $$;

-- The statements, with the end of a transaction after those whose letter is c (COMMIT) or r (ROLLBACK).
CREATE PROCEDURE proceed(statements text[], ends text) LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN 1 .. cardinality(statements) LOOP
    EXECUTE statements[i];
    CASE substr(ends, i, 1)
      WHEN 'c' THEN COMMIT;
      WHEN 'r' THEN ROLLBACK;
      ELSE NULL;
    END CASE;
  END LOOP;
END $$;

-- Ends the worker, and waits for the next.
CREATE PROCEDURE end_worker() LANGUAGE plpgsql AS $$
DECLARE
  ended int;
BEGIN
  SELECT pid INTO ended FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker' AND datname = current_database();
  PERFORM pg_terminate_backend(ended);
  LOOP
    COMMIT;  -- the activity is read once a transaction
    EXIT WHEN EXISTS (SELECT FROM pg_stat_activity
                       WHERE backend_type = 'cache_invalidate worker' AND datname = current_database() AND pid IS DISTINCT FROM ended);
    PERFORM pg_sleep(0.01);
  END LOOP;
END $$;

INSERT INTO item SELECT n, n % 5, 'new', 'title', NULL, 0 FROM generate_series(1, 100) n;
INSERT INTO note SELECT n, n, nullif(n, 50), 'body' FROM generate_series(1, 80) n;
INSERT INTO event SELECT n, 1 + n % 4, 'kind 0' FROM generate_series(1, 80) n;
