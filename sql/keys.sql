-- The text of keys, ids and fields: one value has one text in every session, and no value can do harm.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;

-- Every type under two opposite sets of settings gives the same keys
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN small AS smallint CHECK (VALUE < 100);
CREATE DOMAIN smaller AS small;
CREATE TYPE pair AS (a integer, b timestamptz);
CREATE TABLE everything (
  id integer, int2 smallint, int8 bigint, bool boolean, uuid uuid, "numeric" numeric, "float4" real, float8 double precision,
  text text, "varchar" varchar(9), "char" char(4), name name, bytea bytea, date date, "time" time, timetz timetz,
  "timestamp" timestamp, "timestamptz" timestamptz, "interval" interval, enum mood, domain smaller, jsonb jsonb, inet inet,
  "array" timestamptz[], range tstzrange, composite pair);
CREATE FUNCTION insert_everything(which integer) RETURNS void LANGUAGE sql AS $$
  INSERT INTO app.everything VALUES (
    which, -32768, 9223372036854775807, true, 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 1.00, 1.1::real, 0.1::double precision + 0.2,
    'text', 'varchar', 'ch', 'name', '\x00ff27', 'epoch'::date + 12, '04:05:06', timetz '04:05:06+02',
    'epoch'::timestamp + interval '12 days', 'epoch'::timestamptz + interval '12 days', interval '1 year 2 days 3 seconds', 'happy', 42,
    '{"b": 1, "a": [true, null]}', '10.0.0.1/8',
    ARRAY['epoch'::timestamptz, 'infinity'], tstzrange('epoch', NULL), ROW(1, 'epoch')::app.pair)
$$;
DO $$
DECLARE
  arguments text;
