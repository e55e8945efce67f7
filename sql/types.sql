-- The text of values of every type in keys: the same in sessions whose settings are opposites, and every byte of it
-- in the key. Then what values and names can be: long, out of line, missing, odd.
\set ECHO none
\i sql/include/journal.sql
\set ECHO all

CREATE SCHEMA app;
SET search_path = app, public;
CREATE TYPE mood AS ENUM ('sad', 'so "so"');
CREATE DOMAIN price AS numeric(7, 2) CHECK (VALUE > 0);
CREATE DOMAIN low_price AS price CHECK (VALUE < 100);
CREATE DOMAIN which AS regclass;
CREATE TYPE pair AS (a text, b timestamptz);
CREATE TYPE nested AS (p pair, m money, c regclass);
CREATE FUNCTION twice(integer, app.mood) RETURNS integer LANGUAGE sql AS 'SELECT $1 * 2';
CREATE OPERATOR <+> (LEFTARG = integer, RIGHTARG = app.mood, FUNCTION = twice);

-- One column a type, and one row a value: what is inserted is copied, so that no session's settings change it
CREATE TABLE samples (
  "int2" smallint, "int4" integer, "int8" bigint, "numeric" numeric, "float4" real, "float8" double precision, "money" money, "oid" oid,
  "bool" boolean, "char" "char", "bpchar" char(5), "varchar" varchar(9), "text" text, "name" name, "bytea" bytea,
  "date" date, "time" time, "timetz" timetz, "timestamp" timestamp, "timestamptz" timestamptz, "interval" interval, "uuid" uuid,
  "inet" inet, "cidr" cidr, "macaddr" macaddr, "macaddr8" macaddr8, "bit" bit(3), "varbit" varbit, "json" json, "jsonb" jsonb, "jsonpath" jsonpath,
  "int4[]" integer[], "text[]" text[], "money[]" money[], "date[]" date[], "regclass[]" regclass[],
  "int4range" int4range, "numrange" numrange, "tsrange" tsrange, "tstzrange" tstzrange, "daterange" daterange,
  "nummultirange" nummultirange, "tstzmultirange" tstzmultirange,
  "enum" mood, "domain" low_price, "regclass domain" which, "pair" pair, "nested" nested,
  "regclass" regclass, "regproc" regproc, "regprocedure" regprocedure, "regoper" regoper, "regoperator" regoperator, "regtype" regtype,
  "regrole" regrole, "regnamespace" regnamespace, "regconfig" regconfig, "regdictionary" regdictionary, "regcollation" regcollation,
  "pg_lsn" pg_lsn, "tid" tid, "xid8" xid8, "pg_snapshot" pg_snapshot, "aclitem" aclitem, "tsvector" tsvector, "tsquery" tsquery,
  "point" point, "line" line, "lseg" lseg, "box" box, "path" path, "polygon" polygon, "circle" circle);
CREATE TABLE kinds (LIKE samples);
DO $$ BEGIN
  EXECUTE (SELECT format('CREATE TRIGGER cache AFTER INSERT ON kinds FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%s, %L, %L)',
                         string_agg(quote_literal(format('key=%s={"%s"}', attname, attname)), ', ' ORDER BY attnum), 'channel=', 'server=cache')
             FROM pg_attribute WHERE attrelid = 'app.kinds'::regclass AND attnum > 0);
END $$;

