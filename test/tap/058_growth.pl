# Millions of transactions of two sessions, and one worker: each single one of them is delivered and counted, so that one entry of the ring
# lost in a million would be seen, by whatever it is counted; and nothing grows. GROWTH_TRANSACTIONS=n for more.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# A round's entries fill a third of the ring, whenever the worker comes to them.
use constant { ROUND => 200_000, SESSIONS => 2, EACH => 100_000, KINDS => 20, LONG => 900 };

my $rounds = int((($ENV{GROWTH_TRANSACTIONS} // 2_800_000) + ROUND - 1) / ROUND);
$rounds = 2 if $rounds < 2;

my $node = new_node('main', 'cache_invalidate.ring_size' => '64MB', synchronous_commit => 'off', max_wal_size => '4GB', autovacuum => 'off');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
sub sql { return $node->safe_psql('postgres', @_) }

# The row of a session goes from place to place, one a transaction: each place has a key of its own, which no later change deletes again.
# Every twentieth transaction is rolled back as a whole, another one in part.
sql("CREATE EXTENSION cache_invalidate; CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '${\ $redis->url }');
     CREATE UNLOGGED TABLE mark (version int); INSERT INTO mark VALUES (1)");
sql("CREATE UNLOGGED TABLE walker_$_ (id int, place int); INSERT INTO walker_$_ VALUES ($_, 0);
     CREATE PROCEDURE walk_$_(first int, last int) LANGUAGE plpgsql AS \$\$
     BEGIN
       FOR i IN first .. last LOOP
         CASE i % ${\ KINDS }
         WHEN 0 THEN
           UPDATE walker_$_ SET place = i;
           ROLLBACK;
         WHEN 1 THEN
           BEGIN
             UPDATE walker_$_ SET place = -i;
             RAISE 'taken back';
           EXCEPTION WHEN raise_exception THEN
             UPDATE walker_$_ SET place = i;
           END;
           COMMIT;
         WHEN 2 THEN
           DELETE FROM walker_$_;
           INSERT INTO walker_$_ VALUES ($_, i);
           COMMIT;
         ELSE
           UPDATE walker_$_ SET place = i;
           COMMIT;
         END CASE;
       END LOOP;
     END \$\$") for 1 .. SESSIONS;
sql("CREATE TRIGGER cache AFTER INSERT OR UPDATE OR DELETE ON walker_$_ FOR EACH ROW
     EXECUTE FUNCTION notify_cache_invalidation('resource=walker', 'id={id}', 'key=place:{place}')") for 1 .. SESSIONS;
sql(q(CREATE TRIGGER cache AFTER UPDATE ON mark FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('id=mark', 'key=mark')));
my $worker = wait_for_worker($node, 'postgres');
ok(wait_until('up', sub { target($node, 'postgres', 'state') eq 'up' }), 'the server is up');

# One with the journal, one without.
my @sessions = map { $node->background_psql('postgres') } 1 .. SESSIONS;
$_->set_query_timer_restart for @sessions;    # the time is that of a query, not of them all
$sessions[1]->query_safe('SET cache_invalidate.durability = off');
my @pids = map { $_->query_safe('SELECT pg_backend_pid()') } @sessions;
my %processes = (worker => $worker, map { ("session $_" => $pids[ $_ - 1 ]) } 1 .. SESSIONS);

# --- What is measured of a process while it has nothing to do

sub private_kilobytes {
    my ($pid) = @_;
    return slurp_file("/proc/$pid/smaps_rollup") =~ /^Anonymous: +(\d+) kB/m ? $1 : die "no figure for $pid";
}

sub sizes {
    my %sizes;
    while (my ($who, $pid) = each %processes) {
        $sizes{"memory of $who"} = private_kilobytes($pid);
        $sizes{"files of $who"} = () = glob "/proc/$pid/fd/*";
        $sizes{"shared memory of $who"} = () = slurp_file("/proc/$pid/maps") =~ m{ /dev/shm/}g;
    }
    $sizes{"contexts of session $_"} = $sessions[ $_ - 1 ]->query_safe('SELECT sum(total_bytes)::bigint / 1024 FROM pg_backend_memory_contexts') for 1 .. SESSIONS;
    return \%sizes;
}

# --- A round: all keys are there, the sessions do their transactions, and exactly the keys of the committed changes are gone

my $fill = q(for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('SET', 'place:' .. i, '') if i % 20 == 1 then redis.call('SET', 'place:-' .. i, '') end
end);

sub counted {
    my %counted;
    @counted{qw(transactions keys messages scans overflows resets starts)} = split /\|/,
      sql('SELECT s.batches, s.keys, s.messages, s.journal_scans, c.ring_overflows, s.resets, s.worker_starts
           FROM cache_invalidation_stats s, cache_invalidate_condition() c');
    return \%counted;
}

sub round {
    my ($number, $while) = @_;
    my ($first, $last) = ($number * ROUND + 1, ($number + 1) * ROUND);
    $redis->command('FLUSHDB');
    # Or each transaction would look at more and more that is dead.
    sql("VACUUM walker_$_") for 1 .. SESSIONS;
    for (my $from = $first; $from <= $last; $from += 10_000) {
        $redis->command('EVAL', $fill, 0, $from, $from + 9_999);
    }
    $redis->fill('mark');
    my $before = counted();
    for my $session (1 .. SESSIONS) {
        my $from = $first + ($session - 1) * EACH;
        $sessions[ $session - 1 ]->query_until(qr/begun/, "\\echo begun\nCALL walk_$session($from, ${\ ($from + EACH - 1) });\n");
    }
    $_->query_safe('SELECT 1') for @sessions;
    $while->() if $while;
    sql('UPDATE mark SET version = version + 1');
    wait_until('what came last is delivered', sub { !$redis->has('mark') }, LONG);
    my $after = counted();

    my $each = ROUND / KINDS;
    my @kept = map { $_ % KINDS == 0 ? "place:$_" : $_ % KINDS == 1 ? "place:-$_" : () } $first .. $last;
    my $there = 0;
    $there += $redis->command('EXISTS', splice @kept, 0, 5000) while @kept;
    is_deeply(
        { cached => $redis->command('DBSIZE'), rightly => $there, map { ($_ => $after->{$_} - $before->{$_}) } keys %$before },
        {
            cached => 2 * $each, rightly => 2 * $each,
            transactions => ROUND - $each + 1, messages => ROUND - $each + 1, keys => 2 * (ROUND - $each) + 1,
            scans => 0, overflows => 0, resets => 0, starts => 0
        },
        "round $number: each change is delivered, and nothing else");
}

sub journal_is_empty { return wait_until('the journal is empty', sub { journal_pages($node, 'postgres') <= 2 }) }

# The first one with a worker that comes to it late, so that it has once held as much as it ever will.
stop_worker($node, 'postgres');
round(0, sub {
    note(stat_of($node, 'postgres', 'ring_used_bytes * 100 / ring_bytes') . ' % of the ring are used');
    kill 'CONT', $worker;
});
round(1) if $rounds > 2;
ok(journal_is_empty(), 'the journal is empty');
my $before = sizes();
round($_) for ($rounds > 2 ? 2 : 1) .. $rounds - 1;
ok(journal_is_empty(), 'the journal is empty at the end');
my $after = sizes();

my %room = (memory => 1024, contexts => 64, files => 4, shared => 0);
for my $what (sort keys %$before) {
    my ($kind) = $what =~ /^(\w+)/;
    cmp_ok($after->{$what} - $before->{$what}, '<=', $room{$kind}, "no growth: $what");
    note("$what: $before->{$what}, then $after->{$what}");
}
cmp_ok(stat_of($node, 'postgres', 'journal_truncations'), '>', 2, 'the journal was truncated again and again');
is(wait_for_worker($node, 'postgres'), $worker, 'it was one worker');
$_->quit for @sessions;
done_testing();
