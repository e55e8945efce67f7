-- Databases in other encodings: keys, patterns, names and messages are UTF-8 in the journal, so that one value has one
-- key whatever the database. A SQL_ASCII database knows no encoding: its keys are its bytes.
\set ECHO none
SELECT current_database() AS home, CASE WHEN current_setting('server_version_num')::integer >= 150000 THEN 'LOCALE_PROVIDER libc' ELSE '' END AS provider \gset
\set ECHO all
CREATE DATABASE regress_cache_latin1 TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' :provider;
CREATE DATABASE regress_cache_euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LC_COLLATE 'C' LC_CTYPE 'C' :provider;
CREATE DATABASE regress_cache_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' :provider;

-- LATIN1: the items are decoded as UTF-8 here
\c regress_cache_latin1
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
SET client_encoding = 'UTF8';
CREATE TABLE "straße" (id integer PRIMARY KEY, "größe" text, fixed char(4), short varchar(9), doc jsonb, name name, list text[]);
CREATE TRIGGER "auslöser" AFTER INSERT OR UPDATE OR DELETE ON "straße" FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=straße:{größe}', 'key=ß:{fixed}:{short}:{name}', 'key={list}', 'pattern=ä:{größe}:*', 'id=nº{größe}', 'fields=größe,doc,ö=id', 'channel=kanäle');
CREATE TRIGGER "geleert" AFTER TRUNCATE ON "straße" EXECUTE FUNCTION notify_cache_invalidation('key=straße:{größe}', 'key=größte', 'resource=größe');
INSERT INTO "straße" VALUES (1, 'groß*', 'é', 'ÿ', '{"ü": "\u00fc"}', 'ñ', ARRAY['õ', 'x']);
UPDATE "straße" SET "größe" = chr(128) || 'ascii' WHERE id = 1;
TRUNCATE "straße";
SELECT tx, item FROM journal.waiting() ORDER BY tx, item COLLATE "C";
SELECT count(*) FROM (TABLE cache_invalidation_journal_0 UNION ALL TABLE cache_invalidation_journal_1) j (batch) WHERE position('\x73747261c39f653a67726fc39f2a' IN batch) > 0;
-- What is wrong is told in the database's encoding, and what that does not have by a question mark
CREATE TRIGGER wrong AFTER INSERT ON "straße" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key={größt}');
CREATE TRIGGER wrong AFTER INSERT ON "straße" FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('payload={"ö": "{ö\u65e5n}"}');
CREATE SERVER wrong FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'unix:///größe', enabled 'größe');

-- EUC_JP: and a character that UTF-8 does not have. The statement succeeds, and all that the templates could name is stale
\c regress_cache_euc_jp
\set ECHO none
\i sql/include/journal.sql
\set ECHO all
SET client_encoding = 'UTF8';
CREATE TABLE "表" (id integer PRIMARY KEY, "名" text, list text[]);
CREATE TRIGGER "引" AFTER INSERT OR UPDATE OR DELETE ON "表" FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=鍵:{名}', 'pattern={名}?', 'key={list}', 'fields=名前=名');
INSERT INTO "表" VALUES (1, '日本*', ARRAY['ﾊﾝｶｸ', '丂']);
SELECT * FROM journal.waiting();
UPDATE "表" SET "名" = convert_from('\xf5a1', 'EUC_JP') WHERE id = 1;
UPDATE "表" SET "名" = '戻' WHERE id = 1;
SELECT * FROM journal.waiting() WHERE item LIKE 'error%' OR item LIKE 'pattern 鍵%';
-- A name may have such a character, too, a prefix of keys may not
DO $$
DECLARE
  odd text := convert_from('\xf5a1', 'EUC_JP');
BEGIN
  EXECUTE format('ALTER TABLE "表" ADD %I text', odd);
  EXECUTE format('CREATE SERVER %I FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url ''redis://127.0.0.1'')', odd);
  UPDATE "表" SET "名" = '木' WHERE id = 1;
  BEGIN
    EXECUTE format('CREATE SERVER wrong FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url ''redis://127.0.0.1'', key_prefix %L)', odd);
  EXCEPTION WHEN untranslatable_character THEN
    RAISE NOTICE '%', SQLERRM;
  END;
END $$;
SELECT count(*) FROM (TABLE cache_invalidation_journal_0 UNION ALL TABLE cache_invalidation_journal_1) j (batch) WHERE position('\xe98db53ae69ca8' IN batch) > 0;

-- SQL_ASCII: bytes, whatever they are; in a message, which must be UTF-8, what is none is replaced
\c regress_cache_ascii
\set ECHO none
\i sql/include/journal.sql
CREATE OR REPLACE FUNCTION journal.text_of(bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  RETURN encode(bytes, 'escape');
END $$;
\set ECHO all
SET client_encoding = 'UTF8';
CREATE TABLE t (id integer PRIMARY KEY, "größe" text, list text[]);
CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON t FOR EACH ROW
  EXECUTE FUNCTION notify_cache_invalidation('key=ß:{größe}', 'pattern={größe}*', 'key={list}', 'id={größe}', 'fields=größe');
INSERT INTO t VALUES (1, 'é', ARRAY['é']);
INSERT INTO t VALUES (2, E'\xe9', ARRAY[E'\xe9']);
SELECT * FROM journal.waiting();

\c :home
\set ECHO none
SELECT format('DROP DATABASE regress_cache_%s', name) FROM unnest('{latin1,euc_jp,ascii}'::text[]) name \gexec