BEGIN
  SELECT string_agg(quote_literal(format('key=%s:{%s}:{id}', attname, attname)), ', ' ORDER BY attnum) INTO arguments
    FROM pg_attribute WHERE attrelid = 'app.everything'::regclass AND attnum > 1;
  EXECUTE format('CREATE TRIGGER cache AFTER INSERT ON everything FOR EACH ROW
                  EXECUTE FUNCTION notify_cache_invalidation(%s, %L, %L)', arguments, 'channel=', 'server=cache');
END $$;
SELECT insert_everything(1);
SELECT item FROM journal.waiting();
SELECT insert_everything(0);
CREATE TEMPORARY TABLE plain AS SELECT item FROM journal.waiting();
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kathmandu';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SELECT 'epoch'::timestamptz, interval '1 year 2 days', 0.1::double precision, '\x00ff27'::bytea;
SELECT insert_everything(0);
SELECT count(*), count(p.item) AS same FROM journal.waiting() LEFT JOIN plain p USING (item);
-- and the settings are as they were
SELECT 'epoch'::timestamptz, interval '1 year 2 days', 0.1::double precision, '\x00ff27'::bytea;
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;

-- The same types in messages: numbers, booleans and JSON as such, the rest as strings, NULL as null
CREATE TABLE fields (id bigint PRIMARY KEY, price numeric, ratio float8, ok boolean, doc jsonb, doc_text json, at timestamptz, what text, code smaller);
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON fields FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('fields=id,price,ratio,ok,doc,docText=doc_text,at,what,code');
INSERT INTO fields VALUES (9007199254740993, 1.50, 1e100, false, '{"a": "\u00e9"}', '[1,  2]', 'epoch', E'quote " backslash \\ tab \t', 7);
INSERT INTO fields (id) VALUES (2);
INSERT INTO fields VALUES (3, 'NaN', '-Infinity', true, 'null', '"}, \"id\": 1"', '-infinity', E'line\nfeed \x01 \u00e9 </script>', NULL);
SELECT item FROM journal.waiting();

-- NULL: a key that has one does not apply, an empty string does; an id that has one is no id
CREATE TABLE nulls (a integer, b text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON nulls FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=a:{a}', 'key=b:{b}', 'key=ab:{a}:{b}', 'key=fixed', 'id={a}-{b}');
INSERT INTO nulls VALUES (1, NULL), (NULL, 'x'), (2, '');
UPDATE nulls SET b = 'now' WHERE a = 1;
UPDATE nulls SET a = NULL WHERE a = 1;
SELECT * FROM journal.waiting();

-- Ids: the primary key in its own order, a template, none
CREATE TABLE composite (b text, a integer, c integer, PRIMARY KEY (c, b));
CREATE TRIGGER by_key AFTER INSERT ON composite FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('resource=by_key');
CREATE TRIGGER by_template AFTER INSERT ON composite FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('resource=by_template', 'id={b}/{a}', 'format=resource', 'channel=mine', 'fields=a');
INSERT INTO composite VALUES ('x:y', 1, 2);
CREATE TABLE keyless (a integer);
CREATE TRIGGER cache AFTER INSERT ON keyless FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=keyless:{a}', 'fields=a');
INSERT INTO keyless VALUES (1), (2);
CREATE TABLE including (a integer, b integer, PRIMARY KEY (a) INCLUDE (b));
CREATE TRIGGER cache AFTER INSERT ON including FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
INSERT INTO including VALUES (1, 2);
SELECT * FROM journal.waiting();

-- Two records with one id are still two: what came and what went do not cancel each other out
CREATE TABLE pairs (a text, b text, PRIMARY KEY (a, b));
CREATE TRIGGER cache AFTER INSERT OR DELETE ON pairs FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation();
CREATE TABLE alike (id integer PRIMARY KEY, a integer);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON alike FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('id={a}');
CREATE TABLE alike_too (id integer PRIMARY KEY);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON alike_too FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('resource=alike');
INSERT INTO pairs VALUES ('x', 'y:z');
INSERT INTO alike VALUES (1, 1);
SELECT count(*) FROM journal.waiting();
BEGIN;
INSERT INTO pairs VALUES ('x:y', 'z');
DELETE FROM pairs WHERE a = 'x';
INSERT INTO alike VALUES (2, 1);
DELETE FROM alike WHERE id = 1;
INSERT INTO alike_too VALUES (1);
COMMIT;
SELECT * FROM journal.waiting();

-- Names: mixed case, spaces, keywords, quotes, braces, percent signs; literal braces
CREATE TABLE "Odd {name}%s" ("Id" integer PRIMARY KEY, "a b" text, "select" text, "quo""te" text, "br{ace}" text, "a.b" text, "100%" text, "ümlaut" text);
CREATE TRIGGER "Cache ""It" AFTER INSERT ON "Odd {name}%s" FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key={Id}', 'key={"Id"}:{a b}:{select}', 'key={{{"quo""te"}}}', 'key={"br{ace}"}%d', 'key={"a.b"}{100%}{ümlaut}',
    'fields=a b,100%,Quoted "Name"=quo"te,ümlaut');
INSERT INTO "Odd {name}%s" VALUES (1, 'a b', 'sel', '"', '{}', '.', '%s%n', 'ü');
SELECT item FROM journal.waiting();

-- Values with everything that could end a command, a key, a string
CREATE TABLE hostile (id integer PRIMARY KEY, value text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON hostile FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=h:{value}:end', 'id={value}', 'channel=c');
INSERT INTO hostile VALUES
  (1, E'x\r\nDEL y'), (2, '$5'' "quoted" \'), (3, '{value} {{id}}'), (4, '%s%b%n'), (5, '* ? [a-z]'), (6, E'\u20ac \U0001F600'), (7, ' ');
\t on
SELECT replace(replace(item, E'\r', '<cr>'), E'\n', '<lf>') FROM journal.waiting();
\t off

-- Patterns: what is a wildcard in the template is none in a value
CREATE TABLE globs (id text, other text);
CREATE TRIGGER cache AFTER INSERT OR UPDATE ON globs FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('pattern=g:{id}:*', 'pattern=[a-z]?\*{id}{other}', 'channel=');
INSERT INTO globs VALUES ('plain', ''), ('*', NULL), ('?[a-z]^-', E'\\'), ('\*', '\');
UPDATE globs SET id = 'moved' WHERE id = 'plain';
SELECT * FROM journal.waiting();

-- Long ones, of a length that no page and no inline datum holds; the same toasted value on both sides once
CREATE TABLE long (id integer PRIMARY KEY, value text, other integer);
ALTER TABLE long ALTER value SET STORAGE EXTERNAL;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON long FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=long:{value}', 'channel=');
INSERT INTO long VALUES (1, repeat('x', 100000)), (2, repeat('y', 1000000)), (3, 'short');
UPDATE long SET other = 1;
UPDATE long SET value = repeat('z', 5000) WHERE id = 1;
DELETE FROM long;
SELECT tx, "row", left(item, 10) AS starts, right(item, 10) AS ends, length(item) FROM journal.waiting();

-- A value that its type cannot put into words: the statement succeeds, and all that the templates could name is stale
CREATE TABLE broken (id integer PRIMARY KEY, mood mood);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON broken FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=broken:{mood}', 'format=resource', 'fields=mood');
INSERT INTO broken VALUES (1, 'sad'), (2, 'happy');
DELETE FROM pg_enum WHERE enumlabel = 'sad' AND enumtypid = 'mood'::regtype;
DELETE FROM broken;
SELECT count(*) FROM broken;
SELECT regexp_replace(item, 'enum: \d+', 'enum: oid') FROM journal.waiting();

SET client_min_messages = warning;
DROP SCHEMA app, journal CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
