# The consistency checker: readers and writers on real servers, faults on every part of them, and a judge who looks at each read and at
# what is cached in the end. What it is about stands in test/consistency.
#
# CONSISTENCY_SECONDS=600 goes on for so long; TEST_TIMEOUT must be longer: "make soak" sees to that. CONSISTENCY_SEED=N repeats the choices
# of a run. CACHE_INVALIDATE_VARIANT=NAME takes the module that scripts/variant has built under this name.
use strict;
use warnings;

use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use CacheInvalidate::Faults qw(faults);
use CacheInvalidate::Nemesis;
use CacheInvalidate::Node;
use CacheInvalidate::Stage qw(SECOND_DELETE);
use CacheInvalidate::Wait;

use constant {
    LONG    => 300,    # seconds of a run that has time for every fault
    PEACE   => 0.2,    # the part of a run before the first of them
    MINUTE  => 60,
    PROVES_NOTHING => 2,    # the judge's status
    ROUNDS         => 5,    # until it says something else
    WRITERS => 2,
    READERS => 1,      # of each protocol
    RECOVERY => 30,    # seconds
};

# Seconds after which a delete is late. How fast deletes are the judge measures; this is for machines that have much else to do, and what is
# lost shows in the end. On one that does nothing else CONSISTENCY_WINDOW=5 will do.
my $window = $ENV{CONSISTENCY_WINDOW} || 120;

my $seconds = $ENV{CONSISTENCY_SECONDS} || 60;
my $seed    = $ENV{CONSISTENCY_SEED} // int rand 1_000_000;
note("CONSISTENCY_SEED=$seed");

# A dump that is loaded twice: what it brings back may be deleted by chance, when a worker that was killed repeats its last second.
my @always = qw(worker-kill postmaster-kill redis-old-dump redis-old-dump wire-cut promotion);
my $sentinels = 0;
# What the clients do at least when the faults are over.
my %more = (commits => 300, reads => 300, fills => 3000);
my $peace = $seconds * PEACE > MINUTE ? MINUTE : $seconds * PEACE;
my @must = $seconds < LONG ? @always : sort keys %{ faults() };

my $dir   = PostgreSQL::Test::Utils::tempdir();
my $stage = CacheInvalidate::Stage->new($dir);
my ($status, $said) = $stage->run_program('clients', '--prepare');
is($status, 0, 'the tables are made') or BAIL_OUT("clients --prepare: $said");
$stage->insist(q(CREATE TABLE sentinel (id int PRIMARY KEY);
    CREATE TRIGGER sentinel AFTER INSERT ON sentinel FOR EACH ROW EXECUTE FUNCTION notify_cache_invalidation('key=sentinel:{id}')));
$stage->add_standby;
ok(wait_until('drained', sub { $stage->is_drained }), 'the worker is there');

# --- The storm

my @clients = ('--seed', $seed, '--writers', WRITERS, '--readers', READERS);
$stage->start_clients(@clients);
my $nemesis = CacheInvalidate::Nemesis->new($stage, $seed, "$dir/faults", $seconds >= LONG, @must);
# The judge measures without faults first.
sleep $peace;
ok($stage->clients_run, 'the clients are there') or BAIL_OUT(slurp_file("$dir/clients.out"));
$nemesis->rage($seconds - $peace);
is(join(' ', grep { !$nemesis->{seen}{$_} } @must), '', 'all faults were that must be');

# --- Peace, quiescence, verdict

