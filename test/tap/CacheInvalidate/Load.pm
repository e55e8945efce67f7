# The judged load: pgbench clients change items, half of the transactions are rolled back, and the rows
# themselves tell which changes were committed: their version is no longer 0.
package CacheInvalidate::Load;

use strict;
use warnings;

use Carp;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Wait;

# Transactions change rows in ascending order only, so that they never deadlock. `low` < `mid` < `high`.
my $draw = <<'EOT';
\set low random(1, :rows / 3)
\set mid random(:rows / 3 + 1, :rows * 2 / 3)
\set high random(:rows * 2 / 3 + 1, :rows - 100)
EOT
my $change = 'UPDATE item SET version = version + 1 WHERE id =';

# name@weight => script. Of the weights half are of transactions that are rolled back, or partly.
my %scripts = (
    'commit@30'   => "$change :low;\n",
    'rollback@30' => "BEGIN;\n$change :low;\n$change :mid;\nROLLBACK;\n",
    'savepoint@10' => "BEGIN;\n$change :low;\nSAVEPOINT a;\n$change :mid;\nSAVEPOINT b;\nROLLBACK TO a;\n"
      . "SAVEPOINT c;\n$change :high;\nRELEASE c;\nCOMMIT;\n",
    'lost_savepoint@10' => "BEGIN;\n$change :low;\nSAVEPOINT a;\n$change :mid;\nRELEASE a;\nROLLBACK;\n",
    # keeps the first and the last, or nothing of it
    'exception@10' => "\\set keep random(0, 1)\nBEGIN;\nSELECT change_with_exception(:low, :mid, :high);\n"
      . "\\if :keep\nCOMMIT;\n\\else\nROLLBACK;\n\\endif\n",
    'failure@5' => "SELECT change_and_fail(:low);\n",
    'many@5'  => "SELECT change_many(:mid, 40);\n",
);

my $functions = <<'EOT';
CREATE FUNCTION change_with_exception(low int, mid int, high int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE item SET version = version + 1 WHERE id = low;
  BEGIN
    UPDATE item SET version = version + 1 WHERE id = mid;
    RAISE 'taken back';
  EXCEPTION WHEN raise_exception THEN
    UPDATE item SET version = version + 1 WHERE id = high;
  END;
END $$;
-- Each row under its own savepoint, every other one taken back; ten more at the end.
CREATE FUNCTION change_many(first int, many int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  FOR i IN first .. first + many LOOP
    BEGIN
      UPDATE item SET version = version + 1 WHERE id = i;
      IF i % 2 = 0 THEN RAISE 'taken back'; END IF;
    EXCEPTION WHEN raise_exception THEN NULL;
    END;
  END LOOP;
  FOR i IN first + many + 1 .. first + many + 10 LOOP
    UPDATE item SET version = version + 1 WHERE id = i;
  END LOOP;
END $$;
-- Fails as a whole, and catches that only out here, so that pgbench goes on.
CREATE FUNCTION change_and_fail(low int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE item SET version = version + 1 WHERE id = low;
  RAISE 'taken back';
EXCEPTION WHEN OTHERS THEN NULL;
END $$;
EOT

# new(NODE, REDIS, ROWS): makes the items and caches them all. The last of them is the sentinel.
sub new {
    my ($class, $node, $redis, $rows, %options) = @_;
    create_items($node, 'postgres', $redis, rows => $rows, %options);
    $node->safe_psql('postgres', $functions . 'ALTER TABLE item SET (fillfactor = 50); VACUUM FULL ANALYZE item');
    my $self = bless { node => $node, redis => $redis, rows => $rows, dir => PostgreSQL::Test::Utils::tempdir() }, $class;
    for my $name (keys %scripts) {
        my ($base) = split /@/, $name;
        append_to_file("$self->{dir}/$base.sql", $draw . $scripts{$name});
    }
    return $self;
}

# Starts pgbench with 8 clients of so many transactions each. It ends by itself, also when its connections are lost.
sub start {
    my ($self, $transactions) = @_;
    my $node = $self->{node};
    my @files = map { my ($base, $weight) = split /@/; ('-f', "$self->{dir}/$base.sql\@$weight") } sort keys %scripts;
    my $log = "$self->{dir}/pgbench.log";
    local $ENV{PGAPPNAME} = "load";
    $self->{run} = IPC::Run::start(
        [ 'pgbench', '-n', '-h', $node->host, '-p', $node->port, '-c', 8, '-j', 2, '-M', 'prepared', '-t', $transactions,
            '-D', "rows=$self->{rows}", @files, 'postgres' ],
        '<', \undef, '>', $log, '2>&1');
    $self->{log} = $log;
    return;
}

# Waits until it has ended; returns whether all of it was run.
sub finish {
    my ($self) = @_;
    my $complete = (delete $self->{run})->finish;
    $self->{said} = slurp_file($self->{log});
    return $complete;
}

sub runs { return defined $_[0]{run} }

# By itself, as when its connections are lost. It is still to be finished.
sub has_ended { return !is_running($_[0]{run}{KIDS}[0]{PID}) }

# Whether it has not ended by itself yet.
sub goes_on {
    my ($self) = @_;
    $self->{run}->pump_nb if $self->{run}->pumpable;
    return $self->{run}->pumpable;
}

# What pgbench said.
sub said { return $_[0]{said} }

# Waits until so many keys are gone since now, or the load is over.
sub wait_for_progress {
    my ($self, $keys) = @_;
    my $size = $self->{redis}->command('DBSIZE');
    return wait_until("$keys keys are deleted", sub { $self->{redis}->command('DBSIZE') <= $size - $keys || $self->has_ended });
}

# After the load: the sentinel goes through, and then exactly the keys of committed changes are gone.
sub judge {
    my ($self, $what) = @_;
    my ($node, $redis, $rows) = @$self{qw(node redis rows)};
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %kept = map { ("item:$_" => 1) } split /\n/, $node->safe_psql('postgres', 'SELECT id FROM item WHERE version = 0');
    my $late = sub { return grep { !$kept{$_} } $redis->keys };
    wait_until("$what: the keys of committed changes are gone", sub { $redis->command('DBSIZE') <= keys %kept && !$late->() });
    # What comes now is behind everything of the load.
    $redis->fill("item:$rows");
    $node->safe_psql('postgres', "UPDATE item SET version = version + 1 WHERE id = $rows");
    delete $kept{"item:$rows"};
    ok($redis->wait_gone("item:$rows"), "$what: a change behind the load is delivered");
    my %there = map { ($_ => 1) } $redis->keys;
    my @stale = grep { !$kept{$_} } keys %there;
    my @lost  = grep { !$there{$_} } keys %kept;
    is(scalar @stale, 0, "$what: no key of a committed change is left") or diag("left: @stale[0 .. ($#stale < 9 ? $#stale : 9)]");
    is(scalar @lost, 0, "$what: no other key is gone") or diag("gone: @lost[0 .. ($#lost < 9 ? $#lost : 9)]");
    note(sprintf '%s: %d of %d keys are gone', $what, $rows - keys %there, $rows);
    return $rows - keys %there;
}

# A connection pulled away is no excuse for other errors.
sub has_only_lost_connections {
    my ($self) = @_;
    my @errors = grep { /error|ERROR/ && !/connection|terminat|server closed|crash|aborted|shutting down|recovery mode|starting up/i }
      split /\n/, $self->{said};
    diag("pgbench: $_") for @errors;
    return !@errors;
}

1;
