# Without shared_preload_libraries there is no worker, and the user is told; triggers journal all the same, and when
# the setting is there what they wrote is delivered.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

my $node  = new_node('main', preload => 0);
my $redis = CacheInvalidate::Redis->new('cache');
$node->start;

my $status = $node->psql('postgres', 'CREATE EXTENSION cache_invalidate', stderr => \my $said);
is($status, 0, 'CREATE EXTENSION succeeds');
like($said, qr/^(psql:[^\n]*)?WARNING:.*shared_preload_libraries/ms, 'with a warning that names the setting');

create_items($node, 'postgres', $redis, rows => 1000);
sub sql { return $node->safe_psql('postgres', @_) }

sql('UPDATE item SET version = 1 WHERE id = 1');
sql('UPDATE item SET version = 1 WHERE id BETWEEN 2 AND 600');
sql('BEGIN; UPDATE item SET version = 2 WHERE id = 700; ROLLBACK');
sql('BEGIN; SAVEPOINT s; UPDATE item SET version = 2 WHERE id = 701; ROLLBACK TO s; UPDATE item SET version = 2 WHERE id = 601; COMMIT');
cmp_ok(journal_pages($node, 'postgres'), '>', 0, 'triggers write the journal');
is(sql("SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_invalidate%'"), '0', 'there is no worker');
is(sql('SELECT worker_pid IS NULL FROM cache_invalidation_stats'), 't', 'the view says so');
like(sql("SELECT test_cache_invalidation('item')"), qr/"success":false,"message":"[^"]*shared_preload_libraries/,
    'test_cache_invalidation() names the setting');
is($redis->command('DBSIZE'), 1000, 'nothing is delivered');

configure($node, shared_preload_libraries => 'cache_invalidate');
$node->restart;
ok(wait_for_worker($node, 'postgres'), 'with the setting there is a worker');
ok($redis->wait_gone(map { "item:$_" } 1 .. 601), 'and what was journalled is delivered');
sql('UPDATE item SET version = 1 WHERE id = 602');
ok($redis->wait_gone('item:602'), 'and what comes now');
is($redis->command('DBSIZE'), 398, 'nothing else');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty');
$node->stop;
done_testing();