# What a Redis has lost, or is sent late, shows no races: the plain readers must lose new ones, or their clients were too tame to prove anything.
my ($line, $rounds);
do {
    $stage->start_clients(@clients) unless $stage->clients_run;
    work_on();
    come_to_rest();
    ($status, $said) = $stage->run_program(
        'judge', '--faults', "$dir/faults", '--second-delete-ms', SECOND_DELETE, '--window-ms', 1000 * $window, '--recovery-ms', 1000 * RECOVERY,
        '--expect-races', 1);
} while ($status == PROVES_NOTHING && ++$rounds < ROUNDS);
($line) = $said =~ /^(\{.*\})$/m;
my $logs = ${PostgreSQL::Test::Utils::log_path};
append_to_file("$logs/consistency.json",  "$line\n") if defined $line;
append_to_file("$logs/consistency.table", $said);
note($_) for grep { !/^\{/ } split /\n/, $said;
is($status, 0, 'the judge finds every read and every cached value right') or diag(slurp_file("$dir/judge.err")), again();
ok(defined $line && eval { decode_json($line) }, 'and says how many');
$nemesis->tell;

# --- The servers

$stage->insist('ALTER SYSTEM SET cache_invalidate.replay_window = 0');
$stage->primary->reload;
# or the worker would sleep until the old window ends
$stage->insist('INSERT INTO sentinel VALUES (0) ON CONFLICT DO NOTHING');
ok(wait_until('the journal is empty', sub { journal_pages($stage->primary, 'postgres') <= 2 }), 'the journal becomes empty');
is($stage->insist('SELECT count(*) FROM trigger_error_log'), 0, 'no trigger has failed')
  or diag($stage->insist('SELECT error_message FROM trigger_error_log LIMIT 5'));
for my $server (@{ $stage->{servers} }) {
    my @bad = bad_lines($server->logfile);
    is(scalar @bad, 0, $server->name . ': nobody was harmed but by the faults') or diag("@bad[0 .. ($#bad < 9 ? $#bad : 9)]");
}
again() unless Test::More->builder->is_passing;
$stage->primary->stop;
done_testing();

# Nothing goes wrong any more.
sub work_on {
    $stage->ask('SELECT pg_reload_conf()');
    ok(wait_until('both are up', sub { $stage->are_up }, 2 * MINUTE), 'after the last fault both caches are told of changes again');
    my $before = $stage->progress;
    my $works = sub { my $now = $stage->progress; return !grep { $now->{$_} < $before->{$_} + $more{$_} } keys %more };
    ok(wait_until('work after the last fault', $works, 3 * MINUTE), 'all work on when the faults are over');
    return;
}

# Until everything that was committed is delivered, second deletes too.
sub come_to_rest {
    is($stage->stop_clients, 0, 'the clients end in order') or diag(slurp_file("$dir/clients.out"));
    my ($failed, $why) = $stage->run_program('clients', '--settle');
    is($failed, 0, 'what was open is settled') or diag($why);
    ok(wait_until('drained', sub { $stage->is_drained }, 2 * MINUTE), 'nothing is owed to anybody')
      or diag($stage->insist("SELECT string_agg(t::text, E'\n') FROM cache_invalidation_targets t"));
    # What comes now is behind everything else, and its second delete behind all second deletes. Who is late finds nothing to delete a
    # second time, and tries again.
    my @caches = map { $stage->redis($_) } 0 .. 1;
    my ($tries, $is_gone) = (0);
    do {
        my $key = 'sentinel:' . ++$sentinels;
        $_->command('SET', $key, 'cached') for @caches;
        $stage->insist("INSERT INTO sentinel VALUES ($sentinels) ON CONFLICT DO NOTHING");
        ok($_->wait_gone($key), "$_->{name}: a change behind all others is delivered") for @caches;
        $caches[1]->command('SET', $key, 'cached');
        $is_gone = wait_until('a second delete', sub { !$caches[1]->has($key) }, SECOND_DELETE / 100);
    } until ($is_gone || ++$tries == 10);
    ok($is_gone, 'and a second time');
    return;
}

sub again {
    diag("CONSISTENCY_SEED=$seed CONSISTENCY_SECONDS=$seconds scripts/test tap=056_consistency   repeats the choices of this run");
}

# What must not be in a server's log: crashes that nobody ordered, damage, and errors other than those of lost connections and conflicts.
sub bad_lines {
    my ($name) = @_;
    # lost connections, shutdown and crash; conflicts; prepared transactions that another session has ended; what the writers raise themselves
    my $expected = qr/^(?:57P0[1-5]|08...|40001|40P01|42704|55P03|P0001)$/;
    my @bad;
    open my $file, '<', $name or die "$name: $!";
    while (<$file>) {
        push @bad, $_ if /PANIC|TRAP|damaged row|cache_invalidate: reset(?!: messages could not be sent)|was terminated by signal (?!9\b)|exited with exit code (?![012]\b)/;
        push @bad, $_ if /\] (\w{5}) ([^:]*): (?:ERROR|FATAL): / && ($1 !~ $expected || $2 =~ /cache_invalidate/ && $1 !~ /^57P0/);
    }
    return @bad;
}
