# Eight clients at full speed, half of their work rolled back: exactly the committed changes are delivered, and
# the journal is empty again, an old snapshot notwithstanding.
use strict;
use warnings;

use POSIX qw(uname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Load;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { ROWS => 100_000, CLIENTS => 8, TRANSACTIONS => 5000 };

# No autovacuum: nobody helps.
my $node = new_node('main', autovacuum => 'off', max_wal_size => '4GB', 'cache_invalidate.ring_size' => '64MB');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
my $load = CacheInvalidate::Load->new($node, $redis, ROWS);
my $worker = wait_for_worker($node, 'postgres');
ok($worker, 'the worker is there');
SKIP: {
    my ($slice) = -r "/proc/$worker/sched" && slurp_file("/proc/$worker/sched") =~ /^se\.slice\s*:\s*(\d+)/m;
    my ($major, $minor) = (uname())[2] =~ /^(\d+)\.(\d+)/;
    skip 'the kernel has no time slices of a process or does not show them, or filters system calls', 1
      if !$slice || $major * 100 + $minor < 612 || slurp_file("/proc/$worker/status") !~ /^Seccomp:\s*0$/m;
    is($slice, 300_000, 'the worker takes its time in short slices');
}

my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->query_safe('SELECT count(*) FROM item WHERE version = 0'), ROWS, 'a session holds an old snapshot');
my $scans = stat_of($node, 'postgres', 'journal_scans');

$load->start(TRANSACTIONS);
ok($load->finish, 'the load ran to its end') or diag($load->said);
like($load->said, qr/number of transactions actually processed: ${\ (CLIENTS * TRANSACTIONS)}\b/, 'with all its transactions');
my $gone = $load->judge('load');
cmp_ok($gone, '>', ROWS / 10, 'many keys were deleted');
cmp_ok($gone, '<', ROWS * 9 / 10, 'many were kept');

is(stat_of($node, 'postgres', 'journal_scans'), $scans, 'everything went through the ring: the journal was not read');
is($reader->query_safe('SELECT count(*) FROM item WHERE version = 0'), ROWS, 'the old snapshot is still held');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again by itself')
  or diag(journal_pages($node, 'postgres') . ' pages');
cmp_ok(stat_of($node, 'postgres', 'journal_truncations'), '>', 0, 'its segments were truncated');
$reader->query_safe('COMMIT');
$reader->quit;

# A transaction that changes more than it keeps in memory, and takes a part of it back.
$node->safe_psql('postgres', 'SET cache_invalidate.enabled = off; UPDATE item SET version = 0');
$redis->fill(map { "item:$_" } 1 .. ROWS);
$node->safe_psql('postgres', "SET cache_invalidate.max_change_set_memory = '64kB'; BEGIN;
    UPDATE item SET version = 1 WHERE id <= 20000; SAVEPOINT s; UPDATE item SET version = 1 WHERE id BETWEEN 20001 AND 40000;
    ROLLBACK TO s; UPDATE item SET version = 1 WHERE id BETWEEN 40001 AND 50000; COMMIT");
is($load->judge('a large transaction'), 30_001, 'a large transaction: of its savepoints only those that were kept');
ok(wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }), 'the journal is empty again');

$node->stop;
done_testing();
