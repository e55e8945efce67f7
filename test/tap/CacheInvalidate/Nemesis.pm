# Faults in an order that a seed decides, at most two at once, and a log of when each was.
package CacheInvalidate::Nemesis;

use strict;
use warnings;

use Test::More;
use Time::HiRes qw(clock_gettime sleep CLOCK_MONOTONIC);

use CacheInvalidate::Faults qw(faults);

use constant {
    LONGEST_FREE => 3,      # seconds between two faults of a track
    SHORTEST_AGE => 3,
    LONGEST_AGE  => 6,      # of what a Redis is restarted from
    TOO_OLD      => 10,     # the replay window is longer
    DRAIN        => 20,     # seconds after a fault for which the next one may wait until the caches have all
};

# new(STAGE, SEED, FILE, LONG, MUST...): the faults MUST come first, in a random order, on one track and
# on the first cache, whose leases forgive nothing; then, and on the other, whatever
# chance says. LONG: there is time for a new standby after each promotion; otherwise there is at most one. FILE gets a line "begin end name"
# for each, in nanoseconds of CLOCK_MONOTONIC.
sub new {
    my ($class, $stage, $seed, $file, $long, @must) = @_;
    my $self = bless { stage => $stage, file => $file, long => $long, seen => {}, drained => {} }, $class;
    srand $seed;
    my @order = map { $_->[0] } sort { $a->[1] <=> $b->[1] } map { [ $_, rand ] } @must;
    $self->{tracks} = [ map { { plan => [], state => 'free', until => 0 } } 0 .. 1 ];
    push @{ $self->{tracks}[0]{plan} }, map { _decide($_, 0) } @order;
    # More than any run needs: what is decided does not depend on how fast it goes.
    for my $track (0, 1) {
        push @{ $self->{tracks}[$track]{plan} }, map { _decide($self->_some) } 1 .. 20_000 / (1 + $track);
    }
    $self->{must} = @order;
    return $self;
}

sub _now { return clock_gettime(CLOCK_MONOTONIC) }

sub _some {
    my ($self) = @_;
    my $faults = faults();
    my @urn = map { ($_) x $faults->{$_}{weight} } grep { $self->{long} || $_ ne 'promotion' } sort keys %$faults;
    return $urn[ int rand @urn ];
}

# Everything that chance has a say in, so that the next decisions do not depend on how this fault goes.
# `cache`: which of the two, if chance has no say in that.
sub _decide {
    my ($name, $cache) = @_;
    my ($which, $length, $free, $age, $calm) = map { rand } 1 .. 5;
    my $fault = faults()->{$name};
    my ($least, $most) = @{ $fault->{seconds} };
    $cache = grep({ /^(cache|wire)$/ } @{ $fault->{parts} }) ? $cache // ($which < 0.7 ? 0 : 1) : undef;
    return {
        name  => $name,
        cache => $cache,
        parts => [ map { /^(cache|wire)$/ ? "$_$cache" : $_ } @{ $fault->{parts} } ],
        # short ones are the most
        length => $least + ($most - $least) * $length**2,
        free   => $free * LONGEST_FREE,
        age    => SHORTEST_AGE + $age * (LONGEST_AGE - SHORTEST_AGE),
        calm   => $calm < 0.3,
    };
}

# Goes on for so long, and until all that must be has been; then heals. Dies if the clients do not run any more.
sub rage {
    my ($self, $seconds) = @_;
    my $end = _now() + $seconds;
    my $goes_on = 1;
    while ($goes_on or grep { $_->{fault} } @{ $self->{tracks} }) {
        die "the clients have ended\n" unless $self->{stage}->clients_run;
        $goes_on &&= _now() < $end || $self->{must} > 0;
        $self->_step($_, $goes_on) for @{ $self->{tracks} };
        # until somebody's time has come, which may be a condition
        sleep 0.02;
    }
    return;
}

