# By hand, with a real Redis: keys, patterns and resources go with the commit that asked for it, and with no other; and
# the triggers that enable_cache_invalidation() makes see what they shall.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant BACKLOG => 1000;

my $node  = new_node('main', 'cache_invalidate.max_backlog_keys' => BACKLOG);
my $redis = CacheInvalidate::Redis->new('cache');
my $other = CacheInvalidate::Redis->new('other');
$node->start;

sub sql { return $node->safe_psql('postgres', @_) }

sub fails {
    my ($statement) = @_;
    my ($status, $out, $error) = $node->psql('postgres', "\\set VERBOSITY verbose\n$statement");
    return $status == 0 ? 'no error' : $error;
}

sql('CREATE EXTENSION cache_invalidate');
sql("CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $redis->url . "', key_prefix 'app:')");
sql("CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $other->url . "')");
wait_for_worker($node, 'postgres');

# Everything that was noted before has been delivered when a key of a later transaction is gone.
my $marks = 0;
sub is_delivered {
    my $mark = 'mark' . ++$marks;
    $redis->fill("app:$mark");
    sql("SELECT invalidate_cache_key('$mark')");
    return $redis->wait_gone("app:$mark") && wait_until('no pattern is owed', sub { target($node, 'postgres', 'patterns_pending') eq '0' });
}

# --- Keys and patterns

my @keys = ('app:a b', 'app:a*', "app:t\xc3\xa2che", 'app:page:1', 'app:page:2', 'app:pages');
$redis->fill(@keys, 'app:ax', 'page:1');
$other->fill('a*');
sql("SELECT invalidate_cache_key('a b', 'a*', 'tâche'), invalidate_cache_pattern('page:?')");
ok($redis->wait_gone(grep { $_ ne 'app:pages' } @keys), 'keys and matches are gone');
ok($other->wait_gone('a*'), 'from every server that the role may use');
ok($redis->has('app:ax') && $redis->has('app:pages') && $redis->has('page:1'), 'a key is no glob, and others stay');

$redis->fill(map { "app:k$_" } 1 .. 6);
sql("BEGIN; SELECT invalidate_cache_key('k1'), invalidate_cache_pattern('k1*'); ROLLBACK");
sql("BEGIN; SELECT invalidate_cache_key('k2'); SAVEPOINT s; SELECT invalidate_cache_key('k3'); ROLLBACK TO s;"
      . " SAVEPOINT t; SELECT invalidate_cache_key('k4'); RELEASE t; COMMIT");
ok($redis->wait_gone('app:k2', 'app:k4'), 'what was committed is gone');
ok(is_delivered(), 'all is delivered');
ok($redis->has('app:k1') && $redis->has('app:k3'), 'not what was rolled back');

sql("BEGIN; SELECT invalidate_cache_key('k5'); PREPARE TRANSACTION 'by hand'");
sql("BEGIN; SELECT invalidate_cache_key('k6'); PREPARE TRANSACTION 'not at all'");
ok(is_delivered(), 'all else is delivered');
ok($redis->has('app:k5') && $redis->has('app:k6'), 'a prepared transaction waits');
sql("COMMIT PREPARED 'by hand'");
sql("ROLLBACK PREPARED 'not at all'");
ok($redis->wait_gone('app:k5'), 'and counts when it is committed');
ok(is_delivered() && $redis->has('app:k6'), 'and only then');

# --- A resource

sql('CREATE TABLE tasks (id int PRIMARY KEY, project_id int)');
is(sql(q{SELECT enable_cache_invalidation('tasks', keys => '{task:{id},tasks:list:{project_id}}', resource => 'task')}), 't', 'enabled');
$redis->fill('app:task:1', 'app:task:2', 'app:tasks:list:3', 'app:tasks:list:4');
is(sql(q{SELECT invalidate_cache_resource('task', '{"project_id": 3, "id": 1}')}), 2, 'two triggers');
ok($redis->wait_gone('app:task:1', 'app:tasks:list:3'), 'what the scope names is gone');
ok(is_delivered() && $redis->has('app:task:2') && $redis->has('app:tasks:list:4'), 'and nothing else');
sql(q{SELECT invalidate_cache_resource('task')});
ok($redis->wait_gone('app:task:2', 'app:tasks:list:4'), 'without a scope all is gone');

# --- Who may

sql('CREATE ROLE plain LOGIN; GRANT EXECUTE ON FUNCTION invalidate_cache_key(text[]) TO plain');
like(fails("SET ROLE plain; SELECT invalidate_cache_pattern('*')"), qr/42501.*permission denied for function/, 'a role without EXECUTE is refused');
like(fails("SET ROLE plain; SELECT invalidate_cache_key('k1')"), qr/42501.*may use no server.*GRANT USAGE ON FOREIGN SERVER cache TO plain/s,
    'one without USAGE is told what it needs');
sql('GRANT USAGE ON FOREIGN SERVER other TO plain');
$other->fill('k1');
sql("SET ROLE plain; SELECT invalidate_cache_key('k1')");
ok($other->wait_gone('k1'), 'with USAGE its keys go');
ok(is_delivered() && $redis->has('app:k1'), 'in that server alone');

# --- What enable_cache_invalidation() covers: partitions, also for a subscriber of logical replication, and children

sql('CREATE TABLE event (id int, kind text) PARTITION BY LIST (id); CREATE TABLE event_1 PARTITION OF event FOR VALUES IN (1);'
      . 'CREATE TABLE event_2 PARTITION OF event FOR VALUES IN (2);'
      . 'CREATE TABLE people (id int); CREATE TABLE staff () INHERITS (people);'
      . 'INSERT INTO event VALUES (1), (2); INSERT INTO staff VALUES (7), (8)');
sql(q{SELECT enable_cache_invalidation('event', keys => 'event:{id}', always => true), enable_cache_invalidation('people', keys => 'people:{id}')});
$redis->fill('app:people:7', 'app:people:8');
sql('UPDATE people SET id = 7 WHERE id = 7; DELETE FROM people WHERE id = 7');
ok($redis->wait_gone('app:people:7'), "a child's row that is deleted by its parent");
ok(is_delivered() && $redis->has('app:people:8'), 'that row alone');
sql('TRUNCATE staff');
ok($redis->wait_gone('app:people:8'), 'TRUNCATE of the child');
# As a subscriber of logical replication does it
$redis->fill('app:event:1');
sql('SET session_replication_role = replica; TRUNCATE event_1');
ok($redis->wait_gone('app:event:1'), 'TRUNCATE of a partition, where only triggers that fire always do');
$redis->fill('app:event:2');
sql('SET session_replication_role = replica; UPDATE event SET kind = 1 WHERE id = 2');
ok($redis->wait_gone('app:event:2'), 'and its rows');
is(sql(q{SELECT disable_cache_invalidation('event')}), 't', 'disabled');
$redis->fill('app:event:2');
sql('UPDATE event SET kind = 2; TRUNCATE event_2');
ok(is_delivered() && $redis->has('app:event:2'), 'then nobody notices');

# --- Whatever the encoding of the database

sql("CREATE DATABASE latin ENCODING LATIN1 LOCALE 'C' TEMPLATE template0");
sub latin { return $node->safe_psql('latin', "SET client_encoding = UTF8; $_[0]") }
latin("CREATE EXTENSION cache_invalidate; CREATE SERVER other FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $other->url . "');"
      . q{CREATE TABLE "tâche" (id int, "clé" text); SELECT enable_cache_invalidation('"tâche"', keys => '{{$table}:{clé}}')});
$other->fill("t\xc3\xa2che", "t\xc3\xa2che:\xc3\xa9", "t\xc3\xa2che:\xc3\xa8");
latin(q{SELECT invalidate_cache_key('tâche'); SELECT invalidate_cache_resource('tâche', '{"clé": "é"}')});
ok($other->wait_gone("t\xc3\xa2che", "t\xc3\xa2che:\xc3\xa9"), 'keys are UTF-8');
latin(q{INSERT INTO "tâche" VALUES (1, 'è')});
ok($other->wait_gone("t\xc3\xa2che:\xc3\xa8"), 'and so are those of triggers');

# --- A cache that is away is owed more than fits: widened within the family

my @family = map { "app:user:$_" } 1 .. 3 * BACKLOG;
$redis->fill(@family, 'app:users', 'app:user', 'app:lists:1', 'app:cart:1:x');
$redis->pause;
sql('SELECT invalidate_cache_key(VARIADIC ARRAY(SELECT $$user:$$ || n FROM generate_series(1, ' . 3 * BACKLOG . ') n))');
sql("SELECT invalidate_cache_key('cart:1:y')");
ok(wait_until('keys are widened', sub { target($node, 'postgres', 'widened') > 0 }), 'keys are widened');
cmp_ok(target($node, 'postgres', 'keys_pending'), '<=', BACKLOG, 'what is kept is bounded');
$redis->resume;
ok($redis->wait_gone(@family), 'all of the family is gone');
ok(is_delivered(), 'all is delivered');
ok($redis->has('app:users') && $redis->has('app:user') && $redis->has('app:lists:1') && $redis->has('app:cart:1:x'), 'and no other key');

$node->stop;
done_testing();
