# The workloads of the test of crash points: which marks each of them comes to, for certain.
package CacheInvalidate::CrashWorkloads;

use strict;
use warnings;

use CacheInvalidate::Wait;

# Of long keys, always the same: what is owed stays little.
use constant FILLER => q(SELECT invalidate_cache_key(VARIADIC array_agg('filler:' || n || repeat('x', 1000))) FROM generate_series(1, 900) n;);

my $ring_only = "SET cache_invalidate.durability = off;\n";

sub _changes { my ($cycle) = @_; return $cycle->run($cycle->changes) }

# The worker and what starts it; a new one changes the journal's segments at once.
sub _restart {
    my ($cycle) = @_;
    $cycle->restart_worker;
    return _changes($cycle);
}

# The watermark goes to the other segment before its own is truncated, unless there was a newer one to write meanwhile.
sub _idle {
    my ($cycle) = @_;
    _restart($cycle);
    for my $item (14 .. 18) {
        last if $cycle->has_fired;
        my $before = $cycle->points->visits('rotate.done');
        $cycle->run($cycle->update($item));
        $cycle->unless_fired('other segments', sub { $cycle->points->visits('rotate.done') > $before });
    }
    return;
}

sub _outage {
    my ($cycle) = @_;
    $cycle->{wire}->cut;
    $cycle->unless_fired('the server is down', sub { $cycle->state_of_cache eq 'down' });
    _changes($cycle);
    $cycle->{wire}->mend;
    return;
}

sub _new_server {
    my ($cycle) = @_;
    $cycle->run("ALTER SERVER cache OPTIONS (SET enabled 'false');");
    $cycle->unless_fired('it is disabled', sub { $cycle->state_of_cache eq 'disabled' });
    $cycle->run("ALTER SERVER cache OPTIONS (SET enabled 'true');");
    return _changes($cycle);
}

# What cannot be computed is logged.
# A worker that has told an error counts those that follow for a minute.
sub _errors {
    my ($cycle) = @_;
    $cycle->restart_worker;
    $cycle->points->arm('capture.value', 'error');
    return _changes($cycle);
}

# More than half of what the journal may have, for a server that is away. Twice as much would be too much: then a crash is made up
# for by a reset. And what earlier rounds left in the journal is owed to that server again, which may not fill its share of a copy: then
# keys are widened to patterns, which delete what was taken back as well.
sub _compaction {
    my ($cycle) = @_;
    $cycle->restart_worker;
    $cycle->unless_fired('the journal has room', sub { ($cycle->ask('SELECT journal_bytes < 300000 FROM cache_invalidation_stats') // '') eq 't' });
    $cycle->{wire}->cut;
    $cycle->unless_fired('the server is down', sub { $cycle->state_of_cache eq 'down' });
    _changes($cycle);
    $cycle->run(FILLER x 10);
    return;
}

# The first change asks for it, the ones behind it go by the ring.
sub _ring_only {
    my ($cycle) = @_;
    my $before = $cycle->points->visits('ring_only.allowed');
    $cycle->restart_worker;
    $cycle->run($ring_only . $cycle->update(14));
    $cycle->unless_fired('allowed', sub { $cycle->points->visits('ring_only.allowed') > $before });
    $cycle->run($ring_only . $cycle->changes);
    return;
}

# The worker ends, and owes what is in no journal.
sub _ring_end {
    my ($cycle) = @_;
    _ring_only($cycle);
    $cycle->{wire}->cut;
    $cycle->unless_fired('the server is down', sub { $cycle->state_of_cache eq 'down' });
    $cycle->run($ring_only . $cycle->update(15));
    $cycle->restart_worker;
    return;
}

# What the ring had may be lost.
sub _loss {
    my ($cycle) = @_;
    _ring_only($cycle);
    my $worker = $cycle->ask(q(SELECT pid FROM pg_stat_activity WHERE backend_type = 'cache_invalidate worker'));
    kill 'KILL', $worker;
    return;
}

my @table = (
    [ qr/^(?:capture|batch|spill|journal|commit|prepare|abort|savepoint|handover|feed\.ring|feed\.scan|checkpoint|watermark)(?:\.|$)/, \&_changes ],
    [ qr/^target\.(?:send|sent|reply|acknowledged?|sweep|second_sweep|publish|published)$/, \&_changes ],
    [ qr/^outbox\./, \&_changes, notified => 1 ],
    [ qr/^truncate\.watermark$/, \&_idle, pokes => 1 ],
    [ qr/^(?:worker|launcher|presence|rotate|truncate)(?:\.|$)/, \&_restart, pokes => 1 ],
    [ qr/^errors\.tidy$/, \&_restart, pokes => 1 ],
    [ qr/^errors\./, \&_errors, also => ['capture.value'] ],
    [ qr/^target\.(?:connect|ready|lost|put_back)$/, \&_outage, pokes => 1 ],
    [ qr/^feed\.target_scan$/, \&_new_server ],
    [ qr/^compaction\./, \&_compaction, resets => 'messages' ],
    [ qr/^(?:ring_only\.(?:forbid|forbidden)|bequeath)(?:\.|$)/, \&_ring_end, resets => 'all', pokes => 1 ],
    [ qr/^ring_only\./, \&_ring_only, resets => 'all' ],
    [ qr/^reset(?:\.|$)/, \&_loss, resets => 'all', crashes => 1 ]);

# workload_of(MARK): the workload and the options for run_round(); nothing: none comes there.
sub workload_of {
    my ($point) = @_;
    for my $row (@table) {
        my ($names, $workload, @options) = @$row;
        return ($workload, @options) if $point =~ $names;
    }
    return;
}

1;
