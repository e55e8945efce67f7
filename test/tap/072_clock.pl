# The clock is set back while a server is away: what is owed does not wait until the clock says the same again.
use strict;
use warnings;

use PostgreSQL::Test::Utils;
use Test::More;

use CacheInvalidate::Node;
use CacheInvalidate::Redis;
use CacheInvalidate::Wait;

# A clock that is as many seconds off as a file says.
my $folder = PostgreSQL::Test::Utils::tempdir();
my $offset = "$folder/offset";
append_to_file("$folder/clock.c", <<"C");
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
static const long long *seconds;
__attribute__((constructor)) static void begin(void) {
  int file = open("$offset", O_RDONLY);
  if (file >= 0) seconds = mmap(0, sizeof *seconds, PROT_READ, MAP_SHARED, file, 0);
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec time;
  (void) zone;
  clock_gettime(CLOCK_REALTIME, &time);
  now->tv_sec = time.tv_sec + (seconds == 0 || seconds == MAP_FAILED ? 0 : *seconds);
  now->tv_usec = time.tv_nsec / 1000;
  return 0;
}
C
system_or_bail('cc', '-shared', '-fPIC', '-o', "$folder/clock.so", "$folder/clock.c");
append_to_file($offset, pack 'q', 0);

sub set_clock {
    open my $file, '+<', $offset or die "$offset: $!";
    syswrite $file, pack('q', $_[0]) or die "$offset: $!";
    return close $file;
}

my $node = new_node('main', log_min_messages => 'log');
{
    local $ENV{LD_PRELOAD} = join ':', grep { defined } $ENV{LD_PRELOAD}, "$folder/clock.so";
    $node->start;
}
my $redis = CacheInvalidate::Redis->new('cache');
create_items($node, 'postgres', $redis, rows => 10);
my $worker = wait_for_worker($node, 'postgres');
set_clock(3600);
is($node->safe_psql('postgres', "SELECT clock_timestamp() - now() < '1 s' AND to_timestamp($^T) < now() - interval '59 min'"), 't', 'the clock is an hour ahead');
$redis->stop;
$node->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id = 1');
ok(wait_until('it is down', sub { target($node, 'postgres', 'state') eq 'down' && target($node, 'postgres', 'keys_pending') == 1 }), 'a key is owed to a server that is away');
set_clock(0);
$redis->start;
$redis->fill('item:1');
ok($redis->wait_gone('item:1'), 'when the clock was set back the server is tried as before');
isnt(wait_for_worker($node, 'postgres'), $worker, 'by a worker that began anew');
like(slurp_file($node->logfile), qr/the clock was set back/, 'which is told');
$node->safe_psql('postgres', 'UPDATE item SET version = version + 1 WHERE id = 2');
ok($redis->wait_gone('item:2'), 'and goes on');
done_testing();
