# Eight servers. One that hangs costs the others, the messages and the commits nothing: figures for both, in alternating phases.
#
# HUNG_SECONDS=20 measures each phase for so long, for figures to be quoted; the test itself judges what arrives.
use strict;
use warnings;

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

use constant { TARGETS => 8, RATE => 200, PHASES => 4, ROWS => 100_000 };

my $seconds = $ENV{HUNG_SECONDS} || 3;
my $node = new_node('main');
$node->start;
my @redis = map { CacheInvalidate::Redis->new("cache$_") } 1 .. TARGETS;
my $hung = $redis[-1];
create_items($node, 'postgres', undef, rows => ROWS);
my $dir = PostgreSQL::Test::Utils::tempdir();
append_to_file("$dir/change.sql", "\\set id random(1, ${\ ROWS})\nUPDATE item SET version = version + 1 WHERE id = :id;\n");

sub sql { return $node->safe_psql('postgres', @_) }

# A phase begins with counters at zero, since the ring is made anew.
sub begin_phase {
    my ($is_hung) = @_;
    $node->restart;
    wait_for_worker($node, 'postgres');
    wait_until('all are up', sub { sql("SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") == TARGETS });
    return unless $is_hung;
    $hung->pause;
    # Found out once: from then on nobody waits for it.
    my $listener = CacheInvalidate::Listener->new($node, 'postgres');
    sql('UPDATE item SET version = version + 1 WHERE id = 1');
    $listener->take_until('the first message', sub { $_[0]{record_id} eq '1' });
    $listener->quit;
}

sub pgbench {
    my @options = @_;
    my $log;
    IPC::Run::run([ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-M', 'prepared', '-f', "$dir/change.sql", @options, 'postgres' ],
        '<', \undef, '>', \$log, '2>&1');
    my ($done) = $log =~ /number of transactions actually processed: (\d+)/;
    my ($failed) = $log =~ /number of failed transactions: (\d+)/;
    my ($tps) = $log =~ /tps = ([\d.]+)/;
    is($failed // 0, 0, 'no transaction fails') or diag($log);
    return ($done, $tps);
}

sub percentiles {
    my ($of, $from) = @_;
    return sql("SELECT max(${of}_p50_ms), max(${of}_p99_ms), max(${of}_max_ms) FROM $from");
}

sql(join ';', map { "CREATE SERVER cache$_ FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis[$_ - 1]->url }')" } 1 .. TARGETS);
for my $phase (1 .. PHASES) {
    my $is_hung = $phase % 2 == 0;
    begin_phase($is_hung);
    $_->fill(map { "item:$_" } 1 .. 1000) for @redis[ 0 .. TARGETS - 2 ];
    my ($steady) = pgbench('-c', 2, '-R', RATE, '-T', $seconds);
    my $others = percentiles('latency', "cache_invalidation_targets WHERE server <> 'cache${\ TARGETS}'");
    my $notify = percentiles('notify', 'cache_invalidation_stats');
    my (undef, $tps) = pgbench('-c', 4, '-T', $seconds);
    note(sprintf 'phase %d, %s: %d commits/s; at %d a second commit to delete of the others p50|p99|max ms %s, to NOTIFY %s',
        $phase, $is_hung ? 'one of eight hangs' : 'all eight are up', $tps, RATE, $others, $notify);
    sql('UPDATE item SET version = version + 1 WHERE id <= 1000');
    ok($_->wait_gone(map { "item:$_" } 1 .. 1000), "phase $phase: $_->{name} gets everything") for @redis[ 0 .. TARGETS - 2 ];
    next unless $is_hung;
    cmp_ok(sql("SELECT keys_pending FROM cache_invalidation_targets WHERE server = 'cache${\ TARGETS}'"), '>', 0, 'one is owed keys');
    $hung->resume;
    sql('SELECT pg_reload_conf()');    # which ends its back-off
    ok(wait_until('caught up', sub { sql('SELECT sum(keys_pending) FROM cache_invalidation_targets') == 0 }, 180), 'and gets them when it answers');
}
done_testing();
