# Dump and restore, in every order and format that pg_restore knows: servers, rights and triggers come back as they were,
# with what depends on columns, and work; also where the library is not preloaded, and of a table by itself. What restoring
# the data does is delivered only if triggers are there already.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');

# --- The source: every kind of trigger that there is

$node->safe_psql('postgres', 'CREATE DATABASE source');
$node->safe_psql('postgres', 'CREATE ROLE app_owner');
$node->safe_psql('source', 'CREATE SCHEMA tools; CREATE EXTENSION cache_invalidate SCHEMA tools; ALTER DATABASE source SET search_path = public, tools');
create_items($node, 'source', $redis, rows => 20, arguments => q('resource=item', 'key=item:{id}', 'key=title:{title}', 'server=cache, elsewhere', 'fields=title'));
$node->safe_psql(
    'source', q(
    CREATE SERVER elsewhere FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:1/0', key_prefix 'elsewhere:', enabled 'false');
    CREATE USER MAPPING FOR CURRENT_USER SERVER elsewhere OPTIONS (username 'joe', password 'secret');
    GRANT USAGE ON FOREIGN SERVER cache TO app_owner;
    CREATE TRIGGER gone AFTER TRUNCATE ON item EXECUTE FUNCTION tools.notify_cache_invalidation('key=item:{id}');
    ALTER TABLE item ENABLE ALWAYS TRIGGER gone;
    CREATE TABLE "Odd {name}" ("gone" int, "Id" int PRIMARY KEY, "a.b" text DEFAULT 'x', item int REFERENCES item ON UPDATE CASCADE);
    ALTER TABLE "Odd {name}" DROP COLUMN gone, OWNER TO app_owner;
    CREATE TRIGGER "Some ""one" AFTER INSERT OR UPDATE OF "a.b" OR DELETE ON "Odd {name}" FOR EACH ROW
      EXECUTE FUNCTION tools.notify_cache_invalidation('key=odd:{Id}:{"a.b"}:{{}}', 'pattern=odd:*:\*', 'channel=');
    CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON "Odd {name}" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.item IS DISTINCT FROM OLD.item)
      EXECUTE FUNCTION tools.notify_cache_invalidation('key=late:{item}', 'ignore=a.b', 'channel=');
    CREATE TRIGGER off AFTER INSERT ON "Odd {name}" FOR EACH ROW EXECUTE FUNCTION tools.notify_cache_invalidation('key=never:{Id}', 'channel=');
    ALTER TABLE "Odd {name}" DISABLE TRIGGER off;
    CREATE TABLE part (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    CREATE TABLE part_eu PARTITION OF part FOR VALUES IN ('eu');
    CREATE TABLE part_us (region text NOT NULL, gone int, id int NOT NULL);
    ALTER TABLE part_us DROP COLUMN gone;
    ALTER TABLE part ATTACH PARTITION part_us FOR VALUES IN ('us');
    CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON part FOR EACH ROW EXECUTE FUNCTION tools.notify_cache_invalidation('key=part:{id}:{region}');
    INSERT INTO "Odd {name}" SELECT n, 'odd', n FROM generate_series(1, 5) n;
    INSERT INTO part SELECT n, 'eu' FROM generate_series(1, 3) n;
    INSERT INTO part VALUES (4, 'us');
    INSERT INTO tools.trigger_error_log (table_name, operation, error_message) VALUES ('item', 'INSERT', 'stays here')));

# The definitions, and what depends on columns: the same in the copy.
sub definitions {
    my ($database) = @_;
    my ($text, $problems) = run_command([ 'pg_dump', '-s', '-d', $node->connstr . " dbname=$database" ]);
    is($problems, '', "pg_dump -s of $database says nothing");
    $text =~ s/^\\(un)?restrict .*\n//mg;
    return $text . $node->safe_psql($database, q(
        SELECT pg_describe_object(d.classid, d.objid, 0) || ' needs ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
          FROM pg_depend d WHERE d.classid = 'pg_trigger'::regclass AND d.refobjsubid > 0 ORDER BY 1));
}

# The keys that are cached before each test.
my @cached = (map({ ("item:$_", "title:title $_", "odd:$_:odd:{}", "late:$_", "never:$_", "part:$_:eu", "part:$_:us") } 1 .. 9), 'odd:9:*');
sub missing {
    my %there = map { ($_ => 1) } $redis->keys;
    return join ' ', sort grep { !$there{$_} } @cached;
}

