# SQL cut into words and statements, as far as scripts/check_extension_sql has to know it.
package SqlTokens;

use strict;
use warnings;

use Exporter 'import';

our @EXPORT_OK = qw(statements_of tokens_of);

# ({kind, text, line, value}...): kind is word, quoted (identifier), string, number, operator, mark or allowance. `value` is a
# string's content.
sub tokens_of {
    my ($sql, $line) = @_;
    $line //= 1;
    my @tokens;
    while ($sql =~ /\G(?:
          (?<space>\s+)
        | --[ ]allow[ ](?<allowance>\w+:[^\n]*)
        | (?<comment>--[^\n]*|\/\*.*?\*\/)
        | (?<string>[eEbBxX]?'(?:[^'\\]|''|\\.)*'|\$(?<tag>\w*)\$.*?\$\k<tag>\$)
        | (?<quoted>"(?:[^"]|"")*")
        | (?<word>\@ext(?:schema|owner)(?::\w+)?\@|MODULE_PATHNAME|[A-Za-z_\x80-\xff][\w\$\x80-\xff]*)
        | (?<number>[0-9][\w.]*|\$[0-9]+)
        | (?<operator>::|:=|[-+*\/<>=~!\@#%^&|`?]+)
        | (?<mark>.)
        )/gxs) {
        my ($kind) = grep { defined $+{$_} } qw(space comment allowance string quoted word number operator mark);
        my $text = $+{$kind};
        my $value = $kind ne 'string' ? undef : defined $+{tag} ? $text =~ s/\A\$\w*\$|\$\w*\$\z//gr : $text =~ s/\A\w?'|'\z//gr =~ s/''/'/gr;
        push @tokens, { kind => $kind, text => $text, line => $line, value => $value } unless $kind =~ /space|comment/;
        $line += $text =~ tr/\n//;
    }
    return @tokens;
}

# ([{tokens, allowed}...], whether it begins with a guard against psql). The commands of psql are left out.
sub statements_of {
    my ($sql) = @_;
    my $has_guard = $sql =~ /\A(?:--[^\n]*\n|\s)*\\echo [^\n]* \\quit\n/;
    $sql =~ s/^\\[^\n]*//mg;
    my (@statements, @tokens, @allowed);
    my ($is_atomic, $depth) = (0, 0);
    for my $token (tokens_of($sql)) {
        my $text = lc $token->{text};
        if ($token->{kind} eq 'allowance') {
            my ($rule, $reason) = split /:\s*/, $token->{text}, 2;
            push @allowed, { rule => $rule, line => $token->{line} } if $reason =~ /\w/;
            next;
        }
        if ($token->{text} eq ';' && !$is_atomic) {
            push @statements, { tokens => [@tokens], allowed => [@allowed] } if @tokens;
            @tokens = @allowed = ();
            next;
        }
        ($is_atomic, $depth) = (1, 0) if $text eq 'atomic' && @tokens && lc $tokens[-1]{text} eq 'begin';
        if ($is_atomic && $token->{kind} eq 'word') {
            ++$depth if $text eq 'case';
            $is_atomic = 0 if $text eq 'end' && $depth-- == 0;
        }
        push @tokens, $token;
    }
    push @statements, { tokens => [@tokens], allowed => [@allowed] } if @tokens;
    return (\@statements, $has_guard);
}

1;
