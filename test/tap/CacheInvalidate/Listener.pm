# A session that listens for NOTIFY.
package CacheInvalidate::Listener;

use strict;
use warnings;

use JSON::PP;

use CacheInvalidate::Wait;

# new(NODE, DATABASE, CHANNEL...)
sub new {
    my ($class, $node, $database, @channels) = @_;
    @channels = ('cache_invalidation') unless @channels;
    my $self = bless { psql => $node->background_psql($database), received => [] }, $class;
    $self->{psql}->query_safe("LISTEN \"$_\"") for @channels;
    return $self;
}

# What has come since the last time: [{channel, text, message}...], the message decoded.
sub take {
    my ($self) = @_;
    $self->_poll;
    return splice @{ $self->{received} };
}

sub _poll {
    my ($self) = @_;
    my $output = $self->{psql}->query_safe('SELECT 1');
    while ($output =~ /^Asynchronous notification "([^"]*)" with payload "(.*)" received from/mg) {
        push @{ $self->{received} }, { channel => $1, text => $2, message => JSON::PP->new->decode($2) };
    }
    return scalar @{ $self->{received} };
}

# Waits for a message for which the condition is true; returns it and the ones before it, in order.
# None: it did not come.
sub take_until {
    my ($self, $what, $condition) = @_;
    my $place;
    wait_until(
        "message: $what",
        sub {
            $self->_poll;
            my $received = $self->{received};
            ($place) = grep { $condition->($received->[$_]{message}) } 0 .. $#$received;
            return defined $place;
        }) or return;
    return splice @{ $self->{received} }, 0, $place + 1;
}

sub quit { $_[0]{psql}->quit }

1;
