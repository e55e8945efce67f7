# One round of the test of crash points: a mark is armed, a workload runs into it, the server recovers, and it is judged what
# became of the changes. What was committed the database itself tells afterwards: so it does not matter how far a session came.
package CacheInvalidate::CrashCycle;

use strict;
use warnings;

use IPC::Run;
use Test::More;

use CacheInvalidate::CrashPoints;
use CacheInvalidate::Listener;
use CacheInvalidate::Node;
use CacheInvalidate::Resp;
use CacheInvalidate::Subscriber;
use CacheInvalidate::Wait;
use CacheInvalidate::Wire;

use constant { ITEMS => 20, BIG => 60, PATIENCE => 60 };

# new(NODE, REDIS, ROUNDS): the node is started, and has no extension yet.
sub new {
    my ($class, $node, $redis, $rounds) = @_;
    my $self = bless {
        node  => $node,
        redis => $redis,
        wire  => CacheInvalidate::Wire->new($redis),
        told  => {},    # by id: the version that was committed
        round => 0
    }, $class;
    $self->{points} = CacheInvalidate::CrashPoints->new($node);
    $self->_create(ITEMS * ($rounds + 1));
    $self->{second} = CacheInvalidate::Resp->connect(path => $redis->{path});
    $self->{second}->command('SELECT', 1);
    $self->{subscriber} = CacheInvalidate::Subscriber->new($redis, 'said');
    wait_for_worker($node, 'postgres');
    return $self;
}

sub points { return $_[0]{points} }

