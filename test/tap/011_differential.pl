# The extension against a simple trigger in PL/pgSQL: eight sessions change the same tables at random, and for each transaction
# what the extension noted must be what the side table of that trigger says; and so must be what arrives in the end.
#
# DIFFERENTIAL_SECONDS=N goes on for so long, with a seed of its own; TEST_TIMEOUT must be longer. DIFFERENTIAL_SEED=N repeats the
# statements of a run; how they interleave is up to the server.
use strict;
use warnings;

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

use CacheInvalidate::Arrivals qw(expected_arrivals stale_keys message_of missing_messages message_differences wrong_existence);
use CacheInvalidate::Differential qw(create_tables possible_keys recorded_changes journal_differences);
use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Sessions qw(run_sessions);
use CacheInvalidate::Wait;
use CacheInvalidate::Workload;

use constant SESSIONS => 8;

my $seconds = $ENV{DIFFERENTIAL_SECONDS} // 0;
my $seed = $ENV{DIFFERENTIAL_SEED} // ($seconds ? int time : 1);
my $repeat = "DIFFERENTIAL_SEED=$seed repeats it";
note("DIFFERENTIAL_SEED=$seed");

# What a session may be told; anything else is a bug.
my %allowed = map { ($_ => 1) } (
    '21000',    # a row hit twice by one statement
    '22012',    # division by zero
    '23503',    # foreign key
    '23505',    # unique key
    '23514',    # a partition that does not take the row
    '24000',    # a cursor that stands on no row
    '25P02',    # the transaction has failed
    '27000',    # a row that the statement has changed already
    '2D000',    # a procedure that may not end the transaction
    '34000',    # there is no such cursor
    '3B001',    # there is no such savepoint
    '40001', '40P01', '55P03',    # conflicts
    '42704',    # what could not be prepared cannot be committed
    '55000',    # a cursor that has failed
    '55006',    # TRUNCATE of a table that the session is using
    'P0001');   # refused by a trigger

my $node = new_node('main', preload => 0, max_prepared_transactions => SESSIONS, log_min_messages => 'log');
my $dir = PostgreSQL::Test::Utils::tempdir_short();
my $rounds = 0;
my (%tags, %errors);
$node->start;

sub run_round {
    my ($database, $transactions, %options) = @_;
    $rounds++;
    my @scripts = map {
        CacheInvalidate::Workload->new(
            seed => $seed * 1000 + $rounds, session => $_, version => $node->pg_version->major, dir => $dir, %options)->script($transactions)
    } 1 .. SESSIONS;
    push @scripts, CacheInvalidate::Workload::worker_ends($options{restarts}) if $options{restarts};
    my $said = run_sessions($node, $database, $dir, @scripts);
    ok($said, "round $rounds: the sessions end") or die 'sessions hang';
    $tags{$_}   += $said->{tags}{$_}   for keys %{ $said->{tags} };
    $errors{$_} += $said->{errors}{$_} for keys %{ $said->{errors} };
    # The server takes a lock_timeout that strikes just when the lock is given for somebody's cancellation.
    my @strange = grep { !$allowed{$_} && $said->{examples}{$_} !~ /due to user request/ } sort keys %{ $said->{errors} };
    none('no errors but those to be expected', map { "$_: $said->{examples}{$_}" } @strange);
    is($node->safe_psql($database, 'SELECT count(*) FROM pg_prepared_xacts'), 0, "round $rounds: nothing stays prepared");
    return $said->{prepared};
}

