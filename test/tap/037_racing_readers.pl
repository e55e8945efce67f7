# Readers that race with writers, in three rounds: plain cache-aside leaves old values in the cache for good; under leases, or with a
# second delete that comes later than any reader, none is left.
#
# Writers take the next item, change it one to three times in a burst, and never again: no later change heals what went wrong. Readers
# aim at the items around and pause between reading and storing, at random; some of them until they have seen that the key was deleted
# for the item's last change. The readers of all rounds draw the same pauses.
#
# RACE_SECONDS=60 goes on for so long in each round; TEST_TIMEOUT must be longer. RACE_SEED=N repeats the choices of a run.
use strict;
use warnings;

use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use CacheInvalidate::Node;
use CacheInvalidate::Psql;
use CacheInvalidate::Redis;
use CacheInvalidate::Resp;
use CacheInvalidate::Wait;

use constant { WRITERS => 2, READERS => 4, BEHIND => 6, AHEAD => 4, SECOND_DELETE => 1, LATE_READERS => 30 };

my $seconds = $ENV{RACE_SECONDS} || 5;
my $seed    = $ENV{RACE_SEED} // int rand 1_000_000;
note("RACE_SEED=$seed");

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
# A mark is deleted with the item's key, after it, by a change to or from its version.
create_items($node, 'postgres', $redis, rows => 10_000 + 3000 * $seconds, arguments => q('key=item:{id}', 'key=mark:{id}:{version}'));
wait_for_worker($node, 'postgres');

sub sql { return $node->safe_psql('postgres', @_) }
sub connection { return CacheInvalidate::Resp->connect(path => $redis->{path}) }
sub last_version_of { return 1 + $_[0] % 3 }

# --- What the processes do. They have Redis in common: `position`, the item that was taken last, `over`, and `tally`.

# In a process of its own; returns its pid.
sub start_process {
    my ($number, $work) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    srand $seed + $number;
    # Nothing of the test may end with it: hence _exit.
    my $ok = eval { $work->(connection(), CacheInvalidate::Psql->new($node, 'postgres')); 1 };
    print STDERR "# process $number: $@" unless $ok;
    POSIX::_exit($ok ? 0 : 1);
}

sub write_items {
    my ($cache, $database) = @_;
    until ($cache->command('EXISTS', 'over')) {
        my $id = $cache->command('INCR', 'position');
        for (1 .. last_version_of($id)) {
            sleep rand 0.002;
            $database->value("UPDATE item SET version = version + 1 WHERE id = $id RETURNING version");
        }
        sleep rand 0.004;
    }
}

# What a reader does next, the same in all rounds.
sub draw {
    my $kind = rand;
    return {
        offset => int(rand(BEHIND + AHEAD + 1)) - BEHIND,
        until_deleted => $kind < 0.2,
        pause    => $kind < 0.6 ? 0 : $kind < 0.98 ? rand 0.002 : rand 0.06,
        inside   => rand() < 0.5,                                             # between the look at the lease and EXEC
        lease_ms => rand() < 0.9 ? 3000 : 10,                                 # some run out
        rest     => rand 0.001
    };
}

sub read_items {
    my ($number, $fill, $first, $cache, $database) = @_;
    until ($cache->command('EXISTS', 'over')) {
        my $choice = draw();
        sleep $choice->{rest};
        my $id = $cache->command('GET', 'position') + $choice->{offset};
        next if $id <= $first;    # nobody changes those
        my $said = defined $cache->command('GET', "item:$id") ? 'hit' : $fill->($cache, $database, $number, $id, $choice);
        $cache->command('HINCRBY', 'tally', $said, 1);
    }
}

# Reads the item; returns its version and what pauses then. That returns true if the key was surely deleted meanwhile.
sub read_item {
    my ($cache, $database, $number, $id, $choice) = @_;
    my $last = last_version_of($id);
    my $mark = "mark:$id:$last";
    # A set: others who mark it later do not bring back this reader's member.
    $cache->command('SADD', $mark, $number) if $choice->{until_deleted};
    my $version = $database->value("SELECT version FROM item WHERE id = $id");
    return ($version, sub { sleep $choice->{pause}; return 0 }) unless $choice->{until_deleted} && $version < $last;
    return (
        $version,
        sub {
            my ($there, $over);
            wait_until("$mark is deleted", sub {
                ($there, $over) = $cache->pipeline([ 'SISMEMBER', $mark, $number ], [ 'EXISTS', 'over' ]);
                return !$there || $over;
            });
            return !$there;
        });
}

sub fill_plainly {
    my ($cache, $database, $number, $id, $choice) = @_;
    my $began = time;
    my ($version, $pause) = read_item(@_);
    my $is_late = $pause->();
    $cache->command('SET', "item:$id", $version, 'EX', 3600);
    $cache->command('SADD', 'late', "item:$id") if $is_late;
    return $is_late ? 'late and stored' : 'stored' if time - $began < SECOND_DELETE;
    $cache->command('SADD', 'too late', "item:$id");
    return 'too late for a second delete';
}