# A track is free, or its fault is being prepared, or holds; then it is free again, maybe not before the caches have been drained.
sub _step {
    my ($self, $track, $goes_on) = @_;
    my $now = _now();
    $self->_look_at_drain($track, $now) if $track->{drains};
    return if $now < $track->{until} || $track->{drains} && $track->{drains}{calm} && $goes_on;
    my $decided = $track->{fault};
    if (!$decided) {
        $self->_take($track) if $goes_on;
    } elsif ($track->{state} eq 'before') {
        # The other track may have taken its time.
        $now - $track->{prepared} > TOO_OLD ? $self->_prepare($track) : $self->_begin($track);
    } else {
        $self->_heal($track);
    }
    return;
}

# The next fault of the plan, if nobody holds a part of it.
sub _take {
    my ($self, $track) = @_;
    my $decided = $track->{plan}[0] // return;
    my %held = map { $_ => 1 } map { @{ $_->{fault}{parts} } } grep { $_->{fault} } @{ $self->{tracks} };
    return if grep { $held{$_} } @{ $decided->{parts} };
    shift @{ $track->{plan} };
    $track->{fault} = $decided;
    return $self->_begin($track) unless faults()->{ $decided->{name} }{before};
    return $self->_prepare($track);
}

sub _prepare {
    my ($self, $track) = @_;
    my $decided = $track->{fault};
    $track->{prepared} = _now();
    faults()->{ $decided->{name} }{before}->($self->{stage}, $decided->{cache});
    @$track{qw(state until)} = ('before', _now() + $decided->{age});
    return;
}

sub _begin {
    my ($self, $track) = @_;
    my $decided = $track->{fault};
    $track->{began} = _now();
    faults()->{ $decided->{name} }{begin}->($self->{stage}, $decided->{cache});
    @$track{qw(state until)} = ('holds', _now() + $decided->{length});
    return;
}

sub _heal {
    my ($self, $track) = @_;
    my $decided = delete $track->{fault};
    faults()->{ $decided->{name} }{heal}->($self->{stage}, $decided->{cache});
    my $healed = _now();
    my $name = $decided->{name} . ($decided->{cache} ? '-2' : '');
    open my $log, '>>', $self->{file} or die "$self->{file}: $!";
    printf $log "%d %d %s\n", $track->{began} * 1e9, $healed * 1e9, $name;
    close $log;
    note(sprintf '%7.1f: %s for %.1f s', $track->{began} - ($self->{start} //= $track->{began}), $name, $healed - $track->{began});
    ++$self->{seen}{ $decided->{name} };
    --$self->{must} if $self->{must} > 0 && $track == $self->{tracks}[0];
    $track->{drains} = { name => $decided->{name}, since => $healed, calm => $decided->{calm} };
    @$track{qw(state until)} = ('free', $healed + $decided->{free});
    $self->{stage}->add_standby if !$self->{stage}{standby} && $self->{long};
    return;
}

# How long it takes after a fault until the caches have all that was committed before it ended.
sub _look_at_drain {
    my ($self, $track, $now) = @_;
    my $drains = $track->{drains};
    return if $now < ($drains->{next} // 0);
    my $lag = $self->{stage}->lag;
    my $passed = _now() - $drains->{since};
    if (defined $lag && $lag < $passed || $passed > DRAIN) {
        push @{ $self->{drained}{ $drains->{name} } }, $passed;
        delete $track->{drains};
    } else {
        $drains->{next} = _now() + 0.2;
    }
    return;
}

# What was done, and how soon the caches had caught up.
sub tell {
    my ($self) = @_;
    note(sprintf '%-18s %5s %12s %12s', 'fault', 'times', 'drained p50', 'max (s)');
    for my $name (sort keys %{ $self->{seen} }) {
        my @times = sort { $a <=> $b } @{ $self->{drained}{$name} // [] };
        note(sprintf '%-18s %5d' . (@times ? ' %12.1f %12.1f' : ''), $name, $self->{seen}{$name}, @times ? ($times[ @times / 2 ], $times[-1]) : ());
    }
    return;
}

1;
