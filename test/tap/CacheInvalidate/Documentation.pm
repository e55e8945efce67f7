# What the documents show: their blocks of SQL are run, their links and the goals of make that they name are looked up.
#
# An HTML comment directly before a block of SQL, which readers do not see, tells what the text does not:
#   <!-- sql: setup STATEMENTS -->      run before it
#   <!-- sql: fails SQLSTATE -->        it must fail so, at its last statement
#   <!-- sql: shows -->                 it must show the rows that its comments beginning "--  " list: set apart by three blanks
#                                       or more, columns by " | "; "..." at the end stands for more
#   <!-- sql: not run, REASON -->       it is skipped
package CacheInvalidate::Documentation;

use strict;
use warnings;

use Exporter 'import';
use PostgreSQL::Test::Cluster;

our @EXPORT = qw(blocks_of run_document make_goals_of files_named_in links_of anchors_of);

use constant PATIENCE => 120;    # seconds for a document

# The blocks of code: [{language, text, line, marks => [comments directly before it]}...]
sub blocks_of {
    my ($document) = @_;
    my (@blocks, @comments, $comment, $block);
    my $line = 0;
    for (split /\n/, $document) {
        $line++;
        if ($block) {
            if (/^\s*```\s*$/) { $block = undef }
            else { $block->{text} .= "$_\n" }
        } elsif (defined $comment) {
            $comment .= "\n$_";
        } elsif (/^\s*```\s*(\w*)/) {
            $block = { language => $1, text => '', line => $line, marks => [@comments] };
            push @blocks, $block;
            @comments = ();
        } elsif (/^\s*<!--/) {
            $comment = $_;
        } elsif (/\S/) {
            @comments = ();
        }
        if (defined $comment and $comment =~ /^\s*<!--\s*(.*?)\s*-->/s) {
            push @comments, $1;
            $comment = undef;
        }
    }
    return @blocks;
}

# {setup, fails, shows, not_run} of a block; `wrong` if a mark cannot be understood.
sub marks_of {
    my ($block) = @_;
    my %marks = (setup => '');
    for my $mark (@{ $block->{marks} }) {
        next unless $mark =~ /^sql:\s*(.*)$/s;
        my $said = $1;
        if ($said =~ /^setup\s+(.+)$/s) { $marks{setup} .= "$1\n" }
        elsif ($said =~ /^fails\s+([0-9A-Z]{5})$/) { $marks{fails} = $1 }
        elsif ($said eq 'shows') { $marks{shows} = 1 }
        elsif ($said =~ /^not run,\s*(\S.*)$/s) { $marks{not_run} = $1 }
        else { $marks{wrong} = "a mark that nobody knows: $mark" }
    }
    return \%marks;
}

# What follows would be taken for a part of it.
sub is_complete {
    my ($text) = @_;
    $text =~ s/--[^\n']*$//mg;
    return $text =~ /;\s*$/ || $text =~ /^\\[^\n]*\s*\z/m;
}

# The script that runs blocks in one session, and says where it is.
sub script_of {
    my (@blocks) = @_;
    my $script = "\\pset fieldsep ' | '\n";
    for my $number (0 .. $#blocks) {
        my ($text, $marks) = @{ $blocks[$number] }{qw(text means)};
        next if $marks->{not_run} or $marks->{wrong};
        $script .= "\\echo ##setup $number\n$marks->{setup}\n\\echo ##block $number\n";
        if ($marks->{fails}) {
            $script .= "\\set ON_ERROR_STOP 0\n$text\n\\echo ##sqlstate :SQLSTATE\n\\set ON_ERROR_STOP 1\n";
        } else {
            $script .= "$text\n";
        }
        $script .= "\\echo ##end $number\n";
    }
    return $script;
}

# What is wrong with the rows that a block has shown, if anything.
sub compare_rows {
    my ($block, $output) = @_;
    my @expected = map { s/^\s+|\s+$//gr } map { split /\s{3,}/ } $block->{text} =~ /^--  (.*)$/mg;
    my @rows = split /\n/, $output;
    return 'it lists no rows in comments' unless @expected;
    return 'it shows ' . @rows . " rows, not @{[scalar @expected]}:\n$output" if @rows != @expected;
    for my $number (0 .. $#expected) {
        my ($wanted, $row) = ($expected[$number], $rows[$number]);
        my $is_same = $wanted =~ s/\s*\.\.\.$// ? index($row, $wanted) == 0 : $row eq $wanted;
        return "it shows \"$row\", not \"$expected[$number]\"" unless $is_same;
    }
    return undef;
}

# What is wrong with a block, if anything, when the whole output is known.
sub judge {
    my ($block, $number, $output, $errors) = @_;
    my $marks = $block->{means};
    return 'it is not reached' unless $output =~ /^##setup $number$/m;
    return "its setup fails: $errors" unless $output =~ /^##block $number\n(.*)/ms;
    my $rest = $1;
    return "it fails: $errors" unless $rest =~ /^(.*?)^##end $number$/ms;
    my $shown = $1;
    if ($marks->{fails}) {
        my ($state) = $shown =~ /^##sqlstate (\w+)$/m;
        return $state eq $marks->{fails} ? undef : "it ends with SQLSTATE $state, not $marks->{fails}";
    }
    return "it reports no success: $shown" if $shown =~ /"success"\s*:\s*false/;
    return $marks->{shows} ? compare_rows($block, $shown) : undef;
}

# Runs the blocks of SQL of a document, in order and in one session, in a fresh database; unless one of them creates the
# extension, it is there. url: takes the place of redis://127.0.0.1:6379. Returns the blocks, with `problem` or `skipped`.
sub run_document {
    my ($node, $document, $url) = @_;
    my @blocks = grep { $_->{language} eq 'sql' } blocks_of($document);
    return unless @blocks;
    for my $block (@blocks) {
        my $marks = $block->{means} = marks_of($block);
        $block->{skipped} = $marks->{not_run};
        $marks->{wrong} //= 'it does not end with a semicolon' unless $marks->{not_run} or is_complete($block->{text});
    }
    my $roles = 'SELECT rolname FROM pg_roles';
    my %known = map { $_ => 1 } split /\n/, $node->safe_psql('postgres', $roles);
    $node->safe_psql('postgres', 'CREATE DATABASE documents TEMPLATE template0');
    $node->safe_psql('documents', 'CREATE EXTENSION cache_invalidate')
      unless grep { $_->{text} =~ /^\s*CREATE EXTENSION\b.*\bcache_invalidate\b/mi } @blocks;
    my $script = script_of(@blocks) =~ s{redis://127\.0\.0\.1:6379\b}{$url}gr;
    my ($output, $errors) = ('', '');
    $node->psql('documents', $script, stdout => \$output, stderr => \$errors, on_error_stop => 1, on_error_die => 0,
        timeout => PATIENCE, timed_out => \my $late);
    $errors = 'it takes too long' if $late;
    for my $number (0 .. $#blocks) {
        my $block = $blocks[$number];
        $block->{problem} = $block->{means}{wrong} // judge($block, $number, "$output\n", $errors) unless $block->{skipped};
    }
    $node->safe_psql('postgres', 'DROP DATABASE documents WITH (FORCE)');
    $node->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
    $node->safe_psql('postgres', "DROP OWNED BY \"$_\"; DROP ROLE \"$_\"") for grep { !$known{$_} } split /\n/, $node->safe_psql('postgres', $roles);
    $node->reload;
    return @blocks;
}

# The words of the commands in the shell blocks of a document: [[word...]...]
sub commands_of {
    my ($document) = @_;
    my @commands;
    for my $block (grep { $_->{language} =~ /^(?:sh|bash|shell)$/ } blocks_of($document)) {
        my $text = $block->{text} =~ s/(?:^|\s)#.*$//mgr;
        $text =~ s{(["'])(.*?)\1}{$2 =~ s/\s+/_/gr}ge;    # what is quoted is one word
        for (split /\n|&&|\|\||[;|]/, $text) {
            my @words = split;
            shift @words while @words and $words[0] =~ /^(?:sudo|\w+=.*)$/;
            push @commands, \@words if @words;
        }
    }
    return @commands;
}

sub make_goals_of {
    my ($document) = @_;
    return map { grep { !/^-|=/ } @$_[ 1 .. $#$_ ] } grep { $_->[0] eq 'make' } commands_of($document);
}

# Files of the given folders that commands name.
sub files_named_in {
    my ($document, @folders) = @_;
    my $folders = join '|', @folders;
    return map { s{^\./}{}r } grep { m{^(?:\./)?(?:$folders)/[\w./-]+$} } map { @$_ } commands_of($document);
}

sub without_code {
    my ($document) = @_;
    $document =~ s/^\s*```.*?^\s*```\s*$//msg;
    return $document;
}

# What links within the tree lead to.
sub links_of {
    my ($document) = @_;
    my $text = without_code($document) =~ s/`[^`\n]*`//gr;
    return grep { !/^[a-z]+:/ } $text =~ /\]\(([^)\s]+)\)/g;
}

# The anchors of its headings, as GitHub makes them.
sub anchors_of {
    my ($document) = @_;
    my (%seen, @anchors);
    for my $heading (without_code($document) =~ /^#{1,6}\s+(.*?)\s*$/mg) {
        my $anchor = lc($heading =~ s/\]\([^)]*\)/]/gr);
        $anchor =~ s/[^\w\s-]//g;
        $anchor =~ s/\s/-/g;
        my $times = $seen{$anchor}++;
        push @anchors, $times ? "$anchor-$times" : $anchor;
    }
    return @anchors;
}

1;