INSERT INTO samples ("int2", "int4", "int8", "oid") VALUES (-32768, -2147483648, '-9223372036854775808', 0), (32767, 2147483647, 9223372036854775807, 4294967295), (0, 0, 0, 1);
INSERT INTO samples ("numeric") VALUES (1.0), (1.00), (-0.0), (1e-20), (123456789012345678901234567890.5), ('NaN'), ('Infinity'), ('-Infinity');
INSERT INTO samples ("float4", "float8") VALUES ('-0', '-0'), (0.1, 0.1), ('NaN', 'NaN'), ('-Infinity', 'Infinity'), (3.4028235e38, 1.7976931348623157e308), (1e-45, 5e-324), (16777216, 1e15), (1e6, 123456789012345678);
INSERT INTO samples ("money", "money[]") VALUES ('1234567.89'::numeric, ARRAY['0.5'::numeric::money, '-1.00'::numeric::money]), ('-92233720368547758.08'::numeric, '{}');
INSERT INTO samples ("bool", "char", "bpchar", "varchar", "text", "name") VALUES (true, 'x', 'ab', 'ab ', ' a:b{c} ', 'Name'), (false, '', '', '', '', '');
INSERT INTO samples ("bytea") VALUES (''), ('\x005c27220aff');
INSERT INTO samples ("date", "timestamp", "timestamptz") VALUES ('2001-02-03', '2001-02-03 04:05:06.000007', '2001-02-03 04:05:06.7+08:09:10'), ('infinity', 'infinity', 'infinity'), ('-infinity', '-infinity', '-infinity'),
  ('0044-03-15 BC', '0044-03-15 00:00 BC', '0044-03-15 00:00+00 BC'), ('4713-01-01 BC', '4713-01-01 00:00 BC', '4713-01-01 00:00+00 BC'), ('5874897-12-31', '294276-12-31 23:59:59.999999', '294276-12-31 23:59:59.999999+00');
INSERT INTO samples ("time", "timetz") VALUES ('04:05:06.7', '04:05:06.7-07:30'), ('24:00', '24:00+15:59:59'), ('00:00', '00:00+00');
INSERT INTO samples ("interval") VALUES ('0'), ('1 year 2 mons -3 days 04:05:06.7'), ('-1 year +1 day'), ('-00:00:00.000001'), ('178000000 years');
INSERT INTO samples ("uuid", "inet", "cidr", "macaddr", "macaddr8") VALUES ('{A0EEBC999C0B4EF8BB6D6BB9BD380A11}', '10.0.0.1', '10.0.0.0/8', '08002B:010203', '08-00-2b-01-02-03-04-05'), (NULL, '10.0.0.1/8', '10.1.2.3', NULL, NULL), (NULL, '2001:DB8::1/64', '2001:db8::/32', NULL, NULL);
INSERT INTO samples ("bit", "varbit", "json", "jsonb", "jsonpath") VALUES (B'101', B'', '{"b" : 1,  "a":[ 1.0, null ]}', '{"b" : 1,  "a":[ 1.0, "\u00e9\n" ]}', '$.a[*]   ? (@ > 1)');
INSERT INTO samples ("int4[]", "text[]", "date[]") VALUES ('{}', '{}', '{2001-02-03,infinity}'), ('{1,NULL,3}', ARRAY['a,b', 'c"d', 'e\f', 'NULL', NULL, '', '{}'], '{}'), ('[0:1]={1,2}', '{{a,b},{c,d}}', NULL);
INSERT INTO samples ("int4range", "numrange", "tsrange", "tstzrange", "daterange") VALUES ('empty', 'empty', '(,)', 'empty', '(,infinity]'), ('[1,5]', '[1.0,1.00]', '[2001-02-03 04:05,infinity)', '[2001-02-03 04:05+00,2002-02-03 04:05+01]', '[2001-02-03,2001-02-05]');
INSERT INTO samples ("nummultirange", "tstzmultirange") VALUES ('{}', '{}'), ('{[1,2),(3,4.0]}', '{[2001-02-03 04:05+00,),(,2000-01-01 00:00+00)}');
INSERT INTO samples ("enum", "domain", "regclass domain", "pair", "nested") VALUES
  ('so "so"', 5, 'app.kinds', ROW('a,"b"', '2001-02-03 04:05:06+00'), ROW(ROW('(x)', NULL), 7::numeric::money, 'app.kinds')), ('sad', 0.01, 'pg_class', ROW(NULL, NULL), ROW(NULL, NULL, 'pg_class'));
INSERT INTO samples ("regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype", "regclass[]") VALUES
  ('app.kinds', 'app.twice', 'app.twice(integer, app.mood)', 'app.<+>', 'app.<+>(integer,app.mood)', 'app.mood', '{app.kinds,pg_class}'), ('pg_class', 'now', 'now()', '0', '0', 'timestamp with time zone', '{}'), (4294967295, '0', '0', '0', '0', 'app.mood[]', NULL);
