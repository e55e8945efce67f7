# Every mark in the code (src/pg/crash_point.hpp), one after the other: what runs into it fails there, or is killed. Whatever the
# server comes back with: exactly what is committed is deleted and told.
#
# CRASH_POINTS_FULL=1: by every action that the mark allows, and at later visits too. CRASH_POINTS=REGEX: these marks only.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::CrashCycle;
use CacheInvalidate::CrashWorkloads;
use CacheInvalidate::Installation;
use CacheInvalidate::Node;
use CacheInvalidate::Redis;

my $library = variant('crash_points') // plan skip_all => 'scripts/variant crash_points has not built the module';
my $full    = $ENV{CRASH_POINTS_FULL};
my $wanted  = $ENV{CRASH_POINTS} // '.';

my $node = new_node('main', install_path => make_installation(library => $library),
    'cache_invalidate.max_journal_size' => '16MB', 'cache_invalidate.replay_window' => '200ms');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
my $cycle = CacheInvalidate::CrashCycle->new($node, $redis, $full ? 2000 : 400);
my $points = $cycle->points;
my @names = $points->names;
cmp_ok(scalar @names, '>=', 100, 'there are marks: ' . @names);
is(join(' ', grep { !(() = CacheInvalidate::CrashWorkloads::workload_of($_)) } @names), '', 'each has a workload');

# A build for users has none of it.
my $usual = slurp_file(`pg_config --pkglibdir` =~ s/\n//r . '/cache_invalidate.so');
is(join(' ', grep { index($usual, "\0$_\0") >= 0 && /\./ } @names), '', 'no mark is in the usual build');
unlike($usual, qr/cache_invalidate_crash|crash point/, 'nor anything else of it');

sub visit_at {
    my ($name, $action, $visit) = @_;
    my ($workload, %options) = CacheInvalidate::CrashWorkloads::workload_of($name);
    my $at = $visit > 1 ? " at visit $visit" : '';
    return ok($cycle->run_round($name, $action, $visit, $workload, %options), "$name: $action$at");
}

# Where it does not take long, an error as well: of a worker only that one process ends, and the ring stays as it was.
sub usual_actions {
    my ($name) = @_;
    my ($workload, %options) = CacheInvalidate::CrashWorkloads::workload_of($name);
    my $is_quick = !$options{resets} && !$options{pokes};
    return grep { $_ eq 'kill' || ($_ eq 'error' && ($is_quick || $points->kind($name) eq 'caught')) } $points->actions($name);
}

# How often a workload comes to each mark, at the least; found out by letting the last one pass.
sub later_visits {
    my ($name) = @_;
    my ($workload, %options) = CacheInvalidate::CrashWorkloads::workload_of($name);
    my $before = $points->visits($name);
    $cycle->run_round($name, 'wait', 1, $workload, %options) or return;
    my $visits = $points->visits($name) - $before;
    return grep { $_ <= $visits } 2, 5;
}

# Resets may come late, so what may be made up for by one comes last.
sub resets_of { my (undef, %options) = CacheInvalidate::CrashWorkloads::workload_of($_[0]); return $options{resets} // '' }
my %order = ('' => 0, messages => 1, all => 2);
my @sorted = sort { $order{ resets_of($a) } <=> $order{ resets_of($b) } || $a cmp $b } @names;

for my $name (grep { /$wanted/ } @sorted) {
    visit_at($name, $_, 1) for $full ? $points->actions($name) : usual_actions($name);
    next unless $full;
    for my $visit (later_visits($name)) { visit_at($name, $_, $visit) for grep { /^(?:error|kill)$/ } $points->actions($name) }
}

# What a mark does is told in the log; nothing else may have died.
my $log = slurp_file($node->logfile);
unlike($log, qr/PANIC|TRAP|terminate called|damaged row/, 'nothing broke by itself');
done_testing();