# True when the list is empty.
sub none {
    my ($what, @wrong) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is(scalar @wrong, 0, "round $rounds: $what") || diag(join "\n", @wrong[ 0 .. ($#wrong < 29 ? $#wrong : 29) ], $repeat);
}

# So many rounds, or as many as there is time for. None after one that failed: it would fail for the same reason.
sub repeat_rounds {
    my ($least, $round) = @_;
    my $deadline = time + $seconds / 5;
    for (my $done = 0; $done < $least || time < $deadline; $done++) {
        Test::More->builder->is_passing or return;
        $round->();
    }
    return;
}

# --- What is noted: the journal, without a worker that empties it

sub compare_journal {
    my ($transactions, $parts, @wrong) = journal_differences($node, 'journalled');
    none('the journal says what happened', @wrong);
    note("round $rounds: $transactions transactions, $parts in parts");
    $node->safe_psql('journalled', 'TRUNCATE reference.change, cache_invalidation_journal_0, cache_invalidation_journal_1');
    return ($transactions, $parts);
}

$node->safe_psql('postgres', 'CREATE DATABASE journalled');
$node->safe_psql('journalled', "\\i $FindBin::RealBin/../../sql/include/journal.sql");
create_tables($node, 'journalled');
$node->safe_psql('journalled', 'TRUNCATE reference.change, cache_invalidation_journal_0, cache_invalidation_journal_1');

my ($transactions, $parts) = (0, 0);
repeat_rounds(
    2,
    sub {
        run_round('journalled', 50, truncate => 0.008);
        $transactions += (compare_journal())[0];
    });
# Transactions that outgrow their memory write early, in parts.
repeat_rounds(
    1,
    sub {
        run_round('journalled', 15, truncate => 0.002, bulk => 0.5, memory => '64kB');
        $parts += (compare_journal())[1];
    });
cmp_ok($transactions, '>', 100, 'many transactions were compared');
cmp_ok($parts, '>', 5, 'of which some were written in parts');
$node->safe_psql('postgres', 'DROP DATABASE journalled');

# --- What arrives: a Redis in which everything is cached, and a listener

# Exactly these messages: none is told before its keys are deleted, and once more then.
configure($node, shared_preload_libraries => 'cache_invalidate', 'cache_invalidate.signal_timeout' => '1min');
$node->restart;
my $redis = CacheInvalidate::Redis->new('cache');
$node->safe_psql('postgres', 'CREATE DATABASE delivered');
$node->safe_psql('delivered', "CREATE EXTENSION cache_invalidate; CREATE TABLE sentinel (id int PRIMARY KEY);
    CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '" . $redis->url . "');
    CREATE TRIGGER cache_invalidation_sentinel AFTER INSERT ON sentinel FOR EACH ROW
      EXECUTE FUNCTION notify_cache_invalidation('key=sentinel:{id}')");
create_tables($node, 'delivered');
wait_for_worker($node, 'delivered');
my $listener;
my @keys = possible_keys(SESSIONS);
my $sentinels = 0;

# What the listener gives by that method, without the sentinels'. The session would note each message.
sub heard {
    my ($method, @arguments) = @_;
    no warnings qw(redefine once);
    local *PostgreSQL::Test::BackgroundPsql::note = sub { };
    return map { message_of($_) } grep { $_->{message}{table} ne 'sentinel' } $listener->$method(@arguments);
}

# Goes behind all that was committed before; returns the messages that came until then.
sub messages_until_sentinel {
    my $id = ++$sentinels;
    $redis->fill("sentinel:$id");
    $node->safe_psql('delivered', "INSERT INTO sentinel VALUES ($id)");
    ok($redis->wait_gone("sentinel:$id"), "round $rounds: the sentinel's key is deleted");
    return heard('take_until', 'sentinel', sub { $_[0]{table} eq 'sentinel' && $_[0]{record_id} eq $id });
}

sub compare_arrivals {
    my ($prepared, %options) = @_;
    my $expected = expected_arrivals(recorded_changes($node, 'delivered'), $prepared);
    my %stale = map { ($_ => 1) } stale_keys($expected, @keys);
    none('the test knows all keys', grep { !$stale{$_} } sort keys %{ $expected->{keys} });
    my @messages;
    # A prepared transaction may be delivered behind the sentinel.
    wait_until(
        'everything is delivered',
        sub {
            push @messages, heard('take');
            return !(grep { $stale{$_} } $redis->keys) && !missing_messages($expected, \@messages);
        });
    push @messages, messages_until_sentinel();
    my %left = map { ($_ => 1) } $redis->keys;
    none('no key of a committed change is left', grep { $left{$_} } sort keys %stale);
    none('no other key is gone', grep { !$left{$_} && !$stale{$_} } @keys);
    none('no message is missing', missing_messages($expected, \@messages));
    none('each message is of a committed change, in the order of the commits', message_differences($expected, \@messages, %options));
    compare_existence($expected, \@messages);
    note(sprintf 'round %d: %d of %d keys, %d messages', $rounds, scalar keys %stale, scalar @keys, scalar @messages);
    return;
}

# The last message of a record says whether there is one, unless its table was truncated.
sub compare_existence {
    my ($expected, $messages) = @_;
    my %ids = (item => 'id', note => 'id', pin => 'id', event => "id || ':' || region");
    my %there;
    for my $resource (sort keys %ids) {
        my $table = $resource eq 'pin' ? 'note' : $resource;
        $there{"$resource $_"} = 1 for split /\n/, $node->safe_psql('delivered', "SELECT $ids{$resource} FROM $table");
    }
    my @resources = grep { !$expected->{records}{"$_ "} } keys %ids;
    none('the last message of each record says whether it exists', wrong_existence($expected, $messages, \%there, @resources));
    return;
}

sub delivered_round {
    my ($transactions, %options) = @_;
    # While there is nothing to do: then nothing of earlier rounds is repeated.
    $node->safe_psql('delivered', 'CALL end_worker()') if $options{restarts};
    $redis->fill(@keys);
    $listener = CacheInvalidate::Listener->new($node, 'delivered', 'cache_invalidation', 'boards');
    my $prepared = run_round('delivered', $transactions, %options);
    compare_arrivals($prepared, in_parts => $options{memory}, repeated => $options{restarts});
    $listener->quit;
    $node->safe_psql('delivered', 'TRUNCATE reference.change');
    return;
}

repeat_rounds(2, sub { delivered_round(35, truncate => $rounds % 2 ? 0.008 : 0) });
repeat_rounds(1, sub { delivered_round(12, ids => 12, bulk => 0.5, memory => '64kB') });
# The worker is ended now and then, and its ring overflows: much is read from the journal.
configure($node, 'cache_invalidate.ring_size' => '64kB');
$node->reload;
repeat_rounds(1, sub { delivered_round(40, ids => 12, bulk => 0.02, restarts => 1) });

# --- Was it what it should have been?

note(join ', ', map { "$_ $tags{$_}" } sort keys %tags);
note(join ', ', map { "$_ $errors{$_}" } sort keys %errors);
for my $tag (qw(COMMIT ROLLBACK SAVEPOINT RELEASE CALL COPY TRUNCATE), 'PREPARE TRANSACTION', 'COMMIT PREPARED', 'ROLLBACK PREPARED') {
    cmp_ok($tags{$tag} // $tags{"$tag TABLE"} // 0, '>', 0, "the sessions used $tag");
}
$node->stop;
done_testing();