# As docs/leases.md has it, by WATCH or by the script.
sub fill_under_lease {
    my ($cache, $database, $number, $id, $choice) = @_;
    my ($key, $lease, $token) = ("item:$id", "lease:item:$id", "$number " . rand);
    return 'without lease' unless defined $cache->command('SET', $lease, $token, 'NX', 'PX', $choice->{lease_ms});
    my ($version, $pause) = read_item(@_);
    my ($is_late, $is_stored);
    if ($number % 2) {
        $is_late = $pause->() unless $choice->{inside};
        $cache->command('WATCH', $lease);
        my $found = $cache->command('GET', $lease) // '';
        $is_late = $pause->() if $choice->{inside};
        if ($found eq $token) {
            my @replies = $cache->pipeline(['MULTI'], [ 'SET', $key, $version, 'EX', 3600 ], [ 'UNLINK', $lease ], ['EXEC']);
            $is_stored = defined $replies[-1];
        } else {
            $cache->command('UNWATCH');
        }
    } else {
        $is_late   = $pause->();
        $is_stored = $cache->command('EVAL', <<'EOT', 2, $lease, $key, $token, $version, 3600);
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2], 'EX', ARGV[3])
redis.call('UNLINK', KEYS[1])
return 1
EOT
    }
    return ($is_late ? 'late and ' : '') . ($is_stored ? 'stored' : 'refused');
}

# --- A round, and its judge

# A change after all others: when its key is gone, and with a second delete gone again, so are those of all before.
sub settle {
    my ($sentinel, $times) = @_;
    my $settled = 0;
    # Twice: the last command for the first may name others behind it. More often: the test was too slow to meet a second delete.
    for (1 .. 10) {
        return 1 if ($settled += sees_deletes($sentinel, $times)) == 2;
    }
    return 0;
}

sub sees_deletes {
    my ($sentinel, $times) = @_;
    $redis->fill("item:$sentinel");
    sql("UPDATE item SET version = version + 1 WHERE id = $sentinel");
    for my $time (1 .. $times) {
        $redis->fill("item:$sentinel") if $time > 1;
        wait_until("delete $time", sub { !$redis->has("item:$sentinel") }, 10) or return 0;
    }
    return 1;
}

# {KEY => value} of the items in the cache.
sub cached_items {
    my @keys = grep { /^item:/ } $redis->keys;
    my %values;
    while (my @some = splice @keys, 0, 500) {
        @values{@some} = @{ $redis->command('MGET', @some) };
    }
    return \%values;
}

my $position = 1;

# Lets them race; returns {tally, stale => [keys], cached => number}, or nothing.
sub race {
    my ($what, $fill, $deletes) = @_;
    my $first = $position + BEHIND + AHEAD;
    $redis->command('FLUSHDB');
    $redis->command('SET', 'position', $first);
    my $end  = time + $seconds;
    my @pids = map { start_process($_, \&write_items) } 1 .. WRITERS;
    for my $number (WRITERS + 1 .. WRITERS + READERS) {
        push @pids, start_process($number, sub { read_items($number, $fill, $first, @_) });
    }
    # However slow the machine is, some readers shall be late.
    my $has_raced = wait_until(
        "$what: readers are late",
        sub {
            my %tally = @{ $redis->command('HGETALL', 'tally') };
            my $late = ($tally{'late and stored'} // 0) + ($tally{'late and refused'} // 0);
            return time >= $end && $late >= LATE_READERS;
        },
        $seconds + 60);
    $redis->command('SET', 'over', 1);
    my $failed = grep { waitpid $_, 0; $? } @pids;
    ok($has_raced && !$failed, "$what: all went well") or return;
    $position = $redis->command('GET', 'position');
    ok(settle(1, $deletes), "$what: everything is delivered");
    return judge($what, $first);
}

sub judge {
    my ($what, $first) = @_;
    my $cached = cached_items();
    my %versions = map { split /\|/ } split /\n/, sql("SELECT 'item:' || id, version FROM item WHERE id BETWEEN $first AND $position + " . AHEAD);
    my @stale = grep { $cached->{$_} != $versions{$_} } sort keys %$cached;
    my %tally = @{ $redis->command('HGETALL', 'tally') };
    my $by_chance = grep { !$redis->command('SISMEMBER', 'late', $_) } @stale;
    note("$what: ", $position - $first, ' items changed, ', scalar keys %$cached, ' cached, ', scalar @stale, " stale, $by_chance of them by chance; ",
        join ', ', map { "$tally{$_} $_" } sort keys %tally);
    return { tally => \%tally, stale => \@stale, cached => scalar keys %$cached };
}

sub is_clean {
    my ($what, $stale) = @_;
    is(scalar @$stale, 0, "$what: no old value is in the cache") or diag("stale: @{$stale}[0 .. ($#$stale < 9 ? $#$stale : 9)]");
}

# --- The rounds

# Of those who are late each stores an old value, unless somebody else who read later stores still later: once more, then.
my $plain;
for (1 .. 5) {
    $plain = race('plain cache-aside', \&fill_plainly, 1) or last;
    last if @{ $plain->{stale} };
}
cmp_ok(scalar @{ $plain->{stale} // [] }, '>', 0, 'plain cache-aside: old values are in the cache, and stay there');

sql("ALTER SERVER cache OPTIONS (ADD lease_prefix 'lease:')");
my $leased = race('leases', \&fill_under_lease, 1);
is_clean('leases', $leased->{stale});
is($leased->{tally}{'late and stored'} // 0, 0, 'leases: nobody who was late could store');
cmp_ok($leased->{cached}, '>', 0, 'leases: what others stored is there');

sql('ALTER SERVER cache OPTIONS (DROP lease_prefix, ADD second_delete_after ' . "'${\ SECOND_DELETE}s')");
my $twice = race('a second delete', \&fill_plainly, 2);
cmp_ok($twice->{tally}{'late and stored'}, '>', 0, 'a second delete: readers that were late stored old values');
# The option promises nothing to readers that are later than it is.
my %excused = map { $_ => 1 } @{ $redis->command('SMEMBERS', 'too late') };
is_clean('a second delete', [ grep { !$excused{$_} } @{ $twice->{stale} } ]);

$node->stop;
done_testing();
