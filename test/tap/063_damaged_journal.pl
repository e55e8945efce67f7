# A row of the journal that cannot be read may have been anything: everything is reset, once, and the rest is delivered.
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
create_items($node, 'postgres', $redis, rows => 100);
my $worker   = wait_for_worker($node, 'postgres');
my $listener = CacheInvalidate::Listener->new($node, 'postgres');
my $segments = 'cache_invalidation_journal_';

sub sql { return $node->safe_psql('postgres', @_) }
sub resets { return stat_of($node, 'postgres', 'resets') }

sub restart_worker {
    sql("SELECT pg_terminate_backend($worker)");
    return $worker = wait_for_worker($node, 'postgres', $worker);
}

# Two rows of the journal, of which $change damages the first: everything is deleted, and told of once.
sub is_reset {
    my ($what, $change) = @_;
    $redis->fill(map { "item:$_" } 1 .. 100);
    my $before = resets();
    sql('SELECT pause_cache_invalidation()');
    sql('UPDATE item SET version = version + 1 WHERE id = 1');
    sql('UPDATE item SET version = version + 1 WHERE id = 2');
    $change->();
    restart_worker();
    sql('SELECT resume_cache_invalidation()');
    ok($redis->wait_gone(map { "item:$_" } 1 .. 100), "$what: what was in it is gone, as is everything");
    ok(scalar $listener->take_until('reset', sub { ($_[0]{type} // '') eq 'reset' }), 'who listens is told of a reset');
    is(resets(), $before + 1, 'there is one');
    $redis->fill('item:3');
    sql('UPDATE item SET version = version + 1 WHERE id = 3');
    ok($redis->wait_gone('item:3'), 'changes are delivered as before');
    return;
}

# Puts $new in the place of the batches that name item 1.
sub damage {
    my ($new) = @_;
    my $count = sql(join '', map {
        "WITH damaged AS (UPDATE $segments$_ SET batch = $new WHERE get_byte(batch, 0) = 1 AND position('item:1'::bytea IN batch) > 0
             RETURNING 1) SELECT count(*) FROM damaged;"
    } 0, 1);
    my $all = 0;
    $all += $_ for split /\n/, $count;
    cmp_ok($all, '>', 0, 'a row is damaged');
    return;
}

is_reset('a row that ends early', sub { damage('substring(batch FOR length(batch) - 1)') });
is_reset('a row of nothing but its first byte', sub { damage('substring(batch FOR 1)') });
is_reset('a row that does not say what it is', sub { damage(q(set_byte(batch, 0, 200))) });
is_reset('an empty row', sub { damage(q(''::bytea)) });

# As long as it is there every start meets it.
my $before = resets();
restart_worker();
$redis->fill('item:4');
sql('UPDATE item SET version = version + 1 WHERE id = 4');
ok($redis->wait_gone('item:4'), 'another worker delivers too');
like(slurp_file($node->logfile), qr/a row of the journal is damaged/, 'the log says why');
done_testing();