# Three keys of an item: one by an output function, one by a path. Keys of "big" are so long that few outgrow the memory of a
# transaction. The server "twice" deletes twice.
sub _create {
    my ($self, $rows) = @_;
    my ($cache, $twice) = ($self->{wire}->url, $self->{redis}->url(1));
    my $trigger = sub {
        my ($table, @arguments) = @_;
        return "CREATE TRIGGER cache_invalidation_$table AFTER INSERT OR UPDATE OR DELETE ON $table FOR EACH ROW
                EXECUTE FUNCTION notify_cache_invalidation(" . join(', ', map { "'$_'" } @arguments) . ');';
    };
    $self->{node}->safe_psql('postgres',
            "CREATE EXTENSION cache_invalidate;
             CREATE SERVER cache FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '$cache', publish_channel 'said', enabled 'true');
             CREATE SERVER twice FOREIGN DATA WRAPPER cache_invalidate OPTIONS (url '$twice', second_delete_after '50');
             CREATE TABLE owner (id int PRIMARY KEY, name text);
             INSERT INTO owner VALUES (1, 'ann');
             CREATE TABLE item (id int PRIMARY KEY, version int NOT NULL DEFAULT 0, day date NOT NULL DEFAULT '2026-01-01',
                                owner int NOT NULL DEFAULT 1 REFERENCES owner);
             INSERT INTO item SELECT generate_series(0, $rows);
             CREATE TABLE big (id int, pad text);
             CREATE TABLE wide (id int, round int);
             INSERT INTO wide SELECT generate_series(1, 20), 0;
             CREATE TABLE list (id int);"
          . $trigger->('item', 'server=cache', 'key=item:{id}', 'key=day:{id}:{day}', 'key=of:{id}:{owner.name}', 'fields=version')
          . $trigger->('big', 'server=cache', 'key=big:{id}:{pad}', 'channel=')
          . $trigger->('wide', 'server=cache,twice', 'key=wide:{id}', 'channel=')
          . $trigger->('list', 'server=cache,twice', 'key=list:{id}', 'channel=')
          . "CREATE TRIGGER cache_invalidation_list_truncate AFTER TRUNCATE ON list
               EXECUTE FUNCTION notify_cache_invalidation('server=cache,twice', 'key=list:{id}', 'channel=');");
}

# ---- What a workload is made of

sub _pad { return 'x' x 2500 }
sub item { my ($self, $number) = @_; return $self->{round} * ITEMS + $number }
sub update { my ($self, $number) = @_; return "UPDATE item SET version = $self->{round} WHERE id = ${\ $self->item($number) };\n" }

sub _insert_big {
    my ($self, $half) = @_;
    my $first = (2 * $self->{round} + $half) * BIG;
    return "INSERT INTO big SELECT n, '${\ _pad() }' FROM generate_series($first, ${\ ($first + BIG - 1) }) n;\n";
}

# A bit of everything that a session can do.
sub changes {
    my ($self) = @_;
    my ($keep, $drop) = map { "$_$self->{round}" } qw(keep drop);
    my $u = sub { $self->update($_[0]) };
    return
        $u->(0)
      . "BEGIN;\n" . $u->(1) . "ROLLBACK;\n"
      . "BEGIN;\n" . $u->(2) . "SAVEPOINT a;\n" . $u->(3) . "ROLLBACK TO a;\n" . $u->(4) . "SAVEPOINT b;\n" . $u->(5) . "RELEASE b;\nCOMMIT;\n"
      . "BEGIN;\n" . $u->(6) . "PREPARE TRANSACTION '$keep';\nCOMMIT PREPARED '$keep';\n"
      . "BEGIN;\n" . $u->(7) . "PREPARE TRANSACTION '$drop';\nROLLBACK PREPARED '$drop';\n"
      . "BEGIN;\nSET LOCAL cache_invalidate.max_change_set_memory = '64kB';\n" . $u->(8) . $self->_insert_big(0)
      . "SAVEPOINT c;\n" . $u->(9) . $self->_insert_big(1) . "ROLLBACK TO c;\n" . $u->(10) . "COMMIT;\n"
      . "DELETE FROM item WHERE id = ${\ $self->item(11) };\n"
      . "BEGIN;\nSET LOCAL cache_invalidate.max_items_per_transaction = 10;\nUPDATE wide SET round = $self->{round};\nCOMMIT;\n"
      . "INSERT INTO list SELECT generate_series(1, 5);\n"
      . "BEGIN;\nTRUNCATE list;\n" . $u->(12) . "COMMIT;\n"
      . $u->(13);
}

# Runs the statements in a session of its own, which may end before its time. Who waits at the mark is let go.
sub run {
    my ($self, $script) = @_;
    my ($out, $errors) = ('', '');
    my @psql = ('psql', '-XAtq', '-d', $self->{node}->connstr('postgres'), '-f', '-');
    # Told to quit, since its input stays open while we look.
    my $input = "SELECT 'backend ' || pg_backend_pid();\n$script\n\\q\n";
    my $run = IPC::Run::start(\@psql, '<', \$input, '>', \$out, '2>', \$errors, IPC::Run::timeout(3 * PATIENCE));
    if ($self->{action} eq 'wait') {
        while ($run->pumpable) {
            $run->pump_nb;
            last if $self->has_fired;
            select undef, undef, undef, 0.01;
        }
        $self->{points}->release($self->{point});
    }
    $run->finish;
    $self->{backends}{$1} = 1 while $out =~ /backend (\d+)/g;
    $self->{said} .= $errors;
    return;
}

sub has_fired { my ($self) = @_; return $self->{points}->pid($self->{point}) }

# As long as it is of use: until the mark was met.
sub unless_fired {
    my ($self, $what, $condition) = @_;
    return wait_until($what, sub { $self->has_fired || $condition->() });
}

# One value; none while the server is not there.
sub ask {
    my ($self, $statement) = @_;
    my $status = try_psql($self->{node}, 'postgres', $statement, stdout => \my $out, stderr => \my $errors, timeout => PATIENCE, timed_out => \my $late);
    return $status == 0 ? $out : undef;
}

# The launcher hesitates to start a worker that has ended, but not when it is told to read its settings.
sub _look {
    my ($self) = @_;
    my $of = sub { "coalesce((SELECT min(pid) FROM pg_stat_activity WHERE backend_type = '$_[0]'), 0)" };
    my $found = $self->ask("SELECT pg_reload_conf(), ${\ $of->('checkpointer') }, ${\ $of->('cache_invalidate worker') }") // return;
    return (split /\|/, $found)[ 1, 2 ];
}

sub restart_worker {
    my ($self) = @_;
    my (undef, $worker) = $self->_look;
    $self->ask("SELECT pg_terminate_backend($worker)");
    return $self->unless_fired('another worker', sub { my (undef, $now) = $self->_look; $now && $now != $worker });
}

sub state_of_cache { my ($self) = @_; return $self->ask(q(SELECT state FROM cache_invalidation_targets WHERE server = 'cache')) // '' }

# ---- A round

# run_round(MARK, ACTION, VISIT, WORKLOAD, OPTIONS): true if all is as promised.
#   resets => 'messages' | 'all'   what may be made up for by a reset
#   pokes => 1                     the launcher must not wait before it starts a worker
#   also => [MARKS]                that the workload arms as well
#   crashes => 1                   the workload kills the server, whatever the mark does
#   notified => 1                  NOTIFY is judged though the server crashes: what is told before does not count
sub run_round {
    my ($self, $point, $action, $visit, $workload, %options) = @_;
    @$self{qw(round point action said backends problems)} = ($self->{round} + 1, $point, $action, '', {}, []);
    my ($checkpointer, $worker) = $self->_look;
    my $crashes = $options{crashes} || $action =~ /kill|abort/;
    my $listener = $crashes ? undef : CacheInvalidate::Listener->new($self->{node}, 'postgres');
    $self->{subscriber}->take_until(sub { 0 }, 0.1) if $options{resets};    # those of a round before may come late
    $self->_fill;
    my $holds = $options{notified} && $crashes;
    # For nobody no NOTIFY is sent. This one goes down with the server.
    my $hearer = $holds ? CacheInvalidate::Listener->new($self->{node}, 'postgres') : undef;
    $self->{points}->arm('worker.entered', 'wait') if $holds;
    $self->{points}->arm($point, $action, $visit);
    $workload->($self);
    # How often it is met may depend on how long things take.
    my $patience = $visit > 1 ? 5 : PATIENCE;
    my $fired = wait_until("$point is met", sub { $self->_look if $options{pokes}; $self->has_fired }, $patience);
    $self->_complain('nobody came there') unless $fired || $visit > 1;
    $self->{points}->disarm($point);
    $self->{points}->disarm($_) for @{ $options{also} // [] };
    my $victim = $self->has_fired;
    $self->{wire}->mend;
    wait_until('the server was restarted', sub { my ($now) = $self->_look; $now && $now != $checkpointer }, PATIENCE) if $crashes && $fired;
    undef $hearer;
    if ($holds && $fired) {
        $self->{points}->wait_for('worker.entered');
        $listener = CacheInvalidate::Listener->new($self->{node}, 'postgres');
    }
    $self->{points}->disarm('worker.entered') if $holds;
    my $goes_on = $action eq 'wait' || ($action eq 'error' && $self->{points}->kind($point) eq 'caught');
    wait_until('a worker runs', sub { my (undef, $now) = $self->_look; $now && ($goes_on || $now != $victim) }, PATIENCE);
    $self->_judge_sessions($crashes, $victim);
    my @committed = $self->_settle;
    $self->_judge_keys($options{resets} // '', @committed);
    $self->_judge_messages('PUBLISH', $options{resets} // '', sub { $self->{subscriber}->take_until($_[0], PATIENCE) }, @committed);
    if ($listener) {
        $self->_judge_messages('NOTIFY', $options{resets} // '', sub { $listener->take_until('all', $_[0]) }, @committed);
        $listener->quit;
    }
    diag("$point, $action at visit $visit: $_") for @{ $self->{problems} };
    return !@{ $self->{problems} };
}

sub _complain { my ($self, $problem) = @_; push @{ $self->{problems} }, $problem; return }

sub _fill {
    my ($self) = @_;
    my $round = $self->{round};
    my %keys;
    for my $id ($self->item(0) .. $self->item(ITEMS - 1)) {
        $keys{$_} = "item $id" for "item:$id", "day:$id:2026-01-01", "of:$id:ann";
    }
    $keys{"big:$_:${\ _pad() }"} = "big $_" for 2 * $round * BIG .. (2 * $round + 2) * BIG - 1;
    $keys{"wide:$_"} = "wide $_" for 1 .. 20;
    $keys{"list:$round"} = "item ${\ $self->item(12) }";
    $keys{'other'} = 'nothing';
    $self->{keys} = \%keys;
    $self->{redis}->command('FLUSHALL');
    $self->{redis}->fill(keys %keys);
    $self->{second}->command('MSET', map { ($_, 'cached') } grep { /^(?:wide|list|other)/ } keys %keys);
    return;
}

# No statement fails because of a worker, or where an error is made up for.
sub _judge_sessions {
    my ($self, $crashes, $victim) = @_;
    my @errors = grep { /ERROR|FATAL|PANIC|server closed|connection to server/ } split /\n/, $self->{said};
    return if $crashes || !@errors;
    my $may_fail = $self->{backends}{$victim} && $self->{points}->kind($self->{point}) ne 'caught' || $self->{action} eq 'exit';
    $self->_complain("a session: $errors[0]") unless $may_fail && $self->{backends}{$victim} && $errors[0] =~ /crash point "\Q$self->{point}\E"/;
    return;
}

# Ends what is prepared, makes two changes more, one with a long key, and tells what is committed now.
sub _settle {
    my ($self) = @_;
    my ($round, $first, $last) = ($self->{round}, $self->item(0), $self->item(ITEMS - 1));
    my ($status, $said) = $self->{node}->psql('postgres', q(
        SELECT CASE WHEN gid LIKE 'keep%' THEN 'COMMIT' ELSE 'ROLLBACK' END || ' PREPARED ' || quote_literal(gid) FROM pg_prepared_xacts \gexec
        ) . $self->update(ITEMS - 1) . "
        INSERT INTO big VALUES (${\ ((2 * $round + 1) * BIG) }, '${\ _pad() }');
        SELECT 'item ' || id FROM item WHERE id BETWEEN $first AND $last AND version = $round
        UNION ALL SELECT 'item ' || n FROM generate_series($first, $last) n WHERE NOT EXISTS (SELECT FROM item WHERE id = n)
        UNION ALL SELECT 'big ' || id FROM big WHERE id BETWEEN ${\ (2 * $round * BIG) } AND ${\ ((2 * $round + 2) * BIG - 1) }
        UNION ALL SELECT 'wide ' || id FROM wide WHERE round = $round");
    my @committed = split /\n/, $said // '';
    $self->_complain('the server does not go on') unless @committed;
    $self->{told}{$_} = $round for map { /^item (\d+)$/ } @committed;
    return @committed;
}

# Exactly the keys of what is committed are gone; of templates that were widened others may be.
sub _judge_keys {
    my ($self, $resets, @committed) = @_;
    my %committed = map { ($_ => 1) } @committed;
    my $keys = $self->{keys};
    my @stale = grep { $committed{ $keys->{$_} } } keys %$keys;
    if (!$self->{redis}->wait_gone(@stale)) {
        my %stale = map { ($_ => 1) } @stale;
        $self->_complain('keys of what is committed remain: ' . _short(grep { $stale{$_} } $self->{redis}->keys));
    }
    my @wide = grep { /^(?:wide|list)/ } @stale;
    if (@wide and !wait_until('gone from the second', sub { !$self->{second}->command('EXISTS', @wide) })) {
        $self->_complain('keys of what is committed remain in the second server');
    }
    my %left = map { ($_ => 1) } $self->{redis}->keys;
    my @lost = grep { !$left{$_} && !$committed{ $keys->{$_} } && !/^(?:wide|list)/ } keys %$keys;
    @lost = grep { $_ eq 'other' } @lost if $resets eq 'all';
    $self->_complain('keys of what is not committed are gone: ' . _short(sort @lost)) if @lost;
    return;
}

sub _short { return @_ . ': ' . join ', ', map { substr $_, 0, 30 } @_[ 0 .. ($#_ < 9 ? $#_ : 9) ] }

# Each committed change is told, at least once, and no other ever is.
sub _judge_messages {
    my ($self, $way, $resets, $take, @committed) = @_;
    my %missing = map { ($_ => 1) } map { /^item (\d+)$/ } @committed;
    my $is_reset = 0;
    my @heard = $take->(
        sub {
            delete $missing{ $_[0]{record_id} // '' };
            $is_reset = 1 if $_[0]{operation} eq 'RESET';
            return !%missing || ($is_reset && $resets);
        });
    my ($told, @wrong) = $self->{told};
    for my $message (map { $_->{message} } @heard) {
        next if $message->{operation} eq 'RESET' && $resets;
        my $id = $message->{record_id} // 'none';
        my $is_right = defined $told->{$id} && ($message->{operation} eq 'DELETE' || $message->{version} == $told->{$id});
        push @wrong, "$message->{operation} $id" unless $is_right;
    }
    $self->_complain("$way told what is not committed: @wrong") if @wrong;
    $self->_complain("$way did not tell of " . join ' ', sort keys %missing) if %missing && !($is_reset && $resets);
    return;
}

1;