INSERT INTO samples ("regrole", "regnamespace", "regconfig", "regdictionary", "regcollation") VALUES ('pg_monitor', 'app', 'english', 'english_stem', '"C"');
INSERT INTO samples ("pg_lsn", "tid", "xid8", "pg_snapshot", "aclitem") VALUES ('16/b374d848', '(1,2)', '18446744073709551615', '10:20:10,14', 'pg_monitor=r*/pg_read_all_data');
INSERT INTO samples ("tsvector", "tsquery") VALUES ('a:1A ''it''''s'':2 b\:c', 'a & !(b:* | ''c d'')');
INSERT INTO samples ("point", "line", "lseg", "box", "path", "polygon", "circle") VALUES ('(0.1,-0)', '{1,-1,0.3}', '[(0,0),(1e300,1)]', '(0.1,0.2),(3,4)', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0.1,0.2),3>');

INSERT INTO kinds TABLE samples;
CREATE TABLE plain AS SELECT item FROM journal.waiting();
\t on
SELECT substring(item FROM '^key (.*) -> cache$') FROM plain;
\t off

-- Two more sessions, unlike the first in whatever an output function heeds
CREATE FUNCTION differing() RETURNS TABLE (item text, plain_item text) LANGUAGE sql SET search_path = app, public AS $$
  SELECT w.item, p.item FROM journal.waiting() w FULL JOIN plain p ON w.item = p.item WHERE w.item IS NULL OR p.item IS NULL
$$;
DO $$
DECLARE
  name text;
BEGIN
  FOREACH name IN ARRAY '{de_DE.UTF-8,en_GB.UTF-8,en_US.UTF-8,ja_JP.UTF-8,C}'::text[] LOOP
    BEGIN
      PERFORM set_config('lc_monetary', name, false);
      RETURN;
    EXCEPTION WHEN invalid_parameter_value THEN
      NULL;
    END;
  END LOOP;
END $$;
SET DateStyle = 'SQL, DMY';
SET TimeZone = 'Asia/Kathmandu';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -15;
SET bytea_output = 'escape';
SET quote_all_identifiers = on;
SET search_path = app;
INSERT INTO kinds TABLE samples;
SELECT * FROM differing();
SET DateStyle = 'German, YMD';
SET TimeZone = 'America/St_Johns';
SET IntervalStyle = 'postgres_verbose';
SET extra_float_digits = 3;
SET search_path = pg_temp, public, app, pg_catalog;
INSERT INTO app.kinds TABLE app.samples;
SELECT * FROM app.differing();
-- which are as they were
SELECT '2001-02-03 04:05+00'::timestamptz, interval '-1 year', '\x005c'::bytea, 'app.kinds'::regclass, current_setting('search_path');
RESET DateStyle;
RESET TimeZone;
RESET IntervalStyle;
RESET extra_float_digits;
RESET bytea_output;
RESET quote_all_identifiers;
RESET lc_monetary;
SET search_path = app, public;

-- Types that a server may lack: what differs from the expected keys
CREATE TABLE optional (name text, literal text, expected text);
INSERT INTO optional VALUES
  ('xml', '<a b="&amp;">x</a>', '<a b="&amp;">x</a>'), ('citext', 'MiXed', 'MiXed'), ('hstore', 'b => "1 2", a => NULL', '"a"=>NULL, "b"=>"1 2"'), ('ltree', 'Top.a_1', 'Top.a_1'),
  ('cube', '(0.1,2),(3,4)', '(0.1, 2),(3, 4)'), ('isbn13', '978-0-393-04002-9', '978-0-393-04002-9');
DO $$
DECLARE
  one app.optional;
BEGIN
  FOR one IN SELECT * FROM app.optional LOOP
    BEGIN
      IF one.name = 'xml' THEN
        PERFORM xmlparse(CONTENT one.literal);
      ELSE
        EXECUTE format('CREATE EXTENSION %I SCHEMA app', replace(one.name, 'isbn13', 'isn'));
      END IF;
      EXECUTE format('CREATE TABLE optional_%1$s (value %1$I)', one.name);
      EXECUTE format('CREATE TRIGGER cache AFTER INSERT ON optional_%s FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(%L, %L)',
                     one.name, format('key=%s={value}', one.name), 'channel=');
      EXECUTE format('INSERT INTO optional_%s VALUES (%L)', one.name, one.literal);
    EXCEPTION WHEN feature_not_supported OR undefined_file THEN
      DELETE FROM app.optional WHERE name = one.name;
    END;
  END LOOP;
END $$;
SELECT * FROM optional FULL JOIN journal.waiting() w ON w.item = format('key %s=%s -> cache', name, expected) WHERE name IS NULL OR w.item IS NULL;

-- An enum's value that came later, one that was renamed, an attribute that a composite type got
CREATE TABLE growing (id integer, mood mood, pair pair);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON growing FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={mood}:{pair}', 'channel=');
INSERT INTO growing VALUES (1, 'sad', ROW('a', NULL));
ALTER TYPE mood ADD VALUE 'better' AFTER 'sad';
ALTER TYPE mood RENAME VALUE 'sad' TO 'gloomy';
ALTER TABLE samples DROP COLUMN "nested", DROP COLUMN "pair";
ALTER TABLE kinds DROP COLUMN "nested" CASCADE;
ALTER TABLE kinds DROP COLUMN "pair";
DROP TYPE nested;
ALTER TYPE pair ADD ATTRIBUTE c integer CASCADE;
UPDATE growing SET mood = 'better', pair.c = 7;
SELECT * FROM journal.waiting();

-- Equal, and not the same: both texts are stale
CREATE TABLE same (n numeric, f float8, i interval);
CREATE TRIGGER cache AFTER UPDATE ON same FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=n:{n}', 'key=f:{f}', 'key=i:{i}', 'channel=');
INSERT INTO same VALUES (1.0, 0, '1 day');
UPDATE same SET n = 1.00;
UPDATE same SET f = '-0';
UPDATE same SET i = '24 hours';
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";

-- Every character of ASCII, alone and among others, and characters of two, three and four bytes: in key, id and field
CREATE TABLE odd (n integer PRIMARY KEY, value text);
CREATE TRIGGER cache AFTER INSERT ON odd FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=odd:{value}:{{}}', 'id={n}:{value}', 'fields=value');
INSERT INTO odd SELECT n, chr(n) FROM generate_series(1, 127) n;
INSERT INTO odd SELECT 127 + n, 'a' || chr(n) || chr((n * 7) % 127 + 1) || '\' || chr(n) FROM generate_series(1, 127) n;
INSERT INTO odd SELECT 1000 + n, string_agg(chr(32 + (n * i * 7919) % 95), '' ORDER BY i) || chr(127 + n) || chr(2047 + n) || chr(65535 + n) || chr(8232)
  FROM generate_series(1, 200) n, generate_series(1, 40) i GROUP BY n;
CREATE TABLE noted AS SELECT item FROM journal.waiting();
WITH expected AS (SELECT value, format('key odd:%s:{} -> cache', value) AS key, format('record odd INSERT "%s:%s" ', n, value) AS start FROM odd)
SELECT count(*) AS values, count(k.item) AS keys, count(m.item) AS messages, count(*) FILTER (WHERE substr(m.item, length(start) + 1)::json ->> 'value' = value) AS fields
  FROM expected LEFT JOIN noted k ON k.item = key LEFT JOIN noted m ON starts_with(m.item, start || '{');

-- Out of line, compressed, and both; on both sides of a change, or on one; with and without an output function
CREATE TABLE long (id integer PRIMARY KEY, external text, inside text, both_ways text, main text, bytes bytea, list integer[], other integer);
ALTER TABLE long ALTER external SET STORAGE EXTERNAL, ALTER main SET STORAGE MAIN, ALTER bytes SET STORAGE EXTERNAL;
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON long FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key={external}', 'key={inside}', 'key={both_ways}', 'key={main}', 'key={bytes}', 'key={list}', 'channel=');
CREATE FUNCTION noise(seed integer, size integer) RETURNS text LANGUAGE sql AS $$ SELECT left(string_agg(md5((seed * 100000 + i)::text), ''), size) FROM generate_series(1, size / 32 + 1) i $$;
CREATE TABLE versions AS
  SELECT n, noise(n, 100000) AS external, repeat(noise(n, 100), 1000) AS inside, noise(n, 50000) || repeat('x', 50000) AS both_ways, noise(n, 3000) AS main,
         noise(n, 50001)::bytea AS bytes, (SELECT array_agg(n * i) FROM generate_series(1, 20000) i) AS list FROM generate_series(1, 2) n;
CREATE VIEW names AS
  SELECT name || n AS name, format('key %s -> cache', text) AS item FROM versions, LATERAL (VALUES ('external ', external), ('inside ', inside), ('both ways ', both_ways),
    ('main ', main), ('bytes ', '\x' || encode(bytes, 'hex')), ('list ', list::text)) v (name, text);
INSERT INTO long SELECT 1, external, inside, both_ways, main, bytes, list FROM versions WHERE n = 1;
SELECT pg_column_size(external) AS external, pg_column_size(inside) < 2000 AS inside, pg_column_size(both_ways) BETWEEN 40000 AND 60000 AS both_ways, pg_column_size(bytes) AS bytes FROM long;
UPDATE long SET other = 1;
UPDATE long SET external = v.external FROM versions v WHERE n = 2;
UPDATE long SET inside = v.inside, both_ways = v.both_ways, main = v.main FROM versions v WHERE n = 2;
UPDATE long SET bytes = v.bytes, list = v.list FROM versions v WHERE n = 2;
DELETE FROM long;
SELECT tx, string_agg(coalesce(name, 'something else'), ', ' ORDER BY name COLLATE "C") FROM journal.waiting() w LEFT JOIN names USING (item) GROUP BY tx ORDER BY tx;

-- Columns that were added after the row, with a default; rows older than a column that was dropped
CREATE TABLE old (a integer, b text, c integer);
INSERT INTO old VALUES (1, 'b', 3);
ALTER TABLE old ADD COLUMN d text DEFAULT 'added', ADD COLUMN e integer;
ALTER TABLE old DROP COLUMN b;
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON old FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={a}:{c}:{d}', 'key=e:{e}', 'fields=d,e', 'id={c}');
UPDATE old SET e = 5;
ALTER TABLE old DROP COLUMN a CASCADE;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'old'::regclass;
CREATE TRIGGER cache AFTER UPDATE OR DELETE ON old FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={c}:{d}:{e}', 'id={c}');
ALTER TABLE old ADD COLUMN a text DEFAULT 'returned';
CREATE TRIGGER second AFTER UPDATE OR DELETE ON old FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={a}', 'channel=');
UPDATE old SET d = 'changed';
DELETE FROM old;
SELECT * FROM journal.waiting();

-- Names as long as they can be, of several bytes a character; the same name in two schemas
SELECT repeat('x', 63) AS ascii, repeat(U&'\00e4', 31) AS wide, repeat(U&'\+01f600', 15) AS wider \gset
CREATE SCHEMA :"wide";
CREATE TABLE :"wide".:"ascii" (:"wide" integer, :"wider" integer, "table" text, PRIMARY KEY (:"wide", :"wider"));
CREATE TABLE :"wide".:"wider" (LIKE :"wide".:"ascii" INCLUDING ALL);
CREATE TRIGGER :"wider" AFTER INSERT ON :"wide".:"ascii" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('fields=value=table');
SELECT format('key={%s}:{"%s"}', :'wide', :'wider') AS key \gset
CREATE TRIGGER :"ascii" AFTER INSERT ON :"wide".:"wider" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation(:'key');
INSERT INTO :"wide".:"ascii" VALUES (1, 2, 'user');
INSERT INTO :"wide".:"wider" VALUES (3, 4);
CREATE SCHEMA "Other Schema";
CREATE TABLE "order" (id integer PRIMARY KEY, title text);
CREATE TABLE "Other Schema"."order" (title text PRIMARY KEY, id integer);
CREATE TRIGGER cache AFTER INSERT OR DELETE ON "order" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=app:{id}', 'fields=title');
CREATE TRIGGER cache AFTER INSERT OR DELETE ON "Other Schema"."order" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=other:{id}', 'fields=title');
BEGIN;
INSERT INTO "order" VALUES (1, 'here');
INSERT INTO "Other Schema"."order" VALUES ('1', 7);
DELETE FROM "order";
COMMIT;
SELECT * FROM journal.waiting();

SET client_min_messages = warning;
DROP SCHEMA app, journal, "Other Schema", :"wide" CASCADE;
DROP EXTENSION cache_invalidate CASCADE;
