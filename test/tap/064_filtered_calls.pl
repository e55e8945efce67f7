# A service may be run under a filter that kills who makes an unusual system call: nothing that the worker does is one.
use strict;
use warnings;

use POSIX qw(uname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# Numbers of x86-64.
use constant { PRCTL => 157, SCHED_SETATTR => 314 };
use constant { PR_SET_SECCOMP => 22, PR_SET_NO_NEW_PRIVS => 38, SECCOMP_MODE_FILTER => 2 };
use constant { LOAD => 0x20, JUMP_IF_EQUAL => 0x15, RETURN => 0x06, KILL_PROCESS => 0x80000000, ALLOW => 0x7fff0000 };

plan skip_all => 'the filter is written for Linux on x86-64' unless "$^O " . (uname())[4] eq 'linux x86_64';

# What is started from here on inherits it.
my @rules = ([ LOAD, 0, 0, 0 ], [ JUMP_IF_EQUAL, 0, 1, SCHED_SETATTR ], [ RETURN, 0, 0, KILL_PROCESS ], [ RETURN, 0, 0, ALLOW ]);
my $program = join '', map { pack 'S C C L', @$_ } @rules;
my $filter = pack 'S x6 P', scalar @rules, $program;
plan skip_all => "no filter can be set: $!"
  if syscall(PRCTL, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(PRCTL, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, $filter, 0, 0) != 0;

my $node = new_node('main');
$node->start;
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 10);
my $worker = wait_for_worker($node, 'postgres');
ok($worker, 'a worker runs under a filter that kills');
like(slurp_file("/proc/$worker/status"), qr/^Seccomp:\s*2$/m, 'which is in force');
$redis->fill(map { "item:$_" } 1 .. 10);
$node->safe_psql('postgres', 'UPDATE item SET version = version + 1');
ok($redis->wait_gone(map { "item:$_" } 1 .. 10), 'and delivers');
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'nobody was killed');

$node->stop;
done_testing();
