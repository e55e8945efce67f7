# CREATE EXTENSION in a schema in which others may create objects: nothing of theirs becomes the extension's, and nothing
# of the extension finds theirs in place of the server's.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;

my $node = new_node('main');
$node->start;
sub sql { return $node->safe_psql('postgres', @_) }
sub lines { return split /\n/, sql(@_) }

sql(q(CREATE SCHEMA tools; CREATE ROLE stranger; GRANT USAGE, CREATE ON SCHEMA tools TO stranger));

is(sql(q(SELECT superuser, trusted, relocatable FROM pg_available_extension_versions WHERE name = 'cache_invalidate')),
    't|f|f', 'only superusers install it, and where it is it stays');

# --- Whatever name of its own is taken: it is not installed

my $members = q(FROM pg_depend d JOIN pg_extension x ON d.refclassid = 'pg_extension'::regclass AND x.oid = d.refobjid
    AND x.extname = 'cache_invalidate' AND d.deptype = 'e');
sql('CREATE EXTENSION cache_invalidate SCHEMA tools');
my @relations = lines("SELECT c.relname $members JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind <> 'S' ORDER BY 1");
my @functions = lines(qq(
    SELECT p.oid::regprocedure || ' RETURNS ' || CASE WHEN p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype) THEN p.prorettype::regtype::text
             ELSE pg_get_function_result(p.oid) END $members JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid ORDER BY 1));
# Names that come with the tables: sequences, indexes. The index of a primary key finds itself another one.
my @others = lines(q(SELECT c.relname FROM pg_class c WHERE relnamespace = 'tools'::regnamespace AND relkind IN ('S', 'i') AND relname !~ '_pkey$' ORDER BY 1));
sql('DROP EXTENSION cache_invalidate');
cmp_ok(scalar @relations, '>=', 6,  'tables and views are tried');
cmp_ok(scalar @functions, '>=', 15, 'functions are tried');
cmp_ok(scalar @others,    '>=', 2,  'sequences and indexes are tried');
is(sql(q(SELECT count(*) FROM pg_class WHERE relnamespace = 'tools'::regnamespace)), '0', 'nothing is left behind');

# A stranger can make no event trigger's function, and none of "any" but in C.
my %hostile = (
    (map({ ("table $_" => "CREATE TABLE tools.$_ (batch bytea)") } @relations, @others)),
    (map({ ("view $_" => "CREATE VIEW tools.$_ AS SELECT 1 AS id") } @relations)),
    (map({ ("sequence $_" => "CREATE SEQUENCE tools.$_") } @relations, @others)),
    (map({ ("type $_" => "CREATE TYPE tools.$_ AS ENUM ()") } @relations)),
    map({ ("function $_" => do { my $is_trigger = / RETURNS (?:event_)?trigger$/; "CREATE FUNCTION $_ LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END'" }) }
        grep { !/RETURNS event_trigger$|"any"/ } @functions));
my (@installed, @adopted, @told);
for my $what (sort keys %hostile) {
    sql("BEGIN; SET LOCAL ROLE stranger; $hostile{$what}; COMMIT");
    my $status = $node->psql('postgres', 'CREATE EXTENSION cache_invalidate SCHEMA tools', stderr => \my $error);
    push @told, "$what: $error" unless $error =~ /already exists|is not a member of extension/ || !$status;
    push @installed, $what unless $status;
    push @adopted, $what
      unless sql(q(SELECT count(*) > 0 AND bool_and(r.rolname = 'stranger') FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
          WHERE s.deptype = 'o' AND s.classid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass)
            AND s.dbid = (SELECT oid FROM pg_database WHERE datname = 'postgres'))) eq 't';
    sql('DROP EXTENSION IF EXISTS cache_invalidate CASCADE; DROP OWNED BY stranger; GRANT USAGE, CREATE ON SCHEMA tools TO stranger');
}
is(join(', ', @installed), '', 'where one name is taken, it is not installed (' . keys(%hostile) . ' are tried)');
is(join(', ', @adopted),   '', 'and what was there stays whose it was');
is(join(', ', @told),      '', 'the error names what is in the way');

# --- Better matches for what its views and functions name

my @types = ('oid', 'integer', 'bigint', 'name', 'text', '"char"', 'timestamptz', 'interval', 'boolean');
my $traps = '';
for my $left (@types) {
    for my $right (@types) {
        $traps .= "CREATE FUNCTION trap($left, $right) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';\n";
        $traps .= "CREATE OPERATOR $_ (LEFTARG = $left, RIGHTARG = $right, FUNCTION = trap);\n" for qw(= <> < > + - ||);
    }
}
$traps .= "CREATE FUNCTION $_ LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''hijacked''; END';\n"
  for 'now() RETURNS timestamptz', 'format(text, name) RETURNS text', 'format(text, name, name) RETURNS text', 'format(text, text, text) RETURNS text',
  'pg_get_triggerdef(oid) RETURNS text', 'concat(text, text) RETURNS text', 'set_config(text, text, boolean) RETURNS text',
  'current_setting(text) RETURNS text', 'quote_ident(name) RETURNS text', 'string_agg(name, text) RETURNS text', 'greatest_of(bigint, integer) RETURNS bigint';
$traps .= "CREATE TABLE $_ (oid oid);\n" for qw(pg_class pg_trigger pg_proc pg_namespace pg_extension pg_foreign_server);
$traps .= "CREATE DOMAIN $_ AS integer;\n" for qw(text regclass jsonb timestamptz);
sql("BEGIN; SET LOCAL ROLE stranger; SET LOCAL search_path = tools; $traps COMMIT");

is(sql("SET search_path = public, tools; BEGIN; CREATE EXTENSION cache_invalidate SCHEMA tools; SHOW search_path; COMMIT; SHOW search_path"),
    "public, tools\npublic, tools", 'the search_path of who installs it stays');
sql(q(CREATE TABLE item (id int PRIMARY KEY); CREATE TRIGGER cache AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION tools.notify_cache_invalidation('key=item:{id}');
      CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:1/0')));
# As a careless superuser would: the strangers' objects are on the path, even before the server's.
my @readable = (
    lines("SELECT c.oid::regclass $members JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND c.relkind IN ('v', 'r') ORDER BY 1"),
    lines(qq(SELECT p.oid::regproc || '()' $members JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND p.oid = d.objid
             JOIN pg_language l ON l.oid = p.prolang AND l.lanname IN ('sql', 'plpgsql') WHERE p.pronargs = 0 ORDER BY 1)));
cmp_ok(scalar grep({ /health/ } @readable), '>=', 1, 'functions in SQL are among what is read');
for my $from (@readable) {
    for my $path ('public, tools', 'tools, pg_catalog') {
        my $status = $node->psql('postgres', "SELECT * FROM $from", extra_params => [ '-o', '/dev/null' ],
            on_error_stop => 1, connstr => $node->connstr('postgres') . " options='-c search_path=" . ($path =~ s/ //gr) . "'", stderr => \my $error);
        ok(!$status && ($error // '') !~ /hijacked/, "$from with search_path = $path") or diag($error);
    }
}
is($node->psql('postgres', 'SELECT 1::oid = 1::integer', connstr => $node->connstr('postgres') . " options='-c search_path=public,tools'", stderr => \my $error), 3,
    'a careless query of the superuser would have walked into the trap');
like($error, qr/hijacked/, 'and so would the extension, with names that are looked up there');

$node->stop;
done_testing();