# After the restore: nothing but its definitions, and then they work.
my $expected = definitions('source');
like($expected, qr/^trigger late on table "Odd \{name\}" needs column item of table/m, 'dependencies are compared');
sub works {
    my ($database, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok(definitions($database) eq $expected, "$what: everything is as it was");
    is($node->safe_psql($database, 'SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM "Odd {name}"), (SELECT count(*) FROM part), (SELECT count(*) FROM tools.trigger_error_log)'),
        '20|5|4|0', "$what: with the data, but for what is the extension's own");
    $redis->fill(@cached);
    $node->safe_psql($database, q(BEGIN; UPDATE item SET title = 'new' WHERE id = 3; UPDATE "Odd {name}" SET item = 4 WHERE "Id" = 2;
        INSERT INTO "Odd {name}" VALUES (7, 'odd'); UPDATE part SET region = 'us' WHERE id = 2; COMMIT));
    ok($redis->wait_gone('item:3', 'title:title 3', 'late:2', 'late:4', 'odd:7:odd:{}', 'odd:9:*', 'part:2:eu', 'part:2:us'), "$what: its changes are delivered");
    is(missing(), 'item:3 late:2 late:4 odd:7:odd:{} odd:9:* part:2:eu part:2:us title:title 3', "$what: and nothing else");
    $node->safe_psql('postgres', "DROP DATABASE $database");
    return;
}

sub restore {
    my ($database, @arguments) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($output, $problems) = run_command([ 'pg_restore', '-e', '-d', $node->connstr . " dbname=$database", @arguments ]);
    is($problems, '', 'pg_restore ' . join(' ', grep { /^-/ } @arguments) . ' says nothing');
    return;
}

sub new_database {
    my ($database) = @_;
    $node->safe_psql('postgres', "CREATE DATABASE $database; ALTER DATABASE $database SET search_path = public, tools");
    return $database;
}

# --- In one go, in parallel, by sections, as a script in one transaction: triggers come last, and see nothing of the data

my $dir  = PostgreSQL::Test::Utils::tempdir();
my $dump = "$dir/dump";
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-d', 'source' ], 'pg_dump -Fc');
$node->command_ok([ 'pg_dump', '-Fd', '-j2', '-f', "$dir/folder", '-d', 'source' ], 'pg_dump -Fd -j2');
my ($listed) = run_command([ 'pg_restore', '-l', $dump ]);
unlike($listed, qr/TABLE DATA tools|SEQUENCE SET tools/, 'nothing of what is in the extension\'s own tables is dumped');
like($listed, qr/TABLE DATA public item/, 'of others it is');
my $source_worker = wait_for_worker($node, 'source');
$redis->fill(@cached);
my %ways = (
    'at once'     => sub { restore($_[0], $dump) },
    # By sections too: the trigger of a partitioned table waits for no partition's data else.
    'in parallel' => sub { restore($_[0], '-j2', "--section=$_", $dump) for qw(pre-data data post-data) },
    'by sections' => sub { restore($_[0], "--section=$_", $dump) for qw(pre-data data post-data) },
    'in parallel, from a folder' => sub { restore($_[0], '-j2', "--section=$_", "$dir/folder") for qw(pre-data data post-data) },
    'as a script' => sub {
        $node->command_ok([ 'pg_dump', '-f', "$dir/script", '-d', 'source' ], 'pg_dump');
        $node->command_ok([ 'psql', '-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', '-o', '/dev/null', '-f', "$dir/script", '-d', $_[0] ], 'psql -1');
    });
for my $what (sort keys %ways) {
    my $database = new_database('copy');
    $ways{$what}->($database);
    wait_for_worker($node, $database);
    $node->safe_psql($database, 'UPDATE item SET version = 1 WHERE id = 9');
    $redis->wait_gone('item:9');
    is(missing(), 'item:9 title:title 9', "$what: restoring sent nothing");
    works($database, $what);
    $redis->fill(@cached);
}

# --- The schema first, and the data when triggers are there: they see every row, unless they are disabled

my $database = new_database('copy');
my $firing = q(SELECT string_agg(trigger_name || ' ' || firing, ', ' ORDER BY trigger_name COLLATE "C") FROM tools.get_cache_trigger_health() WHERE firing <> 'origin');
restore($database, '-s', $dump);
is($node->safe_psql($database, $firing), 'gone always, off disabled', 'triggers fire as they did');
restore($database, '-a', '--disable-triggers', $dump);
$node->safe_psql($database, 'UPDATE item SET version = 1 WHERE id = 9');
$redis->wait_gone('item:9');
is(missing(), 'item:9 title:title 9', 'data with disabled triggers: restoring sent nothing');
is($node->safe_psql($database, $firing), '', 'pg_restore has then enabled them all alike');
$node->safe_psql($database, 'ALTER TABLE item ENABLE ALWAYS TRIGGER gone; ALTER TABLE "Odd {name}" DISABLE TRIGGER off');
works($database, 'data with disabled triggers');

$redis->fill(@cached);
$database = new_database('copy');
restore($database, '-s', $dump);
$node->command_ok([ 'pg_dump', '-Fc', '-a', '-f', "$dir/data", '-d', 'source' ], 'pg_dump -a');
restore($database, '-a', "$dir/data");
my @restored = (map({ ("item:$_", "title:title $_") } 1 .. 9), map({ "odd:$_:odd:{}" } 1 .. 5), 'odd:9:*', map({ "part:$_:eu" } 1 .. 3), 'part:4:us');
ok($redis->wait_gone(@restored), 'data under triggers: the keys of all rows are deleted');
is(missing(), join(' ', sort @restored), 'data under triggers: and no others');
works($database, 'data under triggers');

# --- A table by itself: its trigger comes with it, the extension and the server do not

$redis->fill(@cached);
$database = new_database('copy');
$node->safe_psql($database, "CREATE SCHEMA tools; CREATE EXTENSION cache_invalidate SCHEMA tools; CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $redis->url . "')");
$node->safe_psql($database, q(CREATE SERVER elsewhere FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url 'redis://127.0.0.1:1/0', enabled 'false')));
restore($database, '-t', 'item', $dump);
is($node->safe_psql($database, 'SELECT count(*) FROM tools.get_cache_trigger_health()'), '0', 'pg_restore -t brings no trigger');
$node->safe_psql($database, 'DROP TABLE item');
$node->command_ok([ 'pg_dump', '-Fc', '-t', 'item', '-f', "$dir/table", '-d', 'source' ], 'pg_dump -t');
restore($database, "$dir/table");
is($node->safe_psql($database, 'SELECT string_agg(trigger_name, $$ $$ ORDER BY trigger_name) FROM tools.get_cache_trigger_health()'), 'cache_invalidation_item gone', 'pg_dump -t does');
wait_for_worker($node, $database);
$node->safe_psql($database, 'UPDATE item SET version = 1 WHERE id = 9');
$redis->wait_gone('item:9');
is(missing(), 'item:9 title:title 9', 'a table by itself: its changes are delivered');
$node->safe_psql('postgres', "DROP DATABASE $database");

# --- Into a server that does not preload the library: all is there, and delivered when it does

my $plain = new_node('plain', preload => 0);
$plain->start;
$plain->safe_psql('postgres', "CREATE ROLE app_owner; CREATE DATABASE copy");
$plain->safe_psql('postgres', 'ALTER DATABASE copy SET search_path = public, tools');
my ($restored, $warnings) = run_command([ 'pg_restore', '-e', '-d', $plain->connstr . ' dbname=copy', $dump ]);
is($warnings, '', 'without preloading: pg_restore says nothing');
like(slurp_file($plain->logfile), qr/WARNING:  cache_invalidate is not in shared_preload_libraries/, 'without preloading: the log warns');
is($plain->safe_psql('copy', 'SELECT (SELECT count(*) FROM item), (SELECT count(*) FROM pg_foreign_server), (SELECT count(*) FROM tools.get_cache_trigger_health())'),
    '20|2|' . $node->safe_psql('source', 'SELECT count(*) FROM tools.get_cache_trigger_health()'), 'without preloading: all is there');
$redis->fill(@cached);
$plain->safe_psql('copy', 'UPDATE item SET version = 1 WHERE id = 8');
configure($plain, shared_preload_libraries => 'cache_invalidate');
$plain->restart;
ok($redis->wait_gone('item:8', 'title:title 8'), 'and what changed there is delivered when it is preloaded');
is(missing(), 'item:8 title:title 8', 'and nothing of what was restored');
$plain->stop;

is(worker_pid($node, 'source'), $source_worker, 'the worker of the source has not noticed');
$node->stop;
done_testing();
