# A standby has no worker. When the primary is lost with its journal undelivered and the standby is promoted, the
# standby delivers.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant ROWS => 2000;

my $primary = new_node('primary', allows_streaming => 1);
my $redis   = CacheInvalidate::Redis->new('cache', config => [ 'appendonly yes', 'appendfsync always' ]);
$primary->start;
create_items($primary, 'postgres', $redis, rows => ROWS);
wait_for_worker($primary, 'postgres');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

sub workers_of_standby {
    return $standby->safe_psql('postgres', "SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'cache_invalidate%'");
}

# --- While both are there

$primary->safe_psql('postgres', 'UPDATE item SET version = 1 WHERE id = 1');
ok($redis->wait_gone('item:1'), 'the primary delivers');
$primary->wait_for_catchup($standby);
is(workers_of_standby(), '0', 'a standby has no worker');
is($standby->safe_psql('postgres', 'SELECT worker_pid IS NULL FROM cache_invalidation_stats'), 't', 'and its view says so');
like($standby->safe_psql('postgres', "SELECT test_cache_invalidation('item')"), qr/"success":false,"message":"[^"]*standby/,
    'and so does test_cache_invalidation()');

# --- The primary is lost. What was delivered long ago, and what was not.

my ($prepared, $rolled_back) = (1990, 1991);
$redis->kill9;
$primary->safe_psql('postgres', "UPDATE item SET version = version + 1 WHERE id = $_") for 2 .. 20;
$primary->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id BETWEEN 21 AND 1500');
$primary->safe_psql('postgres', 'BEGIN; UPDATE item SET version = 9 WHERE id = 1600; ROLLBACK');
$primary->safe_psql('postgres', "BEGIN; UPDATE item SET version = 9 WHERE id = $prepared; PREPARE TRANSACTION 'kept'");
$primary->safe_psql('postgres', "BEGIN; UPDATE item SET version = 9 WHERE id = $rolled_back; PREPARE TRANSACTION 'lost'");
$primary->wait_for_catchup($standby);
ok(kill_postmaster($primary), 'the primary is gone');
is(workers_of_standby(), '0', 'the standby still has no worker');
$redis->start;
is($redis->command('DBSIZE'), ROWS - 1, 'nothing is delivered yet');

$standby->promote;
ok(wait_for_worker($standby, 'postgres'), 'promotion brings the worker');
ok($redis->wait_gone(map { "item:$_" } 2 .. 1500), 'it delivers what the primary owed');
$standby->safe_psql('postgres', "COMMIT PREPARED 'kept'");
ok($redis->wait_gone("item:$prepared"), 'and what was prepared there and is committed here');
$standby->safe_psql('postgres', "ROLLBACK PREPARED 'lost'");
$standby->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id = 1501');
ok($redis->wait_gone('item:1501'), 'and new changes');
is($redis->command('DBSIZE'), $standby->safe_psql('postgres', 'SELECT count(*) FROM item WHERE version = 0'),
    'exactly the keys of unchanged items are left');
ok(wait_until('the journal is empty', sub { journal_pages($standby, 'postgres') <= 2 }), 'the journal is empty again');
$standby->stop;
done_testing();
