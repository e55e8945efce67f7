# A connection to a Redis server: its protocol, as far as the tests need it.
package CacheInvalidate::Resp;

use strict;
use warnings;

use Carp;
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;

# connect(path => ...) or connect(port => ...); undef: nobody listens there.
sub connect {
    my ($class, %at) = @_;
    my $socket =
        $at{path}
      ? IO::Socket::UNIX->new(Peer => $at{path})
      : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $at{port});
    return undef unless $socket;
    return bless { socket => $socket, input => '', patience => $at{patience} // 60 }, $class;
}

# Sends the commands (array references) in one go; returns their replies in order, arrays as references,
# errors as CacheInvalidate::Resp::Error. Replies must be few enough for the socket's buffer.
sub pipeline {
    my ($self, @commands) = @_;
    my $output = '';
    for my $command (@commands) {
        $output .= '*' . @$command . "\r\n";
        $output .= '$' . length($_) . "\r\n$_\r\n" for @$command;
    }
    local $SIG{PIPE} = 'IGNORE';
    while (length $output) {
        my $sent = _uninterrupted(sub { syswrite $self->{socket}, $output });
        croak "sending to Redis: $!" unless $sent;
        substr $output, 0, $sent, '';
    }
    return map { $self->_reply } @commands;
}

# One command and its reply; dies when that is an error.
sub command {
    my ($self, @words) = @_;
    my ($reply) = $self->pipeline([@words]);
    croak "Redis answers: $reply->{text}" if ref $reply eq 'CacheInvalidate::Resp::Error';
    return $reply;
}

# What the server says by itself, after MONITOR.
sub reply { return $_[0]->_reply }

# A child that stops or ends interrupts what waits: since PostgreSQL 17 the server's test modules catch SIGCHLD.
sub _uninterrupted {
    my ($call) = @_;
    my $result;
    do { $! = 0; $result = $call->() } until $result || !$!{EINTR};
    return $result;
}

sub _more {
    my ($self) = @_;
    my $readable = IO::Select->new($self->{socket});
    croak 'Redis does not answer' unless _uninterrupted(sub { scalar $readable->can_read($self->{patience}) });
    my $read = _uninterrupted(sub { sysread $self->{socket}, $self->{input}, 1 << 20, length $self->{input} });
    croak 'Redis closed the connection' unless $read;
}

sub _line {
    my ($self) = @_;
    $self->_more until $self->{input} =~ s/\A([^\r]*)\r\n//;
    return $1;
}

sub _reply {
    my ($self) = @_;
    my ($type, $rest) = $self->_line =~ /\A(.)(.*)\z/s or croak 'an empty line from Redis';
    return $rest if $type eq '+' or $type eq ':';
    return bless { text => $rest }, 'CacheInvalidate::Resp::Error' if $type eq '-';
    return undef if $rest < 0;
    return [ map { $self->_reply } 1 .. $rest ] if $type eq '*';
    croak "an unknown reply from Redis: $type$rest" unless $type eq '$';
    $self->_more while length $self->{input} < $rest + 2;
    my $text = substr $self->{input}, 0, $rest;
    substr $self->{input}, 0, $rest + 2, '';
    return $text;
}

1;
