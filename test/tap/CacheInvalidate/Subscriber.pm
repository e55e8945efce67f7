# A client that subscribes to channels of a Redis.
package CacheInvalidate::Subscriber;

use strict;
use warnings;

use IO::Select;
use JSON::PP;
use Time::HiRes qw(time);

use CacheInvalidate::Resp;

# new(REDIS, PATTERN): hears whatever is published on channels that match.
sub new {
    my ($class, $redis, $pattern) = @_;
    my $connection = CacheInvalidate::Resp->connect(path => $redis->{path});
    $connection->command('PSUBSCRIBE', $pattern);
    return bless { connection => $connection }, $class;
}

# Waits for a message for which the condition is true; returns it and the ones before it: {channel, message}.
# None: it did not come.
sub take_until {
    my ($self, $condition, $seconds) = @_;
    my ($connection, @heard) = $self->{connection};
    my $deadline = time + ($seconds // 60);
    while (time < $deadline) {
        my $waits = length $connection->{input} || IO::Select->new($connection->{socket})->can_read($deadline - time);
        last unless $waits;
        my (undef, undef, $channel, $text) = @{ $connection->_reply };
        push @heard, { channel => $channel, message => JSON::PP->new->decode($text) };
        return @heard if $condition->($heard[-1]{message});
    }
    return;
}

1;
