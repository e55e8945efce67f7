# Waiting for a condition, with a deadline.
package CacheInvalidate::Wait;

use strict;
use warnings;

use Exporter 'import';
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(wait_until is_running);

# Asks again and again until the condition is true; returns what it said. False: the time is over.
sub wait_until {
    my ($what, $condition, $seconds) = @_;
    $seconds //= 60;
    my $deadline = time + $seconds;
    my $last_try = 0;
    while (1) {
        my $result = $condition->();
        return $result if $result;
        last if $last_try;
        $last_try = time >= $deadline;
        sleep 0.02 unless $last_try;
    }
    diag("still waiting after $seconds s: $what");
    return 0;
}

# Whether there is such a process. A zombie does not count.
sub is_running {
    my ($pid) = @_;
    open my $file, '<', "/proc/$pid/stat" or return kill 0, $pid;
    my $line = <$file> // return 0;
    return $line !~ /\) [ZX] /;
}

1;
