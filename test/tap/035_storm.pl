# A storm: four Redis servers, the judged load, and at random kill -9, SIGSTOP, restarts, FLUSHALL and cut wires on every part.
# Afterwards every key of a committed change is gone from every server, and each key that is left is one that nothing touched.
#
# STORM_SECONDS=600 goes on for so long; TEST_TIMEOUT must be longer. STORM_SEED=N repeats the choices of a run.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use CacheInvalidate::Load;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

use constant { ROWS => 100_000, ENDLESS => 10_000_000 };

my $seconds = $ENV{STORM_SECONDS} || 25;
my $seed    = $ENV{STORM_SEED} // int rand 1_000_000;
note("STORM_SEED=$seed");
srand $seed;

my $node = new_node('main', max_wal_size => '4GB', checkpoint_timeout => '30s', 'cache_invalidate.replay_window' => '60s');
$node->start;
# Two write each delete down before they answer; two come back with a snapshot that is some seconds old.
my @safe = ('appendonly yes', 'appendfsync always', 'auto-aof-rewrite-percentage 0');
my @redis = map { CacheInvalidate::Redis->new("cache$_", config => $_ < 2 ? \@safe : ['save 2 1']) } 0 .. 3;
my @wires = map { CacheInvalidate::Wire->new($_) } @redis;
my $load  = CacheInvalidate::Load->new($node, undef, ROWS);
$load->{redis} = $redis[0];
$node->safe_psql('postgres', join ';', map { "CREATE SERVER cache$_ FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $wires[$_]->url }', command_timeout '2s')" } 0 .. 3);
for my $redis (@redis) {
    $redis->fill(map { "item:$_" } 1 .. ROWS);
    # It may just be saving by itself.
    wait_until('saved', sub { eval { $redis->command('SAVE') } }) if $redis->{config}[0] eq 'save 2 1';
}
wait_for_worker($node, 'postgres');
my %flushed;

sub some { return $_[ int rand @_ ] }
sub pid_like {
    my ($condition) = @_;
    my $pid;
    # The server may just be starting.
    try_psql($node, 'postgres', "SELECT pid FROM pg_stat_activity WHERE $condition ORDER BY random() LIMIT 1", stdout => \$pid, timeout => 10, timed_out => \my $late);
    return ($pid // '') =~ /^\d+$/ ? $pid : undef;
}

sub signal_for_a_while {
    my ($pid, $while) = @_;
    return unless $pid && kill 'STOP', $pid;
    sleep $while;
    kill 'CONT', $pid;
}

# name => [weight, what it does]
my %faults = (
    'kill -9 of the worker'   => [ 2, sub { my $pid = pid_like("backend_type = 'cache_invalidate worker'"); kill 'KILL', $pid if $pid; wait_for_server($node) } ],
    'end of the worker'       => [ 3, sub { my $pid = pid_like("backend_type = 'cache_invalidate worker'"); kill 'TERM', $pid if $pid } ],
    'a worker that stands still' => [ 3, sub { signal_for_a_while(pid_like("backend_type = 'cache_invalidate worker'"), rand 2) } ],
    'kill -9 of a backend'    => [ 1, sub { my $pid = pid_like("application_name = 'load'"); kill 'KILL', $pid if $pid; wait_for_server($node) } ],
    'an immediate restart'    => [ 1, sub { $node->stop('immediate'); $node->start } ],
    'a fast restart'          => [ 1, sub { $node->stop('fast'); $node->start } ],
    'kill -9 of the postmaster' => [ 1, sub { kill_postmaster($node); $node->start } ],
    'kill -9 of a Redis'      => [ 5, sub { my $redis = some(@redis); $redis->kill9; sleep rand 3; $redis->start } ],
    'restart of a Redis'      => [ 2, sub { my $redis = some(@redis); $redis->stop; $redis->start } ],
    'a Redis that hangs'      => [ 4, sub { my $redis = some(@redis); $redis->pause; sleep rand 4; $redis->resume } ],
    'FLUSHALL'                => [ 1, sub { my $redis = some(@redis); $redis->command('FLUSHALL'); $flushed{ $redis->{name} } = 1 } ],
    'a wire that is cut'      => [ 4, sub { my $wire = some(@wires); $wire->cut; sleep rand 3; $wire->mend } ],
    'a wire that stalls'      => [ 4, sub { my $wire = some(@wires); $wire->stall; sleep rand 4; $wire->unstall } ],
);
my @urn = map { ($_) x $faults{$_}[0] } sort keys %faults;

# --- The storm

my ($count, %seen) = 0;
my $end = time + $seconds;
while (time < $end) {
    if ($load->runs && $load->has_ended) {
        $load->finish;
        note('the load ended: ' . substr $load->said, -300);
    }
    $load->start(ENDLESS) unless $load->runs;
    my $name = some(@urn);
    note(sprintf '%5.1f s left: %s', $end - time, $name);
    $faults{$name}[1]->();
    ++$seen{$name};
    ++$count;
    wait_for_server($node);
    sleep rand 1;
}
cmp_ok($count, '>', 0, 'there was a storm');
note("$seen{$_} x $_") for sort keys %seen;

# --- Quiescence

$node->safe_psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'load'");
$load->finish if $load->runs;
ok($load->has_only_lost_connections, 'no transaction failed by itself');
my %kept = map { ("item:$_" => 1) } split /\n/, $node->safe_psql('postgres', 'SELECT id FROM item WHERE version = 0');
cmp_ok(ROWS - keys %kept, '>', 100, 'changes were committed') and note(ROWS - keys(%kept) . ' of ' . ROWS . ' rows were changed');
for my $redis (@redis) {
    my @stale;
    wait_until("$redis->{name} is clean", sub { @stale = grep { !$kept{$_} } $redis->keys; !@stale }, 120);
    is(scalar @stale, 0, "$redis->{name}: no key of a committed change is left") or diag("left: @stale[0 .. ($#stale < 9 ? $#stale : 9)]");
    next if $flushed{ $redis->{name} };
    my %there = map { ($_ => 1) } $redis->keys;
    is(scalar(grep { !$there{$_} } keys %kept), 0, "$redis->{name}: no other key is gone");
}
ok(wait_until('all are up', sub { $node->safe_psql('postgres', "SELECT count(*) FROM cache_invalidation_targets WHERE state = 'up'") == 4 }), 'all servers are up in the end');
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|was terminated by signal (?!9\b)/, 'no process died by itself');
unlike($log, qr/damaged row/, 'nothing in the journal was damaged');
unlike($log, qr/cache_invalidate: reset/, 'nothing had to be reset');
$node->stop;
done_testing();
